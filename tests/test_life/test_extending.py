"""A test is extended once, by a request that Support approves, to at most seven days in all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Head
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Forbidden, Invalid, Refusal
from ampdr.work import perform
from failover.actions import latest_end, request_extension, request_termination, withdraw
from failover.models import Failover, Kind, Named, Ticket
from failover.tasks import EndTests, Spread, lines_of, ticket_word
from inventory.models import VM
from notices.models import Conversation
from tests.cast import Cast, drive_to, request, say_yes, states
from tests.test_work import claimed


def later(ticket: Ticket, days: float = 2) -> datetime:
    assert ticket.ends_at
    return ticket.ends_at + timedelta(days=days)


def extend(cast: Cast, ticket: Ticket, who: str = "priya", key: str = "extend-key-1", **other: Any) -> Ticket:
    until = other["ends_at"] if "ends_at" in other else later(ticket)
    return request_extension(cast.actor(who), ticket, until, "The auditors come on Friday", key)


def refused(cast: Cast, ticket: Ticket, kind: type[Refusal] = Conflict, **other: Any) -> Any:
    with pytest.raises(kind) as refusal:
        extend(cast, ticket, key="extend-key-refused", **other)
    return refusal.value


def ends(ticket: Ticket) -> set[datetime | None]:
    return set(Failover.objects.filter(ticket=ticket).values_list("ends_at", flat=True))


def test_an_extension_names_the_running_lines_and_changes_nothing_until_it_is_approved(
    cast: Cast, testing: Ticket
) -> None:
    asked = extend(cast, testing)
    assert (asked.kind, asked.about, asked.vm_count, asked.state) == (Kind.EXTEND, testing, 2, "waiting")
    assert set(asked.names.values_list("kind", "waiting")) == {("extend", True)}
    assert Conversation.objects.get(number=asked.number).title == f"Extension of {testing.number}, 2 VMs"
    assert Head.objects.get(account=cast.northwind).waiting == 1
    work.drive()
    assert ends(testing) == {testing.ends_at}
    say_yes(cast, asked)
    work.drive()
    asked.refresh_from_db()
    assert ends(testing) == {asked.ends_at} and states(testing) == ["running", "running"]
    assert not Named.objects.filter(waiting=True).exists()
    assert ticket_word(asked, lines_of([asked.pk])[asked.pk]).word == "Extended"
    assert Conversation.objects.get(number=asked.number).word == "Extended"


def test_it_runs_to_the_new_date_and_no_longer(cast: Cast, testing: Ticket) -> None:
    asked = extend(cast, testing)
    say_yes(cast, asked)
    work.drive()
    assert testing.ends_at and asked.ends_at
    with clock.ahead(testing.ends_at - clock.now() + timedelta(hours=1)):
        work.drive()
        assert states(testing) == ["running", "running"]
    with clock.ahead(asked.ends_at - clock.now() + timedelta(seconds=1)):
        drive_to(testing, "terminated")


def test_the_same_key_gets_the_same_extension(cast: Cast, testing: Ticket) -> None:
    first = extend(cast, testing)
    assert extend(cast, testing) == first
    assert Ticket.objects.filter(kind=Kind.EXTEND).count() == 1


def test_a_second_one_that_waits_names_the_first(cast: Cast, testing: Ticket) -> None:
    first = extend(cast, testing)
    refusal = refused(cast, testing)
    assert (refusal.code, refusal.facts["ticket"], refusal.facts["who"]) == (
        "already_requested", first.number, "Priya Raman",
    )  # fmt: skip
    withdraw(cast.actor("priya"), first)
    assert extend(cast, testing, key="extend-key-2").state == "waiting"


def test_a_test_is_extended_once(cast: Cast, testing: Ticket) -> None:
    first = extend(cast, testing, ends_at=later(testing, 1))
    say_yes(cast, first)
    for _ in range(2):  # before workers have carried it out, and after
        assert refused(cast, testing).code == "extended_already"
        work.drive()


def test_a_termination_may_wait_beside_it(cast: Cast, testing: Ticket) -> None:
    extend(cast, testing)
    ending = request_termination(cast.actor("priya"), testing, "", "", "end-key-1")
    assert ending.names.count() == 2
    with pytest.raises(Conflict) as refusal:
        request_termination(cast.actor("priya"), testing, "", "", "end-key-2")
    assert refusal.value.facts["ticket"] == ending.number


def test_the_new_end_lies_after_the_old_one_and_within_a_week_of_the_approval(cast: Cast, testing: Ticket) -> None:
    assert testing.ends_at and testing.decided_at
    latest = testing.decided_at + timedelta(days=7)
    assert latest_end(testing) == latest
    for wrong in (None, testing.ends_at, clock.now(), latest + timedelta(minutes=1)):
        assert list(refused(cast, testing, Invalid, ends_at=wrong).fields) == ["ends_at"]
    assert extend(cast, testing, ends_at=latest).ends_at == latest


def test_a_test_that_has_all_its_days_gets_none_more(cast: Cast, testing: Ticket) -> None:
    Ticket.objects.filter(pk=testing.pk).update(ends_at=latest_end(testing))
    testing.refresh_from_db()
    assert refused(cast, testing).code == "no_time_left"


def test_only_a_running_test_is_extended(cast: Cast, live: Ticket, vms: list[VM]) -> None:
    soon = clock.now() + timedelta(days=1)
    assert refused(cast, live, ends_at=soon).code == "not_a_test"
    waiting = request(cast, vms[2:])
    assert refused(cast, waiting).code == "nothing_runs"


def test_what_ended_is_not_extended(cast: Cast, testing: Ticket) -> None:
    say_yes(cast, request_termination(cast.actor("priya"), testing, "", "", "end-key-1"))
    drive_to(testing, "terminated")
    assert refused(cast, testing).code == "nothing_runs"


def test_it_takes_an_authorized_user_of_the_account(cast: Cast, testing: Ticket) -> None:
    for who, kind in (("ravi", Forbidden), ("oscar", Forbidden), ("olga", Absent)):
        with pytest.raises(kind):
            extend(cast, testing, who)
    assert not Ticket.objects.filter(kind=Kind.EXTEND).exists()


def word(asked: Ticket) -> str:
    asked.refresh_from_db()
    return ticket_word(asked, lines_of([asked.pk])[asked.pk]).word


def test_what_is_approved_before_the_end_date_holds_though_no_worker_was_there(cast: Cast, testing: Ticket) -> None:
    """After it, one driver takes the extension, and another one the test's end at the same moment."""
    asked = extend(cast, testing)
    say_yes(cast, asked)
    assert word(asked) == "Approved" and testing.ends_at
    with clock.ahead(testing.ends_at - clock.now() + timedelta(hours=1)):
        spread, end = claimed(Spread), claimed(EndTests)
        perform(end)
        assert states(testing) == ["running"] * 2
        perform(spread)
        assert ends(testing) == {asked.ends_at} and word(asked) == "Extended"


