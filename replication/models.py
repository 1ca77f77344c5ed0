"""Orders, replications and recovery points."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, Person, TenantQuerySet
from ampdr import clock
from ampdr.lifecycle import Stateful
from ampdr.work import Driven
from inventory.models import VM
from replication.lifecycle import REPLICATION

RPO_TARGET = timedelta(minutes=15)
RETENTION_HOURS = 24
PROMISE = timedelta(hours=48)  # "up to two days"


class Order(models.Model):
    """RO-n: one to many VMs ordered at once. It has no state of its own; `replication.actions.progress` reads it."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account", "about": "number"}

    number = models.CharField(max_length=16, unique=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    ordered_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    ordered_at = models.DateTimeField(default=clock.now)
    rpo_target = models.DurationField(default=RPO_TARGET, db_default=RPO_TARGET)
    retention_hours = models.PositiveIntegerField(default=RETENTION_HOURS, db_default=RETENTION_HOURS)
    vm_count = models.PositiveIntegerField()

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["account", "-id"], name="order_list")]

    def __str__(self) -> str:
        return self.number


class Replication(Stateful, Driven):
    """The service on one VM. `source`, `target`: site codes; `held_by`: the number of its VM's open failover."""

    LIFECYCLE = REPLICATION
    TENANT_PATH = "vm__account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {
        "account": "vm__account", "vm": "vm__uuid", "vm_name": "vm__name", "about": "order__number",
    }  # fmt: skip
    CARRIES = ("vm_id",)

    state = models.CharField(max_length=24, choices=REPLICATION.choices(), default=REPLICATION.initial, editable=False)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    vm = models.ForeignKey(VM, on_delete=models.PROTECT, related_name="replications")
    order = models.ForeignKey(Order, null=True, on_delete=models.PROTECT, related_name="lines")
    source = models.CharField(max_length=8)
    target = models.CharField(max_length=8)
    rpo_target = models.DurationField(default=RPO_TARGET, db_default=RPO_TARGET)
    retention_hours = models.PositiveIntegerField(default=RETENTION_HOURS, db_default=RETENTION_HOURS)
    held_by = models.CharField(max_length=16, blank=True, default="", db_default="")
    ordered_at = models.DateTimeField(default=clock.now)
    protected_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True)
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
        ]

    def __str__(self) -> str:
        return f"Replication of {self.vm.name}"

    @property
    def is_late(self) -> bool:
        """Later than promised: not ready 48 hours after it was ordered."""
        return self.state in ("ordered", "provisioning") and clock.now() > self.ordered_at + PROMISE


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


class PointFeed(Driven):
    """One per source site: asks its provider for new recovery points, a batch of replications at a time."""

    TENANT_PATH: ClassVar[str | None] = None  # the house's own: it names no customer

    site = models.CharField(max_length=8, unique=True)
    cursor = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        indexes = [
            models.Index(fields=["next_step_at"], name="point_feed_due", condition=Q(next_step_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"Recovery points of {self.site}"
