"""Sites, virtual machines and their stand-ins, with the columns that lists show, sort and count by."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import OpClass
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Case, F, Func, Q, Value, When
from django.db.models.functions import Coalesce, Collate, Concat, Lower

from accounts.models import Account, TenantQuerySet
from ampdr import clock
from ampdr.lifecycle import State


class Site(models.Model):
    """A data center. Sites and their pairs are rows: Support can change a pair without a deploy."""

    TENANT_PATH: ClassVar[str | None] = None  # the house's own
    IN_ACTIVITY: ClassVar[dict[str, str]] = {}  # the installation's own log

    code = models.CharField(max_length=8, unique=True)
    city = models.CharField(max_length=60)
    failover_site = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    provider = models.CharField(
        max_length=120, default="replication.providers.simulated.Simulated",
        help_text="Dotted path of the provider's class, or the name it is registered under.",
    )  # fmt: skip

    class Meta:
        ordering = ("code",)

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        if self.pk and self.failover_site_id == self.pk:
            raise ValidationError({"failover_site": "A site can't be its own failover site."})

    @property
    def recovery_environment(self) -> str:
        """Where failover VMs run at this site, and the name of its SSL/VPN profile."""
        return f"{self.code}-Recovery"


class Role(models.TextChoices):
    """What a row of the inventory is: a real VM, or a stand-in that a failover made."""

    PRIMARY = "primary"
    LIVE = "live"
    TEST = "test"


PROTECTIONS: dict[str, State] = {
    state.name: state
    for state in (
        State("none", "Not protected", "off", "circle-dashed"),
        State("ordered", "Ordered", "info", "clock"),
        State("provisioning", "Provisioning", "info", "loader-circle"),
        State("protected", "Protected", "ok", "circle-check"),
        State("rpo_behind", "RPO behind", "warn", "triangle-alert"),
        State("source_unreachable", "Source unreachable", "bad", "octagon-alert"),
        State("resynchronising", "Resynchronising", "info", "loader-circle"),
        State("outcome_unknown", "Outcome unknown", "warn", "triangle-alert"),
        State("needs_input", "Needs your input", "warn", "triangle-alert"),
        State("late", "Later than promised", "warn", "triangle-alert"),
        State("failed", "Failed", "bad", "octagon-alert"),
        State("paused", "Paused", "off", "pause"),
        State("stopping", "Stopping", "info", "loader-circle"),
        State("stopped", "Stopped", "off", "circle-x"),
    )
}
GROUPS: dict[str, State] = {
    state.name: state
    for state in (
        State("protected", "Protected", "ok", "circle-check"),
        State("attention", "Need attention", "bad", "octagon-alert"),
        State("live", "In live failover", "live", "arrow-right-left"),
        State("setup", "Being set up", "info", "loader-circle"),
        State("unprotected", "Not protected", "off", "circle-dashed"),
        State("tests", "In test, beside", "test", "flask-conical"),
    )
}
_NEEDS_ATTENTION = (
    "rpo_behind", "source_unreachable", "resynchronising", "outcome_unknown", "needs_input", "late",
    "failed",
)  # fmt: skip


class VM(models.Model):
    """A virtual machine as lists show it.

    A stand-in bears the name of its original (who renames one writes both) and an opaque `made_by`, the uuid
    of the failover that made it. `group` is rule 15 in one place, kept by the database itself.
    """

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account", "vm": "uuid", "vm_name": "name"}

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120, db_index=False)
    role = models.CharField(max_length=8, choices=Role, default=Role.PRIMARY)
    original = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="stand_ins")
    made_by = models.UUIDField(null=True, unique=True)
    shown = models.BooleanField(default=True, db_default=True)

    os = models.CharField(max_length=60, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    generation = models.PositiveSmallIntegerField(default=4, db_default=4)
    power = models.CharField(max_length=4, default="on", db_default="on", choices=[("on", "On"), ("off", "Off")])
    disk_gb = models.PositiveIntegerField(default=0, db_default=0)  # all its disks together
    disks_gb = ArrayField(models.PositiveIntegerField(), default=list, blank=True, db_default=[])  # empty: not known
    other_addresses = ArrayField(models.GenericIPAddressField(), default=list, blank=True, db_default=[])
    made_at = models.DateTimeField(default=clock.now)
    resized_at = models.DateTimeField(null=True, blank=True, editable=False)  # its disks were other ones before

    vanished_at = models.DateTimeField(null=True, blank=True, editable=False)  # its site's inventory lacks it since

    # The newest report of each kind that agents in it sent. Changes, findings and patches are numbers of them.
    fim_report_at = models.DateTimeField(null=True, blank=True)
    fim_changes = models.PositiveIntegerField(default=0, db_default=0)
    malware_report_at = models.DateTimeField(null=True, blank=True)
    malware_scan_at = models.DateTimeField(null=True, blank=True)
    malware_agent = models.CharField(max_length=40, blank=True, default="", db_default="")
    malware_findings = models.PositiveIntegerField(default=0, db_default=0)
    patch_report_at = models.DateTimeField(null=True, blank=True)
    patches_missing = models.PositiveIntegerField(default=0, db_default=0)
    patches_critical = models.PositiveIntegerField(default=0, db_default=0)

    # What lists show of replication and failovers, written by those apps in the transaction of their own change.
    protection = models.CharField(max_length=20, default="none", db_default="none")
    protected_to = models.CharField(max_length=8, blank=True, default="", db_default="")
    rpo_target = models.DurationField(default=timedelta(), db_default=timedelta())
    newest_point_at = models.DateTimeField(null=True)
    cannot_replicate = models.CharField(max_length=200, blank=True, default="", db_default="")
    failover_address = models.GenericIPAddressField(null=True, blank=True)  # that a failover VM would get, if known
    held_by = models.CharField(max_length=16, blank=True, default="", db_default="")
    failover_state = models.CharField(max_length=24, blank=True, default="", db_default="")
    last_test_at = models.DateTimeField(null=True)
    last_test_result = models.CharField(max_length=8, blank=True, default="", db_default="")  # as the customer said
    order_number = models.CharField(max_length=16, blank=True, default="", db_default="")

    group = models.GeneratedField(
        expression=Case(
            When(shown=False, then=Value("hidden")),
            When(role=Role.TEST, then=Value("tests")),
            When(role=Role.LIVE, then=Value("live")),
            When(Q(protection__in=_NEEDS_ATTENTION) | Q(failover_state="start_failed"), then=Value("attention")),
            When(protection__in=("ordered", "provisioning"), then=Value("setup")),
            When(protection="protected", then=Value("protected")),
            default=Value("unprotected"),
        ),
        output_field=models.CharField(max_length=12),
        db_persist=True,
    )
    # The order of lists: live failovers first, then by name; a test directly beneath its original.
    rank = models.GeneratedField(
        expression=Case(When(role=Role.LIVE, then=Value(0)), default=Value(1)),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )
    name_key = models.GeneratedField(
        expression=Collate(Lower("name"), "C"), output_field=models.CharField(max_length=240, db_collation="C"),
        db_persist=True,
    )  # fmt: skip
    family = models.GeneratedField(
        expression=Coalesce(F("original_id"), F("id")), output_field=models.BigIntegerField(), db_persist=True
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name = "virtual machine"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "slug"], condition=Q(role="primary"), name="slug_of_primary_once"
            ),
            models.UniqueConstraint(
                fields=["original", "role"], condition=~Q(role="primary"), name="one_stand_in_of_a_kind"
            ),
            models.CheckConstraint(
                condition=Q(role="primary", original=None, made_by=None)
                | Q(~Q(role="primary"), original__isnull=False, made_by__isnull=False),
                name="stand_in_has_original",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "rank", "name_key", "family", "role"], name="vm_list", condition=Q(shown=True)
            ),
            models.Index(
                fields=["account", "group", "rank", "name_key", "family", "role"],
                name="vm_list_group", condition=Q(shown=True),
            ),
            models.Index(
                fields=["account", "site", "rank", "name_key", "family", "role"],
                name="vm_list_site", condition=Q(shown=True),
            ),
            models.Index("account", OpClass("name_key", "text_pattern_ops"), name="vm_name_prefix"),
            models.Index(fields=["id"], name="vm_in_two_places", condition=Q(shown=False, power="on", role="primary")),
            models.Index(fields=["account", "made_at"], name="vm_made", condition=Q(role="primary")),
            models.Index(
                fields=["account", "last_test_at"], name="vm_tested",
                condition=Q(shown=True, role="primary", last_test_at__isnull=False),
            ),
        ]  # fmt: skip

    @classmethod
    def recount(cls) -> Iterator[tuple[int, str, int]]:
        """For verify_activity: account, counter of its head, and how many there are."""
        groups = cls.objects.exclude(group="hidden").order_by().values("account", "group")
        yield from groups.annotate(n=models.Count("pk")).values_list("account", "group", "n")

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        return display_name(self.name, self.role)

    @property
    def size(self) -> str:
        return size(self.disks_gb, self.disk_gb)

    @property
    def why_not_orderable(self) -> str:
        """Why replication can't be ordered for this VM, in the words of screen, API and order; empty if it can."""
        if self.role != Role.PRIMARY:
            return "It is a failover VM. Order replication for its original."
        if self.protection not in ("none", "stopped"):
            where = f" (order {self.order_number})" if self.order_number else ""
            return f"It has replication already{where}."
        if self.site.failover_site_id is None:
            return f"{self.site.city} ({self.site.code}) has no failover site."
        if self.vanished_at:
            return f"It was not found in {self.site.code} any more on {self.vanished_at:%Y-%m-%d}. Ask Support."
        return self.cannot_replicate


