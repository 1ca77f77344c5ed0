"""Accounts, people, roles, the list of authorized users, tokens, and the record of it all."""

from __future__ import annotations

import hashlib
import secrets
import zoneinfo
from typing import Any, ClassVar, Self, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from ampdr import clock
from ampdr.errors import Forbidden
from ampdr.lifecycle import Actor


class Permission(models.TextChoices):
    """What a role can grant, with the labels people see."""

    READ_VMS = "read_vms", "Read Virtual Machine(s)"
    READ_FIM = "read_fim", "Read FIM"
    READ_REPLICATION = "read_replication", "Read Server Replication"
    WRITE_REPLICATION = "write_replication", "Write Server Replication"
    READ_TICKETS = "read_tickets", "Read Ticket(s)"
    WRITE_TICKETS = "write_tickets", "Write Ticket(s)"
    READ_IDENTITY = "read_identity", "Read Identity"
    WRITE_IDENTITY = "write_identity", "Write Identity"
    VIEW_ACTIVITY = "view_activity", "View Account Activity"
    READ_TOKENS = "read_tokens", "Read API Tokens"
    WRITE_TOKENS = "write_tokens", "Write API Tokens"


M_co = TypeVar("M_co", bound=models.Model, covariant=True)


class TenantQuerySet(models.QuerySet[M_co]):
    """Reads of what belongs to an account start here."""

    def visible_to(self, actor: Actor, permission: str) -> Self:
        """The rows of the actor's account, if the actor may read their kind; else Forbidden, the same for any row."""
        actor.need(permission)
        road: str = self.model.TENANT_PATH  # type: ignore[attr-defined]
        return self.filter(**{road: actor.account_id})


def check_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is not a time zone. Take one such as America/Chicago.")


class PersonManager(BaseUserManager["Person"]):
    def create_user(self, email: str, name: str, password: str | None = None, **facts: Any) -> Person:
        person = self.model(email=email.strip().lower(), name=name, **facts)
        person.set_password(password)
        person.save()
        return person

    def create_superuser(self, email: str, name: str, password: str, **facts: Any) -> Person:
        return self.create_user(email, name, password, is_staff=True, is_superuser=True, **facts)

    def get_by_natural_key(self, username: str | None) -> Person:
        return self.get(email=(username or "").strip().lower())


class Person(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in: a customer's member, or staff."""

    TENANT_PATH: ClassVar[str | None] = None  # a person may be a member of several accounts
    IN_ACTIVITY: ClassVar[dict[str, str]] = {}  # the installation's own log

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    last_account = models.ForeignKey("Account", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects = PersonManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        verbose_name_plural = "people"
        constraints = [models.CheckConstraint(condition=Q(email=Lower("email")), name="person_email_is_lower_case")]

    def __str__(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name.split()[0]


# The first words of addresses that are no account's, of now and of later work.
RESERVED_SLUGS = frozenset(
    ("accounts", "admin", "api", "failovers", "healthz", "invitation", "me", "metrics", "readyz", "sign-in", "sign-out",
     "static", "theme"),
)  # fmt: skip
check_slug = RegexValidator(r"^[a-z][a-z0-9-]{1,39}$", "2 to 40 small letters, digits and hyphens, a letter first.")


class Account(models.Model):
    """A customer organisation."""

    TENANT_PATH = "pk"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "pk"}

    slug = models.CharField(max_length=40, unique=True, validators=[check_slug])
    name = models.CharField(max_length=120)
    number = models.PositiveIntegerField(unique=True)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.slug in RESERVED_SLUGS:
            raise ValidationError({"slug": f"“{self.slug}” is the beginning of another address. Choose another slug."})


class Head(models.Model):
    """The head of an account's record, locked last by every change: the newest seal, and the kept counters.

    The one without an account is the installation's own.
    """

    TENANT_PATH = "account"
    COUNTERS: ClassVar[tuple[str, ...]] = (
        "protected", "attention", "setup", "unprotected", "live", "tests", "waiting", "running",
    )  # fmt: skip

    account = models.OneToOneField(Account, null=True, on_delete=models.PROTECT, related_name="head")
    number = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="")
    version = models.PositiveBigIntegerField(default=0)
    protected = models.IntegerField(default=0)
    attention = models.IntegerField(default=0)
    setup = models.IntegerField(default=0)
    unprotected = models.IntegerField(default=0)
    live = models.IntegerField(default=0)
    tests = models.IntegerField(default=0)
    waiting = models.IntegerField(default=0)
    running = models.IntegerField(default=0)

    @property
    def all_vms(self) -> int:
        return self.protected + self.attention + self.setup + self.unprotected + self.live

    def __str__(self) -> str:
        return f"Head of {self.account or 'the installation'}"


class Role(models.Model):
    """A named set of permissions. Default ones (no account) can't be edited; `all_permissions` gains new ones."""

    TENANT_PATH = "account"

    account = models.ForeignKey(Account, null=True, blank=True, on_delete=models.CASCADE, related_name="roles")
    name = models.CharField(max_length=60)
    permissions = ArrayField(models.CharField(max_length=24, choices=Permission), default=list, blank=True)
    all_permissions = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="role_name_once", nulls_distinct=False)]

    def __str__(self) -> str:
        return self.name

    def grants(self) -> set[str]:
        return set(Permission.values) if self.all_permissions else set(self.permissions)


class Membership(models.Model):
    """A person in an account. Permissions reach people only through the roles here."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="memberships")
    roles = models.ManyToManyField(Role, related_name="memberships")
    enabled = models.BooleanField(default=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "account"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.person} in {self.account}"


class AuthorizedUser(models.Model):
    """A member whom Support has listed as allowed to request failovers. Only Support changes the list."""

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="authorized_users")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="listings")
    phone = models.CharField(max_length=40, blank=True)
    added_by = models.ForeignKey(Person, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    added_at = models.DateTimeField(default=clock.now, editable=False)
    confirmed_on = models.DateField(null=True, blank=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "person"], name="authorized_user_once")]

    def __str__(self) -> str:
        return f"{self.person} for {self.account}"

    def clean(self) -> None:
        if not Membership.objects.filter(account_id=self.account_id, person_id=self.person_id).exists():
            raise ValidationError({"person": "Only a member of this account can be listed. Invite the person first."})


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
    last_used_at = models.DateTimeField(null=True, editable=False)

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


class Activity(models.Model):
    """The append-only record. Rows are inserted in a batch and sealed; a trigger bars UPDATE and DELETE."""

    TENANT_PATH = "account"
    # What a seal's digest covers, in this order (accounts/activity.py).
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
        indexes = [
            models.Index(fields=["account", "-id"], name="activity_tail"),
            models.Index(fields=["batch", "account"], name="activity_of_batch"),
            models.Index(fields=["kind", "subject_id", "id"], name="activity_of_subject"),
            models.Index(fields=["about", "id"], name="activity_about", condition=~Q(about="")),
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


def forbid_customer(actor: Actor) -> None:
    """For verbs of Support alone."""
    if not actor.staff:
        raise Forbidden("Only Support can do this.")
