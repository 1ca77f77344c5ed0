"""The API's address of what is billed."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import PagesByUuid, Text, VmName, described, page_of
from accounts.models import Permission
from replication.actions import BILLED, Month, bill_line, billable
from replication.api.shapes import Lists
from replication.models import Replication


class BillableShape(serializers.Serializer[Any]):
    """A replication on the bill of a month. A VM that was ordered again within the month is there twice."""

    uuid = serializers.UUIDField(help_text="of the replication")
    account = serializers.CharField()
    vm = VmName()
    source_site = serializers.CharField()
    target_site = serializers.CharField()
    service_level = serializers.CharField(help_text="its name now, or empty")
    first_day = serializers.DateField(help_text="the first day of this month that is billed, UTC")
    last_day = serializers.DateField(help_text="the last one")


class BillablePages(PagesByUuid):
    month = Text(max_length=7, help_text="YYYY-MM, the calendar month in UTC; the present one at the latest")


class Billable(Lists):
    """What is billed in a calendar month."""

    @described("list_billable", page_of(BillableShape), parameters=[BillablePages])
    def get(self, request: Request) -> Response:
        """The replications that are billed in this month: from the day on which each became Protected to the end of
        the month in which it was cancelled.
        """
        mine = Replication.objects.visible_to(self.actor, Permission.READ_REPLICATION)
        asked = self.query(BillablePages)
        month = Month.read(asked["month"])
        page = self.listed(asked, mine, billable(mine, month).values(*BILLED), "uuid", "pk")
        return Response({**page, "results": [billable_row(row, month) for row in page["results"]]})


def billable_row(row: dict[str, Any], month: Month) -> dict[str, Any]:
    line = bill_line(row, month)
    return {
        "uuid": row["uuid"], "account": line.account, "vm": {"uuid": line.vm, "name": line.name},
        "source_site": line.source, "target_site": line.target, "service_level": line.service_level,
        "first_day": line.first_day, "last_day": line.last_day,
    }  # fmt: skip


urlpatterns = [path("billable/", Billable.as_view(), name="api-billable")]
