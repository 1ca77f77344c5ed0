"""Requesting, step 1: what and from when. Its `key` goes along to step 2."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from accounts.actions import made_with
from accounts.actions.second_factor import NEEDED
from accounts.models import AuthorizedUser, Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Forbidden
from failover.actions import TEST_DAYS_AT_MOST, need_listing, need_read
from failover.forms import PROVED, Send, What
from failover.models import Ticket
from failover.screens.facts import loss
from failover.screens.proved import proved
from failover.views.choice import A_PAGE, Choice, chosen, kept, names, picks
from replication.models import RecoveryPoint

POINTS = 8


def choose(request: Visit) -> HttpResponse:
    choice = chosen_here(request, request.GET, What.read(request.GET).asked_kind)
    before = choice.earlier if "point" not in request.GET else None
    return step_one(request, What.read(request.GET, _entered(before)), choice)


def chosen_here(request: Visit, query: QueryDict, kind: str) -> Choice:
    """The order of refusals (rule 17): may read, is there, may request."""
    need_read(request.actor)
    choice = chosen(request.actor, query, kind)
    need_listing(request.actor)
    return choice


def _entered(earlier: Ticket | None) -> dict[str, str]:
    """What was entered for the ticket that is requested again."""
    if earlier is None:
        return {}
    days = days_until(earlier.ends_at, earlier.requested_at)
    return ({"point": earlier.point_at.isoformat()} if earlier.point_at else {}) | ({"days": days} if days else {})


def days_until(end: datetime | None, start: datetime) -> str:
    return str(min(max(round((end - start) / timedelta(days=1)), 1), TEST_DAYS_AT_MOST)) if end else ""


def step_one(request: Visit, what: What, choice: Choice, wrong: str = "", status: int = 200) -> HttpResponse:
    kind, q = what.asked_kind, request.GET.get("q", "").replace("\0", "").strip()
    parts = choice.parts()
    points = _points(choice)
    best = proved(choice.vms)
    key = unused_key(request, choice)
    context = {
        "what": what, "kind": kind, "choice": choice, "q": q, "wrong": wrong, **names(choice.vms), "key": key,
        "unfit": choice.unfit(kind), "fit_link": _fit_link(request, choice, kind, key),
        "parts": [(site, to, part.vms, kept(request.GET, part.fields)) for site, to, part in parts],
        "picks": [] if choice.whole or parts else picks(request.actor, choice, kind, q),
        "one_by_one": _one_by_one(request, choice, kind),
        "newest": loss(choice.vms, None), "proved": best, "points": points, "days": _days(),
        "typed_point": _typed_point(what, best.at if best else None, points),
        "listed": _listed(request), "back": reverse("failovers", args=[request.actor.account_slug]),
        "site": None if parts or not choice.vms else choice.vms[0].site,
    }  # fmt: skip
    return render(request, "failover/request.html", context, status=status)


def _fit_link(request: Visit, choice: Choice, kind: str, key: str) -> str:
    unfit = {vm.pk for vm, _ in choice.unfit(kind)}
    fit = [vm for vm in choice.vms if vm.pk not in unfit]
    same = {"key": key} if "key" in request.GET else {}
    return kept(request.GET, choice.part(fit, fit="1").fields, **same) if unfit and fit else ""


def _one_by_one(request: Visit, choice: Choice, kind: str) -> str:
    """The same VMs with a box to tick before each, if a page can name them."""
    vms = choice.vms if len(choice.vms) <= A_PAGE else []
    return kept(request.GET, Choice(vms, earlier=choice.earlier, named=True).fields, kind=kind)


def _points(choice: Choice) -> list[RecoveryPoint]:
    """The newest points of the first VM. With another VM each means: its last one at or before that moment."""
    if not choice.vms:
        return []
    points = RecoveryPoint.objects.filter(replication__vm=choice.vms[0], replication__state="protected")
    return list(points.order_by("-at")[:POINTS])


def _typed_point(what: What, proved_at: datetime | None, points: list[RecoveryPoint]) -> datetime | None:
    """The moment that was chosen before, where it isn't among those that the page offers."""
    try:
        at = what.point_at() if what.is_valid() and what.cleaned_data["point"] not in ("", PROVED) else None
    except ValidationError:
        return None
    offered = {proved_at, *(point.at for point in points)}
    return at if what["point"].value() != "own" and at not in offered else None


def _days() -> list[tuple[int, datetime]]:
    return [(days, clock.now() + timedelta(days=days)) for days in range(1, TEST_DAYS_AT_MOST + 1)]


def _listed(request: Visit) -> list[str]:
    """Who else may request."""
    others = AuthorizedUser.objects.visible_to(request.actor, Permission.READ_REPLICATION)
    found = others.standing().exclude(person=request.actor.person_id).order_by("person__name")
    return list(found.values_list("person__name", flat=True)[:20])


# ---- The key of a request --------------------------------------------------------------------------------------------


def _new_key() -> str:
    return uuid.uuid4().hex


def key_in(query: QueryDict) -> str:
    key = query.get("key", "")
    return key if 8 <= len(key) <= 120 and "\0" not in key else _new_key()


def key_of(request: Visit) -> str:
    return key_in(request.POST)


def unused_key(request: Visit, choice: Choice) -> str:
    """The request's own, while it wasn't sent; another one to request again."""
    key = key_in(request.GET)
    return _new_key() if "key" in request.GET and made_with(request.actor, key) else key


# ---- Of every form that sends a request ------------------------------------------------------------------------------


def count_words(n: int) -> str:
    return "1 VM" if n == 1 else f"{n:,} VMs"


def say_needed(form: Send, refusal: Forbidden) -> None:
    """Beside the field, with all that was typed kept; every other refusal of a right has a page of its own."""
    if refusal.code != NEEDED:
        raise refusal
    if refusal.facts.get("case") != "no_factor":  # who has none is told so in the field's place
        form.refuse({"code": [refusal.message]})
