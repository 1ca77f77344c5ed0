"""The VMs on a ticket's page: fifty of its lines, what needs attention first, each with what is going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, Q, QuerySet, When
from django.urls import reverse

from ampdr import clock
from ampdr.lifecycle import Actor, State
from ampdr.pages import Cut, cut
from failover.lifecycle import SHOWN
from failover.models import Failover, Kind, Ticket

TWO_PLACES = State("two_places", "Running in two places", "bad", "octagon-alert")
UNKNOWN = State("outcome_unknown", "Outcome unknown", "warn", "triangle-alert")
UNFENCED = State("unfenced", "Source not fenced", "warn", "triangle-alert")
FLAGS = {one.name: one for one in (TWO_PLACES, UNKNOWN)}


def marks(line: Failover) -> Sequence[State]:
    """What stands beside the state of a line and wants somebody's eye."""
    found = [FLAGS[line.flag]] if line.flag in FLAGS else []
    return [*found, UNFENCED] if line.fenced == "pending" and line.kind == Kind.LIVE and line.state in SHOWN else found


def vms_of(ticket: Ticket) -> QuerySet[Failover]:
    """The ticket's own lines; for a termination those that it names."""
    mine = {"named_in__ticket": ticket} if ticket.of_others else {"ticket": ticket}
    return Failover.objects.filter(**mine)


def page_of(ticket: Ticket, query: Mapping[str, str]) -> Cut:
    """Fifty of them, what needs attention first."""
    urgent = Case(
        When(Q(state__in=("start_failed", "termination_failed")) | Q(flag="two_places"), then=0),
        When(waiting_on="support", then=1),
        When(fenced="pending", then=2), When(state__in=("starting", "undoing", "terminating"), then=3),
        When(state="requested", then=4), When(state="running", then=5), default=6,
    )  # fmt: skip
    found = vms_of(ticket).annotate(urgent=urgent).select_related("vm", "launch", "confirmed_by")
    return cut(found, ("urgent", "vm__name_key", "pk"), query)


@dataclass(frozen=True)
class Row:
    """A line as the page prints it. `role`: whose square stands before the name."""

    line: Failover
    name: str
    href: str
    role: str
    note: str
    marks: Sequence[State]
    point_at: datetime | None
    loss: timedelta | None  # lost, or, before the start, what would be
    to_running: timedelta | None


def row_of(actor: Actor, ticket: Ticket, line: Failover) -> Row:
    shown = line.state in SHOWN
    role = line.kind if shown else "primary"
    launch = getattr(line, "launch", None)
    newest = None if line.state == "dropped" else line.vm.newest_point_at
    point_at = launch.point_at if launch else line.point_at or newest
    loss = timedelta(seconds=launch.loss_seconds) if launch and launch.loss_seconds is not None else None
    if not launch and line.state == "requested" and point_at:
        loss = clock.now() - point_at
    decided_at = None if ticket.of_others else ticket.decided_at
    return Row(
        line=line, name=f"{line.vm.name} - Test" if role == Kind.TEST else line.vm.name, role=role, point_at=point_at,
        href=reverse("vm-test" if role == Kind.TEST else "vm", args=[actor.account_slug, line.vm.slug]), loss=loss,
        to_running=line.running_at - decided_at if line.running_at and decided_at else None, note=_note(ticket, line),
        marks=marks(line),
    )  # fmt: skip


def _note(ticket: Ticket, line: Failover) -> str:
    """What is going on, or why nothing is (P5)."""
    if line.state == "requested" and ticket.state == "approved":
        first = line.vm.held_by
        return f"Starts when the test in {first} is terminated" if first not in ("", ticket.number) else "Next"
    if line.state in ("starting", "undoing", "terminating") and line.step:
        return f"{line.step}, {line.percent}%" if line.percent else line.step
    if line.state in ("starting", "undoing", "terminating") and not line.last_error and not line.waiting_on:
        return "Sent to the recovery site" if line.attempts or line.accepted_at else "Begins"
    return ""
