"""The API's addresses of orders, replications and recovery points."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import path, reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    KEY_ACCEPTED,
    KEY_REQUIRED,
    VM_UUID,
    Door,
    Nothing,
    PagesByNumber,
    PagesByTime,
    PagesByUuid,
    VmName,
    Vms,
    described,
    made,
    number_of,
    page_of,
    uuid_of,
)  # fmt: skip
from accounts.models import Permission
from ampdr import clock
from ampdr.errors import Absent
from ampdr.lifecycle import Actor
from replication.actions import Progress, place_order, progress, progress_of, progress_of_orders, stop_replication
from replication.lifecycle import REPLICATION
from replication.models import PROMISE, Order, RecoveryPoint, Replication

NO_LINES = progress_of(())
RENAMED = ("state_since", "source", "target")
UNTIL_PROTECTED = ("ordered", "provisioning")
ORDER = ("pk", "number", "ordered_at", "ordered_by__name", "vm_count", "rpo_target", "retention_hours")
REPLICATION_ROW = (
    "uuid", "vm__uuid", "vm__name", "order__number", "state", "state_since", "source", "target", "rpo_target",
    "retention_hours", "newest_point_at", "ordered_at", "protected_at", "flag", "held_by", "step", "percent",
    "waiting_on", "last_error", "next_step_at",
)  # fmt: skip


# ---- Shapes ----------------------------------------------------------------------------------------------------------


class OrderShape(serializers.Serializer[Any]):
    """An order. `progress` and `counts` are read from its lines: an order has no state of its own."""

    number = serializers.CharField()
    ordered_at = serializers.DateTimeField()
    ordered_by = serializers.CharField(allow_null=True)
    vm_count = serializers.IntegerField()
    rpo_target_seconds = serializers.IntegerField()
    retention_hours = serializers.IntegerField()
    progress = serializers.CharField(help_text='"Ready", "1 of 3 ready", "2 failed", "Needs you" or "Stopped"')
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="lines by state")


class ReplicationShape(serializers.Serializer[Any]):
    """The service on one VM. `held_by`: the failover ticket for which it can't be stopped now, or empty."""

    uuid = serializers.UUIDField()
    vm = VmName()
    order = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(REPLICATION.choices())
    word = serializers.CharField(help_text="the state as people see it")
    since = serializers.DateTimeField()
    source_site = serializers.CharField()
    target_site = serializers.CharField()
    rpo_target_seconds = serializers.IntegerField()
    retention_hours = serializers.IntegerField()
    newest_point_at = serializers.DateTimeField(allow_null=True)
    ordered_at = serializers.DateTimeField()
    protected_at = serializers.DateTimeField(allow_null=True)
    flag = serializers.CharField(help_text="rpo_behind, source_unreachable, resynchronising, outcome_unknown or empty")
    late = serializers.BooleanField(help_text="not ready 48 hours after it was ordered")
    held_by = serializers.CharField()
    step = serializers.CharField()
    percent = serializers.IntegerField()
    waiting_on = serializers.ChoiceField([("", "Automatic"), ("support", "Support"), ("customer", "You")])
    last_error = serializers.CharField()
    next_step_at = serializers.DateTimeField(allow_null=True)


class OrderWithLines(OrderShape):
    lines = page_of(ReplicationShape)


class PointShape(serializers.Serializer[Any]):
    """A moment to which the VM can be recovered. `consistent`: "crash" or "application"."""

    at = serializers.DateTimeField()
    consistent = serializers.CharField()


class Stopped(serializers.Serializer[Any]):
    stopped = serializers.IntegerField(help_text="how many VMs")


def order_row(row: dict[str, Any], stands: Progress) -> dict[str, Any]:
    return {
        "number": row["number"],
        "ordered_at": row["ordered_at"],
        "ordered_by": row["ordered_by__name"],
        "vm_count": row["vm_count"],
        "rpo_target_seconds": int(row["rpo_target"].total_seconds()),
        "retention_hours": row["retention_hours"],
        "progress": stands.word,
        "counts": {state: n for state, n in stands.counts.items() if n},
    }


def replication_row(row: dict[str, Any]) -> dict[str, Any]:
    target, late_from = row.pop("rpo_target"), row["ordered_at"] + PROMISE
    return {
        **{name: value for name, value in row.items() if "__" not in name and name not in RENAMED},
        "source_site": row["source"],
        "target_site": row["target"],
        "vm": {"uuid": row["vm__uuid"], "name": row["vm__name"]},
        "order": row["order__number"],
        "word": REPLICATION.states[row["state"]].word,
        "since": row["state_since"],
        "rpo_target_seconds": int(target.total_seconds()),
        "late": row["state"] in UNTIL_PROTECTED and clock.now() > late_from,
    }


# ---- Addresses -------------------------------------------------------------------------------------------------------


class ReplicationPages(PagesByUuid):
    state = serializers.ChoiceField([one for one in REPLICATION.choices() if one[0] != "stopped"], required=False)


class Lists(Door):
    """What the addresses of this file share: replications as a page of rows."""

    def replications(self, asked: dict[str, Any], mine: QuerySet[Replication], order: str) -> dict[str, Any]:
        page = self.listed(asked, mine, mine.values(*REPLICATION_ROW), "uuid", order)
        return {**page, "results": [replication_row(row) for row in page["results"]]}


