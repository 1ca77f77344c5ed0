"""The outages that an account was told of."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models import F
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import Door, PagesByNumber, described, page_of
from accounts.models import Permission
from inventory.actions import Counts
from inventory.actions.affected import told
from inventory.models import OutageUpdate

COLUMNS = {
    "number": F("outage__number"), "site": F("outage__site__code"), "title": F("outage__title"),
    "started_at": F("outage__started_at"), "over_at": F("outage__over_at"),
}  # fmt: skip


class UpdateShape(serializers.Serializer[Any]):
    """What Support said, and when."""

    at = serializers.DateTimeField()
    text = serializers.CharField()


class CountsShape(serializers.Serializer[Any]):
    """The account's VMs that the outage is about, as they were when it was told last."""

    on_it = serializers.IntegerField(help_text="primary there and not running elsewhere in a live failover")
    protected = serializers.IntegerField(help_text="of these: can be failed over")
    running_there = serializers.IntegerField(help_text="failover VMs there, live and test")
    protected_towards = serializers.IntegerField(help_text="primary elsewhere, their copies go there and can't grow")
    elsewhere = serializers.IntegerField(help_text="primary there, running elsewhere already: not counted above")


class OutageShape(serializers.Serializer[Any]):
    """An outage of a site. `counts` is left out without Read Server Replication."""

    number = serializers.CharField()
    site = serializers.CharField()
    title = serializers.CharField()
    started_at = serializers.DateTimeField()
    over_at = serializers.DateTimeField(allow_null=True, help_text="null: it is open")
    updates = UpdateShape(many=True, help_text="oldest first")
    counts = CountsShape(required=False)


class Outages(Door):
    """Outages that the account was told of."""

    @described("list_outages", page_of(OutageShape), parameters=[PagesByNumber], tags=["outages"])
    def get(self, request: Request) -> Response:
        """Outages of the last 90 days, and open ones, that are or were about VMs of the account; newest first."""
        mine = told(self.actor).annotate(**COLUMNS)
        rows = mine.values("outage_id", *COLUMNS, *Counts._fields)
        page = self.listed(self.query(PagesByNumber), mine, rows, "number", "-outage_id")
        said = updates_of([row["outage_id"] for row in page["results"]])
        counted = self.actor.can(Permission.READ_REPLICATION)
        return Response({**page, "results": [shape(row, said[row["outage_id"]], counted) for row in page["results"]]})


def shape(row: dict[str, Any], updates: list[dict[str, Any]], counted: bool) -> dict[str, Any]:
    counts = {"counts": {name: row[name] for name in Counts._fields}} if counted else {}
    return {name: row[name] for name in COLUMNS} | {"updates": updates} | counts


def updates_of(outages: list[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    rows = OutageUpdate.objects.filter(outage__in=outages).order_by("pk").values_list("outage_id", "at", "text")
    for outage, at, text in rows:
        found[outage].append({"at": at, "text": text})
    return found


ACCOUNT = [path("outages/", Outages.as_view(), name="api-outages")]
