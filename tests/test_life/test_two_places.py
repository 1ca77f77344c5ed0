"""The source of a running live failover is seen running too: written down, alarmed, and barred."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from accounts.models import Activity
from ampdr import clock, work
from ampdr.work import claim, fresh, perform
from failover.actions import request_termination, settle
from failover.models import Failover, Ticket
from failover.tasks import TwoPlaces
from inventory.models import VM
from replication.actions.sync import sync
from replication.providers.base import Machine
from replication.providers.simulated import set_machines, set_site_answers
from tests.cast import Cast, drive_to, refuse, request, say_yes
from tests.test_life.test_going_on import forget


def tell(cast: Cast, vms: list[VM], power: str = "on") -> None:
    """The site's inventory names its VMs, as they stand there."""
    known = [Machine(str(vm.uuid), vm.name, "DFW01", power, 40, account="northwind") for vm in vms]
    set_machines([replace(one, os="Debian 12") for one in known])
    assert not sync(cast.sites["DFW01"]).faults


def seen(vm: VM, power: str = "on") -> None:
    """As a feed would tell it."""
    VM.objects.filter(pk=vm.pk).update(power=power)


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
    assert lines(ticket) == [("two_places", "yes")] * 2
    tell(cast, vms)
    work.drive()
    assert found() == ["web-01", "web-02"]
    assert lines(ticket) == [("", "yes")] * 2


def test_it_stays_flagged_until_the_source_is_barred_and_seen_off(
    cast: Cast, live: Ticket, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was barred once, and yet it runs: it is barred anew, with a key of its own. What the provider says of the bar
    doesn't end it, for it said so before; what the inventory tells does."""
    refuse(monkeypatch, "fence")
    seen(vms[0])
    work.drive()
    assert found() == ["web-01"]
    assert lines(live) == [("two_places", "pending"), ("", "yes")]
    refuse(monkeypatch)
    Failover.objects.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
    work.drive()
    assert found() == ["web-01"] and lines(live) == [("two_places", "yes"), ("", "yes")]
    assert Failover.objects.get(vm=vms[0]).fence_generation > 1
    seen(vms[0], "off")
    work.drive()
    assert found() == ["web-01"] and lines(live) == [("", "yes"), ("", "yes")]


def test_support_is_alarmed_once_however_often_an_inventory_tells_of_it(
    cast: Cast, live: Ticket, vms: list[VM]
) -> None:
    """A bar that is said to be done, and a source that goes on running: one event. Off, and on again: another one."""
    for _ in range(3):
        seen(vms[0])
        work.drive()
    assert found() == ["web-01"] and lines(live)[0] == ("two_places", "yes")
    seen(vms[0], "off")
    work.drive()
    seen(vms[0])
    work.drive()
    assert found() == ["web-01"] * 2


def test_what_the_provider_could_not_tell_is_alarmed_and_not_asked_for_again_before_support_settles_it(
    cast: Cast, live: Ticket, vms: list[VM]
) -> None:
    """An unknown outcome is Support's to settle, and nothing is submitted again before that: not by this sight either,
    which would go round and round with a provider that forgets what it was asked."""
    halted = Failover.objects.filter(vm=vms[0])
    unknown = {"flag": "outcome_unknown", "next_step_at": None, "waiting_on": "support"}
    halted.update(**fresh("fence", "DFW01", fenced="pending") | unknown)
    before = halted.values_list("fence_generation", "verb", "next_step_at", "claim", "waiting_on").get()
    seen(vms[0])
    for _ in range(2):
        work.drive()
        assert halted.values_list("fence_generation", "verb", "next_step_at", "claim", "waiting_on").get() == before
        assert found() == ["web-01"] and lines(live)[0] == ("outcome_unknown", "pending")
    settle(cast.actor("mary"), halted, False, "It runs, I looked")
    assert lines(live)[0] == ("two_places", "pending")
    work.drive()
    assert found() == ["web-01"] and lines(live)[0] == ("two_places", "yes")


def test_a_bar_whose_outcome_is_unknown_is_asked_for_once(
    cast: Cast, live: Ticket, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(monkeypatch, {"fault": "lost_answer", "kind": "fence"})
    seen(vms[0])
    for _ in range(3):
        assert work.drive(limit=50) < 50
    assert found() == ["web-01"] and lines(live)[0] == ("outcome_unknown", "pending")
    settle(cast.actor("mary"), Failover.objects.filter(vm=vms[0]), True, "It is off and barred, I looked")
    assert lines(live)[0] == ("two_places", "yes")
    seen(vms[0], "off")
    work.drive()
    assert found() == ["web-01"] and lines(live)[0] == ("", "yes")


def test_a_bar_that_is_under_way_is_not_asked_for_twice(
    cast: Cast, live: Ticket, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of a provider that forgets what it was asked either: it would have its effect twice."""
    forget(monkeypatch, {"fault": "slow", "kind": "fence"})
    line = Failover.objects.filter(vm=vms[0])
    line.update(**fresh("fence", "DFW01", fenced="pending", fence_generation=F("fence_generation") + 1))
    work.drive()
    asked = line.values_list("verb", "accepted_at", "fence_generation").get()
    assert asked[0] == "fence" and asked[1]
    seen(vms[0])
    line.update(next_step_at=clock.now() - timedelta(seconds=1))
    batch = claim(TwoPlaces())
    assert batch
    perform(batch)
    assert line.values_list("verb", "accepted_at", "fence_generation").get() == asked
    assert found() == ["web-01"] and lines(live)[0] == ("two_places", "pending")
    work.drive()
    assert line.values_list("accepted_at", flat=True).get() == asked[1]


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
    seen(vms[0])
    assert not TwoPlaces().due().exists()


def test_a_line_that_can_not_be_written_is_set_aside_and_holds_nobody_up(
    cast: Cast, live: Ticket, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And while one worker has it, no other takes it."""
    seen(vms[0])
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
    assert found() == ["web-01"] and lines(live)[0] == ("two_places", "yes")
