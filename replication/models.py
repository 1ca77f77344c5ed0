"""Orders, replications and recovery points."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Account, Person, TenantQuerySet
from ampdr import clock
from ampdr.lifecycle import Stateful
from ampdr.work import Driven
from inventory.models import VM
from replication.lifecycle import REPLICATION

RPO_TARGET = timedelta(minutes=15)
RETENTION_HOURS = 24
PROMISE = timedelta(hours=48)  # "up to two days"
# What isn't ready, and makes its order late once the promise has passed; not what failed on its way out.
BEFORE_READY = ("ordered", "provisioning", "failed")
UNREADY = Q(state__in=BEFORE_READY) & ~Q(failed_in="stopping")


class ServiceLevel(models.Model):
    """What can be ordered: an RPO target, the smallest one that may be asked for, and how long points are kept.

    Orders record its terms: who changes a level changes what is ordered from then on, and nothing else.
    """

    TENANT_PATH: ClassVar[str | None] = None  # the house's own
    IN_ACTIVITY: ClassVar[dict[str, str]] = {}  # the installation's own log

    name = models.CharField(max_length=60, unique=True)
    rpo_target = models.DurationField(default=RPO_TARGET)
    rpo_minimum = models.DurationField(default=RPO_TARGET)
    retention_hours = models.PositiveIntegerField(default=RETENTION_HOURS)
    is_default = models.BooleanField(default=False)
    offered = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="one_default_level"),
            models.CheckConstraint(condition=Q(is_default=False) | Q(offered=True), name="default_level_is_offered"),
            models.CheckConstraint(
                condition=Q(rpo_minimum__gt=timedelta(), rpo_target__gte=F("rpo_minimum"), retention_hours__gt=0),
                name="level_keeps_its_minimum",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The same in words, and what no constraint can say: targets are whole minutes, one level is the default."""
        wrong = {}
        for name in ("rpo_target", "rpo_minimum"):
            if getattr(self, name) % timedelta(minutes=1) or not timedelta() < getattr(self, name) <= timedelta(days=1):
                wrong[name] = "A whole number of minutes, 24 hours at most."
        if not wrong and self.rpo_target < self.rpo_minimum:
            wrong["rpo_target"] = "The target is at least the smallest one that may be asked for."
        if not self.retention_hours:
            wrong["retention_hours"] = "Points are kept for an hour at least."
        if self.is_default and not self.offered:
            wrong["offered"] = "The default level is always offered. Make another level the default first."
        if not self.is_default and ServiceLevel.objects.filter(pk=self.pk, is_default=True).exists():
            wrong["is_default"] = "One level is the default. Make another one the default instead."
        if wrong:
            raise ValidationError(wrong)

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Not whether another level is the default: the verb takes that from it."""
        super().validate_constraints({*(exclude or ()), "is_default"})


class Order(Driven):
    """RO-n: one to many VMs ordered at once. It has no state of its own; `replication.actions.progress` reads it.

    It is driven for its promise alone: due when that passes, nothing to do once every line is ready.
    """

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account", "about": "number"}

    number = models.CharField(max_length=16, unique=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    ordered_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    ordered_at = models.DateTimeField(default=clock.now)
    rpo_target = models.DurationField(default=RPO_TARGET, db_default=RPO_TARGET)
    retention_hours = models.PositiveIntegerField(default=RETENTION_HOURS, db_default=RETENTION_HOURS)
    service_level = models.ForeignKey(ServiceLevel, null=True, on_delete=models.PROTECT, related_name="+")
    vm_count = models.PositiveIntegerField()
    promised_at = models.DateTimeField(db_default=Now() + PROMISE)  # ready by then, unless Support gives a new date
    promise_words = models.CharField(max_length=400, blank=True, default="", db_default="")  # Support's, of a new date

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["account", "-id"], name="order_list"),
            models.Index(fields=["next_step_at"], name="order_due", condition=Q(next_step_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def ready_by(self) -> datetime:
        """What was promised: within 48 hours, or the date that Support gave later."""
        return self.promised_at


class Replication(Stateful, Driven):
    """The service on one VM. `source`, `target`: site codes; `held_by`: the number of its VM's open failover."""

    LIFECYCLE = REPLICATION
    TENANT_PATH = "vm__account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {
        "account": "vm__account", "vm": "vm__uuid", "vm_name": "vm__name", "about": "order__number",
    }  # fmt: skip
    CARRIES = ("vm_id", "flag")

    state = models.CharField(max_length=24, choices=REPLICATION.choices(), default=REPLICATION.initial, editable=False)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    vm = models.ForeignKey(VM, on_delete=models.PROTECT, related_name="replications")
    order = models.ForeignKey(Order, null=True, on_delete=models.PROTECT, related_name="lines")
    source = models.CharField(max_length=8)
    target = models.CharField(max_length=8)
    rpo_target = models.DurationField(default=RPO_TARGET, db_default=RPO_TARGET)
    retention_hours = models.PositiveIntegerField(default=RETENTION_HOURS, db_default=RETENTION_HOURS)
    service_level = models.ForeignKey(ServiceLevel, null=True, on_delete=models.PROTECT, related_name="+")
    held_by = models.CharField(max_length=16, blank=True, default="", db_default="")
    question = models.CharField(max_length=16, blank=True, default="", db_default="")  # T-n: Support asked about it
    bytes_done = models.BigIntegerField(null=True)
    bytes_total = models.BigIntegerField(null=True)
    # How fast it goes: bytes a second of the last whole span of a quarter of an hour, and where the present one began.
    # Of a provider that tells no bytes: since when it goes without a halt, and its percent (in `speed_bytes`) then.
    speed = models.BigIntegerField(null=True)
    speed_from = models.DateTimeField(null=True)
    speed_bytes = models.BigIntegerField(null=True)
    ordered_at = models.DateTimeField(default=clock.now)
    protected_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)  # when it was stopped: billed to the end of that month
    newest_point_at = models.DateTimeField(null=True)
    kept_since = models.DateTimeField(null=True)  # recovery points before it are gone, says the provider
    flag = models.CharField(max_length=20, blank=True, default="", db_default="")
    failed_in = models.CharField(max_length=24, blank=True, default="", db_default="")

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["vm"], condition=~Q(state="stopped"), name="one_open_replication_per_vm")
        ]
        indexes = [
            models.Index(fields=["next_step_at"], name="replication_due", condition=Q(next_step_at__isnull=False)),
            models.Index(fields=["source", "id"], name="replication_of_site", condition=Q(state="protected")),
            models.Index(fields=["question"], name="replication_asked", condition=~Q(question="")),
            models.Index(fields=["order"], name="replication_unready", condition=Q(state__in=BEFORE_READY)),
            models.Index(fields=["protected_at"], name="replication_begun", condition=Q(protected_at__isnull=False)),
            models.Index(fields=["cancelled_at"], name="replication_ended", condition=Q(cancelled_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"Replication of {self.vm.name}"


class RecoveryPoint(models.Model):
    """A moment to which a VM can be recovered."""

    TENANT_PATH = "replication__vm__account"

    replication = models.ForeignKey(Replication, on_delete=models.CASCADE, related_name="points", db_index=False)
    at = models.DateTimeField()
    consistent = models.CharField(max_length=12, default="crash", db_default="crash")

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["replication", "at"], name="recovery_point_once")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC"


class RpoHistory(models.Model):
    """How old the newest recovery point of a replication ever got, in spans of 5 minutes, an hour or a day.

    One row for each replication and length of span. `maxima` are seconds, oldest first, always as many as are kept; the
    last is that of the span that begins at `until`; null: the replication wasn't protected then. Spans begin at
    multiples of their length, UTC. Only `replication.tasks.history` writes them.
    """

    TENANT_PATH = "replication__vm__account"

    class Span(models.IntegerChoices):
        """Minutes of a span."""

        FIVE_MINUTES = 5
        HOUR = 60
        DAY = 1440

    KEPT: ClassVar[dict[int, int]] = {Span.FIVE_MINUTES: 24 * 12, Span.HOUR: 30 * 24, Span.DAY: 396}  # 13 months

    replication = models.ForeignKey(Replication, on_delete=models.CASCADE, related_name="rpo", db_index=False)
    span = models.PositiveSmallIntegerField(choices=Span)
    until = models.DateTimeField()
    maxima = ArrayField(models.PositiveIntegerField(null=True))

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["replication", "span"], name="rpo_history_once")]

    def __str__(self) -> str:
        return f"RPO of {self.replication} in spans of {self.span} min"


class PointFeed(Driven):
    """One per source site: asks its provider for new recovery points, a batch of replications at a time."""

    TENANT_PATH: ClassVar[str | None] = None  # the house's own: it names no customer

    site = models.CharField(max_length=8, unique=True)
    cursor = models.BigIntegerField(default=0, db_default=0)
    silent_since = models.DateTimeField(null=True)  # since when the site doesn't answer its provider

    class Meta:
        indexes = [
            models.Index(fields=["next_step_at"], name="point_feed_due", condition=Q(next_step_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"Recovery points of {self.site}"
