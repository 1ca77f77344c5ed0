"""People, accounts and the heads of their records."""

from __future__ import annotations

import unicodedata
import zoneinfo
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from ampdr import clock


def check_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is not a time zone. Take one such as America/Chicago.")


# Joiners are letters' own business in some scripts; every other invisible sign only serves to deceive.
JOINERS = "\u200c\u200d"
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def check_name(name: str) -> None:
    """A name is one line of visible signs: no line break for a mail's header, no mark that turns the text around."""
    if any(sign not in JOINERS and unicodedata.category(sign) in UNSEEN for sign in name):
        raise ValidationError("Leave out line breaks and invisible signs.")
    if not name.strip():
        raise ValidationError("This field cannot be blank.")


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
    name = models.CharField(max_length=120, validators=[check_name])
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    demo = models.BooleanField(default=False, editable=False)  # of a demonstration's world: its codes can be printed
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
    ("accounts", "admin", "api", "failovers", "healthz", "invitation", "me", "metrics", "outages", "readyz", "sign-in",
     "sign-out", "static", "theme"),
)  # fmt: skip
check_slug = RegexValidator(r"^[a-z][a-z0-9-]{1,39}$", "2 to 40 small letters, digits and hyphens, a letter first.")


class Account(models.Model):
    """A customer organisation."""

    TENANT_PATH = "pk"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "pk"}

    slug = models.CharField(max_length=40, unique=True, validators=[check_slug])
    name = models.CharField(max_length=120, validators=[check_name])
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
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account"}
    COUNTERS: ClassVar[tuple[str, ...]] = (
        "protected", "attention", "setup", "unprotected", "live", "tests", "waiting", "running", "outages",
    )  # fmt: skip

    account = models.OneToOneField(Account, null=True, on_delete=models.PROTECT, related_name="head")
    number = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="")
    closed_to = models.PositiveBigIntegerField(default=0)  # the rows of seals up to this number lie in closed files
    version = models.PositiveBigIntegerField(default=0)
    protected = models.IntegerField(default=0)
    attention = models.IntegerField(default=0)
    setup = models.IntegerField(default=0)
    unprotected = models.IntegerField(default=0)
    live = models.IntegerField(default=0)
    tests = models.IntegerField(default=0)
    waiting = models.IntegerField(default=0)
    running = models.IntegerField(default=0)
    outages = models.IntegerField(default=0, db_default=0)  # open ones that the account was told of

    @property
    def all_vms(self) -> int:
        return self.protected + self.attention + self.setup + self.unprotected + self.live

    def __str__(self) -> str:
        return f"Head of {self.account or 'the installation'}"


class FactorReset(models.Model):
    """A lost second factor: a Support lead asks for its removal after a call-back, a second one of staff approves."""

    TENANT_PATH: ClassVar[str | None] = None  # a person may be a member of several accounts
    IN_ACTIVITY: ClassVar[dict[str, str]] = {}

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="factor_resets")
    reason = models.CharField(max_length=400)
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=clock.now)
    approved_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    approved_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person"], condition=Q(approved_at=None), name="factor_reset_open_once"),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=models.F("asked_by")), name="factor_reset_by_two"
            ),
            models.CheckConstraint(
                condition=~Q(asked_by=models.F("person")) & (Q(approved_by=None) | ~Q(approved_by=models.F("person"))),
                name="factor_reset_of_another",
            ),
        ]

    def __str__(self) -> str:
        return f"Reset of {self.person}'s second factor"


class Throttle(models.Model):
    """How often something was tried since its window began; in the database, so that every process counts alike."""

    TENANT_PATH: ClassVar[str | None] = None  # keyed by what is guarded, before anybody knows who asks

    key = models.CharField(max_length=160, unique=True)
    count = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
