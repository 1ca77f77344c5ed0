"""What Support sees of one ticket before and after the decision: facts, VMs, checks, and whom to call back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, F, Min, OuterRef, Q, QuerySet, Subquery, When
from django.utils.html import format_html

from accounts.models import Activity, AuthorizedUser
from ampdr import clock
from ampdr.lifecycle import Actor
from ampdr.templatetags.ampdr import ago, duration, route, when
from failover.actions import Check, Lines, checks, lines_of, ticket_word, why_not_approver
from failover.lifecycle import SHOWN
from failover.models import Failover, Kind, Ticket
from failover.screens.facts import Loss, Standing, expected, profile_words
from failover.screens.foreseen import Fact, Start, end_date, foreseen
from failover.screens.hints import Outages, hints, open_outages
from failover.screens.row import readiness
from failover.tasks.words import FAILURES
from inventory.actions import profiles_of
from inventory.models import Outage, Site
from notices.models import Conversation

FEW = 50
ORANGE, RED = timedelta(minutes=5), timedelta(minutes=15)
NOUNS = {
    Kind.LIVE: "live failover",
    Kind.TEST: "test failover",
    Kind.TERMINATE: "termination",
    Kind.EXTEND: "extension",
}


def count_of(ticket: Ticket) -> str:
    return "1 VM" if ticket.vm_count == 1 else f"{ticket.vm_count:,} VMs"


def button(ticket: Ticket) -> str:
    """What the approving button says: verb, number and noun."""
    return f"Approve {NOUNS[Kind(ticket.kind)]} of {count_of(ticket)}"


def seen_tickets() -> QuerySet[Ticket]:
    """With all that one row of another table tells of each: cities, SSL/VPN users, the sender's proof, conversation."""
    source, target = (Site.objects.filter(code=OuterRef(code)).values("city")[:1] for code in ("source", "target"))
    proof = Activity.objects.filter(kind="ticket", event="request", subject_id=OuterRef("pk")).order_by("pk")
    talk = Conversation.objects.filter(number=OuterRef("number")).values("pk")[:1]
    people = ("account", "requested_by", "filed_by", "decided_by", "about")
    return Ticket.objects.select_related(*people).annotate(
        source_city=Subquery(source), target_city=Subquery(target), proof=Subquery(proof.values("facts")[:1]),
        vpn_users=profiles_of(OuterRef("account"), OuterRef("target")), talk=Subquery(talk),
    )  # fmt: skip


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


# ---- The facts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A ticket with what its page asks once: of what waits to be started its `standing`, of what is decided `counted`.

    `lines`: what it is about; of a termination that isn't filed yet, what it would end.
    """

    ticket: Ticket
    vms: list[Failover]
    outages: Outages
    cities: dict[str, str]
    lines: QuerySet[Failover]
    counted: Lines = field(default_factory=Lines)
    standing: Standing | None = None


def look_at(ticket: Any) -> Seen:
    """One of `seen_tickets()`."""
    lines, waiting = vms_of(ticket), ticket.state == "waiting"
    return Seen(
        ticket, shown_vms(ticket), open_outages(ticket) if waiting or ticket.kind == Kind.TERMINATE else {},
        {ticket.source: ticket.source_city, ticket.target: ticket.target_city}, lines,
        Lines() if waiting else lines_of([ticket.pk])[ticket.pk],
        _standing(ticket, lines) if waiting and not ticket.of_others else None,
    )  # fmt: skip


def _standing(ticket: Any, lines: QuerySet[Failover]) -> Standing:
    """As the customer's preview counts it, of the points that are known now; in one statement."""
    newest, now = F("replication__newest_point_at"), clock.now()
    late = Q(replication__newest_point_at=None) | Q(replication__newest_point_at__lt=now - F("replication__rpo_target"))
    found = lines.aggregate(
        oldest=Min("point_at" if ticket.point_at else newest), target=Min("replication__rpo_target"),
        behind=Count("pk", filter=late), untested=Count("pk", filter=Q(vm__last_test_at=None)),
    )  # fmt: skip
    behind = bool(found["behind"])
    if ticket.point_at:
        behind = bool(found["oldest"] and now - found["oldest"] > found["target"])
    lost = Loss(found["oldest"], ticket.point_at, behind)
    return Standing(lost, found["behind"], found["untested"], **(ticket.vpn_users or {"with_it": 0, "of": 0}))