class Orders(Lists):
    """Orders of the account."""

    @described("list_orders", page_of(OrderShape), parameters=[PagesByNumber])
    def get(self, request: Request) -> Response:
        """The account's orders, newest first."""
        mine = Order.objects.visible_to(self.actor, Permission.READ_REPLICATION)
        page = self.listed(self.query(PagesByNumber), mine, mine.values(*ORDER), "number")
        stands = progress_of_orders(row["pk"] for row in page["results"])
        results = [order_row(row, stands.get(row["pk"], NO_LINES)) for row in page["results"]]
        return Response({**page, "results": results})

    @described("place_order", OrderShape, status=201, request=Vms, parameters=[KEY_REQUIRED])
    def post(self, request: Request) -> Response:
        """Orders replication for these VMs, all or none. It is checked at once and provisioned by workers."""
        self.actor.need(Permission.READ_REPLICATION)
        body, key = self.asked(Vms, lambda: self.actor.need(Permission.WRITE_REPLICATION), keyed=True)
        order = place_order(self.actor, body["vms"], key)
        address = reverse("api-order", args=[self.slug, order.number])
        return made(order_row(one_order(self.actor, order.number), progress(order.lines.all())), address)


def one_order(actor: Actor, number: str) -> dict[str, Any]:
    mine = Order.objects.visible_to(actor, Permission.READ_REPLICATION)
    row: dict[str, Any] | None = mine.filter(number=number_of(number)).values(*ORDER).first()
    if row is None:
        raise Absent
    return row


class OneOrder(Lists):
    """One order."""

    @described("get_order", OrderWithLines, parameters=[PagesByUuid])
    def get(self, request: Request, number: str) -> Response:
        """One order, with a page of its lines."""
        row = one_order(self.actor, number)
        lines = Replication.objects.filter(order=row["pk"])
        page = self.replications(self.query(PagesByUuid), lines, "pk")
        return Response({**order_row(row, progress(lines)), "lines": page})


class Replications(Lists):
    """Replications that aren't stopped."""

    @described("list_replications", page_of(ReplicationShape), parameters=[ReplicationPages])
    def get(self, request: Request) -> Response:
        """The account's open replications, newest first."""
        mine = Replication.objects.visible_to(self.actor, Permission.READ_REPLICATION)
        asked = self.query(ReplicationPages)
        rows = mine.filter(state=asked["state"]) if "state" in asked else mine.exclude(state="stopped")
        page = self.listed(asked, mine, rows.values(*REPLICATION_ROW), "uuid")
        return Response({**page, "results": [replication_row(row) for row in page["results"]]})


def open_replications(actor: Actor, vm: str) -> QuerySet[Replication]:
    """The open replication of this VM, one at most."""
    mine = Replication.objects.visible_to(actor, Permission.READ_REPLICATION)
    return mine.filter(vm__uuid=uuid_of(vm)).exclude(state="stopped")


class OneReplication(Door):
    """The open replication of one VM."""

    @described("get_replication", ReplicationShape, parameters=[VM_UUID])
    def get(self, request: Request, uuid: str) -> Response:
        """The open replication of this VM."""
        row = open_replications(self.actor, uuid).values(*REPLICATION_ROW).first()
        if row is None:
            raise Absent
        return Response(replication_row(row))

    @described("stop_replication", None, status=204, request=None, parameters=[VM_UUID, KEY_ACCEPTED])
    def delete(self, request: Request, uuid: str) -> Response:
        """Ends the service on this VM at once. The billing cycle is charged to its end."""
        self.actor.need(Permission.READ_REPLICATION)
        _, key = self.asked(Nothing, lambda: self.actor.need(Permission.WRITE_REPLICATION))
        stop_replication(self.actor, [uuid_of(uuid)], key)
        return Response(status=204)


class Points(Door):
    """Recovery points of one VM."""

    @described("list_recovery_points", page_of(PointShape), parameters=[VM_UUID, PagesByTime])
    def get(self, request: Request, uuid: str) -> Response:
        """The moments to which this VM can be recovered, newest first. A request may name one as `point_at`."""
        found = open_replications(self.actor, uuid).values_list("pk", flat=True).first()
        if found is None:
            raise Absent
        mine = RecoveryPoint.objects.filter(replication=found)
        return Response(self.listed(self.query(PagesByTime), mine, mine.values("at", "consistent"), "at", "-at"))


class Stop(Door):
    """Ends the service on several VMs, all or none."""

    @described("stop_replications", Stopped, request=Vms, parameters=[KEY_ACCEPTED])
    def post(self, request: Request) -> Response:
        """Ends the service on these VMs at once. The billing cycle is charged to its end."""
        self.actor.need(Permission.READ_REPLICATION)
        body, key = self.asked(Vms, lambda: self.actor.need(Permission.WRITE_REPLICATION))
        return Response({"stopped": stop_replication(self.actor, body["vms"], key)})


urlpatterns = [
    path("orders/", Orders.as_view(), name="api-orders"),
    path("orders/<str:number>/", OneOrder.as_view(), name="api-order"),
    path("replications/", Replications.as_view(), name="api-replications"),
    path("replications/stop/", Stop.as_view(), name="api-replications-stop"),
    path("replications/<str:uuid>/", OneReplication.as_view(), name="api-replication"),
    path("replications/<str:uuid>/points/", Points.as_view(), name="api-points"),
]