def test_what_runs_no_more_is_neither_extended_nor_terminated(cast: Cast, testing: Ticket) -> None:
    asked = extend(cast, testing)
    ending = request_termination(cast.actor("priya"), testing, "", "", "end-key-1")
    Failover.objects.filter(ticket=testing).update(state="terminated", verb="", next_step_at=None)
    for ticket in (asked, ending):
        with pytest.raises(Conflict) as refusal:
            say_yes(cast, ticket)
        assert refusal.value.code == "nothing_runs" and "Nothing that it names runs any more" in str(refusal.value)


def test_an_extension_of_what_ends_meanwhile_is_approved_and_no_more(cast: Cast, testing: Ticket) -> None:
    asked = extend(cast, testing)
    say_yes(cast, asked)
    Failover.objects.filter(ticket=testing).update(state="terminated", verb="", next_step_at=None)
    work.drive()
    assert word(asked) == Conversation.objects.get(number=asked.number).word == "Approved"
    assert not Named.objects.filter(waiting=True).exists()


def test_what_is_being_approved_is_held_so_that_its_end_does_not_come_between(cast: Cast, testing: Ticket) -> None:
    asked = extend(cast, testing)
    with CaptureQueriesContext(connection) as queries:
        say_yes(cast, asked)
    locks = [one["sql"] for one in queries if 'FOR NO KEY UPDATE OF "failover_failover"' in one["sql"]]
    assert len(locks) == 1


def test_a_reminder_of_the_old_date_that_is_under_way_is_none_of_the_new_one(cast: Cast, testing: Ticket) -> None:
    """A worker has the lines for the reminder when another one extends them: a day before the new date it is sent."""
    asked = extend(cast, testing)
    say_yes(cast, asked)
    assert testing.ends_at and asked.ends_at
    with clock.ahead(testing.ends_at - clock.now() - timedelta(hours=23)):
        spread, reminder = claimed(Spread), claimed(EndTests)
        perform(spread)
        perform(reminder)
        lines = Failover.objects.filter(ticket=testing)
        assert set(lines.values_list("reminded_at", "next_step_at")) == {(None, asked.ends_at - timedelta(hours=24))}
    with clock.ahead(asked.ends_at - clock.now() - timedelta(hours=23)):
        work.drive()
        assert not lines.filter(reminded_at=None).exists()
