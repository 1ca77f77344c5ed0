"""The page of one virtual machine, and of the test of it that is running."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Q, When
from django.http import HttpResponse

from accounts.actions import administrators
from accounts.activity import name_of
from accounts.models import Activity, Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Absent
from ampdr.lifecycle import LIFECYCLES, Actor, State
from ampdr.views import page_or_part
from failover.lifecycle import SHOWN, STARTED
from failover.models import Failover, Kind
from failover.screens import listed, row
from failover.screens.markup import fact
from failover.screens.security import readable, worst
from failover.views.rows import marks
from failover.views.security import period, still_so
from inventory.models import VM, Role
from replication.actions import kept_rpo
from replication.models import RecoveryPoint, Replication
from replication.views.chart import period_of, rpo_chart

EVENTS = {
    "order": "Replication was ordered", "import": "Replication was imported from Generation 3",
    "rpo_behind": "RPO is behind its target", "caught_up": "RPO is met again",
    "source_unreachable": "Source unreachable, RPO is behind its target",
    "outcome_unknown": "Outcome unknown, Support looks into it", "request": "Failover was requested",
    "confirmed": "Works, says the customer", "fenced": "The source is barred from starting",
    "source_silent": "The source site doesn't answer, it goes on unplanned", "set_going": "Set going again by Support",
    "asked": "Support asks about it", "answered": "Support's question was answered",
    "extended": "The test got a new end date", "ends_soon": "Reminder: the test ends soon",
    "two_places": "Runs in two places, Support is alarmed",
    "settled": "Settled by Support", "renamed": "Renamed", "added": "Added to the inventory",
    "resized": "Its disks were resized",
    "moved": "Moved to another site", "vanished": "Not found at its site any more", "found": "Found again",
}  # fmt: skip
# So that what runs is on the page, however often somebody asked for something else since.
RUNNING_FIRST = Case(When(state__in=STARTED, then=0), default=1)


def detail(request: Visit, slug: str) -> HttpResponse:
    """While a live failover runs, the VM that runs in its place answers here."""
    return show(request, slug, Role.PRIMARY, Role.LIVE)


def test(request: Visit, slug: str) -> HttpResponse:
    return show(request, slug, Role.TEST)


def show(request: Visit, slug: str, *roles: Role) -> HttpResponse:
    if still_so(request):
        return HttpResponse(status=204)
    actor = request.actor
    found = listed(actor, Permission.READ_VMS).select_related("site__failover_site")
    vm = found.filter(slug=slug, role__in=roles).order_by("rank").first()
    if vm is None:
        raise Absent
    over, tells = period_of(request.GET.get("rpo", "")), actor.can(Permission.READ_REPLICATION)
    query = {"version": str(request.head.version), "at": period()} | ({"rpo": over} if tells else {})
    context: dict[str, Any] = {
        "vm": vm, "location": row.location(vm), "tells": tells,
        "security": worst(actor, vm), "parts": parts(actor, vm), "poll": f"{request.path}?{urlencode(query)}",
    }  # fmt: skip
    context |= protection(actor, vm, over) if tells else {}
    context |= {"deeds": deeds(actor, vm, context)}
    return page_or_part(request, "failover/vm.html", "failover/parts/vm.html", context)


def parts(actor: Actor, vm: VM) -> list[dict[str, Any]]:
    """The parts of its security that this person may read, each with what its last report said."""
    return [
        {
            "part": part, "status": part.status_of(vm), "reported": part.reported_at(vm),
            "facts": [(column.short, fact(part, column, vm)) for column in part.told],
        }
        for part in readable(actor)
    ]  # fmt: skip


def protection(actor: Actor, vm: VM, over: str) -> dict[str, Any]:
    """Everything of replication on this page, for whoever has Read. A stand-in shows its original's."""
    replications = Replication.objects.visible_to(actor, Permission.READ_REPLICATION).filter(vm=vm.family)
    open_ones = replications.exclude(state="stopped").annotate(kept=kept_rpo(over))
    replication = open_ones.select_related("order").first()
    points = RecoveryPoint.objects.visible_to(actor, Permission.READ_REPLICATION).filter(replication=replication)
    lines = Failover.objects.visible_to(actor, Permission.READ_REPLICATION).filter(vm=vm.family)
    found = list(lines.select_related("ticket", "launch").order_by(RUNNING_FIRST, "-pk")[:10])
    return {
        "pills": row.pills(vm), "course": row.course(vm), "replication": replication,
        "readiness": row.readiness(vm, clock.now()),
        "behind": vm.newest_point_at is not None and clock.now() - vm.newest_point_at > vm.rpo_target,
        "points": list(points.order_by("-at")[:10]) if replication else (),
        "rpo": rpo_chart(replication, vm.name, over) if replication and vm.role != Role.TEST else None,
        "failovers": [told(one) for one in found], "mine": maker(vm, found),
        "marks": [mark for one in found if one.uuid == vm.made_by for mark in marks(one)], "back": back(vm, found),
        "test": next((one for one in found if one.kind == Kind.TEST and one.state in SHOWN), None),
        **offers(actor, vm, replication),
    }  # fmt: skip


