"""Failover tickets, what may be done with them, and their lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    KEY_ACCEPTED,
    KEY_REQUIRED,
    SESSION_ONLY,
    Body,
    Door,
    Moment,
    Nothing,
    PagesByNumber,
    PagesByUuid,
    Text,
    VmName,
    Vms,
    described,
    made,
    number_of,
    page_of,
)
from accounts.models import Permission, forbid_customer
from ampdr.errors import Absent, Forbidden
from ampdr.lifecycle import Actor
from failover.actions import (
    Lines,
    Wish,
    approve,
    confirm,
    lines_of,
    need_listing,
    reject,
    request_failover,
    request_termination,
    ticket_word,
    version_of,
    withdraw,
)
from failover.lifecycle import FAILOVER, TICKET
from failover.models import Failover, Kind, Ticket
from inventory.models import VM

READING = dict.fromkeys(("GET", "HEAD"), "failover.view_ticket")
DECIDING = {"POST": "failover.change_ticket"}
RENAMED = ("state_since", "source", "target")
WAITING_ON = [("", "Automatic"), ("support", "Support"), ("customer", "You")]


class TicketShape(serializers.Serializer[Any]):
    """A request for failovers, and Support's decision on it. `word` tells how it stands, from its lines too."""

    number = serializers.CharField()
    kind = serializers.ChoiceField(Kind.choices)
    about = serializers.CharField(allow_null=True, help_text="of a termination: the ticket that it ends")
    state = serializers.ChoiceField(TICKET.choices())
    word = serializers.CharField()
    version = serializers.CharField(help_text="what a decision on it must name")
    source_site = serializers.CharField()
    target_site = serializers.CharField()
    vm_count = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="lines by state")
    confirmed = serializers.IntegerField(help_text="how many running lines the customer has confirmed")
    point_at = serializers.DateTimeField(allow_null=True, help_text="null: the newest at start")
    ends_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    decided_by = serializers.CharField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_reason = serializers.CharField()


class FailoverShape(serializers.Serializer[Any]):
    """One VM's line of a ticket. Of `mode`, `recovered_to` and `loss_seconds` it tells what was used at its start."""

    uuid = serializers.UUIDField()
    vm = VmName()
    kind = serializers.ChoiceField(["live", "test"])
    state = serializers.ChoiceField(FAILOVER.choices())
    word = serializers.CharField()
    since = serializers.DateTimeField()
    source_site = serializers.CharField()
    target_site = serializers.CharField()
    stand_in = serializers.UUIDField(allow_null=True, help_text="uuid of the VM that it made and that is there now")
    mode = serializers.CharField(help_text="planned, unplanned or empty")
    fenced = serializers.CharField(help_text="of a live one: pending (source not fenced yet), yes or empty")
    recovered_to = serializers.DateTimeField(allow_null=True)
    loss_seconds = serializers.FloatField(allow_null=True)
    address = serializers.IPAddressField(allow_null=True)
    running_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    confirmed_by = serializers.CharField(allow_null=True)
    step = serializers.CharField()
    percent = serializers.IntegerField()
    waiting_on = serializers.ChoiceField(WAITING_ON)
    last_error = serializers.CharField()
    next_step_at = serializers.DateTimeField(allow_null=True)


class TicketBody(Vms):
    """`site_code` and `code` (live only): the recovery site, typed, and a second factor, unless it was proved within
    the last 5 minutes. Without `point_at`: the newest point at start."""

    kind = serializers.ChoiceField(["test", "live"])
    reason = Text(required=False, default="")
    site_code = Text(required=False, default="", max_length=40)
    code = Text(required=False, default="", max_length=40)
    point_at = Moment(required=False, allow_null=True, default=None)
    ends_at = Moment(required=False, allow_null=True, default=None)


class TerminationBody(Body):
    """`site_code` and `code` (live only): the primary site, typed, and a second factor, unless it was proved within
    the last 5 minutes."""

    reason = Text(required=False, default="")
    site_code = Text(required=False, default="", max_length=40)
    code = Text(required=False, default="", max_length=40)


class ReasonBody(Body):
    reason = Text(required=False, default="")


