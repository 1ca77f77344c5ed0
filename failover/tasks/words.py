"""How a ticket stands, in words: its own state until it is approved, then what its lines say, first match wins.

The word is computed where a page shows one ticket or fifty; on its conversation's row it is kept, so that the Tickets
screen and Support's queue, which lie below this app, show it without asking.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Aggregate, Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Length

from ampdr.lifecycle import State
from failover.lifecycle import OPEN, SHOWN
from failover.models import Failover, Kind, Named, Ticket
from notices.actions import lock_conversations, open_for_ticket, show_words

FAILING_OVER = State("failing_over", "Failing over", "info", "loader-circle")
TERMINATING = State("terminating", "Terminating", "info", "loader-circle")
RUNNING = State("running", "Running", "info", "circle-check")
PLEASE_CONFIRM = State("running", "Running, please confirm", "info", "circle-check")
EXTENDED = State("extended", "Extended", "ok", "circle-check")
CONFIRMED = State("confirmed", "Running, confirmed", "ok", "circle-check")
FAILED = State("failed", "Failed", "bad", "octagon-alert")
TERMINATED = State("terminated", "Terminated", "off", "circle-x")
GIVEN_UP = State("given_up", "Given up", "off", "circle-x")
FAILURES = ("start_failed", "termination_failed")
ON_THE_WAY = ("requested", "starting", "undoing")
A_LINE_ON_ITS_WAY = ("starting", 1, 0)


@dataclass
class Lines:
    """The lines of a ticket, counted: state -> how many; of the running ones, how many are confirmed."""

    counts: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    running_at: datetime | None = None  # when the last of them came to run
    loss_seconds: float | None = None  # the most that one of them lost
    oldest_point: datetime | None = None  # of the recovery points that were used
    newest_point: datetime | None = None
    ended_at: datetime | None = None  # when the last of them was over
    ends_at: datetime | None = None  # of a test: the last one's end date, which an extension moves
    two_places: int = 0  # how many run at both sites
    unknown: int = 0  # of how many the outcome of a step is unknown
    unfenced: int = 0  # how many run while their source isn't barred from starting yet
    stir: int = 0  # what moves while no state does

    def count(self, state: str, n: int, confirmed: int, ends: datetime | None = None) -> None:
        """The lines in one state: what the word asks for."""
        self.counts[state] += n
        self.ends_at = _most(self.ends_at, ends)
        self.confirmed += confirmed if state == "running" else 0

    def add(self, state: str, n: int, confirmed: int, ends: datetime | None, *sums: Any) -> None:
        """The lines in one state, with what a page tells of them besides."""
        last, ended, loss, oldest, newest, places, unknown, unfenced, stir = sums
        self.count(state, n, confirmed, ends)
        self.running_at, self.loss_seconds = _most(self.running_at, last), _most(self.loss_seconds, loss)
        self.oldest_point, self.newest_point = _least(self.oldest_point, oldest), _most(self.newest_point, newest)
        self.ended_at = _most(self.ended_at, ended)
        self.two_places, self.unknown = self.two_places + places, self.unknown + unknown
        self.unfenced += unfenced if state in SHOWN else 0
        self.stir += stir

    def any(self, *states: str) -> bool:
        return any(self.counts[state] for state in states)

    @property
    def shown(self) -> int:
        """How many stand-ins are listed."""
        return sum(self.counts[state] for state in ("running", "terminating", "termination_failed"))

    @property
    def ran(self) -> timedelta | None:
        """For how long, once it is over."""
        return self.ended_at - self.running_at if self.ended_at and self.running_at else None

    @property
    def moving(self) -> bool:
        """Whether workers are at it, so that steps and percents change without a change of state."""
        return self.any(*ON_THE_WAY, "terminating")


def ticket_word(ticket: Ticket, lines: Lines) -> State:
    """The ticket's word, with "n failed", "n given up" and, while others are open, "n terminated" behind it.

    An addition that would count every line is left out: the word alone says it. With a failed line nothing is green.
    """
    if ticket.state != "approved":
        return ticket.shown_state
    if ticket.kind == Kind.EXTEND:  # approved and nothing more, where nothing of it ran any longer
        return EXTENDED if ticket.ends_at and lines.ends_at == ticket.ends_at else ticket.shown_state
    counts, total = lines.counts, lines.counts.total()
    base = _of_termination(lines) if ticket.kind == Kind.TERMINATE else _of_failover(ticket.kind, lines)
    failed = sum(counts[state] for state in FAILURES)
    ended = counts["terminated"] if lines.any(*OPEN) else 0
    additions = ((failed, "failed"), (counts["dropped"], "given up"), (ended, "terminated"))
    words = [base.word, *(f"{n} {word}" for n, word in additions if 0 < n < total)]
    return State(base.name, ", ".join(words), *_dress(base, failed, counts["dropped"]))


def _of_failover(kind: str, lines: Lines) -> State:
    if lines.any(*ON_THE_WAY):
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


def lines_of(tickets: Collection[int]) -> defaultdict[int, Lines]:
    """The lines of these tickets (by key), counted, in one statement; tickets of others' lines name theirs."""
    found: defaultdict[int, Lines] = defaultdict(Lines)
    for ticket, state, *sums in _summed(tickets, _sums):
        found[ticket].add(state, *sums)
    return found


