"""A live failover of a VM whose test is there: the test ends first, whatever becomes of it, and the ticket says why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ampdr import clock, work
from ampdr.work import perform
from failover.actions import request_termination, retry
from failover.models import Failover, Ticket
from failover.tasks import Spread
from inventory.models import VM
from replication.models import Replication
from replication.providers.simulated import doubled, effects, set_site_answers
from replication.providers.simulated.settings import ledger_path
from tests.cast import Cast, drive_to, make_vms, protect, refuse, request, say_yes, states
from tests.test_work import claimed

SOON = timedelta(seconds=40)


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"])
    protect(cast, vms)
    return vms


def holder(vm: VM) -> str:
    return Replication.objects.get(vm=vm).held_by


def approved(cast: Cast, vms: list[VM], kind: str) -> Ticket:
    ticket = request(cast, vms, kind)
    say_yes(cast, ticket)
    return ticket


def look(live: Ticket) -> Failover:
    """The ticket looks again; its line of the VM with the test."""
    Ticket.objects.filter(pk=live.pk).update(next_step_at=clock.now() - SOON)
    perform(claimed(Spread))
    return Failover.objects.get(ticket=live, vm__name="web-01")


def drive_on() -> None:
    """All that is due within minutes, pauses and all."""
    for _ in range(6):
        Failover.objects.exclude(next_step_at=None).exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
        Ticket.objects.exclude(next_step_at=None).update(next_step_at="2020-01-01T00:00Z")
        work.drive()


@pytest.mark.parametrize("state", ["running", "terminating"])
def test_the_live_line_starts_when_the_test_has_ended(cast: Cast, vms: list[VM], state: str) -> None:
    test = approved(cast, vms[:1], "test")
    drive_to(test, "running")
    live = request(cast, vms, "live")
    assert holder(vms[0]) == test.number and holder(vms[1]) == live.number
    set_site_answers("PHX01", False)  # so it stays
    if state == "terminating":
        say_yes(cast, request_termination(cast.actor("priya"), test, "", "", "end-of-test"))
        perform(claimed(Spread))
    assert states(test) == [state]
    say_yes(cast, live)
    line = look(live)
    assert (line.state, line.waiting_on, line.last_error) == ("requested", "", "")
    assert states(live) == ["requested", "starting"] and states(test) == ["terminating"]
    assert holder(vms[0]) == test.number
    set_site_answers("PHX01", True)
    drive_on()
    assert (states(test), states(live)) == (["terminated"], ["running", "running"])
    assert {holder(vm) for vm in vms} == {live.number}
    order = [effect.step for effect in effects(ledger_path()) if effect.vm == str(vms[0].uuid)]
    assert order == ["protect", "start_test", "stop", "fence", "start_live"] and doubled(ledger_path()) == []


@pytest.mark.parametrize("before", [True, False], ids=["failed-before", "fails-now"])
def test_a_test_that_cannot_be_ended_waits_for_support_and_the_live_ticket_says_so(
    cast: Cast, vms: list[VM], before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = approved(cast, vms[:1], "test")
    drive_to(test, "running")
    live = request(cast, vms, "live")
    refuse(monkeypatch, "stop")
    if before:
        say_yes(cast, request_termination(cast.actor("priya"), test, "", "", "end-of-test"))
        drive_to(test, "termination_failed")
    say_yes(cast, live)
    drive_on()
    assert states(live) == ["requested", "running"] and states(test) == ["termination_failed"]
    line = Failover.objects.get(ticket=live, vm=vms[0])
    assert (line.waiting_on, holder(vms[0])) == ("support", test.number)
    assert line.last_error == (
        f"Test failover {test.number} must end first and is Termination failed: "
        "The failover VM of web-01 in PHX01 is locked by a running task."
    )
    refuse(monkeypatch)
    retry(cast.actor("mary"), Failover.objects.get(ticket=test))
    line = look(live)
    assert (line.state, line.waiting_on, line.last_error) == ("requested", "", "")
    drive_on()
    assert states(live) == ["running", "running"] and states(test) == ["terminated"]
    assert holder(vms[0]) == live.number and doubled(ledger_path()) == []


def test_a_ticket_that_waits_looks_more_and_more_seldom(cast: Cast, vms: list[VM]) -> None:
    """Never at once: a test that can't end for a day must not keep a worker busy. Nor for longer than 5 seconds."""
    drive_to(approved(cast, vms[:1], "test"), "running")
    set_site_answers("PHX01", False)
    live = approved(cast, vms[:1], "live")
    pauses = []
    for _ in range(5):
        look(live)
        live.refresh_from_db()
        assert live.next_step_at
        pauses.append(round((live.next_step_at - clock.now()).total_seconds()))
    assert pauses == [1, 2, 4, 5, 5]
    with clock.ahead(timedelta(milliseconds=-500)):
        assert work.claim(Spread()) is None