def facts(seen: Seen) -> list[Fact]:
    """What is known beforehand while it waits; afterwards only what was decided and what came of it."""
    ticket = seen.ticket
    first = [_names(ticket, seen.vms), _way(seen)]
    if ticket.kind == Kind.TERMINATE:
        return first + _of_termination(ticket, seen.outages, seen.lines)
    if ticket.kind == Kind.EXTEND:
        return first + _of_extension(ticket)
    return _of_failover(seen, seen.standing, first) if seen.standing else first + _of_decided(ticket, seen.counted)


def _names(ticket: Ticket, vms: list[Failover]) -> Fact:
    names = ", ".join(line.vm.name for line in vms[:3])
    more = ticket.vm_count - 3
    return Fact("Virtual machines", count_of(ticket), f"{names} and {more:,} more" if more > 0 else names)


def _way(seen: Seen) -> Fact:
    ticket = seen.ticket
    there, back = (ticket.source, ticket.target), (ticket.target, ticket.source)
    label, way = ("Back to", back) if ticket.kind == Kind.TERMINATE else ("From → to", there)
    return Fact(label, route(*way), " to ".join(seen.cities.get(code) or code for code in way))


def _of_failover(seen: Seen, standing: Standing, first: list[Fact]) -> list[Fact]:
    """The customer's six, and beneath them how it starts, or how it ends."""
    ticket, of = seen.ticket, standing
    needed, has = expected(seen.lines.values("vm"), ticket.vm_count), profile_words(of.with_it, of.of)
    start = Start(ticket.kind, ticket.source, ticket.target, of.lost, needed, of.with_it, has)
    how = Fact("How it starts", f"Planned if {ticket.source} answers at the start, otherwise unplanned")
    return [*foreseen(start, *first), how if ticket.kind == Kind.LIVE else end_date(ticket.ends_at)]


def _of_decided(ticket: Ticket, lines: Lines) -> list[Fact]:
    choice = when(ticket.point_at) if ticket.point_at else "Newest at start"
    test, yet = ticket.kind == Kind.TEST, "not yet" if ticket.state == "approved" else "it never started"
    lost = Fact("Lost, as measured", "—", yet)
    if lines.loss_seconds is not None:
        lost = Fact("Lost, as measured", duration(lines.loss_seconds), "the most of one VM")
    untouched = Fact("Originals", "Untouched", f"running in {ticket.source} and replicated")
    confirmed = Fact("Confirmed by the customer", f"{lines.confirmed} of {ticket.vm_count}", "said that it works")
    return [
        Fact("Recovery point", choice, "as requested"),
        untouched if test else lost,
        Fact("Running since", when(lines.running_at), ago(lines.running_at) if lines.running_at else yet),
        end_date(ticket.ends_at) if test else confirmed,
    ]


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
    seen, waiting = look_at(ticket), ticket.state == "waiting"
    vms, outages = seen.vms, seen.outages
    listing, others = listed(ticket)
    found = all_checks(actor, ticket) if waiting else []
    quick = quick_choices(ticket, outages)
    return {
        "ticket": ticket, "vms": vms, "more": max(0, ticket.vm_count - len(vms)),
        "facts": facts(seen), "word": ticket_word(ticket, seen.counted), "waiting": waiting,
        "waited": _lasted(ticket.requested_at),
        "waiting_tone": waiting_tone(ticket), "checks": found,
        "hints": hints(ticket, outages, seen.lines, seen.standing) if waiting else [],
        "own": any(check.code == "not_the_approver" and not check.holds for check in found),
        "why_not": [check.words for check in found if not check.holds], "button": button(ticket),
        "quick": quick, "prefilled": "outage" if "outage" in quick and ticket.source in outages else "",
        "listing": listing, "others": others,
    }  # fmt: skip
