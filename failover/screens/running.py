"""The tickets on which something is still to happen, for Overview: what runs, what waits, what is to be told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, Q

from accounts.models import Permission
from ampdr import clock
from ampdr.lifecycle import Actor, State
from failover.actions import Lines, lines_of, ticket_word
from failover.lifecycle import OPEN
from failover.models import Failover, Kind, Named, Ticket
from failover.screens.census import Census
from failover.tasks.words import FAILURES
from inventory.models import VM

AT_MOST = 100  # live ones first
ASKED_FOR = timedelta(days=30)  # so long after its request a test's result is asked for here


@dataclass(frozen=True)
class Running:
    """A ticket with its lines counted. `role`: live or test while its VMs are shown, else empty."""

    ticket: Ticket
    lines: Lines
    word: State
    role: str
    names: list[str]

    @property
    def more(self) -> int:
        return max(0, self.ticket.vm_count - len(self.names))

    @property
    def open(self) -> bool:
        """Whether something of it runs or is to run; otherwise only its result is missing."""
        return self.ticket.state == "waiting" or self.lines.any(*OPEN)

    @property
    def since(self) -> datetime | None:
        return self.lines.running_at if self.role else self.ticket.decided_at or self.ticket.requested_at

    @property
    def unconfirmed(self) -> int:
        live = self.ticket.kind == Kind.LIVE
        return self.lines.counts["running"] - self.lines.confirmed if live else 0

    @property
    def failed(self) -> int:
        return 0 if self.ticket.of_others else sum(self.lines.counts[state] for state in FAILURES)

    @property
    def wants_result(self) -> bool:
        mine = self.ticket.kind == Kind.TEST and self.ticket.state == "approved" and not self.ticket.result
        return mine and not self.open and self.lines.any("terminated")


def running(actor: Actor, counted: Census) -> list[Running]:
    """Two statements; the second one only if there is something."""
    own = Failover.objects.filter(ticket=OuterRef("pk"))
    named = Named.objects.filter(ticket=OuterRef("pk")).order_by("failover").values("failover__vm__name")
    found = Ticket.objects.visible_to(actor, Permission.READ_REPLICATION).filter(_told(actor, counted))
    tickets = list(
        found.select_related("about").order_by("rank", "-pk").annotate(
            own=ArraySubquery(own.order_by("state").values("vm__name")[:3]), named=ArraySubquery(named[:3])
        )[:AT_MOST]
    )  # fmt: skip
    lines = lines_of([ticket.pk for ticket in tickets]) if tickets else {}
    return [_running(ticket, lines[ticket.pk]) for ticket in tickets]


def _told(actor: Actor, counted: Census) -> Q:
    """VMs name the ticket that holds them: so what is open is found without a look at what is over."""
    over = Failover.objects.filter(ticket=OuterRef("pk"), state="terminated")
    lately = Q(requested_at__gt=clock.now() - ASKED_FOR)
    told = Q(state="waiting") | (Q(Exists(over), kind=Kind.TEST, state="approved", result="") & lately)
    if not counted.held:
        return told
    holding = VM.objects.visible_to(actor, Permission.READ_REPLICATION).exclude(held_by="")
    return told | Q(number__in=holding.values("held_by"))


def _running(ticket: Ticket, lines: Lines) -> Running:
    names = sorted(ticket.own or ticket.named)  # type: ignore[attr-defined]
    role = "" if ticket.of_others or not lines.shown else ticket.kind
    return Running(ticket, lines, ticket_word(ticket, lines), role, names)
