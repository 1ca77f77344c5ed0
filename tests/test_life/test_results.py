"""What the customer says of a test stands on its ticket, in the record, and on the VMs of which it is the last."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Activity
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from failover.actions import record_result, request_termination
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, drive_to, request, say_yes


def say(cast: Cast, ticket: Ticket, result: str = "passed", notes: str = "", who: str = "priya") -> None:
    record_result(cast.actor(who), ticket, result, notes)
    ticket.refresh_from_db()


def results(vms: list[VM]) -> list[str]:
    return list(
        VM.objects.filter(pk__in=[vm.pk for vm in vms]).order_by("name").values_list("last_test_result", flat=True)
    )


def test_a_result_stands_on_the_ticket_and_on_its_vms(cast: Cast, testing: Ticket, vms: list[VM]) -> None:
    say(cast, testing, "remarks", " Sign-in was slow \r\n")
    assert (testing.result, testing.result_notes, testing.result_by) == ("remarks", "Sign-in was slow", cast.priya)
    assert testing.result_at
    assert results(vms) == ["remarks", "remarks", ""]
    row = Activity.objects.get(kind="ticket", event="result")
    assert (row.about, row.reason, row.facts["result"]) == (testing.number, "Sign-in was slow", "Passed with remarks")


def test_it_may_be_changed_and_each_time_is_in_the_record(cast: Cast, testing: Ticket, vms: list[VM]) -> None:
    say(cast, testing, "failed", "Nobody could sign in")
    say(cast, testing)
    assert (testing.result, testing.result_notes) == ("passed", "")
    assert results(vms[:2]) == ["passed", "passed"]
    assert Activity.objects.filter(kind="ticket", event="result").count() == 2


def test_a_later_test_has_a_result_of_its_own(cast: Cast, testing: Ticket, vms: list[VM]) -> None:
    say(cast, testing, "failed", "Nobody could sign in")
    say_yes(cast, request_termination(cast.actor("priya"), testing, "", "", "end-key-1"))
    drive_to(testing, "terminated")
    again = request(cast, vms[:1], key="again-key")
    say_yes(cast, again)
    drive_to(again, "running")
    assert results(vms) == ["", "failed", ""]
    say(cast, testing)  # of a test that ended: of web-02 it is the last one
    assert results(vms) == ["", "passed", ""]


@pytest.mark.parametrize(
    ("result", "notes", "field"),
    [
        ("", "", "result"), ("splendid", "", "result"), ("failed", " ", "notes"), ("remarks", "", "notes"),
        ("passed", "x" * 2001, "notes"),
    ],
    ids=["none", "unknown", "failed without a word", "remarks without any", "too long"],
)  # fmt: skip
def test_what_is_no_result_is_named(cast: Cast, testing: Ticket, result: str, notes: str, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        say(cast, testing, result, notes)
    assert list(refusal.value.fields) == [field]


def test_there_is_none_of_what_is_no_test_or_did_not_run(cast: Cast, live: Ticket, vms: list[VM]) -> None:
    waiting = request(cast, vms[2:])
    refusals: list[Any] = []
    for ticket in (live, waiting):
        with pytest.raises(Conflict) as refusal:
            say(cast, ticket)
        refusals.append(refusal.value.code)
    assert refusals == ["not_a_test", "not_run_yet"]


def test_it_takes_an_authorized_user_of_the_account(cast: Cast, testing: Ticket) -> None:
    for who, kind in (("ravi", Forbidden), ("oscar", Forbidden), ("olga", Absent)):
        with pytest.raises(kind):
            say(cast, testing, who=who)
    testing.refresh_from_db()
    assert not testing.result
