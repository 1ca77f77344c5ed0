"""Asking for the end of what runs: what is deleted, how it stands with the primary site, and the request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Max, Min, Q, Window
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from accounts.actions import made_with
from accounts.actions.proof import proved, with_proof
from accounts.actions.second_factor import Factor, factor_of
from accounts.models import Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor
from failover.actions import need_listing, need_read, refuse_nothing_to_end, request_termination, wrong_in_termination
from failover.forms import Send
from failover.models import Failover, Kind, Ticket
from failover.views.choice import FEW
from failover.views.request import count_words, key_of, say_needed
from failover.views.standing import as_it_stands, found_ticket, see_other
from inventory.actions import outages_of
from inventory.models import Outage
from replication.models import PointFeed, Replication

BEFORE = timedelta(days=1)  # an outage that was over so long before the request has nothing to do with it


def terminate(request: Visit, number: str) -> HttpResponse:
    """GET previews what ends and what is deleted, POST asks Support for it."""
    actor = request.actor
    need_read(actor)
    ticket = found_ticket(actor, number)
    need_listing(actor)
    key = key_of(request)
    form = Send(request.POST) if request.method == "POST" else Send()
    try:
        if request.method == "GET":
            refuse_nothing_to_end(ticket)
            return _before_the_end(request, ticket, form, key)
        if not form.is_valid():
            return _before_the_end(request, ticket, form, key, status=400)
        said = form.cleaned_data
        wanted = said["reason"], said["site_code"], key
        made = with_proof(request, actor, said["code"], lambda actor: request_termination(actor, ticket, *wanted))
    except Invalid as refusal:
        if number := made_with(actor, key):  # pressed twice: the first one used the code
            return see_other("failover", actor.account_slug, number)
        beside = wrong_in_termination(ticket, said["reason"], said["site_code"]) if "code" in refusal.fields else {}
        form.refuse(refusal.fields | beside)
        return _before_the_end(request, ticket, form, key, status=400)
    except Forbidden as refusal:
        say_needed(form, refusal)
        form.refuse(wrong_in_termination(ticket, said["reason"], said["site_code"]))
        return _before_the_end(request, ticket, form, key, status=403)
    except Conflict as refusal:
        raise as_it_stands(request, refusal, key, ticket, "Request termination") from refusal
    return see_other("failover", actor.account_slug, made.number)


class Primary(NamedTuple):
    """What is known of the site that the VMs go back to. No provider is asked while a page is made."""

    heard_at: datetime | None
    silent: bool
    outage: Outage | None  # the last one of the site, open or over

    @property
    def down(self) -> bool:
        return self.outage is not None and self.outage.over_at is None

    @property
    def normal_since(self) -> datetime | None:
        return self.outage.over_at if self.outage and not self.silent else None


def _primary(actor: Actor, ticket: Ticket) -> Primary:
    """Silent: the collecting of points gets no answer, or all that is protected there is behind its target."""
    mine = Replication.objects.visible_to(actor, Permission.READ_REPLICATION)
    here = mine.filter(source=ticket.source, state="protected")
    heard = here.aggregate(at=Max("newest_point_at"), target=Max("rpo_target"))
    late = bool(heard["at"] and clock.now() > heard["at"] + heard["target"])
    silent = late or PointFeed.objects.filter(site=ticket.source, attempts__gt=0).exists()
    return Primary(heard["at"], silent, outages_of(ticket.source, ticket.requested_at - BEFORE, clock.now()).last())


def _before_the_end(request: Visit, ticket: Ticket, form: Send, key: str, status: int = 200) -> HttpResponse:
    lines = Failover.objects.filter(ticket=ticket, state__in=("running", "termination_failed"))
    found = lines.annotate(
        n=Window(Count("pk")), since=Window(Min("running_at")),
        unfenced=Window(Count("pk", filter=Q(fenced="pending"))),
    )  # fmt: skip
    first: list[Any] = list(found.order_by("vm__name_key", "pk").values("vm__name", "n", "since", "unfenced")[:FEW])
    known: dict[str, Any] = first[0] if first else {"n": 0, "since": None, "unfenced": 0}
    live, factor = ticket.kind == Kind.LIVE, factor_of(proved(request, request.actor))
    context = {
        "ticket": ticket, "live": live, "count": count_words(known["n"]), **known, "key": key,
        "names": [one["vm__name"] for one in first], "more": max(0, known["n"] - FEW),
        "form": form.dress(live, f"Type the code of the primary site, {ticket.source}", factor),
        "no_factor": live and factor == Factor.NONE,
        "primary": _primary(request.actor, ticket),
        "back": reverse("failovers", args=[request.actor.account_slug]),
        "href": reverse("failover", args=[request.actor.account_slug, ticket.number]),
    }  # fmt: skip
    return render(request, "failover/terminate.html", context, status=status)
