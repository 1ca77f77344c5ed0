"""What is told of failovers: to authorized users, administrators and the requester, as far as they may read it.

What is live and waits for Support, or runs in two places, is mailed to Support too, from the tenth minute of waiting
on also to each lead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.db.models import Count, F, Min, Q, QuerySet, Sum
from django.urls import reverse

from accounts.actions import LEAD
from accounts.models import Membership, Permission, Person
from ampdr import clock
from ampdr.errors import Conflict
from ampdr.work import WaitingOn
from failover.actions.extending import latest_end, refuse_nothing_to_extend
from failover.lifecycle import ENDED
from failover.models import Failover, Kind, Named, Ticket
from failover.tasks.words import FAILURES
from notices.tasks import Happened, Letter, Member, Per, declare, register
from notices.tasks import Kind as Sort

LIVE = Sort(
    "live_failover", "Live failovers", "Requests, decisions, what runs, what failed, what ended",
    permission=Permission.READ_REPLICATION, always="listed",
    why="You may request failovers, so you hear of every live one.",
)  # fmt: skip
TEST = Sort("test_failover", "Test failovers", "The same of tests", permission=Permission.READ_REPLICATION)
PHONE = Sort(
    "by_phone", "Requests by phone", "Support wrote down a request of somebody who called",
    permission=Permission.READ_REPLICATION, always="everybody",
    why="Somebody asked for it in your account's name, so you hear of it.",
)  # fmt: skip
HALTED = ("starting", "terminating", "undoing")  # states that wait for Support where the provider can't or won't
LEADS_AFTER = 10  # minutes that a live request has waited


def begin() -> None:
    declare(LIVE, TEST, PHONE)
    for event in ("request", "approve", "reject", "withdraw", "lapse"):
        register(f"ticket.{event}", of_ticket)
    for event in ("run", "fail_start"):
        register(f"failover.{event}", started, Per.ABOUT)
    for event in ("end", "fail_termination"):
        register(f"failover.{event}", ended, Per.ABOUT)
    register("failover.give_up", giving_up, Per.BATCH)
    register("failover.undone", given_up, Per.ABOUT)
    register("failover.outcome_unknown", unknown, Per.ABOUT)
    register("ticket.reminded", reminded)
    register("failover.ends_soon", ends_soon, Per.ABOUT)
    register("failover.two_places", two_places, Per.BATCH)


def of_ticket(event: Happened) -> Iterator[Letter]:
    """All concerned; whoever filed it by phone, so that a caller who isn't who he says is found out at once."""
    ticket, what = _ticket(event), event.event.partition(".")[2]
    called = what == "request" and bool(ticket.filed_by)
    letter = _letter(event, ticket, "ticket", what=what, called=called)
    yield replace(letter, kind=PHONE.name) if called else letter
    if what == "request" and letter.words["live"]:
        yield from _to_support(event, ticket, "waiting", minutes=0)


def reminded(event: Happened) -> Iterator[Letter]:
    """Support alone, unless it was decided before this could be told."""
    ticket, minutes = _ticket(event), event.facts["minutes"]
    if ticket.state == "waiting":
        leads = _leads(ticket) if minutes >= LEADS_AFTER else []
        yield from _to_support(event, ticket, "waiting", *leads, minutes=minutes)


def started(event: Happened) -> Iterator[Letter]:
    """Once when every line has run or failed, however many batches they came in; anew when Support's retry has.

    How many ever ran only grows, and so do the tries of what failed: who reads the record again tells nothing again.
    """
    ticket = _ticket(event)
    lines = Failover.objects.filter(ticket=ticket)
    counts = _counted(lines.filter(state__in=("requested", "starting", "start_failed", "running")))
    if counts["moving"] or not (counts["running"] or counts["failed"]):
        return
    once = f"failover.started:{ticket.number}:{lines.exclude(running_at=None).count()}{_tries(lines)}"
    yield _letter(event, ticket, "started", once=once, running=counts["running"], failed=counts["failed"])


def ended(event: Happened) -> Iterator[Letter]:
    """Once when all that was to end has ended or failed; of a part that ends later, anew."""
    ticket = _ticket(event)
    lines = Failover.objects.filter(ticket=ticket)
    counts = _counted(lines.filter(state__in=("terminating", "termination_failed", "terminated")))
    ending = {"kind": Kind.TERMINATE, "waiting": True, "ticket__state": "approved"}
    named = Named.objects.filter(failover__ticket=ticket, **ending)
    due = lines.filter(state="running", kind=Kind.TEST, ends_at__lte=clock.now())
    if counts["moving"] or named.exists() or due.exists() or not (counts["terminated"] or counts["failed"]):
        return
    once = f"failover.ended:{ticket.number}:{counts['terminated']}{_tries(lines)}"
    yield _letter(event, ticket, "ended", once=once, terminated=counts["terminated"], failed=counts["failed"])


