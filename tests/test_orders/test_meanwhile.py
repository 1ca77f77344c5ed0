"""What goes on while somebody reads: VMs that become Protected, and an order that becomes ready as its rest ends."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from ampdr import work
from ampdr.errors import Conflict
from ampdr.lifecycle import PORTAL, changes
from inventory.models import VM
from notices.models import Notice
from replication.actions import settle, stop_replication
from replication.models import Order, Replication
from replication.tasks import Provision
from tests.cast import Cast
from tests.test_orders.asking import refusal, servers, simulate, state_of
from tests.test_orders.reading import hidden, ordered, text

STOP = "/northwind/replication/stop/"


@pytest.fixture
def vms(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> list[VM]:
    """Three VMs of one order whose first sync takes its time."""
    simulate(monkeypatch, time_scale=1)
    vms = servers(cast, "web-01", "web-02", "web-03")
    ordered(cast, *vms)
    work.drive()
    return vms


def become_protected(*vms: VM) -> None:
    duty = Provision()
    with changes(PORTAL) as change:
        duty.done(change, duty.load(list(Replication.objects.filter(vm__in=vms).values_list("pk", flat=True))), {})


def states(vms: list[VM]) -> list[str]:
    return [state_of(vm)[0] for vm in vms]


# ---- Cancelled: what remains of an order -----------------------------------------------------------------------------


def test_what_became_protected_since_the_page_was_read_is_not_stopped(
    cast: Cast, vms: list[VM], client: Client
) -> None:
    """All or none: nothing is stopped, the page names them and leads back; looked at again, the rest can go."""
    order = Order.objects.get()
    page = client.get(STOP, {"order": order.number})
    said = {name: hidden(page, name) for name in ("vm", "key", "order")}
    become_protected(vms[0])
    refused = client.post(STOP, said)
    assert refused.status_code == 409 and states(vms) == ["protected", "provisioning", "provisioning"]
    assert "1 VM became Protected meanwhile" in text(refused) and "web-01 became Protected" in text(refused)
    assert f'href="{reverse("order", args=["northwind", order.number])}"' in refused.content.decode()
    again = client.get(STOP, {"order": order.number})
    done = client.post(STOP, {name: hidden(again, name) for name in ("vm", "key", "order")})
    assert done.status_code in (302, 303) and states(vms) == ["protected", "stopping", "stopping"]


def test_who_stops_chosen_vms_stops_protected_ones_too(cast: Cast, vms: list[VM], client: Client) -> None:
    page = client.get(STOP, {"vm": [str(vm.uuid) for vm in vms]})
    become_protected(vms[0])
    client.post(STOP, {name: hidden(page, name) for name in ("vm", "key")})
    assert states(vms) == ["stopping"] * 3


def test_many_that_became_protected_are_counted(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, time_scale=1)
    many = servers(cast, *[f"db-{n}" for n in range(6)])
    ordered(cast, *many)
    work.drive()
    become_protected(*many[:5])
    every = [vm.uuid for vm in many]
    refused = refusal(Conflict, stop_replication, cast.actor("priya"), every, "", ("ordered", "provisioning"))
    assert refused.code == "ready_meanwhile" and refused.title == "5 VMs became Protected meanwhile"
    assert refused.message.startswith("db-0, db-1, db-2 and 2 more became Protected meanwhile.")


# ---- Ready: told once, whatever ended the waiting --------------------------------------------------------------------


def told(part: str) -> list[str]:
    work.drive()
    found = Notice.objects.filter(email="priya@example.com", channel="email").order_by("pk")
    return [title for title in found.values_list("title", flat=True) if part in title]


def test_that_the_others_are_ready_is_told_when_the_last_one_is_cancelled(cast: Cast, vms: list[VM]) -> None:
    become_protected(*vms[:2])
    assert told("is ready") == []
    stop_replication(cast.actor("oscar"), [vms[2].uuid])
    for _ in range(2):
        assert told("is ready") == [f"{Order.objects.get().number} is ready: 2 VMs are protected"]
    Notice.objects.all().delete()
    stop_replication(cast.actor("oscar"), [vms[1].uuid])
    assert told("is ready") == [], "who stops what was ready hears nothing of what is"


def test_what_was_never_begun_and_is_cancelled_is_waited_for_no_more(cast: Cast) -> None:
    vms = servers(cast, "db-01", "db-02")
    ordered(cast, *vms)
    Replication.objects.filter(vm=vms[1]).update(next_step_at=None)  # as if no worker had come
    assert told("is ready") == [] and states(vms) == ["protected", "ordered"]
    stop_replication(cast.actor("oscar"), [vms[1].uuid])
    assert told("is ready") == [f"{Order.objects.get().number} is ready: 1 VM is protected"]


def test_an_order_that_was_cancelled_as_a_whole_is_not_ready(cast: Cast, vms: list[VM]) -> None:
    stop_replication(cast.actor("oscar"), [vm.uuid for vm in vms])
    assert told("ready") == [] and told("protected") == []


def test_that_an_outcome_is_unknown_at_last_is_told_with_the_others(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And when Support has settled it, that all are ready; an unknown outcome of stopping is no news of the order."""
    number = Order.objects.get().number
    become_protected(*vms[:2])
    assert told("is ready") == []
    become_unknown(vms[2], monkeypatch)
    for _ in range(2):
        assert told("protected") == [f"{number}: 2 of 3 VMs are protected, 1 failed"]
    settle(cast.actor("mary"), Replication.objects.filter(vm=vms[2]), True, "The copy is there")
    assert told("is ready") == [f"{number} is ready: 3 VMs are protected"]
    Notice.objects.all().delete()
    stop_replication(cast.actor("priya"), [vms[0].uuid])
    become_unknown(vms[0], monkeypatch)
    assert Replication.objects.get(vm=vms[0]).flag == "outcome_unknown"
    assert told("protected") == [] and told("is ready") == []


def become_unknown(vm: VM, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, time_scale=1, remembers_keys=0)
    duty = Provision()
    with changes(PORTAL) as change:
        lines = duty.load(list(Replication.objects.filter(vm=vm).values_list("pk", flat=True)))
        duty.unknown(change, lines, "The provider doesn't answer.")
