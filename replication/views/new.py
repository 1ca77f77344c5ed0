"""A new order: choose VMs, see which of them can be ordered and why others can't, and order with one button."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet, Value
from django.db.models.functions import Lower
from django.http import HttpResponse, QueryDict
from django.shortcuts import render

from accounts.actions import made_with
from accounts.models import Permission
from accounts.views import Visit
from ampdr.errors import Conflict, Invalid
from inventory.actions import chosen
from inventory.models import VM, Role
from replication.actions import Terms, choose, offered_levels, place_order, progress
from replication.models import Order, Replication, ServiceLevel
from replication.views.answers import SeeOther, here, named_vms, need_read
from replication.views.check import Group, groups_of, orderable, seen
from replication.views.paging import SIZE

LONGEST_NAME = 120
TARGETS = (5, 15, 30, 60, 120, 240, 480, 1440)  # minutes that are offered, as far as a service level allows them


@dataclass(frozen=True)
class Picked:
    """The VMs that an address or a form names, and how a form names them again."""

    vms: QuerySet[VM]
    name: str
    value: str

    @property
    def query(self) -> str:
        return f"?{self.name}={self.value}"


def new_order(request: Visit) -> HttpResponse:
    """Without VMs in the address: which ones? With them: what would be ordered. Then the order itself, by its key."""
    need_read(request.actor)
    picked = named(request, request.POST if request.method == "POST" else request.GET)
    if request.method == "POST":
        return place(request, picked)
    if picked:
        return check(request, picked)
    request.actor.need(Permission.WRITE_REPLICATION)
    return pick(request)


def named(request: Visit, sent: QueryDict) -> Picked | None:
    """`choice=` is one kept on the server, `vm=` names VMs. Raises Forbidden and Absent."""
    if key := sent.get("choice", ""):
        return Picked(choose(request.actor, chosen(request.actor, key)), "choice", key)
    wanted = list(dict.fromkeys(named_vms(sent)))
    return Picked(choose(request.actor, wanted), "vm", ",".join(wanted)) if wanted else None


def place(request: Visit, picked: Picked | None) -> HttpResponse:
    """Orders what the page showed can be ordered, and nothing if that is something else by now.

    A form that doesn't say what it showed orders all that it names, or nothing.
    """
    key = request.POST.get("key", "")
    try:
        terms = read_terms(request.POST)
        vms, shown = (picked.vms, request.POST.get("seen", "")) if picked else (VM.objects.none(), "")
        if shown:
            found = orderable(vms)
            if seen(found.values()) != shown:
                return changed(request, picked, key)
            vms = VM.objects.filter(pk__among=list(found))
        order = place_order(request.actor, vms, key, terms)
    except Invalid as wrong:
        return check(request, picked, wrong) if picked else pick(request, wrong)
    except Conflict as meanwhile:
        if picked is None or meanwhile.code != "cannot_replicate":
            raise
        return changed(request, picked, key, meanwhile)
    return SeeOther(here(request, "order", order.number))


def changed(request: Visit, picked: Picked | None, key: str, meanwhile: Conflict | None = None) -> HttpResponse:
    """Nothing was ordered: other VMs can be ordered now than the page showed. Unless this very form was sent before."""
    if (number := made_with(request.actor, key)).startswith("RO-"):
        return SeeOther(here(request, "order", number))
    assert picked
    groups = groups_of(picked.vms)
    if len(groups) == 1 and groups[0].kind == "order":
        raise who_was_first(request, groups[0].detail)
    before = int(shown) if (shown := request.POST.get("seen", "").partition("-")[0][:6]).isdecimal() else 0
    now = groups[0].n if groups and groups[0].kind == "good" else 0
    words = meanwhile.message if meanwhile and not before else how_it_changed(before, now)
    return check(request, picked, Conflict(words), groups)


def how_it_changed(before: int, now: int) -> str:
    if before == now:
        return "Other VMs can be ordered now than those that you saw. Look again, then order."
    return f"{now} VM{'' if now == 1 else 's'} can be ordered now, {before} when you looked. Look again, then order."


def who_was_first(request: Visit, number: str) -> Conflict:
    """Somebody else has ordered all of them: who and when, how that order stands, and the way to it."""
    order = Order.objects.select_related("ordered_by").get(number=number, account=request.actor.account_id)
    count = f"{order.vm_count} VM{'' if order.vm_count == 1 else 's'}"
    return Conflict(
        f"Nothing was ordered: all that you chose is in {number} already.", title="Somebody ordered this already",
        who=order.ordered_by.name if order.ordered_by else "", since=order.ordered_at, subject=number, text=count,
        href=here(request, "order", number), shown=progress(Replication.objects.filter(order=order)),
    )  # fmt: skip


# ---- Which VMs? ------------------------------------------------------------------------------------------------------


def pick(request: Visit, wrong: Invalid | None = None) -> HttpResponse:
    """The first VMs that can be ordered, by name; whoever looks for another one types how its name begins."""
    q = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_NAME]
    vms = free(request, q).select_related("site__failover_site")[: SIZE + 1]
    context = {"vms": vms[:SIZE], "more": len(vms) > SIZE, "size": SIZE, "q": q, "wrong": wrong}
    return render(request, "replication/pick.html", context, status=400 if wrong else 200)


def free(request: Visit, q: str) -> QuerySet[VM]:
    mine = VM.objects.visible_to(request.actor, Permission.READ_VMS).filter(shown=True, role=Role.PRIMARY)
    found = mine.filter(
        protection__in=("none", "stopped"), site__failover_site__isnull=False, cannot_replicate="", vanished_at=None,
    )  # fmt: skip
    found = found.filter(name_key__startswith=Lower(Value(q))) if q else found
    return found.order_by("rank", "name_key", "family", "role")


# ---- The check -------------------------------------------------------------------------------------------------------


def check(
    request: Visit, picked: Picked, wrong: Invalid | Conflict | None = None, groups: list[Group] | None = None
) -> HttpResponse:
    """What would be ordered under which terms, and what is left out, grouped by the reason."""
    groups = groups_of(picked.vms) if groups is None else groups
    good = groups[0] if groups and groups[0].kind == "good" else Group("good", "")
    total = sum(group.n for group in groups)
    context = {
        "picked": picked, "total": total, "good": good, "groups": [group for group in groups if group is not good],
        "left_out": total - good.n, "one": groups[0].vms[0] if total == 1 else None, "wrong": wrong,
        "seen": seen(orderable(picked.vms).values()), "key": uuid.uuid4().hex,
        **offer(request, wrong.fields if isinstance(wrong, Invalid) else {}),
    }  # fmt: skip
    return render(request, "replication/check.html", context, status=wrong.status if wrong else 200)


def offer(request: Visit, errors: dict[str, list[str]]) -> dict[str, Any]:
    """The service levels and RPO targets to choose from, as they were chosen before."""
    levels = list(offered_levels())
    asked = request.POST.get("service_level", "")
    chosen_level = next((level for level in levels if level.name == asked), levels[0])
    return {
        "levels": levels, "level": chosen_level, "errors": errors, "targets": targets(levels),
        "target": request.POST.get("rpo_target_minutes", minutes(levels[0].rpo_target) if len(levels) == 1 else ""),
    }  # fmt: skip


def targets(levels: list[ServiceLevel]) -> list[tuple[str, timedelta | None]]:
    """With several levels the first one is each level's own; what is too small for the chosen one is refused by it."""
    smallest = min(level.rpo_minimum for level in levels)
    offered = {timedelta(minutes=n) for n in TARGETS} | {level.rpo_target for level in levels}
    found: list[tuple[str, timedelta | None]] = [] if len(levels) == 1 else [("", None)]
    return found + [(minutes(target), target) for target in sorted(offered) if target >= smallest]


def minutes(length: timedelta) -> str:
    return str(length // timedelta(minutes=1))


def read_terms(sent: QueryDict) -> Terms:
    """Raises Invalid for what is no number of minutes; what a level allows is the verb's to say."""
    level, text = sent.get("service_level", "").replace("\0", ""), sent.get("rpo_target_minutes", "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) <= 6):
        wrong = "Choose an RPO target: a whole number of minutes."
        raise Invalid(wrong, fields={"rpo_target_minutes": [wrong]})
    return Terms(level, timedelta(minutes=int(text)) if text else None)
