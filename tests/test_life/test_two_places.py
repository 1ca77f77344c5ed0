"""The source of a running live failover is seen running too: written down, alarmed, and barred."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Activity
from ampdr import clock, work
from ampdr.work import claim, perform
from failover.actions import request_termination
from failover.models import Failover, Ticket
from failover.tasks import TwoPlaces
from inventory.models import VM
from replication.actions.sync import sync
from replication.providers.base import Machine
from replication.providers.simulated import set_machines, set_site_answers
from tests.cast import Cast, drive_to, refuse, request, say_yes


def tell(cast: Cast, vms: list[VM], power: str = "on") -> None:
    """The site's inventory names its VMs, as they stand there."""
    known = [Machine(str(vm.uuid), vm.name, "DFW01", power, 40, account="northwind") for vm in vms]
    set_machines([replace(one, os="Debian 12") for one in known])
    assert not sync(cast.sites["DFW01"]).faults


def seen_on(vm: VM) -> None:
    """As a feed would tell it."""
    VM.objects.filter(pk=vm.pk).update(power="on")


def lines(ticket: Ticket) -> list[tuple[str, str]]:
    return list(Failover.objects.filter(ticket=ticket).order_by("pk").values_list("flag", "fenced"))


def found() -> list[str]:
    return list(Activity.objects.filter(event="two_places").order_by("vm_name").values_list("vm_name", flat=True))


def test_a_barred_source_is_off_and_nobody_is_alarmed(cast: Cast, live: Ticket, vms: list[VM]) -> None:
    assert lines(live) == [("", "yes"), ("", "yes")]
    tell(cast, vms)
    work.drive()
    assert found() == [] and lines(live) == [("", "yes"), ("", "yes")]
    assert sorted(VM.objects.filter(role="primary").values_list("name", "power")) == [
        ("web-01", "off"), ("web-02", "off"), ("web-03", "on"),
    ]  # fmt: skip


def test_a_source_that_comes_back_unplanned_is_seen_and_barred(cast: Cast, vms: list[VM]) -> None:
    """Its site was silent at the start, answers again, and runs it before it could be barred."""
    set_site_answers("DFW01", False)
    ticket = request(cast, vms[:2], "live")
    say_yes(cast, ticket)
    drive_to(ticket, "running")
    assert lines(ticket) == [("", "pending")] * 2
    Failover.objects.filter(ticket=ticket).update(next_step_at=clock.now() + timedelta(hours=1))  # it is asked later
    set_site_answers("DFW01", True)
    tell(cast, vms)
    work.drive()
    assert found() == ["web-01", "web-02"]
    assert lines(ticket) == [("", "yes")] * 2
    tell(cast, vms)
    work.drive()
    assert found() == ["web-01", "web-02"]


def test_it_stays_flagged_until_the_source_is_barred(
    cast: Cast, live: Ticket, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was barred once, and yet it runs: it is barred anew, with a key of its own."""
    refuse(monkeypatch, "fence")
    seen_on(vms[0])
    work.drive()
    assert found() == ["web-01"]
    assert lines(live) == [("two_places", "pending"), ("", "yes")]
    refuse(monkeypatch)
    Failover.objects.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
    work.drive()
    assert found() == ["web-01"] and lines(live) == [("", "yes"), ("", "yes")]
    assert Failover.objects.get(vm=vms[0]).fence_generation > 1
    assert VM.objects.get(pk=vms[0].pk).power == "off"


def test_what_the_provider_could_not_tell_is_told_by_the_sight_of_it(cast: Cast, live: Ticket, vms: list[VM]) -> None:
    halted = Failover.objects.filter(vm=vms[0])
    halted.update(verb="fence", flag="outcome_unknown", fenced="pending", next_step_at=None, waiting_on="support")
    work.drive()
    assert lines(live)[0] == ("outcome_unknown", "pending")
    seen_on(vms[0])
    work.drive()
    assert found() == ["web-01"] and lines(live)[0] == ("", "yes")


def test_after_the_termination_the_original_runs_and_that_is_one_place(cast: Cast, live: Ticket, vms: list[VM]) -> None:
    say_yes(cast, request_termination(cast.actor("priya"), live, "Over", "DFW01", "end-key-1"))
    drive_to(live, "terminated")
    assert set(VM.objects.values_list("power", "shown")) == {("on", True)}
    tell(cast, vms)
    work.drive()
    assert found() == []


def test_what_runs_nowhere_else_is_in_one_place(cast: Cast, testing: Ticket, vms: list[VM]) -> None:
    """A test runs beside its original: that is what it is for."""
    tell(cast, vms)
    assert not TwoPlaces().due().exists()


def test_a_failover_that_is_being_terminated_is_left_alone(cast: Cast, live: Ticket, vms: list[VM]) -> None:
    Failover.objects.filter(vm=vms[0]).update(state="terminating", verb="stop", next_step_at=None)
    seen_on(vms[0])
    assert not TwoPlaces().due().exists()


def test_a_line_that_can_not_be_written_is_set_aside_and_holds_nobody_up(
    cast: Cast, live: Ticket, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And while one worker has it, no other takes it."""
    seen_on(vms[0])
    batch = claim(TwoPlaces())
    assert batch and len(batch.keys) == 1 and claim(TwoPlaces()) is None

    def broken(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr(TwoPlaces, "commit", broken)
    perform(batch)
    assert work.drive() == 0
    assert Failover.objects.get(vm=vms[0]).waiting_on == "support" and found() == []
    monkeypatch.undo()
    with clock.ahead(timedelta(minutes=6)):
        work.drive()
    assert found() == ["web-01"] and lines(live)[0] == ("", "yes")
