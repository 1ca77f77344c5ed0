"""Tickets: a decided one is the throttle. Each step of it makes one batch of its lines due, or drops one batch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import F, QuerySet

from ampdr import clock, work
from ampdr.lifecycle import PORTAL, Change, changes
from ampdr.work import BATCH, NOTHING_TO_DO, Duty, WaitingOn, fresh
from failover.lifecycle import STARTED
from failover.models import Failover, Kind, Named, Ticket
from failover.tasks.lines import REMINDED_BEFORE, fire
from failover.tasks.words import retell
from replication.providers.base import Kind as Ask

START = {Kind.LIVE: Ask.FENCE, Kind.TEST: Ask.START_TEST}
LOOK_AGAIN, AT_MOST = timedelta(seconds=1), timedelta(seconds=5)  # for tests to end: 1, 2, 4, 5, 5 ... seconds


@work.register
class Spread(Duty):
    """A decided ticket hands its decision to its lines, one batch at a time; a live one before all others."""

    name, model, priority, size, order = "spread tickets", Ticket, 20, 1, ("rank", "next_step_at", "pk")

    def due(self) -> QuerySet[Ticket]:
        return super().due().exclude(state="waiting")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        ticket = mine.get()
        step = _APPROVED[Kind(ticket.kind)] if ticket.state == "approved" else _drop_lines
        more = (_let_named_go if ticket.of_others and step is _drop_lines else step)(change, ticket)
        change.finish(retell, [ticket.pk])
        mine.update(
            next_step_at=more, claim=None, attempts=ticket.attempts, last_error="", waiting_on=WaitingOn.NOBODY
        )  # fmt: skip
        work.ring()


def _start_lines(change: Change, ticket: Ticket) -> Any:
    """Starts one batch of lines, from where the last one ended. A running test of the same VM is terminated first:
    such lines stay Requested, and the ticket comes by again until the test is gone."""
    lines = Failover.objects.filter(ticket=ticket, state="requested")
    batch = dict(lines.filter(pk__gt=ticket.spread_to).order_by("pk").values_list("pk", "vm")[:BATCH])
    started = Failover.objects.filter(vm_id__among=list(batch.values()), state__in=STARTED)
    taken = set(started.values_list("vm", flat=True))
    free = Failover.objects.filter(pk__among=[pk for pk, vm in batch.items() if vm not in taken])
    fire(change, free, "start", started_at=change.at, **fresh(START[Kind(ticket.kind)], _start_site(ticket)))
    with changes(PORTAL, f"Live failover {ticket.number} was approved") as told:
        tests = started.filter(vm_id__among=list(taken), kind=Kind.TEST, state="running")
        fire(told, tests, "terminate", **fresh(Ask.STOP, F("target")))
    _say_why_they_wait({vm: pk for pk, vm in batch.items() if vm in taken})
    ticket.spread_to = max(batch) if len(batch) == BATCH else 0
    ticket.save(update_fields=["spread_to"])
    if ticket.spread_to:
        return clock.db_now()
    pause = min(AT_MOST, LOOK_AGAIN * 2 ** min(ticket.attempts, 9))
    ticket.attempts += 1
    return clock.db_now(pause) if lines.exists() else None


def _say_why_they_wait(held: dict[int, int]) -> None:
    """A live line waits for what was started of its VM, {VM: line}: where that waits for Support, the line does too."""
    found: dict[tuple[str, str], list[int]] = {}
    started = Failover.objects.filter(vm_id__among=list(held), state__in=STARTED).select_related("ticket")
    for one in started:
        stuck = one.waiting_on == WaitingOn.SUPPORT or one.state in ("start_failed", "termination_failed")
        words = f"{one.ticket.title} must end first and is {one.shown_state.word}: {one.last_error}" if stuck else ""
        found.setdefault((words, WaitingOn.SUPPORT if stuck else WaitingOn.NOBODY), []).append(held[one.vm_id])
    for (words, who), keys in found.items():
        lines = Failover.objects.filter(pk__among=keys).exclude(last_error=words, waiting_on=who)
        lines.update(last_error=words, waiting_on=who)


def _start_site(ticket: Ticket) -> str:
    return ticket.source if ticket.kind == Kind.LIVE else ticket.target


def _some(lines: QuerySet[Failover]) -> QuerySet[Failover]:
    """One batch of these lines."""
    return Failover.objects.filter(pk__among=list(lines.order_by("pk").values_list("pk", flat=True)[:BATCH]))


def _drop_lines(change: Change, ticket: Ticket) -> Any:
    lines = Failover.objects.filter(ticket=ticket, state="requested")
    rows = fire(change, _some(lines), "drop", **NOTHING_TO_DO)
    return clock.db_now() if len(rows) == BATCH else None


def _terminate_named(change: Change, ticket: Ticket) -> Any:
    named = Failover.objects.filter(named_in__ticket=ticket, named_in__waiting=True)
    batch = list(named.order_by("pk").values_list("pk", flat=True)[:BATCH])
    mine = Failover.objects.filter(pk__among=batch)
    facts = fresh(Ask.STOP, F("target"))
    with changes(PORTAL, f"{ticket.number} was approved") as told:
        fire(told, mine.filter(state="running"), "terminate", **facts)
        failed = mine.filter(state="termination_failed")
        fire(told, failed, "retry_termination", **{**facts, "generation": F("generation") + 1})
    _no_longer_waiting(ticket, batch)
    return clock.db_now() if len(batch) == BATCH else None


def _let_named_go(change: Change, ticket: Ticket) -> Any:
    _no_longer_waiting(ticket, list(ticket.names.values_list("failover", flat=True)))
    return None


def _no_longer_waiting(ticket: Ticket, failovers: list[int]) -> None:
    Named.objects.filter(ticket=ticket, failover__in=failovers).update(waiting=False)


def _extend_named(change: Change, ticket: Ticket) -> Any:
    """Tests that still run get the new end date, and are reminded of that one."""
    assert ticket.ends_at, ticket
    running = Failover.objects.filter(named_in__ticket=ticket, named_in__waiting=True, state="running")
    keys = list(running.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
    mine = Failover.objects.filter(pk__among=keys[:BATCH])
    until = {"ends_at": ticket.ends_at, "next_step_at": ticket.ends_at - REMINDED_BEFORE}
    mine.update(reminded_at=None, claim=None, **until)  # a worker that has them for the old date has them no more
    change.note(mine, "failover.extended")
    if len(keys) > BATCH:
        _no_longer_waiting(ticket, keys[:BATCH])
        return clock.db_now()
    return _let_named_go(change, ticket)


_APPROVED: dict[Kind, Callable[[Change, Ticket], Any]] = {
    Kind.LIVE: _start_lines,
    Kind.TEST: _start_lines,
    Kind.TERMINATE: _terminate_named,
    Kind.EXTEND: _extend_named,
}
