"""Tickets, their lines, and what was used when a line started."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import ClassVar

from django.db import models
from django.db.models import Case, F, Q, Value, When

from accounts.models import Account, Person, TenantQuerySet
from ampdr import clock
from ampdr.lifecycle import Stateful
from ampdr.work import Driven
from failover.lifecycle import FAILOVER, SHOWN, STARTED, TICKET
from inventory.models import VM
from replication.models import Replication


class Kind(models.TextChoices):
    """What a ticket asks for. `terminate` and `extend` name running failovers of a live or test ticket (`about`)."""

    LIVE = "live", "Live failover"
    TEST = "test", "Test failover"
    TERMINATE = "terminate", "Termination"
    EXTEND = "extend", "Extension"


OF_OTHERS = (Kind.TERMINATE, Kind.EXTEND)  # tickets of these kinds have no lines of their own: they name other's


class TestResult(models.TextChoices):
    """What the customer says of a test."""

    PASSED = "passed", "Passed"
    REMARKS = "remarks", "Passed with remarks"
    FAILED = "failed", "Failed"


class Ticket(Stateful, Driven):
    """FO-n: a request for one to many VMs of one account and one source site, and the decision on it. Never edited.

    While it waits, `next_step_at` is when somebody is reminded of it, or when it lapses; then, when it goes on.
    """

    LIFECYCLE = TICKET
    TENANT_PATH = "account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {"account": "account", "about": "number"}
    CARRIES = ("account_id", "kind", "number")

    state = models.CharField(max_length=24, choices=TICKET.choices(), default=TICKET.initial, editable=False)
    number = models.CharField(max_length=16, unique=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind)
    about = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="requests")
    source = models.CharField(max_length=8)
    target = models.CharField(max_length=8)
    vm_count = models.PositiveIntegerField()
    point_at = models.DateTimeField(null=True)  # the chosen recovery point; null: the newest at start
    ends_at = models.DateTimeField(null=True)  # a test's end date; of an extension, the new one
    reason = models.TextField(blank=True, default="", db_default="")
    requested_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=clock.now)
    # By phone: the Support lead who wrote the request of `requested_by` down, and the number that was called back.
    filed_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    called_back = models.CharField(max_length=40, blank=True, default="", db_default="")
    reminders = models.PositiveIntegerField(default=0, db_default=0)  # so often Support was reminded of it
    reminded_at = models.DateTimeField(null=True)  # the last time
    decided_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    spread_to = models.BigIntegerField(default=0, db_default=0, editable=False)  # key of its last line handed on
    decision_reason = models.TextField(blank=True, default="", db_default="")
    result = models.CharField(max_length=8, choices=TestResult, blank=True, default="", db_default="")  # of a test
    result_notes = models.TextField(blank=True, default="", db_default="")
    result_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    result_at = models.DateTimeField(null=True)
    # The order of Support's queue: live, terminations, tests, extensions.
    rank = models.GeneratedField(
        expression=Case(
            When(kind=Kind.LIVE, then=Value(0)), When(kind=Kind.TERMINATE, then=Value(1)),
            When(kind=Kind.TEST, then=Value(2)), default=Value(3),
        ),
        output_field=models.SmallIntegerField(), db_persist=True,
    )  # fmt: skip

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name = "failover ticket"
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("requested_by")) | Q(state="withdrawn"),
                name="requester_is_not_the_approver",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | Q(filed_by=None) | ~Q(decided_by=F("filed_by")) | Q(state="withdrawn"),
                name="filer_is_not_the_approver",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-id"], name="ticket_list"),
            models.Index(fields=["state", "rank", "requested_at"], name="ticket_queue"),
            models.Index(fields=["next_step_at"], name="ticket_due", condition=Q(next_step_at__isnull=False)),
        ]

    @classmethod
    def recount(cls) -> Iterator[tuple[int, str, int]]:
        """For verify_activity: account, counter of its head, and how many there are."""
        waiting = cls.objects.filter(state="waiting").order_by().values("account")
        yield from waiting.annotate(n=models.Count("pk")).values_list("account", models.Value("waiting"), "n")

    def __str__(self) -> str:
        return self.number

    @property
    def title(self) -> str:
        return f"{self.get_kind_display()} {self.number}"

    @property
    def of_others(self) -> bool:
        """Whether it has no lines of its own, but names those of the ticket that it is about."""
        return self.kind in OF_OTHERS


class Failover(Stateful, Driven):
    """One VM's line of a live or test ticket, and the operation on that VM once the ticket is approved.

    `fenced` tells how it stands with the source of a live one: "" not asked, "pending" asked, "yes" barred.
    `flag`: "outcome_unknown" (the provider can't tell, Support settles it), "two_places" (the source runs too).
    """

    LIFECYCLE = FAILOVER
    TENANT_PATH = "ticket__account"
    IN_ACTIVITY: ClassVar[dict[str, str]] = {
        "account": "ticket__account", "vm": "vm__uuid", "vm_name": "vm__name", "about": "ticket__number",
    }  # fmt: skip
    CARRIES = ("vm_id", "kind", "ticket_id", "ticket__account_id")

    state = models.CharField(max_length=24, choices=FAILOVER.choices(), default=FAILOVER.initial, editable=False)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="lines", db_index=False)
    vm = models.ForeignKey(VM, on_delete=models.PROTECT, related_name="failovers")
    replication = models.ForeignKey(Replication, on_delete=models.PROTECT, related_name="failovers", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind)
    source = models.CharField(max_length=8)
    target = models.CharField(max_length=8)
    point_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    mode = models.CharField(max_length=10, blank=True, default="", db_default="")
    fenced = models.CharField(max_length=8, blank=True, default="", db_default="")
    fence_generation = models.PositiveIntegerField(default=1, db_default=1)
    flag = models.CharField(max_length=20, blank=True, default="", db_default="")
    started_at = models.DateTimeField(null=True)
    running_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # When its people were told: of a test, that its end date comes; of a live one, that it runs in two places.
    reminded_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    confirmed_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["vm"], condition=Q(state="requested"), name="one_requested_per_vm"),
            models.UniqueConstraint(fields=["vm"], condition=Q(state__in=STARTED), name="one_started_per_vm"),
        ]
        indexes = [
            models.Index(
                fields=["step_site", "kind", "next_step_at"],
                name="failover_due",
                condition=Q(next_step_at__isnull=False),
            ),
            models.Index(fields=["ticket", "state", "id"], name="failover_of_ticket"),
            models.Index(
                fields=["id"],
                name="failover_in_two_places",
                condition=Q(kind="live", state="running", reminded_at__isnull=False),
            ),
        ]

    @classmethod
    def recount(cls) -> Iterator[tuple[int, str, int]]:
        running = cls.objects.filter(kind=Kind.LIVE, state__in=SHOWN).order_by().values("ticket__account")
        yield from running.annotate(n=models.Count("pk")).values_list("ticket__account", models.Value("running"), "n")

    def __str__(self) -> str:
        return f"{self.vm.name} in {self.ticket.number}"


class Named(models.Model):
    """A running failover that a ticket of `kind` terminate or extend names: in at most one waiting one of each."""

    TENANT_PATH = "ticket__account"

    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="names")
    failover = models.ForeignKey(Failover, on_delete=models.PROTECT, related_name="named_in")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.TERMINATE, db_default=Kind.TERMINATE)
    waiting = models.BooleanField(default=True, db_default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["failover", "kind"], condition=Q(waiting=True), name="named_once_waiting"),
            models.UniqueConstraint(fields=["ticket", "failover"], name="named_once"),
        ]

    def __str__(self) -> str:
        return f"{self.failover_id} in {self.ticket_id}"


class Launch(models.Model):
    """What was used when a line came to run: recorded once per start, and kept."""

    TENANT_PATH = "failover__ticket__account"

    failover = models.OneToOneField(Failover, on_delete=models.PROTECT, related_name="launch")
    mode = models.CharField(max_length=10)
    point_at = models.DateTimeField(null=True)
    loss_seconds = models.FloatField(null=True)
    address = models.GenericIPAddressField(null=True)
    running_since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.mode} start of {self.failover_id}"
