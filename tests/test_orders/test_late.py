"""Later than promised: the record, the mail and every page say so of the same orders."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Activity
from ampdr import clock, work
from ampdr.errors import Conflict
from ampdr.lifecycle import PORTAL, changes
from replication.actions import promise, stop_replication
from replication.models import PROMISE, Order, Replication
from replication.tasks import Provision
from tests.cast import Cast, sign_in
from tests.test_orders.asking import refusal, servers, simulate
from tests.test_orders.reading import TOP, ordered, text

AFTER = PROMISE + timedelta(minutes=1)
LATE = "Later than promised"


@pytest.fixture
def order(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Order:
    simulate(monkeypatch, time_scale=1)
    made = ordered(cast, *servers(cast, "web-01"))
    work.drive()
    return made


def fail() -> None:
    """The provider refuses for the third time whatever it was asked."""
    duty = Provision()
    with changes(PORTAL) as change:
        duty.failed(change, duty.load(list(Replication.objects.values_list("pk", flat=True))), "There is no room.")


def said_of(order: Order, cast: Cast, client: Client) -> list[bool]:
    """Record, the order's page, the list of orders, Support's list and Support's page: whether it is late."""
    support = Client()
    sign_in(support, cast.mary, factor=True)
    desk = reverse("admin:replication_order_changelist")
    page = text(client.get(f"{TOP}orders/{order.number}/"))
    return [
        Activity.objects.filter(kind="order", event="late").exists(), LATE in page,
        "Later" in text(client.get(f"{TOP}orders/")), LATE in text(support.get(desk)),
        LATE in text(support.get(f"{desk}{order.pk}/change/")),
    ]  # fmt: skip


def test_an_order_whose_only_line_failed_is_late_on_every_page(cast: Cast, order: Order, client: Client) -> None:
    fail()
    assert said_of(order, cast, client) == [False] * 5
    with clock.ahead(AFTER):
        work.drive()
        assert said_of(order, cast, client) == [True] * 5
        row = text(client.get(f"{TOP}orders/{order.number}/")).partition("web-01")[2]
        assert "Failed while provisioning" in row and LATE not in row, "the line says that it failed"


def test_what_fails_on_its_way_out_makes_no_order_late(cast: Cast, order: Order, client: Client) -> None:
    """It was cancelled: nobody waits for it to become ready, so there is nothing to promise anew either."""
    stop_replication(cast.actor("priya"), [Replication.objects.get().vm.uuid])
    fail()
    assert Replication.objects.get().state == "failed"
    with clock.ahead(AFTER):
        work.drive()
        assert said_of(order, cast, client) == [False] * 5
        soon = clock.now() + timedelta(hours=5)
        assert refusal(Conflict, promise, cast.actor("mary"), order, soon, "Why").code == "nothing_open"
