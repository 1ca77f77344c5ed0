"""Requesting: what and from when (step 1), check and send (step 2).

One `key` goes through both steps: it is the request's own, so that whatever is pressed, reloaded or gone back to, the
same key leads to the same ticket. Under it the session keeps a reason that was refused, until it is sent.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from accounts.actions import made_with
from accounts.actions.proof import proved as with_factor
from accounts.actions.proof import with_proof
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
from failover.forms import PROVED, Send, What, moment
from failover.models import Failover, Kind, Ticket
from failover.views import cautions
from failover.views.choice import A_PAGE, FEW, Choice, chosen, kept, names, picks
from failover.views.facts import Access, access, expected, loss
from failover.views.proved import proved
from failover.views.standing import as_it_stands, see_other
from inventory.models import VM, Site
from replication.models import RecoveryPoint

POINTS = 8
TYPED = "failover_request"  # what the session keeps: the key of a request that was refused, and its reason
UNFIT = ("not_protected", "already_in_failover")


# ---- Step 1 ----------------------------------------------------------------------------------------------------------


def choose(request: Visit) -> HttpResponse:
    choice = _chosen(request, request.GET, What.read(request.GET).asked_kind)
    before = choice.earlier if "point" not in request.GET else None
    return _step_one(request, What.read(request.GET, _entered(before)), choice)


def _chosen(request: Visit, query: QueryDict, kind: str) -> Choice:
    """The order of refusals (rule 17): may read, is there, may request."""
    need_read(request.actor)
    choice = chosen(request.actor, query, kind)
    need_listing(request.actor)
    return choice


def _entered(earlier: Ticket | None) -> dict[str, str]:
    """What was entered for the ticket that is requested again."""
    if earlier is None:
        return {}
    days = _days_until(earlier.ends_at, earlier.requested_at)
    return ({"point": earlier.point_at.isoformat()} if earlier.point_at else {}) | ({"days": days} if days else {})


def _days_until(end: datetime | None, start: datetime) -> str:
    return str(min(max(round((end - start) / timedelta(days=1)), 1), TEST_DAYS_AT_MOST)) if end else ""


def _step_one(request: Visit, what: What, choice: Choice, wrong: str = "", status: int = 200) -> HttpResponse:
    kind, q = what.asked_kind, request.GET.get("q", "").replace("\0", "").strip()
    parts = choice.parts()
    points = _points(choice)
    best = proved(choice.vms)
    key = _unused_key(request, choice)
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


def _key_in(query: QueryDict) -> str:
    key = query.get("key", "")
    return key if 8 <= len(key) <= 120 and "\0" not in key else _new_key()


def key_of(request: Visit) -> str:
    return _key_in(request.POST)


def _made(request: Visit, choice: Choice, key: str) -> str:
    """The ticket that was made with this key of these VMs: whoever comes back to a request that he sent finds it."""
    number = made_with(request.actor, key)
    if not number or choice.whole:
        return number
    lines = Failover.objects.filter(ticket__number=number).values_list("vm", flat=True)
    return number if set(lines) == {vm.pk for vm in choice.vms} else ""


def _unused_key(request: Visit, choice: Choice) -> str:
    """The request's own, while it wasn't sent; another one to request again."""
    key = _key_in(request.GET)
    return _new_key() if "key" in request.GET and made_with(request.actor, key) else key


def _keep_typed(request: Visit, key: str) -> None:
    request.session[TYPED] = [key, request.POST.get("reason", "")[:5000]]


def _typed(request: Visit, key: str, choice: Choice) -> str:
    """The reason that was typed for this request before, or that of the earlier one."""
    was, reason = request.session.get(TYPED) or ("", "")
    return reason if was == key else choice.earlier.reason if choice.earlier else ""


# ---- Step 2 ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What is requested, of which VMs, under which key."""

    choice: Choice
    kind: str
    point_at: datetime | None
    ends_at: datetime | None
    key: str

    @property
    def live(self) -> bool:
        return self.kind == Kind.LIVE

    @property
    def entered(self) -> dict[str, str]:
        """For a link back to step 1."""
        point = {"point": self.point_at.isoformat()} if self.point_at else {}
        days = _days_until(self.ends_at, clock.now())
        return {"kind": self.kind, **point, **({"days": days} if days else {}), "key": self.key}


