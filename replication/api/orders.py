"""The API's addresses of orders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import path, reverse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    KEY_REQUIRED,
    PagesByNumber,
    PagesByUuid,
    described,
    made,
    number_of,
    page_of,
)  # fmt: skip
from accounts.models import Permission
from ampdr.errors import Absent
from ampdr.lifecycle import Actor
from replication.actions import Terms, place_order, progress, progress_of, progress_of_orders
from replication.api.shapes import (
    ORDER,
    Lists,
    NewOrder,
    OrderShape,
    OrderWithLines,
    order_row,
)
from replication.models import Order, Replication

NO_LINES = progress_of(())


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

    @described("place_order", OrderShape, status=201, request=NewOrder, parameters=[KEY_REQUIRED])
    def post(self, request: Request) -> Response:
        """Orders replication for these VMs, all or none. It is checked at once and provisioned by workers."""
        self.actor.need(Permission.READ_REPLICATION)
        body, key = self.asked(NewOrder, lambda: self.actor.need(Permission.WRITE_REPLICATION), keyed=True)
        target = body.get("rpo_target_minutes")
        terms = Terms(body.get("service_level", ""), timedelta(minutes=target) if target else None)
        order = place_order(self.actor, body["vms"], key, terms)
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


urlpatterns = [
    path("orders/", Orders.as_view(), name="api-orders"),
    path("orders/<str:number>/", OneOrder.as_view(), name="api-order"),
]
