"""Requesting, step 2: check and send.

The key of a request is its own through both steps: whatever is pressed, reloaded or gone back to, it leads to the same
ticket. Under it the session keeps a reason that was refused, until it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from accounts.actions import made_with
from accounts.actions.proof import proved as with_factor
from accounts.actions.proof import with_proof
from accounts.actions.second_factor import Factor, factor_of
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, Invalid
from failover.actions import Wish, request_failover, wrong_in
from failover.forms import PROVED, Send, What, moment
from failover.models import Failover, Kind
from failover.screens import cautions
from failover.screens.facts import Access, access, expected, loss
from failover.screens.proved import proved
from failover.views.choice import FEW, Choice, kept, names
from failover.views.request import (
    chosen_here,
    count_words,
    days_until,
    key_in,
    key_of,
    say_needed,
    step_one,
    unused_key,
)
from failover.views.standing import as_it_stands, see_other
from inventory.models import VM, Site

TYPED = "failover_request"  # what the session keeps: the key of a request that was refused, and its reason
UNFIT = ("not_protected", "already_in_failover")


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
        days = days_until(self.ends_at, clock.now())
        return {"kind": self.kind, **point, **({"days": days} if days else {}), "key": self.key}


def confirm(request: Visit) -> HttpResponse:
    """GET previews what step 1 has chosen, POST sends it."""
    if request.method == "POST":
        return _send(request)
    what = What.read(request.GET)
    choice, key = chosen_here(request, request.GET, what.asked_kind), key_in(request.GET)
    if "key" in request.GET and (number := _made(request, choice, key)):
        return see_other("failover", request.actor.account_slug, number)
    if not what.is_valid() or not choice.vms:
        return step_one(request, what, choice, "" if choice.vms else "Choose at least one VM.", status=400)
    asked, wrong = _what_is_asked(what, choice, unused_key(request, choice))
    if wrong:
        what.add_error("moment" if what.cleaned_data["point"] == "own" else "point", wrong)
        return step_one(request, what, choice, status=400)
    if len(choice.routes) > 1 or choice.unfit(asked.kind):
        return step_one(request, what, choice, status=409)
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
        "expected": expected([vm.pk for vm in choice.vms], len(choice.vms)),
        "change": kept(QueryDict(), choice.fields, **asked.entered),
        "test_instead": kept(QueryDict(), choice.fields, **{**asked.entered, "kind": Kind.TEST.value}),
        "back": reverse("failovers", args=[request.actor.account_slug]), **told,
    }  # fmt: skip
    return render(request, "failover/confirm.html", context, status=status)


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


# ---- Its key: what was typed, what was sent --------------------------------------------------------------------------


def _made(request: Visit, choice: Choice, key: str) -> str:
    """The ticket that was made with this key of these VMs: whoever comes back to a request that he sent finds it."""
    number = made_with(request.actor, key)
    if not number or choice.whole:
        return number
    lines = Failover.objects.filter(ticket__number=number).values_list("vm", flat=True)
    return number if set(lines) == {vm.pk for vm in choice.vms} else ""


def _keep_typed(request: Visit, key: str) -> None:
    request.session[TYPED] = [key, request.POST.get("reason", "")[:5000]]


def _typed(request: Visit, key: str, choice: Choice) -> str:
    """The reason that was typed for this request before, or that of the earlier one."""
    was, reason = request.session.get(TYPED) or ("", "")
    return reason if was == key else choice.earlier.reason if choice.earlier else ""


# ---- Sending ---------------------------------------------------------------------------------------------------------


def _send(request: Visit) -> HttpResponse:
    """All or nothing. A repeated form leads to the ticket that it made the first time."""
    actor, key = request.actor, key_of(request)
    choice = chosen_here(request, request.POST, request.POST.get("kind", ""))
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
        return _once_more(request, asked, form, 400)
    try:
        ticket = with_proof(
            request, actor, form.cleaned_data["code"], lambda actor: request_failover(actor, _wish(asked, form), key)
        )
    except Invalid as refusal:
        if number := made_with(actor, key):  # pressed twice: the first one used the code
            return see_other("failover", actor.account_slug, number)
        form.refuse(refusal.fields | (_beside(request, asked, form) if "code" in refusal.fields else {}))
        return _once_more(request, asked, form, 400)
    except Forbidden as refusal:
        say_needed(form, refusal)
        form.refuse(_beside(request, asked, form))
        return _once_more(request, asked, form, 403)
    except Conflict as refusal:
        return _look_again(request, asked, form, as_it_stands(request, refusal, key))
    request.session.pop(TYPED, None)
    return see_other("failover", actor.account_slug, ticket.number)


def _beside(request: Visit, asked: Asked, form: Send) -> dict[str, list[str]]:
    """What is wrong beside a code that is: all is said at once. A code that is right counts, and holds meanwhile."""
    return wrong_in(request.actor, _wish(asked, form))


def _wish(asked: Asked, form: Send) -> Wish:
    said = form.cleaned_data
    vms = [vm.uuid for vm in asked.choice.vms]
    return Wish(asked.kind, vms, said["reason"], said["site_code"], asked.point_at, asked.ends_at)


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


def _once_more(request: Visit, asked: Asked, form: Send, status: int) -> HttpResponse:
    """The same page with what is wrong beside the fields, and without what can't be requested any more."""
    if unfit := asked.choice.unfit(asked.kind):
        vm, why = unfit[0]
        changed = Conflict(f"{vm.name}: {why}.", code="not_protected", title="The VMs have changed")
        return _look_again(request, asked, form, changed)
    _keep_typed(request, asked.key)
    return _preview(request, asked, form, status)


def _look_again(request: Visit, asked: Asked, form: Send, refusal: Conflict) -> HttpResponse:
    """What changed since the preview was read: the same page once more, of what is still free, with all that was typed.

    Where nothing is left to request, the refusal has its own page, and the way back keeps the reason.
    """
    _keep_typed(request, asked.key)
    now = chosen_here(request, request.POST, asked.kind)
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
