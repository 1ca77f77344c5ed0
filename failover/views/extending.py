"""Asking for a later end date of a test: what it is now, what it can be, and the request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Max
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from accounts.views import Visit
from ampdr import clock
from ampdr.charts import words_of
from ampdr.errors import Conflict, Invalid
from ampdr.templatetags.ampdr import duration
from failover.actions import (
    TEST_DAYS_AT_MOST,
    latest_end,
    need_listing,
    need_read,
    refuse_nothing_to_extend,
    request_extension,
)
from failover.forms import Extend, moment
from failover.models import Failover, Ticket
from failover.views.choice import FEW
from failover.views.request import count_words, key_of
from failover.views.standing import as_it_stands, found_ticket, see_other

NEAR = timedelta(hours=12)  # a day that ends so shortly before the latest one isn't offered beside it


def extend(request: Visit, number: str) -> HttpResponse:
    """GET previews the old and the new end date, POST asks Support for it."""
    actor = request.actor
    need_read(actor)
    ticket = found_ticket(actor, number)
    need_listing(actor)
    key = key_of(request)
    form = Extend(request.POST) if request.method == "POST" else Extend()
    try:
        if request.method == "GET":
            refuse_nothing_to_extend(ticket)
            return _preview(request, ticket, form, key)
        form.choices = list(_choices(ticket))
        if form.is_valid():
            said = form.cleaned_data
            made = request_extension(actor, ticket, moment(said["ends_at"]), said["reason"], key)
            return see_other("failover", actor.account_slug, made.number)
    except Invalid as refusal:
        form.refuse(refusal.fields)
    except Conflict as refusal:
        raise as_it_stands(request, refusal, key, ticket, "Request extension") from refusal
    return _preview(request, ticket, form, key, status=400)


def _choices(ticket: Ticket) -> Iterator[tuple[str, str]]:
    """Whole days after the end date as it is, and the latest that there can be."""
    ends_at, latest = ticket.ends_at, latest_end(ticket)
    if ends_at is None:
        return
    days = [ends_at + timedelta(days=n) for n in range(1, TEST_DAYS_AT_MOST)]
    for at in [*(day for day in days if clock.now() < day < latest - NEAR), latest]:
        yield at.isoformat(), f"{words_of(at)}, {duration(at - ends_at)} later"


def _preview(request: Visit, ticket: Ticket, form: Extend, key: str, status: int = 200) -> HttpResponse:
    form.choices = list(_choices(ticket))
    lines = Failover.objects.filter(ticket=ticket, state="running")
    names = list(lines.order_by("vm__name_key", "pk").values_list("vm__name", flat=True)[:FEW])
    n = lines.count()
    context = {
        "ticket": ticket, "form": form, "key": key, "names": names, "more": max(0, n - FEW), "n": n,
        "count": count_words(n), "ends_at": _ends_at(ticket), "latest": latest_end(ticket), "days": TEST_DAYS_AT_MOST,
        "back": reverse("failovers", args=[request.actor.account_slug]),
        "href": reverse("failover", args=[request.actor.account_slug, ticket.number]),
    }  # fmt: skip
    return render(request, "failover/extend.html", context, status=status)


def _ends_at(ticket: Ticket) -> datetime | None:
    """As it is on the lines, which an approved extension has changed."""
    found: datetime | None = Failover.objects.filter(ticket=ticket).aggregate(at=Max("ends_at"))["at"]
    return found
