"""Stopping replication, and cancelling what is not ready yet."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.models import ProtectedError

from accounts import activity
from accounts.models import Activity, Head, Role
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Forbidden, IllegalTransition, Invalid
from inventory.models import VM
from replication.actions import place_order, progress, stop_replication
from replication.models import RecoveryPoint, Replication, RpoHistory
from tests.cast import Cast, make_vms, protect, request
from tests.test_orders.asking import KEY, refusal, servers, state_of


def test_what_was_not_begun_is_over_at_once(cast: Cast) -> None:
    (vm,) = servers(cast, "web-01")
    place_order(cast.actor("priya"), [vm.uuid], KEY)
    assert stop_replication(cast.actor("priya"), [vm.uuid]) == 1
    assert state_of(vm) == ("stopped", "none")
    assert VM.objects.get(pk=vm.pk).why_not_orderable == ""
    work.drive()
    assert state_of(vm) == ("stopped", "none")


def test_what_runs_is_stopped_by_the_provider_and_its_points_go(cast: Cast) -> None:
    vms = servers(cast, "web-01", "web-02")
    protect(cast, vms)
    with clock.ahead(timedelta(minutes=30)):
        work.drive()
        assert RecoveryPoint.objects.filter(replication__vm=vms[0]).exists()
        stop_replication(cast.actor("priya"), [vms[0].uuid])
        assert state_of(vms[0]) == ("stopping", "stopping")
        work.drive()
    assert state_of(vms[0]) == ("stopped", "none")
    assert not RecoveryPoint.objects.filter(replication__vm=vms[0]).exists()
    assert RecoveryPoint.objects.filter(replication__vm=vms[1]).exists()
    assert Head.objects.get(account=cast.northwind).unprotected == 1
    assert not list(activity.faults())


def test_stopping_is_all_or_none(cast: Cast) -> None:
    one, two = servers(cast, "web-01", "web-02")
    protect(cast, [one])
    refused = refusal(Conflict, stop_replication, cast.actor("priya"), [one.uuid, two.uuid])
    assert (refused.code, "web-02" in refused.message) == ("not_replicated", True)
    assert state_of(one) == ("protected", "protected")


def test_a_vm_in_a_failover_is_not_stopped_and_the_ticket_is_named(cast: Cast) -> None:
    one, two = servers(cast, "web-01", "web-02")
    protect(cast, [one, two])
    ticket = request(cast, [one])
    refused = refusal(Conflict, stop_replication, cast.actor("priya"), [one.uuid, two.uuid])
    assert (refused.code, refused.facts["tickets"]) == ("held_by_failover", [ticket.number])
    assert ticket.number in refused.message
    assert state_of(one) == state_of(two) == ("protected", "protected")


def test_stopping_is_refused_in_the_order_of_all_refusals(cast: Cast) -> None:
    vms = servers(cast, "web-01")
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    protect(cast, vms)
    for name in ("nonsense", uuid.uuid4(), theirs.uuid):
        refusal(Absent, stop_replication, cast.actor("ravi"), [name])
    refused = refusal(Forbidden, stop_replication, cast.actor("ravi"), [vms[0].uuid])
    assert refused.facts["permission"] == "write_replication"
    refusal(Invalid, stop_replication, cast.actor("priya"), [])
    Role.objects.filter(name="Viewer").update(permissions=["read_vms"])
    refused = refusal(Forbidden, stop_replication, cast.actor("ravi"), ["nonsense"])
    assert refused.facts["permission"] == "read_replication"
    assert state_of(vms[0]) == ("protected", "protected")


def test_stopping_twice_names_who_was_first_and_with_the_key_gets_the_same_answer(cast: Cast) -> None:
    vms = servers(cast, "web-01")
    protect(cast, vms)
    assert stop_replication(cast.actor("oscar"), [vms[0].uuid], "a-stop-key") == 1
    assert stop_replication(cast.actor("oscar"), [vms[0].uuid], "a-stop-key") == 1
    refused = refusal(IllegalTransition, stop_replication, cast.actor("priya"), [vms[0].uuid])
    assert "Oscar Lind" in refused.message
    written = Activity.objects.filter(kind="replication", event="stop")
    assert list(written.values_list("actor", "from_state", "to_state")) == [("Oscar Lind", "protected", "stopping")]


def test_a_cancelled_line_waits_for_nobody(cast: Cast) -> None:
    """A line that was set aside and then cancelled must not leave its order on "Needs you" for ever."""
    (vm,) = servers(cast, "web-01")
    order = place_order(cast.actor("priya"), [vm.uuid], KEY)
    Replication.objects.update(waiting_on="customer", last_error="Which disk?")
    assert progress(Replication.objects.filter(order=order)).word == "Needs you"
    stop_replication(cast.actor("priya"), [vm.uuid])
    assert progress(Replication.objects.filter(order=order)).word == "Stopped"
    assert Replication.objects.get().last_error == ""


def test_stopped_is_when_it_was_cancelled(cast: Cast) -> None:
    begun, waiting = servers(cast, "web-01", "web-02")
    protect(cast, [begun])
    place_order(cast.actor("priya"), [waiting.uuid], KEY)
    stop_replication(cast.actor("priya"), [begun.uuid, waiting.uuid])
    when = Activity.objects.filter(kind="replication", event__in=("stop", "cancel")).values_list("at", flat=True)
    assert set(Replication.objects.values_list("cancelled_at", flat=True)) == set(when)


def test_what_was_stopped_can_be_ordered_again_and_begins_anew(cast: Cast) -> None:
    """The points are gone, the history of the RPO stays with the replication that it tells of."""
    (vm,) = servers(cast, "web-01")
    protect(cast, [vm])
    old = Replication.objects.get()
    RpoHistory.objects.filter(replication=old).delete()
    RpoHistory.objects.create(replication=old, span=5, until=clock.now(), maxima=[60])
    stop_replication(cast.actor("priya"), [vm.uuid])
    refusal(Conflict, place_order, cast.actor("priya"), [vm.uuid], "too-early-1")
    work.drive()
    assert not RecoveryPoint.objects.exists() and RpoHistory.objects.filter(replication=old).exists()
    again = protect(cast, [vm], "order-again")
    new = Replication.objects.exclude(pk=old.pk).get()
    assert (new.order, new.cancelled_at, new.failed_in) == (again, None, "")
    assert new.protected_at and old.protected_at and new.protected_at > old.protected_at
    assert VM.objects.get(pk=vm.pk).order_number == again.number
    assert not list(activity.faults())


def test_a_vm_that_vanished_keeps_its_replication_until_somebody_stops_it(cast: Cast) -> None:
    (vm,) = servers(cast, "web-01")
    protect(cast, [vm])
    VM.objects.filter(pk=vm.pk).update(vanished_at=clock.now())
    work.drive()
    assert state_of(vm) == ("protected", "protected")
    with pytest.raises(ProtectedError):
        vm.delete()
    stop_replication(cast.actor("priya"), [vm.uuid])
    work.drive()
    assert state_of(vm) == ("stopped", "none")
    refused = refusal(Conflict, place_order, cast.actor("priya"), [vm.uuid], KEY)
    assert "not found in DFW01 any more" in refused.message