def confirm(request: Visit) -> HttpResponse:
    """GET previews what step 1 has chosen, POST sends it."""
    if request.method == "POST":
        return _send(request)
    what = What.read(request.GET)
    choice, key = _chosen(request, request.GET, what.asked_kind), _key_in(request.GET)
    if "key" in request.GET and (number := _made(request, choice, key)):
        return see_other("failover", request.actor.account_slug, number)
    if not what.is_valid() or not choice.vms:
        return _step_one(request, what, choice, "" if choice.vms else "Choose at least one VM.", status=400)
    asked, wrong = _what_is_asked(what, choice, _unused_key(request, choice))
    if wrong:
        what.add_error("moment" if what.cleaned_data["point"] == "own" else "point", wrong)
        return _step_one(request, what, choice, status=400)
    if len(choice.routes) > 1 or choice.unfit(asked.kind):
        return _step_one(request, what, choice, status=409)
    return _preview(request, asked, Send(initial={"reason": _typed(request, key, choice)}))


def _what_is_asked(what: What, choice: Choice, key: str) -> tuple[Asked, str]:
    """And what is wrong with its recovery point."""
    at, wrong = what.point_at(), ""
    if what.cleaned_data["point"] == PROVED:
        best = proved(choice.vms)
        at, wrong = (best.at, "") if best else (None, "No point that a test has proved is kept any more.")
    asked = Asked(choice, what.asked_kind, at, what.ends_at(), key)
    return asked, wrong or _wrong_moment(asked)


def _wrong_moment(asked: Asked) -> str:
    if asked.point_at is None:
        return ""
    if asked.point_at > clock.now():
        return "This moment has not come yet. Choose one that lies in the past."
    vms = asked.choice.vms
    if missing := loss(vms, asked.point_at).missing:
        which = "No point" if len(vms) == 1 else f"Of {missing} of the {len(vms)} VMs no point"
        return f"{which} as old as this is kept. Choose a later moment."
    return ""


