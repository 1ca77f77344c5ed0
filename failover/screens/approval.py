"""What Support sees of one ticket before and after the decision: facts, VMs, checks, and whom to call back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, Min, Q, QuerySet, When
from django.utils.html import format_html

from accounts.models import AuthorizedUser
from ampdr import clock
from ampdr.lifecycle import Actor
from ampdr.templatetags.ampdr import ago, duration, route, when
from failover.actions import Check, checks, lines_of, why_not_approver
from failover.lifecycle import SHOWN
from failover.models import Failover, Kind, Ticket
from failover.screens.facts import expected
from failover.screens.hints import Outages, hints, open_outages
from failover.screens.row import readiness
from failover.tasks.words import FAILURES
from inventory.models import Outage, Site

FEW = 50
ORANGE, RED = timedelta(minutes=5), timedelta(minutes=15)
NOUNS = {
    Kind.LIVE: "live failover",
    Kind.TEST: "test failover",
    Kind.TERMINATE: "termination",
    Kind.EXTEND: "extension",
}


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    small: str = ""
    tone: str = ""


def count_of(ticket: Ticket) -> str:
    return "1 VM" if ticket.vm_count == 1 else f"{ticket.vm_count:,} VMs"


def button(ticket: Ticket) -> str:
    """What the approving button says: verb, number and noun."""
    return f"Approve {NOUNS[Kind(ticket.kind)]} of {count_of(ticket)}"


# ---- The VMs ---------------------------------------------------------------------------------------------------------


def vms_of(ticket: Ticket) -> QuerySet[Failover]:
    """The ticket's own lines; those that it names, for a termination."""
    mine = {"named_in__ticket": ticket} if ticket.of_others else {"ticket": ticket}
    return Failover.objects.filter(**mine)


def shown_vms(ticket: Ticket) -> list[Failover]:
    """The first fifty, those that wait for Support before the others, each with the point that it starts from."""
    urgent = Case(
        When(state__in=FAILURES, then=0), When(Q(waiting_on="support") | Q(flag="two_places"), then=0), default=1
    )
    found = vms_of(ticket).select_related("vm", "launch").annotate(point=_point(ticket), urgent=urgent)
    lines: list[Any] = list(found.order_by("urgent", "vm__name_key", "pk")[:FEW])
    for line in lines:
        line.tested = readiness(line.vm, clock.now())
        line.unfenced = line.fenced == "pending" and line.state in SHOWN
    return lines


def _point(ticket: Ticket) -> F:
    """What a start is bound to: a point that was chosen stands on the line, whatever was collected since."""
    return F("point_at" if ticket.point_at else "replication__newest_point_at")


# ---- The six facts ---------------------------------------------------------------------------------------------------


def facts(ticket: Ticket, vms: list[Failover], outages: Outages, lines: QuerySet[Failover] | None = None) -> list[Fact]:
    """What is known beforehand while it waits; afterwards only what was decided and what came of it.

    `lines`: of a termination that isn't filed yet, what it would end.
    """
    first = [_names(ticket, vms), _way(ticket)]
    if ticket.kind == Kind.TERMINATE:
        return first + _of_termination(ticket, outages, vms_of(ticket) if lines is None else lines)
    if ticket.kind == Kind.EXTEND:
        return first + _of_extension(ticket)
    return first + (_of_failover(ticket, outages) if ticket.state == "waiting" else _of_decided(ticket))


def _names(ticket: Ticket, vms: list[Failover]) -> Fact:
    names = ", ".join(line.vm.name for line in vms[:3])
    more = ticket.vm_count - 3
    return Fact("Virtual machines", count_of(ticket), f"{names} and {more:,} more" if more > 0 else names)


def _way(ticket: Ticket) -> Fact:
    cities = dict(Site.objects.filter(code__in=(ticket.source, ticket.target)).values_list("code", "city"))
    there, back = (ticket.source, ticket.target), (ticket.target, ticket.source)
    label, way = ("Back to", back) if ticket.kind == Kind.TERMINATE else ("From → to", there)
    return Fact(label, route(*way), " to ".join(cities.get(code, code) for code in way))


