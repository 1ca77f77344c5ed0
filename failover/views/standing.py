"""How a ticket stands now, for whoever comes too late, and the ticket that an address names."""

from __future__ import annotations

from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.actions import made_with
from accounts.models import Permission
from accounts.views import Visit
from ampdr.errors import Absent, Conflict
from ampdr.lifecycle import Actor
from failover.actions import lines_of, ticket_word
from failover.models import Kind, Ticket
from inventory.actions import profiles_of
from inventory.models import Site

DONE = {"approved": "approved", "rejected": "rejected", "withdrawn": "withdrew"}


def found_ticket(actor: Actor, number: str) -> Ticket:
    """The account's ticket of this number, with its people, cities and SSL/VPN users. Raises Forbidden, Absent."""
    tickets = Ticket.objects.visible_to(actor, Permission.READ_REPLICATION).filter(number=number.replace("\0", ""))
    source, target = (Site.objects.filter(code=OuterRef(code)).values("city")[:1] for code in ("source", "target"))
    found = tickets.select_related(
        "requested_by", "decided_by", "filed_by", "result_by", "about__requested_by"
    ).annotate(
        source_city=Subquery(source), target_city=Subquery(target),
        vpn_users=profiles_of(OuterRef("account"), OuterRef("target")),
    )  # fmt: skip
    ticket = found.first()
    if ticket is None:
        raise Absent
    return ticket


def see_other(name: str, *args: str) -> HttpResponse:
    """After a form was sent: reloading the page that follows sends nothing again."""
    response = redirect(name, *args)
    response.status_code = 303
    return response


def as_it_stands(
    request: Visit, refusal: Conflict, key: str = "", ticket: Ticket | None = None, attempt: str = ""
) -> Conflict:
    """The same refusal with what its page shows: who was first, the ticket's state now, and the way to it."""
    actor = request.actor
    if refusal.code == "idempotency_key_reused":
        _sent_before(refusal, made_with(actor, key))
    number = refusal.facts.get("ticket") or (ticket.number if ticket else "")
    tickets = Ticket.objects.visible_to(actor, Permission.READ_REPLICATION)
    now = tickets.select_related("about").filter(number=number).first()
    if now is None:
        return refusal
    if ticket and refusal.code == "illegal_transition" and refusal.facts.get("who"):
        refusal.title = f"{refusal.facts['who']} {DONE.get(now.state, 'closed')} {now.number}"
        refusal.message = "Yours came later and was not carried out."
    refusal.facts |= {
        "subject": now.number, "href": reverse("failover", args=[actor.account_slug, now.number]),
        "back": reverse("failovers", args=[actor.account_slug]), "back_label": "Failovers", "attempt": attempt,
        "shown": ticket_word(now, lines_of([now.pk])[now.pk]),
        "text": f"{now.get_kind_display()} · {now.vm_count} VM{'' if now.vm_count == 1 else 's'} · {_way(now)}",
    }  # fmt: skip
    return refusal


def _way(ticket: Ticket) -> str:
    there, back = (ticket.source, ticket.target), (ticket.target, ticket.source)
    return " → ".join(back if ticket.kind == Kind.TERMINATE else there)


def _sent_before(refusal: Conflict, number: str) -> None:
    """The form was sent already, and its words were changed afterwards."""
    refusal.title = "This form was sent already"
    refusal.message = f"{number} was made from it. What you changed since was not sent: nothing more was requested."
    refusal.facts["ticket"] = number
