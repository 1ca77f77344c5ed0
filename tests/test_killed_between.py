"""A planned live failover that the recovery site refuses after the source was stopped: Support gives it up, and the
source is released and runs again. The same end, whenever its worker is killed on the way there."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from ampdr import clock
from ampdr.work import claim, perform
from failover.actions import give_up, retry
from failover.models import Failover, Ticket
from failover.tasks import Carry, Spread
from inventory.models import VM
from replication.models import Replication
from replication.providers.simulated import doubled, effects
from replication.providers.simulated.settings import ledger_path
from replication.providers.sites import provider_of
from tests.cast import Cast, make_vms, protect, refuse, request, rows, say_yes, states
from tests.test_work import LEASE


def steps(vm: VM) -> list[str]:
    return [effect.step for effect in effects(ledger_path()) if effect.vm == str(vm.uuid) and effect.step != "protect"]


def standing(site: str) -> list[str]:
    """What of ours the site lists, but the copies."""
    return [one.kind for one in provider_of(site).existing()[0] if one.kind != "protect"]


def later(leases: int) -> None:
    with clock.ahead(leases * (LEASE + timedelta(seconds=1))):
        carry_on()


def carry_on() -> None:
    """What a worker does for tickets and their lines, and nothing else: the moments are the same each time."""
    while batch := claim(Spread()) or claim(Carry()):
        perform(batch)


def refused_live(cast: Cast, vm: VM) -> Ticket:
    ticket = request(cast, [vm], "live", key=f"live-{uuid.uuid4()}")
    say_yes(cast, ticket)
    return ticket


def test_given_up_the_source_runs_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Undoing that is refused stays Undoing, with the error, and waits for Support."""
    [vm] = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, [vm])
    refuse(monkeypatch, "start_live", "stop")
    ticket = refused_live(cast, vm)
    for n in range(4):
        later(n)
    line = Failover.objects.get(ticket=ticket)
    assert (line.state, line.fenced, line.waiting_on) == ("start_failed", "yes", "support")
    assert line.last_error == "PHX01 has no free host on which web-01 could start."
    assert (steps(vm), standing("DFW01")) == (["fence"], ["fence"])
    give_up(cast.actor("mary"), line, "Phoenix is full")
    for refusing, error in (("stop", "web-01 in PHX01 is locked"), ("release", "web-01 can't be released")):
        refuse(monkeypatch, "start_live", refusing)
        for n in range(5):
            later(n)
        line.refresh_from_db()
        assert (line.state, line.waiting_on, line.next_step_at) == ("undoing", "support", None)
        assert error in line.last_error and standing("DFW01") == ["fence"]
        assert Replication.objects.get().held_by == ticket.number
        refuse(monkeypatch, "start_live", "release")
        retry(cast.actor("mary"), line)
    refuse(monkeypatch, "start_live")
    for n in range(5):
        later(n)
    at_the_end(cast, vm, ticket)


def at_the_end(cast: Cast, vm: VM, ticket: Ticket) -> None:
    assert states(ticket) == ["dropped"] and steps(vm) == ["fence", "stop", "release"]
    assert standing("DFW01") == standing("PHX01") == [] and doubled(ledger_path()) == []
    copy = Replication.objects.get(vm=vm)
    assert (copy.state, copy.held_by) == ("protected", "")
    assert (vm.name, "primary") in rows(cast)
