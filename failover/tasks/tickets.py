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
from failover.tasks.lines import fire
from failover.tasks.words import retell
from replication.providers.base import Kind as Ask

START = {Kind.LIVE: Ask.FENCE, Kind.TEST: Ask.START_TEST}
LOOK_AGAIN = timedelta(seconds=1)


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
        mine.update(next_step_at=more, claim=None, attempts=0, last_error="", waiting_on=WaitingOn.NOBODY)
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
    ticket.spread_to = max(batch) if len(batch) == BATCH else 0
    ticket.save(update_fields=["spread_to"])
    if ticket.spread_to:
        return clock.db_now()
    return clock.db_now(LOOK_AGAIN) if lines.exists() else None


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
    """Tests that still run get the new end date; reminders go by it."""
    running = Failover.objects.filter(named_in__ticket=ticket, named_in__waiting=True, state="running")
    keys = list(running.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
    mine = Failover.objects.filter(pk__among=keys[:BATCH])
    mine.update(ends_at=ticket.ends_at, reminded_at=None, next_step_at=ticket.ends_at)
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
