"""Tickets that wait for Support: when somebody is reminded of them, and when they lapse.

A live request, or the termination of a live failover, never lapses while there is something to decide. Support is
reminded of it 2, 5 and 10 minutes after it was sent, then every ten minutes; from the tenth minute on (not the tenth
reminder) Support's leads are reminded too. A test request lapses after a week. A termination or an extension lapses
as soon as nothing that it names runs any more: the transaction in which the last of these ends makes it due
(`look_at_once`), and it is looked at every minute besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Greatest

from ampdr import clock, work
from ampdr.lifecycle import PORTAL, Change, changes
from ampdr.work import Duty, WaitingOn, fresh
from failover.lifecycle import SHOWN
from failover.models import OF_OTHERS, Kind, Named, Ticket
from failover.tasks.words import retell

REMINDED_AFTER = (2, 5, 10)  # minutes; from then on every ten
TEST_LAPSES_AFTER = 7 * 24 * 60  # minutes
LOOK_AGAIN = timedelta(minutes=1)
NOT_BEFORE = timedelta(seconds=5)  # by the database's clock: a worker whose own is behind would look all the time
STILL_RUNS = {Kind.TERMINATE: SHOWN, Kind.EXTEND: ("running",)}  # what is ending gets no other end date
NOBODY_DECIDED = "Nobody decided on it within a week"
NOTHING_RUNS = "Nothing that it names runs any more"


def first_step(kind: str, at: datetime) -> datetime:
    """When a ticket that is requested `at` is looked at first."""
    if kind == Kind.LIVE:
        return at + timedelta(minutes=REMINDED_AFTER[0])
    return at + (timedelta(minutes=TEST_LAPSES_AFTER) if kind == Kind.TEST else LOOK_AGAIN)


def next_reminder(minutes: int) -> int:
    """The first minute after this one in which somebody is reminded."""
    return next((n for n in REMINDED_AFTER if n > minutes), minutes // 10 * 10 + 10)


def minutes_since(ticket: Ticket, moment: datetime) -> int:
    """Whole minutes from the request on. A worker that is a moment early by its clock is not a minute early."""
    return round((moment - ticket.requested_at).total_seconds() / 60)


@work.register
class Wait(Duty):
    """Looks at what waits for Support, live before all others. Behind what carries live failovers."""

    name, model, priority, size, order = "wait for Support", Ticket, 22, 100, ("rank", "next_step_at", "pk")

    def due(self) -> QuerySet[Ticket]:
        return super().due().filter(state="waiting")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        for ticket in mine.select_related("about").order_by("pk"):
            if reason := _why_lapse(ticket, change.at):
                _lapse(ticket, reason)
            else:
                _remind(change, ticket)


def _why_lapse(ticket: Ticket, at: datetime) -> str:
    if ticket.kind == Kind.TEST and minutes_since(ticket, at) >= TEST_LAPSES_AFTER:
        return NOBODY_DECIDED
    running = STILL_RUNS.get(Kind(ticket.kind))
    if running and not ticket.names.filter(failover__state__in=running).exists():
        return NOTHING_RUNS
    return ""


def _lapse(ticket: Ticket, reason: str) -> None:
    """What it named is free for another one at once; its own lines are dropped as those of a rejected one."""
    with changes(PORTAL, reason) as change:
        change.fire(Ticket.objects.filter(pk=ticket.pk), "lapse", **fresh("", ""))
        ticket.names.update(waiting=False)
        change.finish(retell, [ticket.pk])
        change.tally(ticket.account_id, "waiting", -1)


def _remind(change: Change, ticket: Ticket) -> None:
    """One row in the record for each reminder; the notices are made from it. Then it waits for the next look."""
    mine, waited = Ticket.objects.filter(pk=ticket.pk), minutes_since(ticket, change.at)
    urgent = Kind.LIVE in (ticket.kind, ticket.about and ticket.about.kind)
    told_in = minutes_since(ticket, ticket.reminded_at) if ticket.reminded_at else 0
    if urgent and waited >= next_reminder(told_in):
        mine.update(reminders=F("reminders") + 1, reminded_at=change.at)
        change.note(mine, "ticket.reminded", n=ticket.reminders + 1, minutes=waited)
    looks = [change.at + LOOK_AGAIN] if ticket.of_others else []
    if urgent:
        looks.append(ticket.requested_at + timedelta(minutes=next_reminder(waited)))
    elif not looks:
        looks.append(first_step(ticket.kind, ticket.requested_at))
    look = Greatest(Value(min(looks)), clock.db_now(NOT_BEFORE))
    mine.update(next_step_at=look, claim=None, attempts=0, last_error="", waiting_on=WaitingOn.NOBODY)


def look_at_once(failovers: Sequence[int]) -> None:
    """These lines are ending or have ended: what waits and names one of them may have nothing to decide any more.

    Whoever calls it holds lines, and a ticket's lock comes before a line's: a ticket that somebody holds is passed
    over, and looked at within a minute.
    """
    named = Named.objects.filter(failover_id__among=failovers, waiting=True).values("ticket")
    waiting = Ticket.objects.filter(pk__in=named, kind__in=OF_OTHERS, state="waiting").order_by("pk")
    keys = list(waiting.select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True))
    Ticket.objects.filter(pk__among=keys).update(next_step_at=clock.db_now())
