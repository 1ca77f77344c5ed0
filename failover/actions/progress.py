"""How a ticket stands, in words: its own state until it is approved, then what its lines say, first match wins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, F, Max

from ampdr.lifecycle import State
from failover.lifecycle import OPEN
from failover.models import Failover, Kind, Named, Ticket

FAILING_OVER = State("failing_over", "Failing over", "info", "loader-circle")
TERMINATING = State("terminating", "Terminating", "info", "loader-circle")
RUNNING = State("running", "Running", "info", "circle-check")
PLEASE_CONFIRM = State("running", "Running, please confirm", "info", "circle-check")
CONFIRMED = State("confirmed", "Running, confirmed", "ok", "circle-check")
FAILED = State("failed", "Failed", "bad", "octagon-alert")
TERMINATED = State("terminated", "Terminated", "off", "circle-x")
GIVEN_UP = State("given_up", "Given up", "off", "circle-x")
FAILURES = ("start_failed", "termination_failed")


@dataclass
class Lines:
    """The lines of a ticket, counted: state -> how many; of the running ones, how many are confirmed."""

    counts: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    running_at: datetime | None = None  # when the last of them came to run
    loss_seconds: float | None = None  # the most that one of them lost

    def any(self, *states: str) -> bool:
        return any(self.counts[state] for state in states)

    @property
    def shown(self) -> int:
        """How many stand-ins are listed."""
        return sum(self.counts[state] for state in ("running", "terminating", "termination_failed"))

    @property
    def moving(self) -> bool:
        """Whether workers are at it, so that steps and percents change without a change of state."""
        return self.any("requested", "starting", "undoing", "terminating")


def ticket_word(ticket: Ticket, lines: Lines) -> State:
    """The ticket's word, with "n failed", "n given up" and, while others are open, "n terminated" behind it.

    An addition that would count every line is left out: the word alone says it. With a failed line nothing is green.
    """
    if ticket.state != "approved":
        return ticket.shown_state
    counts, total = lines.counts, lines.counts.total()
    base = _of_termination(lines) if ticket.kind == Kind.TERMINATE else _of_failover(ticket.kind, lines)
    failed = sum(counts[state] for state in FAILURES)
    ended = counts["terminated"] if lines.any(*OPEN) else 0
    additions = ((failed, "failed"), (counts["dropped"], "given up"), (ended, "terminated"))
    words = [base.word, *(f"{n} {word}" for n, word in additions if 0 < n < total)]
    return State(base.name, ", ".join(words), *_dress(base, failed, counts["dropped"]))


def _of_failover(kind: str, lines: Lines) -> State:
    if lines.any("requested", "starting", "undoing"):
        return FAILING_OVER
    if lines.any("terminating"):
        return TERMINATING
    if lines.any("running"):
        if lines.confirmed == lines.counts["running"]:
            return CONFIRMED
        return RUNNING if kind == Kind.TEST else PLEASE_CONFIRM
    if lines.any(*FAILURES):
        return FAILED
    return TERMINATED if lines.any("terminated") else GIVEN_UP


def _of_termination(lines: Lines) -> State:
    """Of what it names, running is what the workers have not got to yet."""
    if lines.any("running", "terminating"):
        return TERMINATING
    return FAILED if lines.any(*FAILURES) else TERMINATED


def _dress(base: State, failed: int, dropped: int) -> tuple[str, str]:
    """Tone and icon: a failed line shows in both, and what was given up is not green either."""
    if failed and base is not FAILED:
        return "warn", "triangle-alert"
    return ("info" if dropped and base.tone == "ok" else base.tone), base.icon


def lines_of(tickets: Collection[int]) -> dict[int, Lines]:
    """The lines of these tickets (by key), counted, in one statement; those of a termination are what it names."""
    own = Failover.objects.filter(ticket__in=tickets).order_by().values_list("ticket", "state")
    named = Named.objects.filter(ticket__in=tickets).order_by().values_list("ticket", "failover__state")
    counted = own.annotate(
        n=Count("pk"), confirmed=Count("confirmed_at"), last=Max("running_at"), loss=Max("launch__loss_seconds")
    )
    counted_named = named.annotate(
        n=Count("pk"), confirmed=Count("failover__confirmed_at"), last=Max("failover__running_at"),
        loss=Max(F("failover__launch__loss_seconds")),
    )  # fmt: skip
    found: dict[int, Lines] = defaultdict(Lines)
    for ticket, state, n, confirmed, last, loss in counted.union(counted_named, all=True):
        lines = found[ticket]
        lines.counts[state] += n
        lines.confirmed += confirmed if state == "running" else 0
        lines.running_at = max(filter(None, (lines.running_at, last)), default=None)
        lines.loss_seconds = max((x for x in (lines.loss_seconds, loss) if x is not None), default=None)
    return found
