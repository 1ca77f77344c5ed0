"""Messages to people, made from the record; and conversations between an account and Support."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Account, Person, TenantQuerySet
from ampdr import clock
from ampdr.lifecycle import State
from ampdr.work import Driven


class Channel(models.TextChoices):
    PORTAL = "portal", "In the portal"
    EMAIL = "email", "E-mail"


class Reading(Driven):
    """How far an account's record has been read for notices: up to the seal with this number.

    The one without an account reads the installation's log.
    """

    TENANT_PATH = "account"

    account = models.OneToOneField(Account, null=True, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account"], name="reading_once", nulls_distinct=False)]

    def __str__(self) -> str:
        return f"Reading of {self.account or 'the installation'}"


class Notice(Driven):
    """One message to one person by one channel. `event` names what it is about, so that a repeat makes none."""

    TENANT_PATH = "account"

    account = models.ForeignKey(Account, null=True, on_delete=models.CASCADE, related_name="notices")
    person = models.ForeignKey(Person, null=True, on_delete=models.CASCADE, related_name="notices")
    email = models.EmailField()  # where it goes; of an invitation nobody is a person yet
    event = models.CharField(max_length=120)
    kind = models.CharField(max_length=24)  # of the preferences: what people switch on and off
    channel = models.CharField(max_length=8, choices=Channel)
    about = models.CharField(max_length=16, blank=True, default="")
    permission = models.CharField(max_length=24, blank=True, default="")  # without it the notice isn't shown
    title = models.CharField(max_length=200)
    text = models.TextField()
    path = models.CharField(max_length=200, blank=True, default="")  # where it leads, in the portal
    secret = models.CharField(max_length=24, blank=True, default="")  # the kind of link signed when the mail is made
    subject_id = models.BigIntegerField(null=True)  # what that link is for
    message_id = models.CharField(max_length=120, default="")
    made_at = models.DateTimeField(default=clock.now)
    sent_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event", "email", "channel"], name="notice_once"),
        ]
        indexes = [
            models.Index(fields=["next_step_at"], name="notice_due", condition=Q(next_step_at__isnull=False)),
            models.Index(fields=["person", "account", "-id"], name="notice_list", condition=Q(channel="portal")),
            models.Index(fields=["email", "-id"], name="notice_of_address"),
            models.Index(fields=["-id"], name="notice_waiting", condition=Q(waiting_on="support")),
        ]

    def __str__(self) -> str:
        return self.title


class Preference(models.Model):
    """A person's wish to have or not to have notices of a kind by a channel; without one they come."""

    TENANT_PATH: ClassVar[str | None] = None  # a person's, in every account of his

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="preferences")
    kind = models.CharField(max_length=24)
    channel = models.CharField(max_length=8, choices=Channel)
    on = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "kind", "channel"], name="preference_once")]

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}: {'on' if self.on else 'off'}"


class Turn(models.TextChoices):
    """Who is to write next, by who wrote last; of a failover ticket nobody may have written yet."""

    NOBODY = "", "Nobody wrote yet"
    SUPPORT = "support", "Waiting for Support"
    CUSTOMER = "customer", "Waiting for you"


class Conversation(models.Model):
    """Messages between an account and Support about one thing. It never moves a state.

    A failover ticket's bears the ticket's number, title and state word; every other one a T-number.
    """

    class Kind(models.TextChoices):
        FAILOVER = "failover", "Failover"
        ORDER = "order", "Order"
        LIST = "list", "Authorized users"
        OTHER = "other", "Question"

    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account", "about": "number"}

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="conversations")
    number = models.CharField(max_length=16, unique=True)
    kind = models.CharField(max_length=8, choices=Kind)
    about = models.CharField(max_length=16, blank=True, default="")  # the RO-number of an order's line, say
    title = models.CharField(max_length=200)
    word = models.CharField(max_length=80, blank=True, default="")  # a ticket's state; empty: by turn and closed_at
    tone = models.CharField(max_length=8, blank=True, default="")
    icon = models.CharField(max_length=24, blank=True, default="")
    vms = models.PositiveIntegerField(default=0)
    answers = ArrayField(models.CharField(max_length=120), default=list, blank=True, db_default=[])  # to choose from
    turn = models.CharField(max_length=8, choices=Turn, blank=True, default=Turn.NOBODY)
    turn_since = models.DateTimeField(default=clock.now)  # of the first message that isn't answered yet
    opened_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    opened_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["account", "-updated_at", "-id"], name="conversation_list"),
            models.Index(fields=["turn", "turn_since"], name="conversation_queue", condition=Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def shown_state(self) -> State:
        """As the customer sees it: a ticket's own state, or whose turn it is."""
        if self.word:
            return State("", self.word, self.tone, self.icon)
        if self.closed_at:
            return State("closed", "Closed", "off", "circle-x")
        if self.turn == Turn.CUSTOMER:
            return State("customer", Turn.CUSTOMER.label, "info", "mail")
        return State("support", Turn.SUPPORT.label, "warn", "clock")


class Message(models.Model):
    """Plain text, never changed."""

    TENANT_PATH = "conversation__account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "conversation__account", "about": "conversation__number"}

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    person = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL, related_name="+")
    author = models.CharField(max_length=120)
    staff = models.BooleanField(default=False)
    at = models.DateTimeField(default=clock.now)
    text = models.TextField()

    objects = TenantQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.author} in {self.conversation.number}"
