"""Requesting: what and from when (step 1), check and send (step 2)."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from accounts.actions import made_with
from accounts.actions.proof import proved, with_proof
from accounts.actions.second_factor import NEEDED, Factor, factor_of
from accounts.models import AuthorizedUser, Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, Invalid
from failover.actions import (
    TEST_DAYS_AT_MOST,
    Wish,
    need_listing,
    need_read,
    request_failover,
)
from failover.forms import Send, What, moment
from failover.models import Kind
from failover.views.choice import Choice, chosen, kept, names, picks
from failover.views.facts import Loss, expected, loss, rpo_behind
from failover.views.standing import as_it_stands, see_other
from inventory.models import Site
from replication.models import RecoveryPoint

POINTS = 8


# ---- Step 1 ----------------------------------------------------------------------------------------------------------


def choose(request: Visit) -> HttpResponse:
    what = What.read(request.GET)
    return _step_one(request, what, _chosen(request, request.GET, what.asked_kind))


def _chosen(request: Visit, query: QueryDict, kind: str) -> Choice:
    """The order of refusals (rule 17): may read, is there, may request."""
    need_read(request.actor)
    choice = chosen(request.actor, query, kind)
    need_listing(request.actor)
    return choice


def _step_one(request: Visit, what: What, choice: Choice, wrong: str = "", status: int = 200) -> HttpResponse:
    kind, q = what.asked_kind, request.GET.get("q", "").replace("\0", "").strip()
    by_site = choice.by_site()
    context = {
        "what": what, "kind": kind, "choice": choice, "q": q, "wrong": wrong, **names(choice.vms),
        "unfit": choice.unfit(kind), "fit_link": _fit_link(request, choice, kind),
        "routes": [(site, vms, kept(request.GET, choice.part(vms, site=site).fields)) for site, vms in by_site.items()],
        "picks": [] if choice.whole or len(by_site) > 1 else picks(request.actor, choice, kind, q),
        "newest": loss(choice.vms, None), "points": _points(choice), "days": _days(),
        "listed": _listed(request), "back": reverse("failovers", args=[request.actor.account_slug]),
        "site": choice.vms[0].site if len(by_site) == 1 else None,
    }  # fmt: skip
    return render(request, "failover/request.html", context, status=status)


def _fit_link(request: Visit, choice: Choice, kind: str) -> str:
    unfit = {vm.pk for vm, _ in choice.unfit(kind)}
    fit = [vm for vm in choice.vms if vm.pk not in unfit]
    return kept(request.GET, choice.part(fit, fit="1").fields) if unfit and fit else ""


def _points(choice: Choice) -> list[RecoveryPoint]:
    """The newest points of the first VM. With another VM each means: its last one at or before that moment."""
    if not choice.vms:
        return []
    points = RecoveryPoint.objects.filter(replication__vm=choice.vms[0], replication__state="protected")
    return list(points.order_by("-at")[:POINTS])


def _days() -> list[tuple[int, datetime]]:
    return [(days, clock.now() + timedelta(days=days)) for days in range(1, TEST_DAYS_AT_MOST + 1)]


def _listed(request: Visit) -> list[str]:
    """Who else may request."""
    others = AuthorizedUser.objects.visible_to(request.actor, Permission.READ_REPLICATION)
    found = others.standing().exclude(person=request.actor.person_id).order_by("person__name")
    return list(found.values_list("person__name", flat=True)[:20])


# ---- Step 2 ----------------------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    kind: str
    point_at: datetime | None
    ends_at: datetime | None


def confirm(request: Visit) -> HttpResponse:
    """GET previews what step 1 has chosen, POST sends it."""
    if request.method == "POST":
        return _send(request)
    what = What.read(request.GET)
    choice = _chosen(request, request.GET, what.asked_kind)
    if not what.is_valid() or not choice.vms:
        return _step_one(request, what, choice, "" if choice.vms else "Choose at least one VM.", status=400)
    asked = Asked(what.asked_kind, what.point_at(), what.ends_at())
    if wrong := _wrong_moment(choice, asked):
        what.add_error("moment", wrong)
        return _step_one(request, what, choice, status=400)
    if len(choice.routes) > 1 or choice.unfit(asked.kind):
        return _step_one(request, what, choice, status=409)
    form = Send(initial={"reason": choice.reason})
    return _preview(request, choice, asked, form, _new_key())


def _wrong_moment(choice: Choice, asked: Asked) -> str:
    if asked.point_at is None:
        return ""
    if asked.point_at > clock.now():
        return "This moment has not come yet. Choose one that lies in the past."
    if missing := loss(choice.vms, asked.point_at).missing:
        which = "No point" if len(choice.vms) == 1 else f"Of {missing} of the {len(choice.vms)} VMs no point"
        return f"{which} as old as this is kept. Choose a later moment."
    return ""


def _preview(
    request: Visit, choice: Choice, asked: Asked, form: Send, key: str, status: int = 200
) -> HttpResponse:  # fmt: skip
    live, factor = asked.kind == Kind.LIVE, factor_of(proved(request, request.actor))
    source, target = _sites(choice)
    at_risk = loss(choice.vms, asked.point_at)
    query = QueryDict(mutable=True)
    query.update({"kind": asked.kind, **({"point": asked.point_at.isoformat()} if asked.point_at else {})})
    context = {
        "choice": choice, "count": count_words(len(choice.vms)), **names(choice.vms), "asked": asked, "live": live,
        "key": key, "form": form.dress(live, f"Type the recovery site code, {target.code}", factor),
        "no_factor": live and factor == Factor.NONE,
        "source": source, "target": target, "loss": at_risk, "warnings": _warnings(choice, asked, at_risk, source),
        "expected": expected([vm.pk for vm in choice.vms]), "change": kept(query, choice.fields),
        "test_instead": kept(query, choice.fields, kind=Kind.TEST.value),
        "back": reverse("failovers", args=[request.actor.account_slug]),
    }  # fmt: skip
    return render(request, "failover/confirm.html", context, status=status)


def count_words(n: int) -> str:
    return "1 VM" if n == 1 else f"{n:,} VMs"


def _sites(choice: Choice) -> tuple[Site, Site]:
    """Raises Conflict where the VMs are on different routes: that is step 1's to sort out."""
    if len(choice.routes) != 1:
        raise Conflict("These VMs don't go the same way. Make one request for each site.", code="two_sites")
    (code, target) = choice.routes[0]
    found = {site.code: site for site in Site.objects.filter(code__in=(code, target))}
    return found[code], found.get(target) or Site(code=target, city=target)


