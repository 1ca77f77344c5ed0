"""A test ends on its end date; a day before that its people are reminded of it."""

from __future__ import annotations

from datetime import timedelta

from accounts.models import Activity
from ampdr import clock, work
from failover.actions import Wish, request_extension, request_failover
from failover.models import Failover, Ticket
from inventory.models import VM
from tests.cast import Cast, drive_to, say_yes, states


def sweep_before(ticket: Ticket, **before: float) -> int:
    """What a driver does so long before the end date that was asked for; how many reminders there are then."""
    assert ticket.ends_at
    with clock.ahead(ticket.ends_at - timedelta(**before) - clock.now()):
        work.drive()
    return Activity.objects.filter(kind="failover", event="ends_soon").count()


def test_a_day_before_its_end_each_line_is_reminded_of_once(cast: Cast, testing: Ticket) -> None:
    assert sweep_before(testing, hours=24, minutes=1) == 0
    assert sweep_before(testing, hours=23, minutes=59) == 2
    assert Failover.objects.filter(ticket=testing).exclude(reminded_at=None).count() == 2
    assert sweep_before(testing, hours=1) == 2
    assert states(testing) == ["running", "running"]
    sweep_before(testing, seconds=-1)
    assert drive_to(testing, "terminated")
    assert Activity.objects.filter(kind="failover", event="terminate", reason="Its end date has come").count() == 2


def test_an_extended_test_is_reminded_of_again(cast: Cast, testing: Ticket) -> None:
    assert testing.ends_at
    assert sweep_before(testing, hours=2) == 2
    longer = request_extension(cast.actor("priya"), testing, testing.ends_at + timedelta(days=3), "", "extend-1")
    say_yes(cast, longer)
    work.drive()
    assert not Failover.objects.filter(ticket=testing).exclude(reminded_at=None).exists()
    assert sweep_before(longer, hours=25) == 2
    assert sweep_before(longer, hours=23) == 4
    assert states(testing) == ["running", "running"]


def test_a_test_shorter_than_a_day_is_reminded_of_when_it_runs(cast: Cast, vms: list[VM]) -> None:
    wish = Wish("test", [vms[0].uuid], ends_at=clock.now() + timedelta(hours=5))
    ticket = request_failover(cast.actor("priya"), wish, "short-test")
    say_yes(cast, ticket)
    drive_to(ticket, "running")
    assert sweep_before(ticket, hours=4) == 1


def test_nobody_is_reminded_of_a_test_whose_end_has_come_before_a_driver_did(cast: Cast, testing: Ticket) -> None:
    assert sweep_before(testing, hours=-1) == 0
    assert drive_to(testing, "terminated")
