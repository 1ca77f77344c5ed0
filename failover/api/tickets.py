"""Failover tickets, what may be done with them, and their lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    KEY_ACCEPTED,
    KEY_REQUIRED,
    SESSION_ONLY,
    Door,
    Nothing,
    PagesByUuid,
    described,
    made,
    number_of,
    page_of,
)
from accounts.models import Permission, forbid_customer
from ampdr.errors import Absent, Forbidden
from ampdr.lifecycle import Actor
from failover.actions import (
    Wish,
    approve,
    confirm,
    lines_of,
    need_listing,
    record_result,
    reject,
    request_extension,
    request_failover,
    request_termination,
    withdraw,
)
from failover.api.shapes import (
    LINE,
    DecisionBody,
    ExtensionBody,
    FailoverShape,
    ReasonBody,
    ResultBody,
    TerminationBody,
    TicketBody,
    TicketPages,
    TicketShape,
    line_row,
    ticket_row,
)
from failover.models import Failover, Ticket
from inventory.models import VM

READING = dict.fromkeys(("GET", "HEAD"), "failover.view_ticket")
DECIDING = {"POST": "failover.change_ticket"}


class AboutTickets(Door):
    """What the addresses of tickets share."""

    def mine(self) -> QuerySet[Ticket]:
        found = Ticket.objects.visible_to(self.actor, Permission.READ_REPLICATION)
        return found.select_related("about", "requested_by", "filed_by", "decided_by", "result_by", "account")

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
        """The lines of a ticket; of a termination or extension the failovers that it names."""
        ticket = self.ticket(number)
        named = {"named_in__ticket" if ticket.of_others else "ticket": ticket}
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


class Extend(AboutTickets):
    """Asks for a later end date."""

    @described("request_extension", TicketShape, status=201, request=ExtensionBody, parameters=[KEY_REQUIRED])
    def post(self, request: Request, number: str) -> Response:
        """Requests a later end date of what runs of this test: a ticket of its own. Until it is approved the old date
        stands. A test is extended once, and runs for 7 days from its approval at most."""
        about = self.ticket(number)
        body, key = self.asked(ExtensionBody, self.may_request, keyed=True)
        ticket = request_extension(self.actor, about, body["ends_at"], body["reason"], key)
        return made(self.shown(ticket.number), reverse("api-ticket", args=[self.slug, ticket.number]))


class Result(AboutTickets):
    """The customer says how a test went."""

    @described("record_result", TicketShape, request=ResultBody, parameters=[KEY_ACCEPTED])
    def post(self, request: Request, number: str) -> Response:
        """Records the result of a test that ran. It changes no state; another one takes its place."""
        ticket = self.ticket(number)
        body, key = self.asked(ResultBody, self.may_request)
        self.once(key, ["result", number, body], lambda: record_result(self.actor, ticket, **body))
        return Response(self.shown(number))


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
