"""Ordering: what is recorded, what is refused, in which order, and that a repeat does nothing."""

from __future__ import annotations

import uuid

import pytest

from accounts import activity
from accounts.models import Activity, Head, Role
from ampdr import work
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from inventory.models import VM
from replication.actions import place_order, stop_replication
from replication.models import Order, Replication
from tests.cast import Cast, make_vms, protect
from tests.test_orders.asking import KEY, refusal, servers, statements, untouched


def test_an_order_is_recorded_with_a_line_for_each_vm(cast: Cast) -> None:
    vms = servers(cast, "web-01", "web-02")
    order = place_order(cast.actor("priya"), [vm.uuid for vm in vms], KEY)
    assert (order.vm_count, order.ordered_by, order.account) == (2, cast.priya, cast.northwind)
    lines = Replication.objects.filter(order=order).order_by("pk")
    assert [(line.state, line.source, line.target) for line in lines] == [("ordered", "DFW01", "PHX01")] * 2
    assert set(VM.objects.values_list("protection", "order_number", "protected_to")) == {
        ("ordered", order.number, "PHX01")
    }
    assert Head.objects.get(account=cast.northwind).setup == 2
    written = Activity.objects.filter(kind="replication", event="order")
    assert list(written.values_list("actor", "about", "to_state")) == [("Priya Raman", order.number, "ordered")] * 2
    assert not list(activity.faults())


def test_a_vm_named_twice_and_in_capitals_is_one_line(cast: Cast) -> None:
    (vm,) = servers(cast, "web-01")
    order = place_order(cast.actor("priya"), [vm.uuid, str(vm.uuid).upper(), vm.uuid.hex], KEY)
    assert order.vm_count == 1
    assert Replication.objects.count() == 1


def test_the_same_key_gets_the_same_order(cast: Cast) -> None:
    vms = servers(cast, "web-01", "web-02")
    names = [vm.uuid for vm in vms]
    first = place_order(cast.actor("priya"), names, KEY)
    assert place_order(cast.actor("priya"), names[::-1], KEY) == first
    work.drive()
    assert place_order(cast.actor("priya"), names, KEY) == first
    assert Replication.objects.count() == 2


def test_a_key_is_its_persons_own(cast: Cast) -> None:
    one, two = servers(cast, "web-01", "web-02")
    first = place_order(cast.actor("priya"), [one.uuid], KEY)
    assert place_order(cast.actor("oscar"), [two.uuid], KEY) != first


def test_a_key_used_for_other_vms_is_refused(cast: Cast) -> None:
    one, two = servers(cast, "web-01", "web-02")
    place_order(cast.actor("priya"), [one.uuid], KEY)
    assert refusal(Conflict, place_order, cast.actor("priya"), [two.uuid], KEY).code == "idempotency_key_reused"
    assert Replication.objects.count() == 1


@pytest.mark.parametrize("key", ["", "short", "x" * 121])
def test_an_order_needs_a_key(cast: Cast, key: str) -> None:
    (vm,) = servers(cast, "web-01")
    assert refusal(Invalid, place_order, cast.actor("priya"), [vm.uuid], key).code == "idempotency_key_missing"
    assert untouched()


def test_an_order_needs_a_vm(cast: Cast) -> None:
    refused = refusal(Invalid, place_order, cast.actor("priya"), [], KEY)
    assert isinstance(refused, Invalid) and refused.fields == {"vms": ["Choose at least one VM."]}
    assert untouched()


@pytest.mark.parametrize("name", ["", "web-01", "12", "'; --", "00000000-0000-0000-0000-000000000000"])
def test_what_names_no_vm_is_absent(cast: Cast, name: str) -> None:
    (vm,) = servers(cast, "web-01")
    refusal(Absent, place_order, cast.actor("priya"), [vm.uuid, name], KEY)
    assert untouched()


def test_another_accounts_vm_is_as_absent_as_a_made_up_one(cast: Cast) -> None:
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    foreign = refusal(Absent, place_order, cast.actor("priya"), [theirs.uuid], KEY)
    made_up = refusal(Absent, place_order, cast.actor("priya"), [uuid.uuid4()], KEY)
    assert vars(foreign) == vars(made_up)