def _preview(request: Visit, asked: Asked, form: Send, status: int = 200, **told: Any) -> HttpResponse:
    """`told`: what has changed since the VMs were looked at."""
    choice, live, factor = asked.choice, asked.live, factor_of(with_factor(request, request.actor))
    source, target = _sites(choice)
    reach = access(request.actor, target.code)
    best = proved(choice.vms) if asked.point_at else None
    context = {
        "choice": choice, "count": count_words(len(choice.vms)), **names(choice.vms), "asked": asked, "live": live,
        "key": asked.key, "form": form.dress(live, f"Type the recovery site code, {target.code}", factor),
        "no_factor": live and factor == Factor.NONE, "source": source, "target": target, "access": reach,
        "loss": loss(choice.vms, asked.point_at), "proved": best if best and best.at == asked.point_at else None,
        "warnings": _warnings(asked, source, target, reach), "addresses": _addresses(choice.vms) if live else {},
        "expected": expected([vm.pk for vm in choice.vms]), "change": kept(QueryDict(), choice.fields, **asked.entered),
        "test_instead": kept(QueryDict(), choice.fields, **{**asked.entered, "kind": Kind.TEST.value}),
        "back": reverse("failovers", args=[request.actor.account_slug]), **told,
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


def _warnings(asked: Asked, source: Site, target: Site, reach: Access) -> list[cautions.Caution]:
    if asked.live:
        return cautions.of_live(asked.choice.vms, asked.point_at is None, source, target, reach)
    return cautions.of_test(asked.choice.vms, target, reach)


def _addresses(vms: list[VM]) -> dict[str, Any]:
    """The first few that are known beforehand, how many more are, and how many aren't."""
    known = [vm for vm in vms if vm.failover_address]
    return {"known": known[:FEW], "more": max(0, len(known) - FEW), "unknown": len(vms) - len(known)}


# ---- Sending ---------------------------------------------------------------------------------------------------------


def _send(request: Visit) -> HttpResponse:
    """All or nothing. A repeated form leads to the ticket that it made the first time."""
    actor, key = request.actor, key_of(request)
    choice = _chosen(request, request.POST, request.POST.get("kind", ""))
    asked = _asked(request.POST, choice, key)
    if choice.whole and (number := made_with(actor, key)):
        return see_other("failover", actor.account_slug, number)
    form = Send(request.POST)
    if choice.whole and choice.digest != request.POST.get("digest"):
        return _look_again(request, asked, form, _others(request, choice))
    if not choice.vms:
        raise Invalid("Choose at least one VM.", fields={"vms": ["Choose at least one VM."]})
    return _request(request, asked, form)


def _request(request: Visit, asked: Asked, form: Send) -> HttpResponse:
    actor, key = request.actor, asked.key
    if not form.is_valid():
        return _preview(request, asked, form, status=400)
    try:
        ticket = with_proof(
            request, actor, form.cleaned_data["code"], lambda actor: request_failover(actor, _wish(asked, form), key)
        )
    except Invalid as refusal:
        if number := made_with(actor, key):  # pressed twice: the first one used the code
            return see_other("failover", actor.account_slug, number)
        form.refuse(refusal.fields)
        return _preview(request, asked, form, status=400)
    except Forbidden as refusal:
        say_needed(form, refusal)
        return _preview(request, asked, form, status=403)
    except Conflict as refusal:
        return _look_again(request, asked, form, as_it_stands(request, refusal, key))
    request.session.pop(TYPED, None)
    return see_other("failover", actor.account_slug, ticket.number)


def _wish(asked: Asked, form: Send) -> Wish:
    said = form.cleaned_data
    vms = [vm.uuid for vm in asked.choice.vms]
    return Wish(asked.kind, vms, said["reason"], said["site_code"], asked.point_at, asked.ends_at)


def say_needed(form: Send, refusal: Forbidden) -> None:
    """Beside the field, with all that was typed kept; every other refusal of a right has a page of its own."""
    if refusal.code != NEEDED:
        raise refusal
    if refusal.facts.get("case") != "no_factor":  # who has none is told so in the field's place
        form.refuse({"code": [refusal.message]})


def _asked(form: QueryDict, choice: Choice, key: str) -> Asked:
    kind = form.get("kind", "")
    if kind not in (Kind.LIVE, Kind.TEST):
        raise Invalid("Choose a test or a live failover.", fields={"kind": ["Choose a test or a live failover."]})
    try:
        return Asked(choice, kind, moment(form.get("point_at", "")), moment(form.get("ends_at", "")), key)
    except ValidationError as error:
        raise Invalid(error.messages[0]) from error


def _others(request: Visit, choice: Choice) -> Conflict:
    return Conflict(
        f"{f'In {choice.site}' if choice.site else 'Of your choice'} other VMs are free now than those you checked.",
        code="vms_changed", title="The VMs have changed",
    )  # fmt: skip


def _look_again(request: Visit, asked: Asked, form: Send, refusal: Conflict) -> HttpResponse:
    """What changed since the preview was read: the same page once more, of what is still free, with all that was typed.

    Where nothing is left to request, the refusal has its own page, and the way back keeps the reason.
    """
    _keep_typed(request, asked.key)
    now = _chosen(request, request.POST, asked.kind)
    unfit = now.unfit(asked.kind)
    gone = {vm.pk for vm, _ in unfit}
    fit = now.part([vm for vm in now.vms if vm.pk not in gone], fit="1") if unfit else now
    told = refusal.code in ("vms_changed", "point_gone") or (refusal.code in UNFIT and unfit)
    if not told or len(fit.routes) != 1:
        start = reverse("failover-new", args=[request.actor.account_slug])
        query = kept(QueryDict(), now.fields, **asked.entered)
        refusal.facts = {"subject": "the request", "href": f"{start}?{query}"} | refusal.facts
        raise refusal
    again = Asked(fit, asked.kind, asked.point_at, asked.ends_at, asked.key)
    return _preview(request, again, form, status=409, refusal=refusal, left_out=unfit)
