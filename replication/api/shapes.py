"""What orders and replications look like in the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from accounts.api import (
    Body,
    Door,
    PagesByUuid,
    Text,
    VmName,
    Vms,
    page_of,
)  # fmt: skip
from ampdr import clock
from ampdr.charts import Ages
from replication.actions import PERIODS, Progress
from replication.lifecycle import REPLICATION
from replication.models import PROMISE, Replication

RENAMED = ("state_since", "source", "target")
UNTIL_PROTECTED = ("ordered", "provisioning")
ORDER = (
    "pk", "number", "ordered_at", "ordered_by__name", "vm_count", "rpo_target", "retention_hours",
    "service_level__name", "promised_at",
)  # fmt: skip
REPLICATION_ROW = (
    "uuid", "vm__uuid", "vm__name", "order__number", "state", "state_since", "source", "target", "rpo_target",
    "retention_hours", "newest_point_at", "ordered_at", "protected_at", "flag", "held_by", "step", "percent",
    "waiting_on", "last_error", "next_step_at", "question", "bytes_done", "bytes_total", "order__promised_at",
)  # fmt: skip


class OrderShape(serializers.Serializer[Any]):
    """An order. `progress` and `counts` are read from its lines: an order has no state of its own."""

    number = serializers.CharField()
    ordered_at = serializers.DateTimeField()
    ordered_by = serializers.CharField(allow_null=True)
    vm_count = serializers.IntegerField()
    rpo_target_seconds = serializers.IntegerField()
    retention_hours = serializers.IntegerField()
    service_level = serializers.CharField(
        allow_null=True, help_text="its name; null: an order of before there were any"
    )
    promised_at = serializers.DateTimeField(help_text="ready by then")
    progress = serializers.CharField(help_text='"Ready", "1 of 3 ready", "2 failed", "Needs you" or "Stopped"')
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="lines by state")


class LevelShape(serializers.Serializer[Any]):
    """What can be ordered. The target is used where an order names none; the minimum is the smallest it may name."""

    name = serializers.CharField()
    rpo_target_minutes = serializers.IntegerField()
    rpo_minimum_minutes = serializers.IntegerField()
    retention_hours = serializers.IntegerField(help_text="how long recovery points are kept")
    is_default = serializers.BooleanField(help_text="ordered where no level is named")


class Levels(serializers.Serializer[Any]):
    results = LevelShape(many=True)


class Whole(serializers.IntegerField):
    """A whole number as JSON writes one: neither text nor true."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class NewOrder(Vms):
    service_level = Text(required=False, max_length=60, help_text="a name of service-levels/; empty: the default")
    rpo_target_minutes = Whole(
        required=False, min_value=1, max_value=1440, help_text="not below the level's minimum; not sent: the level's"
    )


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
    flag = serializers.CharField(
        help_text="rpo_behind, source_unreachable, resynchronising, outcome_unknown, late or empty"
    )
    late = serializers.BooleanField(help_text="not ready when it was promised: 48 hours after it was ordered")
    held_by = serializers.CharField()
    step = serializers.CharField()
    percent = serializers.IntegerField()
    bytes_done = serializers.IntegerField(allow_null=True, help_text="of the first sync; null: not known")
    bytes_total = serializers.IntegerField(allow_null=True)
    waiting_on = serializers.ChoiceField([("", "Automatic"), ("support", "Support"), ("customer", "You")])
    question = serializers.CharField(help_text="the conversation (T-n) in which Support asks about it, or empty")
    last_error = serializers.CharField()
    next_step_at = serializers.DateTimeField(allow_null=True)


class OrderWithLines(OrderShape):
    lines = page_of(ReplicationShape)


class PointShape(serializers.Serializer[Any]):
    """A moment to which the VM can be recovered. `consistent`: "crash" or "application"."""

    at = serializers.DateTimeField()
    consistent = serializers.CharField()


class RpoPeriod(Body):
    period = serializers.ChoiceField(list(PERIODS), default="24h", help_text="how far back")


class RpoShape(serializers.Serializer[Any]):
    """How old the newest recovery point ever got, in each step. `values_seconds`: null where it wasn't protected."""

    period = serializers.CharField()
    begins_at = serializers.DateTimeField(help_text="where the first step begins")
    ends_at = serializers.DateTimeField()
    step_seconds = serializers.IntegerField()
    rpo_target_seconds = serializers.IntegerField()
    values_seconds = serializers.ListField(child=serializers.IntegerField(allow_null=True))


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
        "service_level": row["service_level__name"],
        "promised_at": row["promised_at"],
        "progress": stands.word,
        "counts": {state: n for state, n in stands.counts.items() if n},
    }


def rpo_row(replication: Replication, period: str, ages: Ages) -> dict[str, Any]:
    return {
        "period": period,
        "begins_at": ages.begins_at,
        "ends_at": ages.ends_at,
        "step_seconds": int(ages.step.total_seconds()),
        "rpo_target_seconds": int(replication.rpo_target.total_seconds()),
        "values_seconds": ages.values,
    }


def replication_row(row: dict[str, Any]) -> dict[str, Any]:
    target, late_from = row.pop("rpo_target"), row["order__promised_at"] or row["ordered_at"] + PROMISE
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


class ReplicationPages(PagesByUuid):
    state = serializers.ChoiceField([one for one in REPLICATION.choices() if one[0] != "stopped"], required=False)


class Lists(Door):
    """What the addresses of this file share: replications as a page of rows."""

    def replications(self, asked: dict[str, Any], mine: QuerySet[Replication], order: str) -> dict[str, Any]:
        page = self.listed(asked, mine, mine.values(*REPLICATION_ROW), "uuid", order)
        return {**page, "results": [replication_row(row) for row in page["results"]]}