def test_without_read_nothing_is_told_and_with_read_alone_nothing_is_done(cast: Cast) -> None:
    (vm,) = servers(cast, "web-01")
    ravi = cast.actor("ravi")
    assert refusal(Forbidden, place_order, ravi, [vm.uuid], KEY).facts["permission"] == "write_replication"
    refusal(Absent, place_order, ravi, [uuid.uuid4()], KEY)  # absent comes before "may not do"
    Role.objects.filter(name="Viewer").update(permissions=["read_vms"])
    for name in (vm.uuid, uuid.uuid4(), "nonsense"):
        refused = refusal(Forbidden, place_order, cast.actor("ravi"), [name], KEY)
        assert refused.facts["permission"] == "read_replication"
    assert untouched()


def test_support_has_no_permission_in_an_account(cast: Cast) -> None:
    (vm,) = servers(cast, "web-01")
    refusal(Forbidden, place_order, cast.actor("mary"), [vm.uuid], KEY)


def test_what_cannot_be_ordered_is_named_with_the_reason_and_nothing_is_ordered(cast: Cast) -> None:
    (good,) = servers(cast, "web-01")
    (far,) = servers(cast, "edge-lon", site="LHR01")
    (off,) = servers(cast, "lab-03", cannot_replicate="Powered off: start it first.")
    (done,) = servers(cast, "db-01")
    number = protect(cast, [done]).number
    names = [vm.uuid for vm in (good, far, off, done)]
    refused = refusal(Conflict, place_order, cast.actor("priya"), names, KEY)
    assert refused.code == "cannot_replicate"
    assert {reason["name"]: reason["reason"] for reason in refused.facts["reasons"]} == {
        "edge-lon": "London (LHR01) has no failover site.",
        "lab-03": "Powered off: start it first.",
        "db-01": f"It has replication already (order {number}).",
    }
    assert all(word in refused.message for word in ("edge-lon", "lab-03", number))
    assert Replication.objects.count() == 1
    assert Order.objects.count() == 1


def test_a_stand_in_cannot_be_ordered(cast: Cast) -> None:
    vms = servers(cast, "web-01")
    protect(cast, vms)
    VM.objects.create(
        account=cast.northwind, site=cast.sites["PHX01"], name="web-01", slug="web-01", role="test", original=vms[0],
        made_by=uuid.uuid4(), uuid=(stand_in := uuid.uuid4()),
    )  # fmt: skip
    refused = refusal(Conflict, place_order, cast.actor("priya"), [stand_in], KEY)
    assert "It is a failover VM. Order replication for its original" in refused.message


def test_equal_names_are_two_vms(cast: Cast) -> None:
    servers(cast, "twin", site="LHR01")
    VM.objects.update(slug="twin-a")
    servers(cast, "twin", site="LHR01")
    refused = refusal(Conflict, place_order, cast.actor("priya"), list(VM.objects.values_list("uuid", flat=True)), KEY)
    assert len(refused.facts["reasons"]) == 2
    assert "Leave them out" in refused.message


def test_a_refused_order_leaves_its_key_free(cast: Cast) -> None:
    (vm,) = servers(cast, "web-01", cannot_replicate="Powered off: start it first.")
    refusal(Conflict, place_order, cast.actor("priya"), [vm.uuid], KEY)
    assert untouched()
    VM.objects.update(cannot_replicate="")
    assert place_order(cast.actor("priya"), [vm.uuid], KEY).vm_count == 1


def test_a_stopped_vm_can_be_ordered_again(cast: Cast) -> None:
    vms = servers(cast, "web-01")
    protect(cast, vms)
    stop_replication(cast.actor("priya"), [vms[0].uuid])
    assert "already" in refusal(Conflict, place_order, cast.actor("priya"), [vms[0].uuid], KEY).message
    work.drive()
    protect(cast, vms, key="another-order-key")
    assert list(Replication.objects.order_by("pk").values_list("state", flat=True)) == ["stopped", "protected"]


def test_an_order_costs_the_same_statements_for_1_and_200_vms(cast: Cast) -> None:
    counted = []
    for n in (1, 200):
        names = [vm.uuid for vm in servers(cast, *[f"vm-{n}-{i:03}" for i in range(n)])]
        with statements() as made:
            place_order(cast.actor("oscar"), names, f"{KEY}-{n}")
        counted.append(len(made))
    assert counted[0] == counted[1]
