"""What was ordered before promises were kept: the upgrade promises it too."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from accounts.models import Activity
from ampdr import clock, work
from replication.models import PROMISE, Order, Replication
from tests.cast import Cast, protect
from tests.test_orders.asking import servers, simulate
from tests.test_orders.reading import ordered


def test_orders_of_before_are_promised_and_those_not_ready_are_due(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    ready, waiting = servers(cast, "web-01", "web-02")
    protect(cast, [ready])
    simulate(monkeypatch, time_scale=1)
    ordered(cast, waiting)
    work.drive()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE replication_order ALTER promised_at DROP NOT NULL")
        cursor.execute(
            "UPDATE replication_order SET promised_at = NULL, next_step_at = NULL, ordered_at = %s",
            [clock.now() - timedelta(hours=60)],
        )
    import_module("replication.migrations.0007_promises_of_open_orders").fill(apps, None)
    for order in Order.objects.all():
        assert order.promised_at == order.ordered_at + PROMISE
        assert order.next_step_at == (order.promised_at if order.lines.filter(vm=waiting).exists() else None)
    work.drive()
    assert dict(Replication.objects.values_list("vm__name", "flag")) == {"web-01": "", "web-02": "late"}
    assert Activity.objects.filter(kind="order", event="late").count() == 1


def test_the_version_of_before_may_order_after_the_migration(cast: Cast) -> None:
    """It names no promise: the database gives the one of 48 hours."""
    order = Order.objects.create(number="RO-1", account=cast.northwind, vm_count=1)
    assert abs(order.promised_at - order.ordered_at - PROMISE) < timedelta(minutes=5)
