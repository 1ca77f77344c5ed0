"""Outages, what Support said of them, and which accounts were told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from accounts.models import Account, Person, TenantQuerySet
from ampdr import clock
from inventory.models.machines import Site


class Outage(models.Model):
    """N-n: Support's notice that a site is down, from a start until it is over. It changes no state of anything."""

    TENANT_PATH: ClassVar[str | None] = None  # the house's own: each account is told its own numbers
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"about": "number"}

    number = models.CharField(max_length=16, unique=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="outages")
    title = models.CharField(max_length=120)
    started_at = models.DateTimeField(default=clock.now)
    over_at = models.DateTimeField(null=True, blank=True)
    declared_by = models.ForeignKey(Person, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site"], condition=Q(over_at=None), name="one_open_outage_of_a_site"),
            models.CheckConstraint(
                condition=Q(over_at=None) | Q(over_at__gte=F("started_at")), name="outage_ends_after_its_start"
            ),
        ]

    def __str__(self) -> str:
        return self.number


class OutageUpdate(models.Model):
    """What Support said of an outage, and when; the first one when it was declared, the last one when it was over."""

    TENANT_PATH: ClassVar[str | None] = None  # the house's own

    outage = models.ForeignKey(Outage, on_delete=models.CASCADE, related_name="updates")
    at = models.DateTimeField(default=clock.now)
    by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    text = models.TextField(max_length=2000)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # of the form: a second click says nothing

    def __str__(self) -> str:
        return f"{self.outage}, {self.at:%Y-%m-%d %H:%M} UTC"


class OutageTold(models.Model):
    """An account that was told of an outage, with the numbers of its VMs when it was told last."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account", "about": "outage__number"}

    outage = models.ForeignKey(Outage, on_delete=models.CASCADE, related_name="told", db_index=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=clock.now)
    on_it = models.PositiveIntegerField(default=0)
    protected = models.PositiveIntegerField(default=0)
    running_there = models.PositiveIntegerField(default=0)
    protected_towards = models.PositiveIntegerField(default=0)
    elsewhere = models.PositiveIntegerField(default=0)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["outage", "account"], name="account_told_once")]

    @classmethod
    def recount(cls) -> Iterator[tuple[int, str, int]]:
        """For verify_activity: account, counter of its head, and how many there are."""
        told = cls.objects.filter(outage__over_at=None).order_by().values("account")
        yield from told.annotate(n=models.Count("pk")).values_list("account", models.Value("outages"), "n")

    def __str__(self) -> str:
        return f"{self.account} of {self.outage}"
