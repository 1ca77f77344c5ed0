"""The append-only record and its seals."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from accounts.models.base import TenantQuerySet
from accounts.models.people import Account

OF_A_VM = Q(vm__isnull=False)
BY_PEOPLE = Q(person_id__isnull=False)
OF_A_PERSON = Q(account=None, kind="person")  # in the installation's log


class Activity(models.Model):
    """The append-only record. Rows are inserted in a batch and sealed; triggers bar UPDATE, DELETE and TRUNCATE."""

    TENANT_PATH = "account"
    # What a seal's digest covers, in this order (accounts/activity/journal.py).
    SEALED: ClassVar[tuple[str, ...]] = (
        "id", "account", "at", "actor", "person_id", "staff", "via", "kind", "event", "subject_id",
        "vm", "vm_name", "about", "from_state", "to_state", "reason", "facts",
    )  # fmt: skip

    account = models.ForeignKey(Account, null=True, on_delete=models.PROTECT, db_index=False)
    batch = models.UUIDField()
    at = models.DateTimeField()
    actor = models.CharField(max_length=120)
    person_id = models.BigIntegerField(null=True)
    staff = models.BooleanField()
    via = models.CharField(max_length=8)
    kind = models.CharField(max_length=24)
    event = models.CharField(max_length=24)
    subject_id = models.BigIntegerField()
    vm = models.UUIDField(null=True)
    vm_name = models.CharField(max_length=128)
    about = models.CharField(max_length=16)
    from_state = models.CharField(max_length=24)
    to_state = models.CharField(max_length=24)
    reason = models.TextField()
    facts = models.JSONField(default=dict)

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "activity"
        # Lists run by time, newest first; `id` parts what one transaction wrote. What people did is a small part of it
        # all, and what workers write doesn't touch those indexes.
        indexes = [
            models.Index(fields=["account", "at", "id"], name="activity_tail"),
            models.Index(fields=["account", "kind", "at", "id"], name="activity_tail_of_kind"),
            models.Index(fields=["account", "vm", "at", "id"], name="activity_tail_of_vm", condition=OF_A_VM),
            models.Index(fields=["account", "staff", "at", "id"], name="activity_tail_of_people", condition=BY_PEOPLE),
            models.Index(
                "account", OpClass(Lower("actor"), "text_pattern_ops"), name="activity_of_actor", condition=BY_PEOPLE
            ),
            models.Index(fields=["subject_id", "at", "id"], name="activity_of_sign_in", condition=OF_A_PERSON),
            models.Index(fields=["batch", "account"], name="activity_of_batch"),
            models.Index(fields=["kind", "subject_id", "id"], name="activity_of_subject"),
            models.Index(fields=["about", "at", "id"], name="activity_about", condition=~Q(about="")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event} {self.vm_name or self.about}"


class Seal(models.Model):
    """One batch of an account's Activity, chained to the one before it. Kept for ever."""

    TENANT_PATH = "account"

    account = models.ForeignKey(Account, null=True, on_delete=models.PROTECT)
    number = models.PositiveBigIntegerField()
    batch = models.UUIDField()
    rows = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="seal_number_once", nulls_distinct=False),
            models.UniqueConstraint(fields=["batch", "account"], name="seal_of_batch_once", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return f"Seal {self.number} of {self.account or 'the installation'}"
