"""What was stopped before it was written down when: the record tells."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

from django.apps import apps

from accounts.models import Activity
from ampdr import clock, work
from replication.actions import place_order, stop_replication
from replication.models import Replication
from tests.cast import Cast, protect
from tests.test_orders.asking import servers


def test_the_past_is_filled_from_the_record(cast: Cast) -> None:
    stopped, cancelled, goes_on = servers(cast, "web-01", "web-02", "web-03")
    protect(cast, [stopped, goes_on])
    place_order(cast.actor("priya"), [cancelled.uuid], "an-order-key-2")
    stop_replication(cast.actor("priya"), [stopped.uuid, cancelled.uuid])
    with clock.ahead(timedelta(days=40)):  # the clean-up took until another month
        work.drive()
    before = list(Replication.objects.order_by("pk").values_list("vm__name", "cancelled_at"))
    Replication.objects.update(cancelled_at=None)
    import_module("replication.migrations.0005_cancelled_at_of_the_stopped").fill(apps, None)
    assert list(Replication.objects.order_by("pk").values_list("vm__name", "cancelled_at")) == before
    assert [name for name, moment in before if moment is None] == ["web-03"]
    assert Activity.objects.filter(event__in=("stop", "cancel")).count() == 2
