"""One outage: what Support said of it, what it means to the account's VMs, what can be done; and the strips' part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.db.models import Case, F, Q, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.actions import enter
from accounts.models import Permission, Person
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Absent
from ampdr.lifecycle import Actor, State
from ampdr.views import page_or_part, unchanged
from failover.screens import outages, row
from failover.screens.outages import Strip
from failover.screens.query import listed
from failover.views.standing import see_other
from inventory.models import VM, Outage, OutageTold, Role

FEW = 50
OPEN, OVER = State("open", "Open", "bad", "octagon-alert"), State("over", "Over", "ok", "circle-check")
HERE = Q(role=Role.PRIMARY)
FREE = HERE & Q(failover_state="", protection__in=row.REPLICATED)


@dataclass(frozen=True)
class Part:
    """So many of the affected VMs are in one condition: a piece of the bar, and its words."""

    look: str
    count: int
    words: str
    sub: str = ""
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """An affected VM. `loss`: what a live failover would lose now."""

    vm: VM
    href: str
    where: str
    pills: list[State]
    tested: State
    loss: timedelta | None
    way: row.Way | None


def now(request: Visit) -> HttpResponse:
    """The strips of an open page, for its script alone."""
    if not request.headers.get("HX-Request"):
        return redirect(f"/{request.actor.account_slug}/")
    found = outages.shown(request)
    if request.GET.get("version") == found.mark:
        return HttpResponse(status=204)
    return render(request, "parts/strips.html", {"shown": found})


def detail(request: Visit, number: str) -> HttpResponse:
    """Of an outage that the account was told of: open, or over within the last 90 days."""
    actor = request.actor
    rows = outages.of_reader(actor)
    if unchanged(request):
        return HttpResponse(status=204)
    told = rows.filter(outage__number=number.replace("\0", "")).first()
    if told is None:
        raise Absent
    one = outages.strip_of(told)
    found = [*outages.with_numbers(actor, [one]), one][0] if one.open else one
    tells = actor.can(Permission.READ_REPLICATION)
    context = {
        "one": found, "outage": one.outage, "word": OPEN if one.open else OVER, "tells": tells,
        "lasted": (one.outage.over_at or clock.now()) - one.outage.started_at,
        "updates": one.outage.updates.select_related("by").order_by("-pk"), "told": told,
        "poll": f"{request.path}?version={request.head.version}", **(_of_vms(actor, found, told) if tells else {}),
    }  # fmt: skip
    return page_or_part(request, "failover/outage.html", "failover/parts/outage.html", context)


def _of_vms(actor: Actor, one: Strip, told: OutageTold) -> dict[str, Any]:
    """Its VMs in numbers and the first of them in rows; afterwards those that still run elsewhere."""
    found = list(affected(actor, one.outage)[: FEW + 1])
    parts = parts_of(one)
    return {
        "rows": [_row(actor, one.outage, vm) for vm in found[:FEW]], "more": len(found) > FEW, "parts": parts,
        "bar": _bar(parts), "total": sum(part.count for part in parts),
        "were": told.on_it + told.running_there + told.protected_towards,
    }  # fmt: skip


def parts_of(one: Strip) -> list[Part]:
    """In which condition the VMs are: what runs elsewhere, what waits, what nobody asked for, and the rest."""
    words = f"run{'s' if one.running_vms == 1 else ''} in {one.there}"
    running = Part("live", one.running_vms, words, links=tuple(asked.number for asked in one.running))
    if one.counts is None:
        return [running] if running.count else []
    bare = one.counts.on_it - one.counts.protected
    found = [
        running,
        Part(
            "wait", one.counts.protected - one.free, "in a request", links=tuple(asked.number for asked in one.waiting)
        ),
        Part("bad", one.free, "without a request", "a live failover can be requested"),
        Part("off", bare, "not protected", "no copy that a failover could start from"),
        Part("warn", one.counts.running_there, "running there in a failover", "stand-ins of VMs of other sites"),
        Part("ok", one.counts.protected_towards, "protected towards it", "they run; their copies can't grow"),
    ]
    return [part for part in found if part.count]


def _bar(parts: list[Part]) -> list[tuple[str, int, int]]:
    """Pieces of the bar, a thousand wide in all: look, place and width."""
    total, at, found = sum(part.count for part in parts) or 1, 0, []
    for part in parts:
        width = max(8, round(1000 * part.count / total)) if part is not parts[-1] else max(8, 1000 - at)
        found.append((part.look, at, width - (4 if part is not parts[-1] else 0)))
        at += width
    return found


def affected(actor: Actor, outage: Outage) -> QuerySet[VM]:
    """What runs elsewhere, what waits, what nobody asked for, what isn't protected, and the other two groups."""
    here, away = Q(site=outage.site), Q(role=Role.LIVE, original__site=outage.site)
    towards = ~here & HERE & Q(protected_to=outage.site.code, protection__in=row.REPLICATED)
    about = away | here | towards if outage.over_at is None else away
    rank = Case(
        When(away, then=0), When(here & HERE & ~Q(failover_state=""), then=1), When(here & FREE, then=2),
        When(here & HERE, then=3), When(here, then=4), default=5,
    )  # fmt: skip
    found = listed(actor, Permission.READ_REPLICATION, []).filter(about)
    return found.alias(rank_in_outage=rank).order_by("rank_in_outage", F("name_key"), "pk")


def _row(actor: Actor, outage: Outage, vm: VM) -> Row:
    on_it = vm.role == Role.PRIMARY and vm.site_id == outage.site_id
    return Row(
        vm=vm, href=row.address(actor, vm), where=_where(outage, vm), pills=row.pills(vm),
        tested=row.readiness(vm, clock.now()),
        loss=clock.now() - vm.newest_point_at if on_it and vm.newest_point_at else None,
        way=row.way(actor, vm) if on_it or vm.failover_state else None,
    )  # fmt: skip


def _where(outage: Outage, vm: VM) -> str:
    if vm.role == Role.PRIMARY:
        towards = f", protected towards {outage.site.code}" if vm.site_id != outage.site_id else ""
        return f"{vm.site.code}{towards}"
    return f"{row.location(vm)}{', runs there in a failover' if vm.site_id == outage.site_id else ''}"


def short_address(request: HttpRequest, number: str) -> HttpResponse:
    """From the phone: leads a member of an account that was told of it to its page; 404 for everybody else."""
    person = request.user
    if not isinstance(person, Person):
        return redirect_to_login(request.get_full_path())
    mine = OutageTold.objects.filter(account__memberships__person=person, account__memberships__enabled=True)
    told = mine.filter(outage__number=number.replace("\0", "")).order_by("account__name")
    for slug in told.values_list("account__slug", flat=True):
        actor = enter(person, slug)[0]
        if actor.can(Permission.READ_VMS) and outages.of_reader(actor).filter(outage__number=number).exists():
            return see_other("outage", slug, number)
    raise Absent