class DecisionBody(Body):
    """`version` is the ticket's, as it was read before deciding. `code` is a second factor, wanted unless it was
    proved within the last 5 minutes."""

    version = Text(max_length=60)
    reason = Text(required=False, default="")
    code = Text(required=False, default="", max_length=40)


class TicketPages(PagesByNumber):
    state = serializers.ChoiceField(TICKET.choices(), required=False)
    kind = serializers.ChoiceField(Kind.choices, required=False)


def ticket_row(ticket: Ticket, lines: Lines) -> dict[str, Any]:
    return {
        "number": ticket.number,
        "kind": ticket.kind,
        "about": ticket.about.number if ticket.about else None,
        "state": ticket.state,
        "word": ticket_word(ticket, lines).word,
        "version": version_of(ticket),
        "source_site": ticket.source,
        "target_site": ticket.target,
        "vm_count": ticket.vm_count,
        "counts": {state: n for state, n in lines.counts.items() if n},
        "confirmed": lines.confirmed,
        "point_at": ticket.point_at,
        "ends_at": ticket.ends_at,
        "reason": ticket.reason,
        "requested_by": ticket.requested_by.name,
        "requested_at": ticket.requested_at,
        "decided_by": ticket.decided_by.name if ticket.decided_by else None,
        "decided_at": ticket.decided_at,
        "decision_reason": ticket.decision_reason,
    }


LINE = (
    "uuid",
    "vm__uuid",
    "vm__name",
    "kind",
    "state",
    "state_since",
    "source",
    "target",
    "mode",
    "fenced",
    "running_at",
    "ends_at",
    "confirmed_at",
    "confirmed_by__name",
    "step",
    "percent",
    "waiting_on",
    "last_error",
    "next_step_at",
    "launch__point_at",
    "launch__loss_seconds",
    "launch__address",
)


def line_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name, value in row.items() if "__" not in name and name not in RENAMED},
        "source_site": row["source"],
        "target_site": row["target"],
        "vm": {"uuid": row["vm__uuid"], "name": row["vm__name"]},
        "word": FAILOVER.states[row["state"]].word,
        "since": row["state_since"],
        "recovered_to": row["launch__point_at"],
        "loss_seconds": row["launch__loss_seconds"],
        "address": row["launch__address"],
        "confirmed_by": row["confirmed_by__name"],
    }


class AboutTickets(Door):
    """What the addresses of tickets share."""

    def mine(self) -> QuerySet[Ticket]:
        found = Ticket.objects.visible_to(self.actor, Permission.READ_REPLICATION)
        return found.select_related("about", "requested_by", "decided_by", "account")

    def ticket(self, number: str) -> Ticket:
        if found := self.mine().filter(number=number_of(number)).first():
            return found
        raise Absent

    def shown(self, number: str) -> dict[str, Any]:
        ticket = self.ticket(number)
        return ticket_row(ticket, lines_of([ticket.pk])[ticket.pk])

    def may_request(self) -> None:
        need_listing(self.actor)

    def may_decide(self) -> None:
        if self.actor.via == "token":
            raise Forbidden("Support decides, signed in, never by a token.", code="not_by_token")
        forbid_customer(self.actor)


class Tickets(AboutTickets):
    """Failover tickets of the account."""

    @described("list_tickets", page_of(TicketShape), parameters=[TicketPages])
    def get(self, request: Request) -> Response:
        """The account's failover tickets, newest first."""
        mine = self.mine()
        asked = self.query(TicketPages)
        chosen = {name: asked[name] for name in ("state", "kind") if name in asked}
        page = self.listed(asked, mine, mine.filter(**chosen), "number")
        lines = lines_of([ticket.pk for ticket in page["results"]])
        return Response({**page, "results": [ticket_row(ticket, lines[ticket.pk]) for ticket in page["results"]]})

    @described("request_failover", TicketShape, status=201, request=TicketBody, parameters=[KEY_REQUIRED])
    def post(self, request: Request) -> Response:
        """Requests a failover of these VMs, all or none. Support decides.

        A live one is for a signed-in person with a second factor proved within the last 5 minutes, never for a token.
        """
        self.actor.need(Permission.READ_REPLICATION)
        body, key = self.asked(TicketBody, self.may_request, keyed=True)
        code, wish = body.pop("code"), Wish(**body)
        ticket = self.proving(code, lambda actor: request_failover(actor, wish, key))
        return made(self.shown(ticket.number), reverse("api-ticket", args=[self.slug, ticket.number]))