def why_not_orderable() -> Case:
    """`VM.why_not_orderable` as an expression, for ten thousand VMs at once. A test holds both to the same words."""
    ordered = Case(
        When(order_number="", then=Value("It has replication already.")),
        default=Concat(Value("It has replication already (order "), F("order_number"), Value(").")),
    )
    nowhere = Concat(F("site__city"), Value(" ("), F("site__code"), Value(") has no failover site."))
    day = Func(F("vanished_at"), Value("YYYY-MM-DD"), function="to_char", output_field=models.CharField())
    gone = Concat(
        Value("It was not found in "), F("site__code"), Value(" any more on "), day, Value(". Ask Support.")
    )  # fmt: skip
    return Case(
        When(~Q(role=Role.PRIMARY), then=Value("It is a failover VM. Order replication for its original.")),
        When(~Q(protection__in=("none", "stopped")), then=ordered),
        When(site__failover_site=None, then=nowhere),
        When(vanished_at__isnull=False, then=gone),
        default=F("cannot_replicate"),
        output_field=models.CharField(),
    )


def size(disks_gb: list[int], disk_gb: int) -> str:
    """Of a VM's disks, in words: "3 disks, 400 GB"; how many there are isn't always known."""
    disks = f"{len(disks_gb)} disk{'' if len(disks_gb) == 1 else 's'}, " if disks_gb else ""
    return f"{disks}{disk_gb} GB"


def display_name(name: str, role: str) -> str:
    """Rule 11: a live stand-in bears the original's name, a test adds " - Test"."""
    return f"{name} - Test" if role == Role.TEST else name
