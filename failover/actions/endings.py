"""What a customer may do with a ticket that is sent: withdraw it, confirm that it works, ask for its termination."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db import IntegrityError
from django.db.models import F, Q, QuerySet, Value

from accounts.actions import receive
from accounts.actions.second_factor import proof_of
from ampdr.errors import Absent, Conflict
from ampdr.lifecycle import Actor, Change, changes
from ampdr.numbers import next_number
from ampdr.sets import insert_select
from failover.actions.decisions import decide
from failover.actions.requests import Call, need_listing, need_proof, need_session, refuse_fields, wrong_site_code
from failover.models import Failover, Kind, Named, Ticket
from failover.tasks import first_step, open_for, retell

TERMINABLE = ("running", "termination_failed")


def withdraw(actor: Actor, ticket: Ticket, reason: str = "") -> None:
    """Takes back a request that waits for Support. Any authorized user of the account may."""
    need_mine(actor, ticket)
    if ticket.kind == Kind.LIVE or (ticket.about and ticket.about.kind == Kind.LIVE):
        need_session(actor, "Withdrawing it")
    decide(actor, ticket, "withdraw", reason)


def need_mine(actor: Actor, ticket: Ticket) -> None:
    """The doors read tickets of the actor's account alone; a door that forgets it meets this second wall."""
    need_listing(actor)
    if ticket.account_id != actor.account_id:
        raise Absent


def confirm(actor: Actor, ticket: Ticket) -> int:
    """The customer says that the failover VMs work: a fact in the record, and nothing else. Returns how many."""
    need_mine(actor, ticket)
    with changes(actor) as change:
        lines = Failover.objects.filter(ticket=ticket, state="running", confirmed_at=None).order_by("pk")
        keys = list(lines.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
        if not keys:
            raise _nothing_to_confirm(ticket)
        mine = Failover.objects.filter(pk__among=keys)
        mine.update(confirmed_at=change.at, confirmed_by_id=actor.person_id)
        change.note(mine, "failover.confirmed")
        change.finish(retell, [ticket.pk])
    return len(keys)


def _nothing_to_confirm(ticket: Ticket) -> Conflict:
    lines = Failover.objects.filter(ticket=ticket, state="running").exclude(confirmed_at=None)
    last = lines.order_by("-confirmed_at").values("confirmed_by__name", "confirmed_at").first()
    first: dict[str, Any] = {"who": last["confirmed_by__name"], "since": last["confirmed_at"]} if last else {}
    return Conflict(
        f"Nothing of {ticket.number} waits for a confirmation.",
        code="nothing_to_confirm",
        ticket=ticket.number,
        **first,
    )


def request_termination(
    actor: Actor, ticket: Ticket, reason: str, site_code: str, key: str, call: Call | None = None
) -> Ticket:
    """Asks Support to end what runs of a live or test ticket. The same key gets the same request.

    Raises Forbidden (of a live one also: `second_factor_needed`), Invalid (a live one wants a reason and the primary
    site's code) and Conflict: `nothing_runs`, `already_requested`, naming the first.
    """
    need_mine(actor, ticket)
    if ticket.kind == Kind.LIVE:
        need_proof(call.lead if call else actor, "The termination of a live failover", key)
    try:
        with changes(call.lead if call else actor, reason.strip()) as change:
            return _request_once(change, actor, ticket, (reason.strip(), site_code), key, call)
    except IntegrityError as race:
        raise _already_requested(ticket) from race


def _request_once(
    change: Change, actor: Actor, about: Ticket, said: tuple[str, str], key: str, call: Call | None
) -> Ticket:
    reason, site_code = said
    receipt = receive(change.actor, key, ["terminate", about.number, reason])
    if receipt.made:
        return Ticket.objects.get(number=receipt.made)
    if about.kind == Kind.LIVE:
        _check_live(about, reason, site_code)
    running = refuse_nothing_to_end(about)
    ticket = Ticket.objects.create(
        number=next_number("FO"), account_id=about.account_id, kind=Kind.TERMINATE, about=about, source=about.source,
        target=about.target, vm_count=running, reason=reason, requested_by_id=actor.person_id or 0,
        requested_at=change.at, next_step_at=first_step(Kind.TERMINATE, change.at),
        **(call.columns if call else {}),
    )  # fmt: skip
    named = Failover.objects.filter(ticket=about, state__in=TERMINABLE).order_by("pk")
    ticket.vm_count = insert_select(Named, ["ticket", "failover"], named.values_list(Value(ticket.pk), F("pk")))
    ticket.save(update_fields=["vm_count"])
    proof = proof_of(change.actor) if about.kind == Kind.LIVE or call else {}
    open_for(ticket)
    change.begin(Ticket.objects.filter(pk=ticket.pk), "request", **proof, **(call.facts(actor) if call else {}))
    change.tally(ticket.account_id, "waiting", 1)
    receipt.made = ticket.number
    receipt.save(update_fields=["made"])
    return ticket


def _check_live(about: Ticket, reason: str, site_code: str) -> None:
    refuse_fields(wrong_in_termination(about, reason, site_code))


def wrong_in_termination(about: Ticket, reason: str, site_code: str) -> dict[str, list[str]]:
    """What isn't well-formed in such a request; a page asks while the second factor is still to be proved."""
    fields: dict[str, list[str]] = defaultdict(list)
    if about.kind == Kind.LIVE and not reason.strip():
        fields["reason"].append("Say why now. Support reads it, and it goes in the record.")
    words = f"{about.target} is where they run now. Type the site they go back to: {about.source}."
    if about.kind == Kind.LIVE:
        fields["site_code"] += wrong_site_code(site_code, about.source, about.target, words)
    return {name: errors for name, errors in fields.items() if errors}


def refuse_nothing_to_end(about: Ticket) -> int:
    """How many failovers of this ticket a termination would end. Conflict if none runs, or one is named already."""
    running = Failover.objects.filter(ticket=about, state__in=TERMINABLE)
    count = running.count()
    if not count:
        raise Conflict(f"Nothing of {about.number} runs now.", code="nothing_runs", ticket=about.number)
    if Named.objects.filter(failover__in=running, kind=Kind.TERMINATE, waiting=True).exists():
        raise _already_requested(about)
    return count


def ending_of(ticket: Any) -> QuerySet[Named, Any]:
    """The number of the request that ends what runs of this ticket, while it waits or is carried out."""
    mine = Named.objects.filter(Q(waiting=True) | Q(failover__state="terminating"), kind=Kind.TERMINATE)
    mine = mine.filter(ticket__state__in=("waiting", "approved"))  # a rejected one names them until workers let them go
    return mine.filter(failover__ticket=ticket).order_by("-ticket").values("ticket__number")[:1]


def _already_requested(about: Ticket) -> Conflict:
    """Names the request that waits, or whose approval the workers are just carrying out."""
    asked = Ticket.objects.filter(about=about, kind=Kind.TERMINATE, state__in=("waiting", "approved"))
    first = asked.select_related("requested_by").order_by("pk").last() or about
    return Conflict(
        f"Termination of {about.number} is requested already ({first.number}). Nothing was requested.",
        code="already_requested", title=f"{first.number} was first", ticket=first.number,
        who=first.requested_by.name, since=first.requested_at,
    )  # fmt: skip