def _summed(tickets: Collection[int], sums: Callable[[str], dict[str, Aggregate]]) -> QuerySet[Any, Any]:
    own = Failover.objects.filter(ticket__in=tickets).order_by().values_list("ticket", "state")
    named = Named.objects.filter(ticket__in=tickets).order_by().values_list("ticket", "failover__state")
    return own.annotate(**sums("")).union(named.annotate(**sums("failover__")), all=True)


def _counts(road: str) -> dict[str, Aggregate]:
    return {"n": Count("pk"), "confirmed": Count(f"{road}confirmed_at"), "ends": Max(f"{road}ends_at")}


def _sums(road: str) -> dict[str, Aggregate]:
    """In the order of `Lines.add`. The last one changes when a step, percent, try or error of a line does."""
    stir = F(f"{road}percent") + 1013 * F(f"{road}attempts") + 10007 * Length(f"{road}step")
    return _counts(road) | {
        "last": Max(f"{road}running_at"), "ended": Max(f"{road}ended_at"),
        "loss": Max(f"{road}launch__loss_seconds"),
        "oldest": Min(f"{road}launch__point_at"), "newest": Max(f"{road}launch__point_at"),
        "places": Count("pk", filter=Q(**{f"{road}flag": "two_places"})),
        "unknown": Count("pk", filter=Q(**{f"{road}flag": "outcome_unknown"})),
        "unfenced": Count("pk", filter=Q(**{f"{road}fenced": "pending"})),
        "stir": Sum(stir + 100003 * Length(f"{road}last_error")),
    }  # fmt: skip


def _most(one: Any, other: Any) -> Any:
    return max((x for x in (one, other) if x is not None), default=None)


def _least(one: Any, other: Any) -> Any:
    return min((x for x in (one, other) if x is not None), default=None)


# ---- On the row of the conversation ----------------------------------------------------------------------------------


def open_for(ticket: Ticket) -> None:
    """The ticket's conversation, in the transaction that makes the ticket."""
    begun, by = ticket.requested_at, ticket.requested_by_id
    open_for_ticket(
        begun, ticket.account_id, ticket.number, subject_of(ticket), ticket.vm_count, by, ticket.shown_state
    )  # fmt: skip


def subject_of(ticket: Ticket) -> str:
    """ "Live failover of 3 VMs to PHX01"; a termination or extension says of which ticket."""
    vms = f"{ticket.vm_count:,} VM{'' if ticket.vm_count == 1 else 's'}"
    if ticket.about:
        return f"{ticket.get_kind_display()} of {ticket.about.number}, {vms}"
    return f"{ticket.get_kind_display()} of {vms} to {ticket.target}"


def _under_way(tickets: Collection[int]) -> set[int]:
    """Those of which lines are on their way to run and none has failed or is over: one such line gives their word."""
    lines = Failover.objects.filter(ticket=OuterRef("pk"))
    moving, told = lines.filter(state__in=ON_THE_WAY), lines.filter(state__in=(*FAILURES, "dropped", "terminated"))
    found = Ticket.objects.filter(Exists(moving), ~Exists(told), pk__in=tickets)
    return set(found.values_list("pk", flat=True))


def retell(at: datetime, tickets: set[int]) -> None:
    """The words of these tickets, and of the terminations of them, on their conversations. For `Change.finish`.

    The conversations are locked first: of two batches of one ticket, the second counts what the first has done. Until
    then it waits, so what needs no count isn't counted: thousands of lines, for each batch of them.
    """
    family = list(
        Ticket.objects.filter(Q(pk__in=tickets) | Q(about__in=tickets)).only("number", "kind", "state", "ends_at")
    )
    told = lock_conversations([ticket.number for ticket in family])
    lines: defaultdict[int, Lines] = defaultdict(Lines)
    approved = {one.pk for one in family if one.state == "approved"}
    moving = _under_way(approved)
    for key in moving:
        lines[key].count(*A_LINE_ON_ITS_WAY)
    for key, *counted in _summed(approved - moving, _counts):
        lines[key].count(*counted)
    words = {ticket.number: ticket_word(ticket, lines[ticket.pk]) for ticket in family if ticket.number in told}
    show_words(at, {number: word for number, word in words.items() if word.word != told[number]})
