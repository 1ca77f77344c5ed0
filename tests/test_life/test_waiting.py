"""What waits for Support: reminders by the clock, and the lapse of what nobody needs to decide any more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.actions import list_authorized
from accounts.models import Activity, Head
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from ampdr.work import claim, perform
from failover.actions import request_extension, request_termination, withdraw
from failover.models import Failover, Named, Ticket
from failover.tasks import Wait, fire
from failover.tasks.waiting import look_at_once, next_reminder
from inventory.models import VM
from notices.models import Conversation
from tests.cast import Cast, drive_to, request, say_yes, states
from tests.test_work import claimed

AT = (2, 5, 10, 20, 30)


def sweep(ticket: Ticket, **later: float) -> Ticket:
    """What a driver does so long after the ticket was sent."""
    with clock.ahead(ticket.requested_at + timedelta(**later) - clock.now()):
        work.drive()
    ticket.refresh_from_db()
    return ticket


def reminders(ticket: Ticket) -> list[tuple[int, int]]:
    rows = Activity.objects.filter(kind="ticket", event="reminded", about=ticket.number).order_by("pk")
    return [(row.facts["n"], row.facts["minutes"]) for row in rows]


def ending(cast: Cast, ticket: Ticket, key: str = "end-key-1") -> Ticket:
    return request_termination(cast.actor("priya"), ticket, "Over", "DFW01", key)


def test_support_is_reminded_of_a_live_request_after_2_5_and_10_minutes_then_every_10(
    cast: Cast, vms: list[VM]
) -> None:
    ticket = request(cast, vms, "live")
    for minute in range(34):
        sweep(ticket, minutes=minute, seconds=1)
    assert reminders(ticket) == list(enumerate(AT, start=1))
    assert (ticket.reminders, ticket.state) == (5, "waiting")


def test_a_driver_that_comes_late_reminds_once_and_goes_on_from_there(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms, "live")
    for minutes in (47.0, 48.0, 49.9, 50.0, 50.1, 59.0, 60.0):
        sweep(ticket, minutes=minutes)
    assert [(n, round(minutes, -1)) for n, minutes in reminders(ticket)] == [(1, 50), (2, 50), (3, 60)]


def test_the_minutes_of_reminders() -> None:
    assert [next_reminder(n) for n in (0, 1, 2, 4, 5, 9, 10, 19, 20, 61)] == [2, 2, 5, 5, 10, 10, 20, 20, 30, 70]


def test_nobody_is_reminded_of_what_is_decided(cast: Cast, vms: list[VM]) -> None:
    taken_back = request(cast, vms[:1], "live")
    withdraw(cast.actor("priya"), taken_back)
    approved = request(cast, vms[1:2], "live", key="another")
    say_yes(cast, approved)
    for ticket in (taken_back, approved):
        sweep(ticket, hours=1)
        assert reminders(ticket) == [] and ticket.next_step_at is None


def test_a_live_request_never_lapses(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms, "live")
    sweep(ticket, days=400)
    assert (ticket.state, ticket.reminders) == ("waiting", 1)
    assert states(ticket) == ["requested"] * 3


def test_the_termination_of_a_live_failover_is_reminded_of_and_does_not_lapse(cast: Cast, live: Ticket) -> None:
    asked = ending(cast, live)
    for minute in range(12):
        sweep(asked, minutes=minute, seconds=1)
    sweep(asked, days=30)
    assert [minutes for _, minutes in reminders(asked)] == [2, 5, 10, 30 * 24 * 60]
    assert asked.state == "waiting" and states(live) == ["running", "running"]


def test_nobody_is_reminded_of_tests_and_what_is_about_them(cast: Cast, testing: Ticket, vms: list[VM]) -> None:
    waiting, asked = request(cast, vms[2:], key="another"), ending(cast, testing)
    sweep(waiting, hours=30)
    assert reminders(waiting) == [] == reminders(asked)


def test_a_test_request_lapses_after_a_week(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms)
    sweep(ticket, days=6, hours=23)
    assert ticket.state == "waiting"
    sweep(ticket, days=7, seconds=1)
    assert ticket.state == "lapsed" and states(ticket) == ["dropped"] * 3
    assert Head.objects.get(account=cast.northwind).waiting == 0
    assert Conversation.objects.get(number=ticket.number).word == "Lapsed"
    assert not VM.objects.exclude(held_by="").exists()
    row = Activity.objects.get(kind="ticket", event="lapse")
    assert (row.about, row.reason) == (ticket.number, "Nobody decided on it within a week")
    assert request(cast, vms, key="after-it").state == "waiting"


def test_a_termination_and_an_extension_lapse_when_the_test_ends_by_itself(cast: Cast, testing: Ticket) -> None:
    """In the same sweep: the transaction that ends the last line makes them due."""
    assert testing.ends_at
    asked = ending(cast, testing)
    longer = request_extension(cast.actor("priya"), testing, testing.ends_at + timedelta(days=1), "", "extend-1")
    with clock.ahead(testing.ends_at - clock.now() + timedelta(seconds=1)):
        Ticket.objects.filter(state="waiting").update(next_step_at=clock.now() + timedelta(days=1))
        drive_to(testing, "terminated")
    for ticket in (asked, longer):
        ticket.refresh_from_db()
        assert ticket.state == "lapsed"
        assert Conversation.objects.get(number=ticket.number).word == "Lapsed"
    assert not Named.objects.filter(waiting=True).exists()
    assert Head.objects.get(account=cast.northwind).waiting == 0


def test_an_extension_lapses_as_soon_as_the_test_is_being_terminated(cast: Cast, testing: Ticket) -> None:
    assert testing.ends_at
    longer = request_extension(cast.actor("priya"), testing, testing.ends_at + timedelta(days=1), "", "extend-1")
    with changes(PORTAL) as change:
        fire(change, Failover.objects.filter(ticket=testing), "terminate", verb="stop", next_step_at=None)
    work.drive()
    longer.refresh_from_db()
    assert longer.state == "lapsed" and states(testing) == ["terminating"] * 2


def test_it_does_not_lapse_while_one_of_them_runs_or_can_not_be_terminated(cast: Cast, testing: Ticket) -> None:
    asked = ending(cast, testing)
    lines = list(Failover.objects.filter(ticket=testing).order_by("pk"))
    for line, last in ((lines[0], "end"), (lines[1], "fail_termination")):
        with changes(PORTAL) as change:
            fire(change, Failover.objects.filter(pk=line.pk), "terminate", next_step_at=None)
            fire(change, Failover.objects.filter(pk=line.pk), last)
        assert sweep(asked, days=2).state == "waiting"
    say_yes(cast, asked)
    drive_to(testing, "terminated")


def test_what_nobody_nudged_is_found_within_a_minute(cast: Cast, testing: Ticket) -> None:
    """While somebody holds the ticket, the end of the last line passes it over."""
    asked = ending(cast, testing)
    Failover.objects.filter(ticket=testing).update(state="terminated", next_step_at=None)
    assert sweep(asked, seconds=15).state == "waiting"
    assert sweep(asked, seconds=61).state == "lapsed"


def test_looking_again_at_a_thousand_lines_is_a_statement_or_two(cast: Cast, testing: Ticket) -> None:
    asked = ending(cast, testing)
    keys = list(Failover.objects.filter(ticket=testing).values_list("pk", flat=True))
    with transaction.atomic(), CaptureQueriesContext(connection) as asking:
        look_at_once(keys)
    assert len(asking) == 2
    asked.refresh_from_db()
    assert asked.next_step_at and asked.next_step_at <= clock.now()


@pytest.mark.parametrize("kind", ["live", "test"])
def test_a_lapsed_or_reminded_ticket_is_not_looked_at_again_for_nothing(cast: Cast, vms: list[VM], kind: str) -> None:
    ticket = request(cast, vms, kind)
    sweep(ticket, days=8)
    with clock.ahead(ticket.requested_at + timedelta(days=8) - clock.now()):
        assert work.drive() == 0


def test_a_worker_whose_clock_is_behind_does_not_look_all_the_time(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    request(cast, vms, "live")
    with clock.ahead(timedelta(seconds=121)):
        ours = timezone.now
        monkeypatch.setattr(timezone, "now", lambda: ours() - timedelta(seconds=40))
        perform(claimed(Wait))
        assert claim(Wait()) is None


def test_whoever_filed_it_by_phone_may_withdraw_it_once_he_is_listed_himself(cast: Cast, vms: list[VM]) -> None:
    """To withdraw is no decision of Support's: any authorized user may, and a lead can become one."""
    ticket = request(cast, vms[:1])
    Ticket.objects.filter(pk=ticket.pk).update(filed_by=cast.oscar, called_back="+1 555 0142")
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar)
    withdraw(cast.actor("oscar"), Ticket.objects.get(pk=ticket.pk))
    assert Ticket.objects.get(pk=ticket.pk).state == "withdrawn"
    other = request(cast, vms[1:2], key="another")
    Ticket.objects.filter(pk=other.pk).update(filed_by=cast.mary)
    with pytest.raises(IntegrityError), transaction.atomic():
        Ticket.objects.filter(pk=other.pk).update(decided_by=cast.mary)
