"""Carrying lines on: a site whose provider can't be had, what a settled line still says, what a start is bound to."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from ampdr.work import perform
from failover.actions import Wish, checks, request_failover, request_termination
from failover.models import Failover
from failover.screens.approval import shown_vms
from failover.tasks import Carry, Spread
from inventory.models import VM, Site
from replication.models import RecoveryPoint, Replication
from replication.providers.simulated import set_site_answers
from replication.providers.sites import provider_of
from replication.tasks import caught_up
from tests.cast import Cast, make_vms, protect, request, say_yes
from tests.test_work import claimed
from tests.threads import raised, together


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"])
    protect(cast, vms)
    return vms


def test_a_provider_that_cannot_be_had_holds_up_its_own_site_alone(cast: Cast, vms: list[VM]) -> None:
    """One wrong word in admin must not stop the work of all sites: its rows say why they wait."""
    Site.objects.filter(code="PHX01").update(provider="no.such.Provider")
    provider_of.cache_clear()
    stuck = request(cast, vms[:1])
    say_yes(cast, stuck)
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web-03"]), key="another-order")
    line = Failover.objects.get(ticket=stuck)
    assert line.state == "starting" and "no.such" in line.last_error and line.next_step_at


def test_what_is_settled_says_nothing_of_earlier_trouble(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    say_yes(cast, ticket)
    set_site_answers("PHX01", False)
    work.drive()
    Failover.objects.update(waiting_on="support")  # as if it had also been set aside
    assert Failover.objects.get().last_error
    set_site_answers("PHX01", True)
    with clock.ahead(timedelta(minutes=1)):
        work.drive()
    line = Failover.objects.get()
    assert (line.state, line.last_error, line.waiting_on, line.attempts) == ("running", "", "", 0)


def test_a_start_is_bound_to_the_point_that_its_line_names(cast: Cast, vms: list[VM]) -> None:
    """A point that was collected after the request is neither shown to who approves nor taken for the chosen one."""
    copy = Replication.objects.get(vm=vms[0])
    RecoveryPoint.objects.filter(replication=copy).delete()
    chosen, late = clock.now() - timedelta(minutes=9), clock.now() - timedelta(minutes=6)
    RecoveryPoint.objects.create(replication=copy, at=chosen)
    wish = Wish("test", [vms[0].uuid], point_at=clock.now() - timedelta(minutes=5))
    ticket = request_failover(cast.actor("priya"), wish, "point-key")
    RecoveryPoint.objects.create(replication=copy, at=late)
    assert [line.point for line in shown_vms(ticket)] == [chosen]  # type: ignore[attr-defined]
    assert {check.code: check.holds for check in checks(ticket)}["point_gone"]
    RecoveryPoint.objects.filter(at=chosen).delete()
    assert not {check.code: check.holds for check in checks(ticket)}["point_gone"]


def test_a_silent_source_says_nothing_of_what_was_not_asked(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test towards the silent site is under way: a technology that forgets keys must not halt it for that."""
    monkeypatch.setenv("SIMULATION_REMEMBERS_KEYS", "0")
    monkeypatch.setenv("SIMULATION_FAILOVER_TIME_SCALE", "1")
    there = make_vms(cast.northwind, cast.sites["PHX01"], ["db-01"])
    protect(cast, there, key="order-there")
    provider_of.cache_clear()
    test, live = request(cast, there), request(cast, vms[:1], "live", key="live-key")
    say_yes(cast, test)
    work.drive()
    under_way = Failover.objects.get(ticket=test)
    assert under_way.accepted_at and under_way.state == "starting"
    say_yes(cast, live)
    perform(claimed(Spread))
    set_site_answers("DFW01", False)
    with clock.ahead(timedelta(seconds=20)):
        batch = claimed(Carry)
        assert (batch.site, len(batch.keys)) == ("DFW01", 2)
        perform(batch)
    under_way.refresh_from_db()
    assert (under_way.waiting_on, bool(under_way.accepted_at)) == ("", True) and under_way.next_step_at
    assert Failover.objects.get(ticket=live).mode == "unplanned"


# ---- Locks in one order --------------------------------------------------------------------------------------------


def lock_one_by_one(model: Any, *keys: int) -> None:
    """Somebody else who takes these locks in the house's order, and is slow between the first and the others."""
    with transaction.atomic():
        for key in keys:
            list(model.objects.filter(pk=key).select_for_update(no_key=True).values_list("pk"))
            time.sleep(0.6)


def after_a_while(deed: Callable[[], Any]) -> Callable[[], Any]:
    def later() -> Any:
        time.sleep(0.3)
        return deed()

    return later


@pytest.mark.django_db(transaction=True)
def test_a_batch_of_several_steps_locks_in_order(cast: Cast, vms: list[VM]) -> None:
    """In one batch a live one comes to run and a test ends, the test's replication having the lower key."""
    live, test = request(cast, vms[1:], "live"), request(cast, vms[:1])
    say_yes(cast, test)
    work.drive()
    say_yes(cast, request_termination(cast.actor("priya"), test, "", "", "end-of-test"))
    say_yes(cast, live)
    for duty in (Spread, Spread, Carry):
        perform(claimed(duty))
    keys = Replication.objects.order_by("pk").values_list("pk", flat=True)
    batch = claimed(Carry)
    if batch.site == "DFW01":
        perform(batch)
        batch = claimed(Carry)
    assert (batch.site, len(batch.keys)) == ("PHX01", 2)
    came = together(lambda: lock_one_by_one(Replication, *keys), after_a_while(lambda: perform(batch)))
    assert raised(came) == []
    assert sorted(Failover.objects.values_list("kind", "state")) == [("live", "running"), ("test", "terminated")]


@pytest.mark.django_db(transaction=True)
def test_new_points_lock_vms_in_order(cast: Cast, vms: list[VM]) -> None:
    """The second VM catches up: its row is not locked before the first one's."""
    copies = Replication.objects.order_by("pk")
    Replication.objects.filter(vm=vms[1]).update(flag="rpo_behind")

    def collect() -> None:
        with changes(PORTAL) as change:
            caught_up(change, copies.all())

    came = together(lambda: lock_one_by_one(VM, *sorted(vm.pk for vm in vms)), after_a_while(collect))
    assert raised(came) == []
