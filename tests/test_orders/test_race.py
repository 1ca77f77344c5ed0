"""Twenty who order one VM at one instant: real threads and transactions, and the twin without the guard."""

from __future__ import annotations

import threading
import uuid
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from accounts import activity
from accounts.actions import furnish
from accounts.models import Receipt
from ampdr.errors import Conflict
from inventory.actions import Feed, relist, upsert
from inventory.models import VM
from replication.actions import ordering, place_order, stop_replication
from replication.models import Order, Replication
from tests.cast import Cast, make_cast, protect, request
from tests.test_inventory.telling import MACHINE
from tests.test_orders.asking import KEY, refusal, servers, untouched
from tests.threads import raised, together


@pytest.fixture
def committed(transactional_db: None) -> Cast:
    """The cast in a database that other connections see. The default roles went with the last test's flush."""
    furnish()
    return make_cast()


def race(cast: Cast, vm: VM, racers: int = 20) -> list[Order | Exception]:
    """Each with a key of his own; half of them are one person, half another."""
    actors = [cast.actor("priya"), cast.actor("oscar")]
    return together(*[partial(place_order, actors[n % 2], [vm.uuid], f"race-key-{n:04}") for n in range(racers)])


def test_of_twenty_who_order_one_vm_one_wins_and_is_named_to_the_others(committed: Cast) -> None:
    (vm,) = servers(committed, "web-01")
    ended = race(committed, vm)
    won, lost = [one for one in ended if isinstance(one, Order)], raised(ended)
    assert len(won) == 1 and len(lost) == 19
    assert {type(one) for one in lost} == {Conflict}
    assert all(isinstance(one, Conflict) and won[0].number in one.message for one in lost)
    assert list(Replication.objects.values_list("state", "order__number")) == [("ordered", won[0].number)]
    assert Order.objects.count() == Receipt.objects.count() == 1
    assert not list(activity.faults())


def test_the_race_is_real_without_the_guard(committed: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: without the constraint, and with everybody past the check before anybody goes on, all of them order."""
    (vm,) = servers(committed, "web-01")
    constraint = Replication._meta.constraints[0]
    inside = threading.Barrier(20)
    check = ordering.refuse_unorderable

    def check_together(vms: QuerySet[VM]) -> None:
        check(vms)
        inside.wait(10)

    monkeypatch.setattr(ordering, "refuse_unorderable", check_together)
    with connection.schema_editor() as editor:
        editor.remove_constraint(Replication, constraint)
    try:
        assert not raised(race(committed, vm))
        assert Replication.objects.filter(vm=vm).count() == 20
    finally:
        Replication.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Replication, constraint)


def test_the_constraint_alone_lets_one_through(committed: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody past the check, but the constraint stands: it decides, and the losers still learn the number."""
    (vm,) = servers(committed, "web-01")
    inside = threading.Barrier(20)
    check, passed = ordering.refuse_unorderable, threading.local()

    def check_together(vms: QuerySet[VM]) -> None:
        check(vms)
        if not hasattr(passed, "once"):
            passed.once = True
            inside.wait(10)

    monkeypatch.setattr(ordering, "refuse_unorderable", check_together)
    ended = race(committed, vm)
    assert len(raised(ended)) == 19
    (number,) = Order.objects.values_list("number", flat=True)
    assert all(isinstance(one, Conflict) and number in one.message for one in raised(ended))


def test_twenty_times_one_key_is_one_order(committed: Cast) -> None:
    (vm,) = servers(committed, "web-01")
    ended = together(*[partial(place_order, committed.actor("priya"), [vm.uuid], KEY)] * 20)
    assert {order.number for order in ended} == set(Order.objects.values_list("number", flat=True))
    assert Replication.objects.count() == 1


def test_an_order_and_a_move_at_one_instant_exclude_each_other(
    committed: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inventory moves the VM after its line was written and before it is locked."""
    (vm,) = servers(committed, "web-01")
    moves = [partial(upsert, MACHINE, Feed(site=committed.sites["PHX01"]), [{"uuid": str(vm.uuid)}], uuid.uuid4())]

    def relist_late(*given: Any, **columns: Any) -> None:
        if moves:
            assert not raised(together(moves.pop()))
        relist(*given, **columns)

    monkeypatch.setattr("replication.actions.ordering.relist", relist_late)
    priya = committed.actor("priya")
    refused = refusal(Conflict, place_order, priya, [vm.uuid], KEY)
    assert refused.message == "Nothing was ordered. web-01 moved to another site meanwhile. Look again."
    assert untouched() and VM.objects.get().protection == "none"
    place_order(priya, [vm.uuid], KEY)
    line = Replication.objects.select_related("vm").get()
    assert (line.source, line.target, line.vm.protected_to) == ("PHX01", "DFW01", "DFW01")
    assert not list(activity.faults())


def test_stopping_and_requesting_a_failover_at_one_instant_exclude_each_other(committed: Cast) -> None:
    """Whoever is first, the other is refused: a VM in an open failover is never stopping."""
    (vm,) = servers(committed, "web-01")
    protect(committed, [vm])
    stop = partial(stop_replication, committed.actor("oscar"), [vm.uuid])
    ended = together(stop, partial(request, committed, [vm]))
    line = Replication.objects.get()
    assert len(raised(ended)) == 1
    assert (line.state, bool(line.held_by)) in (("stopping", False), ("protected", True))