def maker(vm: VM, found: list[Failover]) -> Failover | None:
    """The failover that made this stand-in."""
    return next((one for one in found if one.uuid == vm.made_by), None)


def back(vm: VM, found: list[Failover]) -> Failover | None:
    """The live failover from which this original is back, for a day."""
    since = clock.now() - row.BACK_FOR
    ended = (one for one in found if one.kind == Kind.LIVE and one.state == "terminated")
    lately = (one for one in ended if one.ended_at and one.ended_at > since)
    return next(lately, None) if vm.role == Role.PRIMARY and not vm.held_by else None


def told(one: Failover) -> dict[str, Any]:
    """A line of the table. Yellow is for a live failover that runs; one that was only asked for isn't."""
    kind = row.TEST if one.kind == Kind.TEST else row.LIVE if one.state in SHOWN else None
    to_running = one.running_at - one.ticket.decided_at if one.running_at and one.ticket.decided_at else None
    launch = getattr(one, "launch", None)
    return {"failover": one, "kind": kind, "to_running": to_running, "loss": launch and launch.loss_seconds}


def offers(actor: Actor, vm: VM, replication: Replication | None) -> dict[str, Any]:
    """What this person can do here: nothing that the verbs would refuse; and why not, where that helps."""
    primary = vm.role == Role.PRIMARY
    stoppable = replication is not None and (replication.allows("stop") or replication.allows("cancel"))
    fit = primary and vm.protection in row.REPLICATED
    return {
        "can_order": row.can_order(actor, vm),
        "why_not": vm.why_not_orderable if primary and replication is None else "",
        "can_live": row.can_request(actor, vm), "can_test": row.can_request_test(actor, vm),
        "can_stop": bool(primary and stoppable and not vm.held_by and actor.can(Permission.WRITE_REPLICATION)),
        "unlisted": fit and not actor.listed, "ask": whom_to_ask(actor, vm),
    }  # fmt: skip


def whom_to_ask(actor: Actor, vm: VM) -> list[dict[str, str]]:
    """Who can give Write, for somebody who looks at a VM that could be ordered and lacks it."""
    if vm.why_not_orderable or actor.can(Permission.WRITE_REPLICATION):
        return []
    return administrators(actor.account_id or 0)


def deeds(actor: Actor, vm: VM, context: dict[str, Any]) -> list[dict[str, Any]]:
    """The newest of the account's record about this VM, found by subject (the record's index), newest first."""
    if not actor.can(Permission.VIEW_ACTIVITY):
        return []
    about = Q(kind="vm", subject_id=vm.family)
    if context["tells"]:
        replications = Replication.objects.filter(vm=vm.family).values("pk")
        failovers = Failover.objects.filter(vm=vm.family).values("pk")
        about |= Q(kind="replication", subject_id__in=replications) | Q(kind="failover", subject_id__in=failovers)
    found = Activity.objects.visible_to(actor, Permission.VIEW_ACTIVITY).filter(about)
    return [deed(one) for one in found.order_by("-id")[:8]]


def deed(one: Activity) -> dict[str, Any]:
    life = LIFECYCLES.get(one.kind)
    state: State | None = life.states.get(one.to_state) if life else None
    moved = f"{one.kind.capitalize()}: {state.word}" if state else one.event.replace("_", " ").capitalize()
    return {"who": name_of(one.actor, one.staff), "what": EVENTS.get(one.event, moved), "one": one}