class Caution(NamedTuple):
    title: str
    text: str


def _warnings(choice: Choice, asked: Asked, at_risk: Loss, source: Site) -> list[Caution]:
    """Each exactly when it is true."""
    if asked.kind != Kind.LIVE:
        return []
    found = []
    if tests := [vm.name for vm in choice.vms if vm.held_by and not vm.failover_state]:
        found.append(Caution("A test is running.", f"The test of {_some(tests)} is terminated first."))
    if untested := [vm.name for vm in choice.vms if vm.last_test_at is None]:
        found.append(Caution("Never tested:", f"{_some(untested)}. Nobody has seen yet whether recovery works."))
    behind = [vm.name for vm in choice.vms if rpo_behind(vm, clock.now())]
    if behind and not asked.point_at:
        words = f"the newest recovery point of {_some(behind)} is older than its target."
        found.append(Caution("RPO behind:", words))
    return found


def _some(found: list[str]) -> str:
    more = len(found) - 3
    return ", ".join(found[:3]) + (f" and {more} more" if more > 0 else "")


def _new_key() -> str:
    return uuid.uuid4().hex


def key_of(request: Visit) -> str:
    key = request.POST.get("key", "")
    return key if 8 <= len(key) <= 120 and "\0" not in key else _new_key()


def _send(request: Visit) -> HttpResponse:
    """All or nothing. A repeated form leads to the ticket that it made the first time."""
    actor, key = request.actor, key_of(request)
    choice = _chosen(request, request.POST, request.POST.get("kind", ""))
    asked = _asked(request.POST)
    if (request.POST.get("site") or request.POST.get("choice")) and (number := made_with(actor, key)):
        return see_other("failover", actor.account_slug, number)
    _need_same(request, choice)
    form = Send(request.POST)
    if not form.is_valid():
        return _preview(request, choice, asked, form, key, status=400)
    said = form.cleaned_data
    wish = Wish(
        asked.kind, [vm.uuid for vm in choice.vms], said["reason"], said["site_code"], asked.point_at, asked.ends_at
    )
    try:
        ticket = with_proof(request, actor, said["code"], lambda actor: request_failover(actor, wish, key))
    except Invalid as refusal:
        if number := made_with(actor, key):  # pressed twice: the first one used the code
            return see_other("failover", actor.account_slug, number)
        form.refuse(refusal.fields)
        return _preview(request, choice, asked, form, key, status=400)
    except Forbidden as refusal:
        say_needed(form, refusal)
        return _preview(request, choice, asked, form, key, status=403)
    except Conflict as refusal:
        raise as_it_stands(request, refusal, key) from refusal
    return see_other("failover", actor.account_slug, ticket.number)


def say_needed(form: Send, refusal: Forbidden) -> None:
    """Beside the field, with all that was typed kept; every other refusal of a right has a page of its own."""
    if refusal.code != NEEDED:
        raise refusal
    if refusal.facts.get("case") != "no_factor":  # who has none is told so in the field's place
        form.refuse({"code": [refusal.message]})


def _asked(form: QueryDict) -> Asked:
    kind = form.get("kind", "")
    if kind not in (Kind.LIVE, Kind.TEST):
        raise Invalid("Choose a test or a live failover.", fields={"kind": ["Choose a test or a live failover."]})
    try:
        return Asked(kind, moment(form.get("point_at", "")), moment(form.get("ends_at", "")))
    except ValidationError as error:
        raise Invalid(error.messages[0]) from error


def _need_same(request: Visit, choice: Choice) -> None:
    if not choice.vms:
        raise Invalid("Choose at least one VM.", fields={"vms": ["Choose at least one VM."]})
    if (choice.site or choice.draft) and choice.digest != request.POST.get("digest"):
        query = kept(request.POST, choice.fields)
        raise Conflict(
            f"{f'In {choice.site}' if choice.site else 'Of your choice'} other VMs are free now than those you checked."
            " Check them again: nothing was requested.",
            title="The VMs have changed", subject="the request",
            href=f"{reverse('failover-confirm', args=[request.actor.account_slug])}?{query}",
        )  # fmt: skip