class OneTicket(AboutTickets):
    """One failover ticket. Signed-in Support reads every account's."""

    for_support = READING

    @described("get_ticket", TicketShape)
    def get(self, request: Request, number: str) -> Response:
        """One failover ticket."""
        return Response(self.shown(number))


class TicketLines(AboutTickets):
    """The failovers of one ticket. Signed-in Support reads every account's."""

    for_support = READING

    @described("list_failovers", page_of(FailoverShape), parameters=[PagesByUuid])
    def get(self, request: Request, number: str) -> Response:
        """The lines of a ticket; of a termination the failovers that it ends."""
        ticket = self.ticket(number)
        named = {"named_in__ticket" if ticket.kind == Kind.TERMINATE else "ticket": ticket}
        mine = Failover.objects.filter(**named)
        stand_in = Subquery(VM.objects.filter(made_by=OuterRef("uuid")).values("uuid")[:1])
        found = mine.annotate(stand_in=stand_in).values(*LINE, "stand_in")
        page = self.listed(self.query(PagesByUuid), mine, found, "uuid", "pk")
        return Response({**page, "results": [line_row(row) for row in page["results"]]})


class Withdraw(AboutTickets):
    """Takes a waiting request back."""

    @described("withdraw_ticket", TicketShape, request=ReasonBody, parameters=[KEY_ACCEPTED])
    def post(self, request: Request, number: str) -> Response:
        """Takes back a request that waits for Support."""
        ticket = self.ticket(number)
        body, key = self.asked(ReasonBody, self.may_request)
        self.once(key, ["withdraw", number, body], lambda: withdraw(self.actor, ticket, body["reason"]))
        return Response(self.shown(number))


class Confirm(AboutTickets):
    """The customer says that it works."""

    @described("confirm_ticket", TicketShape, request=None, parameters=[KEY_ACCEPTED])
    def post(self, request: Request, number: str) -> Response:
        """Confirms that what runs of this ticket works. It changes no state."""
        ticket = self.ticket(number)
        _, key = self.asked(Nothing, self.may_request)
        self.once(key, ["confirm", number], lambda: confirm(self.actor, ticket))
        return Response(self.shown(number))


class Terminate(AboutTickets):
    """Asks for the end of what runs."""

    @described("request_termination", TicketShape, status=201, request=TerminationBody, parameters=[KEY_REQUIRED])
    def post(self, request: Request, number: str) -> Response:
        """Requests the end of what runs of this ticket: a ticket of its own.

        Of a live one: for a signed-in person with a second factor proved within the last 5 minutes, never for a token.
        """
        about = self.ticket(number)
        body, key = self.asked(TerminationBody, self.may_request, keyed=True)
        said = body["reason"], body["site_code"]
        ticket = self.proving(body["code"], lambda actor: request_termination(actor, about, *said, key))
        return made(self.shown(ticket.number), reverse("api-ticket", args=[self.slug, ticket.number]))


class Decision(AboutTickets):
    """Support's decision."""

    for_support = DECIDING

    def decide(self, number: str, name: str, verb: Callable[[Actor, Ticket, str, str], None]) -> Response:
        ticket = self.ticket(number)
        self.may_decide()
        body, key = self.asked(DecisionBody)
        code, said = body.pop("code"), (body["reason"], body["version"])
        do = [name, number, body]
        self.proving(code, lambda actor: self.once(key, do, lambda: verb(actor, ticket, *said)))
        return Response(self.shown(number))


class Approve(Decision):
    @described("approve_ticket", TicketShape, request=DecisionBody, parameters=[KEY_ACCEPTED], auth=SESSION_ONLY)
    def post(self, request: Request, number: str) -> Response:
        """Approves what waits. For signed-in Support, of whom nobody is the requester or a member of the account."""
        return self.decide(number, "approve", approve)


class Reject(Decision):
    @described("reject_ticket", TicketShape, request=DecisionBody, parameters=[KEY_ACCEPTED], auth=SESSION_ONLY)
    def post(self, request: Request, number: str) -> Response:
        """Rejects what waits, with a reason that the customer reads. For signed-in Support."""
        return self.decide(number, "reject", reject)