def giving_up(event: Happened) -> Iterator[Letter]:
    """At once, with Support's reason: it may be night, and somebody waits for this VM."""
    yield _letter(event, _ticket(event), "given_up", n=event.n, over=False)


def given_up(event: Happened) -> Iterator[Letter]:
    """Once when nothing of it is left; of a part that is given up later, anew."""
    ticket = _ticket(event)
    lines = Failover.objects.filter(ticket=ticket)
    counts = _counted(lines.filter(state__in=("undoing", "dropped")))
    if not counts["moving"] and (n := counts["dropped"]):
        yield _letter(event, ticket, "given_up", once=f"failover.given_up:{ticket.number}:{n}", n=n, over=True)


def unknown(event: Happened) -> Iterator[Letter]:
    """What the provider can't tell waits for Support: nothing of the ticket moves any more."""
    waiting = Failover.objects.filter(ticket__number=event.about, flag="outcome_unknown")
    for state, tell in (("starting", started), ("terminating", ended), ("undoing", given_up)):
        if waiting.filter(state=state).exists():
            yield from tell(event)


def ends_soon(event: Happened) -> Iterator[Letter]:
    """Once for each end date: an extended test's people are told of the new one."""
    ticket = _ticket(event)
    running = Failover.objects.filter(ticket=ticket, state="running").exclude(reminded_at=None)
    ends_at = running.aggregate(first=Min("ends_at"))["first"]
    if ends_at is None:
        return
    once = f"failover.ends_soon:{ticket.number}:{ends_at:%Y%m%d%H%M}"
    facts = {"ends_at": ends_at, "until": _longest(ticket), "n": running.count()}
    yield _letter(event, ticket, "ends_soon", once=once, **facts)


def _longest(ticket: Ticket) -> datetime | None:
    """Until when it could be extended, if it can."""
    try:
        refuse_nothing_to_extend(ticket)
    except Conflict:
        return None
    return latest_end(ticket)


def two_places(event: Happened) -> Iterator[Letter]:
    ticket = _ticket(event)
    yield _letter(event, ticket, "two_places")
    yield from _to_support(event, ticket, "two_places", support=True)


def _ticket(event: Happened) -> Ticket:
    around = ("about", "requested_by", "decided_by", "filed_by")
    return Ticket.objects.select_related(*around).get(number=event.about)


def _counted(lines: QuerySet[Failover]) -> Counter[str]:
    """How many run, are over, failed, or are still moving; what waits for Support will not move by itself."""
    found: Counter[str] = Counter()
    grouped = lines.order_by().values_list("state", "waiting_on").annotate(n=Count("pk"))
    for state, waiting_on, n in grouped:
        failed = state in FAILURES or (state in HALTED and waiting_on == WaitingOn.SUPPORT)
        found["failed" if failed else state if state in ("running", *ENDED) else "moving"] += n
    return found


def _tries(lines: QuerySet[Failover]) -> str:
    """How often what failed was asked for: what fails again after a retry is told again."""
    failed = lines.filter(Q(state__in=FAILURES) | Q(state__in=HALTED, waiting_on=WaitingOn.SUPPORT))
    tries = failed.aggregate(tries=Sum(F("generation") + F("fence_generation")))["tries"]
    return f":{tries}" if tries else ""


def _letter(event: Happened, ticket: Ticket, template: str, once: str = "", **words: object) -> Letter:
    shown = ticket.about or ticket  # a termination is shown on the page of what it ends
    live = shown.kind == Kind.LIVE
    return Letter(
        LIVE.name if live else TEST.name, f"failover_{template}", to=_concerned(ticket), once=once,
        words={"ticket": ticket, "shown": shown, "live": live, **words},
        path=reverse("failover", args=[event.account_slug, shown.number]),
    )  # fmt: skip


def _to_support(event: Happened, ticket: Ticket, template: str, *more: str, **words: object) -> Iterator[Letter]:
    """To Support's own address, where one is set, and to these."""
    path = reverse("admin:failover_ticket_change", args=[ticket.pk])
    said = {"ticket": ticket, "shown": ticket.about or ticket, **words}
    for address in filter(None, dict.fromkeys((settings.SUPPORT_EMAIL, *more))):
        yield Letter(LIVE.name, f"failover_{template}", address=address, words=said, path=path)


def _leads(ticket: Ticket) -> list[str]:
    """Whoever is a member of the account doesn't decide on it."""
    members = Membership.objects.filter(account=ticket.account_id).values("person")
    leads = Person.objects.filter(groups__name=LEAD, is_staff=True, is_active=True).exclude(pk__in=members)
    return list(leads.order_by("email").values_list("email", flat=True))


def _concerned(ticket: Ticket) -> Callable[[Member], bool]:
    return lambda member: member.listed or member.administrator or member.person_id == ticket.requested_by_id
