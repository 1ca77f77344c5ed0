"""A new order: choose VMs, see which of them can be ordered and why others can't, and order with one button."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet, Value
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import render

from accounts.models import Permission
from accounts.views import Visit
from ampdr.errors import Conflict, Invalid
from inventory.models import VM, Role
from replication.actions import choose, place_order, progress
from replication.models import RETENTION_HOURS, RPO_TARGET, Order, Replication
from replication.views.answers import SeeOther, here, named_vms, need_read
from replication.views.paging import SIZE

LISTED = 50  # VMs of one group that the check prints by name
LONGEST_NAME = 120


def new_order(request: Visit) -> HttpResponse:
    """Without VMs in the address: which ones? With them: what would be ordered. Then the order itself, by its key."""
    need_read(request.actor)
    if request.method == "POST":
        return place(request)
    if wanted := named_vms(request.GET):
        return check(request, choose(request.actor, wanted))
    request.actor.need(Permission.WRITE_REPLICATION)
    return pick(request)


def place(request: Visit) -> HttpResponse:
    wanted = named_vms(request.POST)
    try:
        order = place_order(request.actor, wanted, request.POST.get("key", ""))
    except Invalid as wrong:
        vms = choose(request.actor, wanted)
        return check(request, vms, wrong) if wanted else pick(request, wrong)
    except Conflict as meanwhile:
        meanwhile.facts |= _how_it_stands(request, wanted, meanwhile)
        raise
    return SeeOther(here(request, "order", order.number))


def _how_it_stands(request: Visit, wanted: Sequence[str], meanwhile: Conflict) -> dict[str, Any]:
    """For the conflict page: the order that was first, if there is one, and a way on."""
    refused = [reason["vm"] for reason in meanwhile.facts.get("reasons", ())]
    numbers = set(VM.objects.filter(uuid__in=refused).values_list("order_number", flat=True)) if refused else set()
    if len(numbers) == 1 and len(refused) == len(set(wanted)):
        first = Order.objects.select_related("ordered_by").filter(number=numbers.pop()).first()
        if first:
            return _who_was_first(request, first)
    again = urlencode({"vm": ",".join(wanted)})
    return {"href": f"{here(request, 'order-new')}?{again}", "subject": "the check of your choice"}


def _who_was_first(request: Visit, order: Order) -> dict[str, Any]:
    return {
        "who": order.ordered_by.name if order.ordered_by else "", "since": order.ordered_at, "subject": order.number,
        "href": here(request, "order", order.number), "shown": progress(Replication.objects.filter(order=order)),
        "text": f"{order.vm_count} VM{'' if order.vm_count == 1 else 's'}",
    }  # fmt: skip


# ---- Which VMs? ------------------------------------------------------------------------------------------------------


def pick(request: Visit, wrong: Invalid | None = None) -> HttpResponse:
    """The first VMs that can be ordered, by name; whoever looks for another one types how its name begins."""
    q = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_NAME]
    vms = orderable(request, q).select_related("site__failover_site")[: SIZE + 1]
    context = {"vms": vms[:SIZE], "more": len(vms) > SIZE, "size": SIZE, "q": q, "wrong": wrong}
    return render(request, "replication/pick.html", context, status=400 if wrong else 200)


def orderable(request: Visit, q: str) -> QuerySet[VM]:
    mine = VM.objects.visible_to(request.actor, Permission.READ_VMS).filter(shown=True, role=Role.PRIMARY)
    free = mine.filter(
        protection__in=("none", "stopped"), site__failover_site__isnull=False, cannot_replicate="",
    )  # fmt: skip
    named = free.filter(name_key__startswith=Lower(Value(q))) if q else free
    return named.order_by("rank", "name_key", "family", "role")


# ---- The check -------------------------------------------------------------------------------------------------------


def check(request: Visit, vms: QuerySet[VM], wrong: Invalid | None = None) -> HttpResponse:
    """What would be ordered, and what is left out, grouped by the reason."""
    found = list(vms.select_related("site__failover_site").order_by("name_key", "pk"))
    groups: dict[str, list[VM]] = defaultdict(list)
    for vm in found:
        groups[vm.why_not_orderable].append(vm)
    good = groups.pop("", [])
    context = {
        "chosen": found, "good": good, "listed": good[:LISTED], "groups": sorted(groups.items()),
        "left_out": len(found) - len(good), "one": found[0] if len(found) == 1 else None,
        "routes": sorted({(vm.site, vm.site.failover_site) for vm in good}, key=str),
        "disk_gb": sum(vm.disk_gb for vm in good), "vm": ",".join(str(vm.uuid) for vm in good),
        "key": uuid.uuid4().hex, "rpo_target": RPO_TARGET, "retention_hours": RETENTION_HOURS, "wrong": wrong,
    }  # fmt: skip
    return render(request, "replication/check.html", context, status=400 if wrong else 200)
