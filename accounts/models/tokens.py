"""API tokens of people and of machines, and the receipts of what was asked once."""

from __future__ import annotations

import hashlib
import secrets
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models.base import Permission, TenantQuerySet
from accounts.models.people import Account, Person
from ampdr import clock


class Token(models.Model):
    """An API token of a person in an account: known by its prefix, kept as a hash, never more than its owner may."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="tokens")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=60)
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=24, choices=Permission))
    expires_at = models.DateTimeField(null=True, blank=True)
    made_at = models.DateTimeField(default=clock.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = TenantQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    @staticmethod
    def new_secret() -> str:
        """`ampdr_` and 40 random letters and digits; the first twelve characters after it name the token."""
        return "ampdr_" + secrets.token_hex(20)

    @staticmethod
    def prefix_of(secret: str) -> str:
        return secret.removeprefix("ampdr_")[:12]


class MachineToken(models.Model):
    """What a machine signs in with: made by an Operator, for one purpose and one site or one account.

    The site is its code as text, checked where the token is used: sites lie above this application.
    """

    class Purpose(models.TextChoices):
        INVENTORY = "inventory", "Inventory"
        SECURITY_REPORTS = "security_reports", "Security reports"

    TENANT_PATH: ClassVar[str | None] = None  # the house's own; the account named here is what it may reach
    IN_ACTIVITY: ClassVar[dict[str, str]] = {}

    name = models.CharField(max_length=60)
    purpose = models.CharField(max_length=20, choices=Purpose)
    site = models.CharField(max_length=8, blank=True)
    account = models.ForeignKey(Account, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    made_by = models.ForeignKey(Person, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(site="", account__isnull=False) | (~Q(site="") & Q(account=None)),
                name="machine_token_for_one_place",
            )
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"


class Receipt(models.Model):
    """What an Idempotency-Key was answered with, so that a repeat gets the same answer and does nothing."""

    TENANT_PATH = "account"

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    holder = models.CharField(max_length=40)
    key = models.CharField(max_length=120)
    fingerprint = models.CharField(max_length=64)
    made = models.CharField(max_length=40, default="")
    at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "holder", "key"], name="receipt_once")]

    def __str__(self) -> str:
        return self.key
