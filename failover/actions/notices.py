"""What is told of failovers: to authorized users, administrators and the requester, as far as they may read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from django.db.models import Count, QuerySet
from django.urls import reverse

from accounts.models import Permission
from ampdr import clock
from ampdr.work import WaitingOn
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


def begin() -> None:
    declare(LIVE, TEST)
    for event in ("request", "approve", "reject", "withdraw", "lapse"):
        register(f"ticket.{event}", of_ticket)
    for event in ("run", "fail_start"):
        register(f"failover.{event}", started, Per.ABOUT)
    for event in ("end", "fail_termination"):
        register(f"failover.{event}", ended, Per.ABOUT)


def of_ticket(event: Happened) -> Iterator[Letter]:
    yield _letter(event, _ticket(event), "ticket", what=event.event.partition(".")[2])


def started(event: Happened) -> Iterator[Letter]:
    """Once when every line has run or failed, however many batches they came in; anew when Support's retry runs.

    How many ever ran only grows, so that who reads the record again tells nothing again.
    """
    ticket = _ticket(event)
    lines = Failover.objects.filter(ticket=ticket)
    counts = _counted(lines.filter(state__in=("requested", "starting", "start_failed", "running")))
    if counts["moving"] or not (counts["running"] or counts["failed"]):
        return
    once = f"failover.started:{ticket.number}:{lines.exclude(running_at=None).count()}"
    yield _letter(event, ticket, "started", once=once, running=counts["running"], failed=counts["failed"])


def ended(event: Happened) -> Iterator[Letter]:
    """Once when all that was to end has ended or failed; of a part that ends later, anew."""
    ticket = _ticket(event)
    lines = Failover.objects.filter(ticket=ticket)
    counts = _counted(lines.filter(state__in=("terminating", "termination_failed", "terminated")))
    ending = {"kind": Kind.TERMINATE, "waiting": True, "ticket__state": "approved"}
    named = Named.objects.filter(failover__ticket=ticket, **ending)
    due = lines.filter(state="running", kind=Kind.TEST, ends_at__lte=clock.now())
    if counts["moving"] or named.exists() or due.exists():
        return
    once = f"failover.ended:{ticket.number}:{counts['terminated']}"
    yield _letter(event, ticket, "ended", once=once, terminated=counts["terminated"], failed=counts["failed"])


def _ticket(event: Happened) -> Ticket:
    return Ticket.objects.select_related("about", "requested_by", "decided_by").get(number=event.about)


def _counted(lines: QuerySet[Failover]) -> Counter[str]:
    """How many run, are terminated, failed, or are still moving; what waits for Support will not move by itself."""
    found: Counter[str] = Counter()
    grouped = lines.order_by().values_list("state", "waiting_on").annotate(n=Count("pk"))
    for state, waiting_on, n in grouped:
        failed = state in FAILURES or (state in ("starting", "terminating") and waiting_on == WaitingOn.SUPPORT)
        found["failed" if failed else state if state in ("running", "terminated") else "moving"] += n
    return found


def _letter(event: Happened, ticket: Ticket, template: str, once: str = "", **words: object) -> Letter:
    shown = ticket.about or ticket  # a termination is shown on the page of what it ends
    live = shown.kind == Kind.LIVE
    return Letter(
        LIVE.name if live else TEST.name, f"failover_{template}", to=_concerned(ticket), once=once,
        words={"ticket": ticket, "shown": shown, "live": live, **words},
        path=reverse("failover", args=[event.account_slug, shown.number]),
    )  # fmt: skip


def _concerned(ticket: Ticket) -> Callable[[Member], bool]:
    return lambda member: member.listed or member.administrator or member.person_id == ticket.requested_by_id
