"""What goes on while somebody reads: VMs that become Protected, and an order that becomes ready as its rest ends."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from ampdr import work
from ampdr.errors import Conflict
from ampdr.lifecycle import PORTAL, changes
from inventory.models import VM
from replication.actions import stop_replication
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
