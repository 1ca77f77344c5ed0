"""What is kept of the telling of an inventory, and VMs that somebody picked out of it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Account, Person, TenantQuerySet
from ampdr import clock
from inventory.models.machines import VM


class Round(models.Model):
    """One telling of the inventory of a site, or of an account, in any number of calls.

    Which VMs were told is kept here, so that a VM of which nothing new is told costs nothing, and rounds that overlap
    don't take each other's VMs for vanished.
    """

    TENANT_PATH: ClassVar[str | None] = None  # machines' own bookkeeping: no door shows it
    OPEN = timedelta(days=1)  # so long it takes calls; then what it told is forgotten
    KEPT = timedelta(days=8)  # so long it is known that it was, so that a late call doesn't begin it anew

    uuid = models.UUIDField(unique=True)
    site = models.CharField(max_length=8, blank=True)  # its code; empty: of an account
    account = models.ForeignKey(Account, null=True, on_delete=models.CASCADE, related_name="+")
    begun_at = models.DateTimeField(default=clock.now, db_index=True)
    told = ArrayField(models.BigIntegerField(), default=list)  # keys of VMs

    def __str__(self) -> str:
        return f"Round {self.uuid}"


class Choice(models.Model):
    """VMs that somebody chose, kept on the server: a draft of an order or of a failover request.

    Nothing is promised by it: what the VMs have become meanwhile is looked at when it is used.
    """

    TENANT_PATH = "account"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    made_at = models.DateTimeField(default=clock.now)
    vms = models.ManyToManyField(VM, related_name="+")

    objects = TenantQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Choice of {self.person}"