def _of_failover(ticket: Ticket, outages: Outages) -> list[Fact]:
    at = ticket.point_at or vms_of(ticket).aggregate(at=Min("replication__newest_point_at"))["at"]
    which = "chosen by the customer" if ticket.point_at else "newest of each"
    point = Fact("Recovery point", when(at), f"{_old(at)}, {which}")
    if ticket.kind == Kind.LIVE:
        return [point, _loss(at), _time_needed(ticket), _start(ticket, outages)]
    originals = Fact("The originals", "Go on running", "untouched, the test VMs beside them")
    return [point, Fact("Test ends", when(ticket.ends_at), "by itself, on this date"), _time_needed(ticket), originals]


def _start(ticket: Ticket, outages: Outages) -> Fact:
    """While the source has an outage "Planned" alone would promise too much."""
    if ticket.source in outages:
        return Fact("How it starts", f"Planned if {ticket.source} answers at start, otherwise unplanned")
    return Fact("How it starts", "Planned", f"if {ticket.source} answers then, otherwise unplanned")


def _of_decided(ticket: Ticket) -> list[Fact]:
    lines = lines_of([ticket.pk])[ticket.pk]
    choice = when(ticket.point_at) if ticket.point_at else "Newest at start"
    loss = "Not known" if lines.loss_seconds is None else duration(lines.loss_seconds)
    confirmed = Fact("Confirmed by the customer", f"{lines.confirmed} of {ticket.vm_count}", "said that it works")
    ends = Fact("Test ends", when(ticket.ends_at), "by itself, on this date")
    return [
        Fact("Recovery point", choice, "as requested"),
        Fact("Lost, as measured", loss, "the most of one VM"),
        Fact("Running since", when(lines.running_at), ago(lines.running_at) if lines.running_at else "not yet"),
        ends if ticket.kind == Kind.TEST else confirmed,
    ]


def _old(at: datetime | None) -> str:
    return f"{duration(clock.now() - at)} old" if at else "none known"


def _loss(at: datetime | None) -> Fact:
    if at is None:
        return Fact("Expected loss", "Not known", "no recovery point is known", "bad")
    return Fact(
        "Expected loss",
        f"Up to {duration(clock.now() - at)}",
        format_html("changes since {} are lost", when(at)),
        "bad",
    )


def _time_needed(ticket: Ticket) -> Fact:
    """As the customer's pages say it."""
    needed = expected(vms_of(ticket).values("vm"), ticket.vm_count)
    return Fact("Expected time to running", needed.words, needed.detail)


def _of_termination(ticket: Ticket, outages: Outages, lines: QuerySet[Failover]) -> list[Fact]:
    live = ticket.about is not None and ticket.about.kind == Kind.LIVE
    since = lines.aggregate(at=Min("running_at"))["at"]
    ended = f"{ticket.about.get_kind_display()} {ticket.about.number}" if ticket.about else ""
    found = [Fact("Running since", when(since), ago(since)), Fact("Ends", ended, "live" if live else "test")]
    if not live:
        return [*found, Fact("Deleted", "The test VMs", "the originals are untouched"), _confirmed(ticket, lines)]
    lost = Fact("Deleted", "All changes since then", f"made in {ticket.target}, not copied back", "bad")
    return [*found, lost, _primary_site(ticket, outages)]


def _primary_site(ticket: Ticket, outages: Outages) -> Fact:
    """Whether the site that they go back to is well."""
    if outage := outages.get(ticket.source):
        return Fact(f"{ticket.source} now", f"Outage {outage.number}", f"open for {_lasted(outage.started_at)}", "bad")
    last = Outage.objects.filter(site__code=ticket.source).order_by("-over_at").first()
    small = format_html("normal since {}", when(last.over_at)) if last else "none was ever declared"
    return Fact(f"{ticket.source} now", "No outage", small)


