"""Asking Support for a later end date of a running test: once, and for at most a week in all (rule 13)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F, Value

from accounts.actions import receive
from ampdr import clock
from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes
from ampdr.numbers import next_number
from ampdr.sets import insert_select
from failover.actions.endings import need_mine
from failover.actions.requests import LOOK_AGAIN, TEST_DAYS_AT_MOST
from failover.models import Failover, Kind, Named, Ticket
from failover.tasks import first_step, open_for


def request_extension(actor: Actor, ticket: Ticket, ends_at: datetime | None, reason: str, key: str) -> Ticket:
    """Asks Support to let what runs of a test run until `ends_at`. Until it is approved the old date stands.

    The same key gets the same request. A token may: it is about a test. Raises Forbidden, Invalid (`ends_at`) and
    Conflict: `not_a_test`, `nothing_runs`, `extended_already`, `already_requested`, `no_time_left`.
    """
    need_mine(actor, ticket)
    with changes(actor, reason.strip()) as change:
        return _request_once(change, actor, ticket, ends_at, key)


def _request_once(change: Change, actor: Actor, about: Ticket, ends_at: datetime | None, key: str) -> Ticket:
    """Two requests for one test wait for each other at its row, so that the second finds the first."""
    receipt = receive(actor, key, ["extend", about.number, str(ends_at), change.reason])
    if receipt.made:
        return Ticket.objects.get(number=receipt.made)
    list(Ticket.objects.filter(pk=about.pk).select_for_update(no_key=True).values_list("pk"))
    new_end = _checked(about, ends_at)
    running = refuse_nothing_to_extend(about)
    ticket = Ticket.objects.create(
        number=next_number("FO"), account_id=about.account_id, kind=Kind.EXTEND, about=about, source=about.source,
        target=about.target, vm_count=running, ends_at=new_end, reason=change.reason,
        requested_by_id=actor.person_id or 0, requested_at=change.at, next_step_at=first_step(Kind.EXTEND, change.at),
    )  # fmt: skip
    named = Failover.objects.filter(ticket=about, state="running").order_by("pk")
    rows = named.values_list(Value(ticket.pk), F("pk"), Value(Kind.EXTEND.value))
    ticket.vm_count = insert_select(Named, ["ticket", "failover", "kind"], rows)
    ticket.save(update_fields=["vm_count"])
    open_for(ticket)
    change.begin(Ticket.objects.filter(pk=ticket.pk), "request")
    change.tally(ticket.account_id, "waiting", 1)
    receipt.made = ticket.number
    receipt.save(update_fields=["made"])
    return ticket


def latest_end(test: Ticket) -> datetime:
    """Until when a test can run at most: a week from its approval."""
    return (test.decided_at or test.requested_at) + timedelta(days=TEST_DAYS_AT_MOST)


def _checked(about: Ticket, ends_at: datetime | None) -> datetime:
    """A later end that a test can have. Of what is no approved test no date is right or wrong: that is refused next."""
    words = ""
    if ends_at is None:
        words = "Say until when."
    elif about.kind == Kind.TEST and about.ends_at and about.state == "approved":
        latest = latest_end(about)
        if not max(about.ends_at, clock.now()) < ends_at <= latest and about.ends_at < latest:
            words = (
                f"It ends on {about.ends_at:%d %b %Y, %H:%M} UTC now, and a test runs for {TEST_DAYS_AT_MOST} days at "
                f"most. Take an end after that, until {latest:%d %b %Y, %H:%M} UTC."
            )
    if ends_at is None or words:
        raise Invalid(LOOK_AGAIN, fields={"ends_at": [words]})
    return ends_at


def refuse_nothing_to_extend(about: Ticket) -> int:
    """How many failovers of this test an extension would be for. Conflict, if there can't be one."""
    if about.kind != Kind.TEST:
        raise Conflict("Only a test has an end date.", code="not_a_test", ticket=about.number)
    if first := _first(about):
        raise _was_first(about, first)
    running = Failover.objects.filter(ticket=about, state="running").count()
    if not running:
        raise Conflict(f"Nothing of {about.number} runs now.", code="nothing_runs", ticket=about.number)
    if about.ends_at and about.ends_at >= latest_end(about):
        raise Conflict(
            f"{about.number} runs for {TEST_DAYS_AT_MOST} days already, and no test runs longer.",
            code="no_time_left", ticket=about.number,
        )  # fmt: skip
    return running


def _first(about: Ticket) -> Ticket | None:
    asked = Ticket.objects.filter(about=about, kind=Kind.EXTEND, state__in=("waiting", "approved"))
    return asked.select_related("requested_by").order_by("pk").last()


def _was_first(about: Ticket, first: Ticket) -> Conflict:
    """Names the extension that waits, or the one that there was."""
    facts = {"ticket": first.number, "who": first.requested_by.name, "since": first.requested_at}
    if first.state == "waiting":
        return Conflict(
            f"An extension of {about.number} is requested already ({first.number}). Nothing was requested.",
            code="already_requested", title=f"{first.number} was first", **facts,
        )  # fmt: skip
    return Conflict(
        f"{about.number} was extended already ({first.number}). A test is extended once.",
        code="extended_already", title="This test was extended already", **facts,
    )  # fmt: skip