def _lasted(since: datetime) -> str:
    return duration(clock.now() - since)


def _confirmed(ticket: Ticket, lines: QuerySet[Failover]) -> Fact:
    confirmed = lines.exclude(confirmed_at=None).count()
    return Fact("Confirmed by the customer", f"{confirmed} of {ticket.vm_count}", "said that it works")


def _of_extension(ticket: Ticket) -> list[Fact]:
    """The date that stands until it is approved, the one that is asked for, and how long a test that makes."""
    test = ticket.about or ticket
    since = vms_of(ticket).aggregate(at=Min("running_at"), ends=Min("ends_at"))
    waits = ticket.state == "waiting"
    label, at = ("Old end date", test.ends_at) if waits else ("End date now", since["ends"])
    whole = duration(ticket.ends_at - test.decided_at) if ticket.ends_at and test.decided_at else "Not known"
    return [
        Fact("Extends", f"{test.get_kind_display()} {test.number}", format_html("running since {}", when(since["at"]))),
        Fact(label, when(at), "stands until this is approved" if waits else ""),
        Fact("New end date", when(ticket.ends_at), ago(ticket.ends_at)),
        Fact("Runs in all", whole, "since its approval, a week at most"),
    ]


# ---- Checks and people -----------------------------------------------------------------------------------------------


def all_checks(actor: Actor, ticket: Ticket) -> list[Check]:
    why_not = why_not_approver(actor, ticket)
    return [*checks(ticket), Check("not_the_approver", not why_not, why_not or "Not your own request or account")]


def listed(ticket: Ticket) -> tuple[AuthorizedUser | None, list[AuthorizedUser]]:
    """The requester's listing, if he is still on the list, and the others who are."""
    found = AuthorizedUser.objects.filter(account=ticket.account_id).standing().select_related("person")
    everybody: Iterable[AuthorizedUser] = list(found.order_by("person__name")[:FEW])
    mine = [one for one in everybody if one.person_id == ticket.requested_by_id]
    return (mine[0] if mine else None), [one for one in everybody if one not in mine]


def quick_choices(ticket: Ticket, outages: Outages) -> dict[str, str]:
    """Reasons for a decision that are one click: what is posted -> the words. The last one is one's own."""
    phone = {"phone": "Agreed by phone", "own": ""}
    if ticket.kind == Kind.LIVE:
        outage = outages.get(ticket.source)
        return {"outage": f"Outage {outage.number} confirmed" if outage else "Outage confirmed", **phone}
    return {"planned": "Planned test", **phone} if ticket.kind == Kind.TEST else phone


def waiting_tone(ticket: Ticket) -> str:
    """Orange from five minutes, red from fifteen."""
    waited = clock.now() - ticket.requested_at
    return "bad" if waited >= RED else "warn" if waited >= ORANGE else ""


def context(actor: Actor, ticket: Ticket) -> dict[str, Any]:
    """Everything the page prints beside admin's own frame."""
    vms, outages = shown_vms(ticket), open_outages(ticket)
    waiting = ticket.state == "waiting"
    listing, others = listed(ticket)
    found = all_checks(actor, ticket) if waiting else []
    quick = quick_choices(ticket, outages)
    return {
        "ticket": ticket, "vms": vms, "more": max(0, ticket.vm_count - len(vms)),
        "facts": facts(ticket, vms, outages), "waiting": waiting, "waited": _lasted(ticket.requested_at),
        "waiting_tone": waiting_tone(ticket), "checks": found,
        "hints": hints(ticket, outages, vms_of(ticket)) if waiting else [],
        "own": any(check.code == "not_the_approver" and not check.holds for check in found),
        "why_not": [check.words for check in found if not check.holds], "button": button(ticket),
        "quick": quick, "prefilled": "outage" if "outage" in quick and ticket.source in outages else "",
        "listing": listing, "others": others,
    }  # fmt: skip
