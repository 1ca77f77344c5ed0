"""The page of one ticket, from the request to its end, and what a customer does there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.db.models import Case, Min, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.actions import enter
from accounts.models import Permission, Person
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Absent, Conflict, Refusal
from ampdr.lifecycle import Actor, State
from ampdr.pages import Cut, cut
from ampdr.views import page_or_part
from failover import actions
from failover.actions import Lines, lines_of, need_read, ticket_word
from failover.lifecycle import SHOWN
from failover.models import Failover, Kind, Ticket
from failover.views.facts import expected
from failover.views.standing import as_it_stands, found_ticket, see_other
from failover.views.timeline import coming, events, past, proofs
from notices.forms import Write
from notices.models import Conversation, Message
from notices.views.conversations import refused, talk

LATE = timedelta(minutes=2)  # after which a live request that waits says whom to call
MESSAGES = "messages/"  # the end of the address to which a message is sent


def detail(request: Visit, number: str) -> HttpResponse:
    """One ticket from the request to its end. The part that changes looks again every 3 seconds while it moves."""
    need_read(request.actor)
    if _nothing_new(request, number):
        return HttpResponse(status=204)
    return _shown(request, found_ticket(request.actor, number))


def _shown(request: Visit, ticket: Ticket, form: Write | None = None) -> HttpResponse:
    """`form`: a message that was refused."""
    actor = request.actor
    lines = _lines(ticket)
    word = ticket_word(ticket, lines)
    page = _page(ticket, request)
    context = {
        "ticket": ticket, "lines": lines, "word": word, "live": ticket.kind == Kind.LIVE, "late": _is_late(ticket),
        "rows": [_row(actor, ticket, line) for line in page.rows], "previous": _link(request, before=page.previous),
        "next": _link(request, after=page.next), "names": [line.vm.name for line in page.rows[:3]],
        "more": max(0, ticket.vm_count - 3), "icon": _icon(ticket, lines), "count": _count(ticket.vm_count),
        "poll": _link(request, again=True, version=_version(request, ticket, lines)),
        "pause": "3s" if ticket.state == "waiting" or _moves(ticket, lines) else "30s",
        **_measured(ticket, lines), **_before(request, ticket), **_after(actor, ticket, lines, word),
        "talk": _talk(request, ticket, form), "form": form,
    }  # fmt: skip
    response = page_or_part(request, "failover/ticket.html", "failover/parts/ticket.html", context)
    response.status_code = 400 if form else 200
    return response


def _lines(ticket: Ticket) -> Lines:
    """What nobody has decided on has not moved: that needs no count."""
    if ticket.state == "waiting" and not ticket.of_others:
        return Lines(Counter(requested=ticket.vm_count))
    return lines_of([ticket.pk])[ticket.pk]


def _count(n: int) -> str:
    return "1 VM" if n == 1 else f"{n:,} VMs"


def _icon(ticket: Ticket, lines: Lines) -> str:
    """Of the square before the title. Yellow: a live failover runs; one that only was requested gets the plain one."""
    if ticket.of_others or not lines.shown:
        return ""
    return ticket.kind


def _is_late(ticket: Ticket) -> bool:
    return ticket.state == "waiting" and clock.now() >= ticket.requested_at + LATE


# ---- Looking again ---------------------------------------------------------------------------------------------------
# A page says what it shows: the account's version, which every change of a state raises; for what is moving also the
# stir of its lines, since a step or percent raises no version; for a request that waits the moment at which the page
# gets late without any change. 204 is answered from the version alone wherever that is enough.


def _moves(ticket: Ticket, lines: Lines) -> bool:
    return ticket.state == "approved" and lines.moving


def _version(request: Visit, ticket: Ticket, lines: Lines) -> str:
    version = f"{request.head.version}"
    if _moves(ticket, lines):
        return f"{version}.m{lines.stir}"
    if ticket.state == "waiting" and not _is_late(ticket):
        return f"{version}.u{(ticket.requested_at + LATE).timestamp():.0f}"
    return version


def _nothing_new(request: Visit, number: str) -> bool:
    version, _, rest = request.GET.get("version", "").partition(".")
    if not request.headers.get("HX-Request") or version != str(request.head.version):
        return False
    said = rest[1:]
    if rest.startswith("u") and said.isdecimal():
        return clock.now().timestamp() < int(said)
    if rest.startswith("m"):
        return _stir(request.actor, number) == said
    return not rest


def _stir(actor: Actor, number: str) -> str:
    mine = Ticket.objects.visible_to(actor, Permission.READ_REPLICATION).filter(number=number)
    key = mine.values_list("pk", flat=True).first()
    return f"{lines_of([key])[key].stir}" if key else ""


def _link(request: Visit, again: bool = False, **other: str) -> str:
    """This page with another place in its list of VMs; `again`: at the place where it is."""
    kept = ("after", "before", "older", "newer") if again else ()
    asked = {name: request.GET[name] for name in kept if request.GET.get(name)}
    if not any(other.values()):
        return ""
    return f"{request.path.removesuffix(MESSAGES)}?{urlencode(asked | other)}"


# ---- The VMs ---------------------------------------------------------------------------------------------------------


def vms_of(ticket: Ticket) -> QuerySet[Failover]:
    """The ticket's own lines; for a termination those that it names."""
    mine = {"named_in__ticket": ticket} if ticket.of_others else {"ticket": ticket}
    return Failover.objects.filter(**mine)


def _page(ticket: Ticket, request: Visit) -> Cut:
    """Fifty of them, what needs attention first."""
    urgent = Case(
        When(state__in=("start_failed", "termination_failed"), then=0), When(waiting_on="support", then=1),
        When(fenced="pending", then=2), When(state__in=("starting", "undoing", "terminating"), then=3),
        When(state="requested", then=4), When(state="running", then=5), default=6,
    )  # fmt: skip
    found = vms_of(ticket).annotate(urgent=urgent).select_related("vm", "launch", "confirmed_by")
    return cut(found, ("urgent", "vm__name_key", "pk"), request.GET)


@dataclass(frozen=True)
class Row:
    """A line as the page prints it. `role`: whose square stands before the name."""

    line: Failover
    name: str
    href: str
    role: str
    note: str
    point_at: datetime | None
    loss: timedelta | None  # lost, or, before the start, what would be
    to_running: timedelta | None


def _row(actor: Actor, ticket: Ticket, line: Failover) -> Row:
    shown = line.state in SHOWN
    role = line.kind if shown else "primary"
    launch = getattr(line, "launch", None)
    point_at = launch.point_at if launch else line.point_at or line.vm.newest_point_at
    loss = timedelta(seconds=launch.loss_seconds) if launch and launch.loss_seconds is not None else None
    if not launch and line.state == "requested" and point_at:
        loss = clock.now() - point_at
    decided_at = None if ticket.of_others else ticket.decided_at
    return Row(
        line=line, name=f"{line.vm.name} - Test" if role == Kind.TEST else line.vm.name, role=role, point_at=point_at,
        href=reverse("vm-test" if role == Kind.TEST else "vm", args=[actor.account_slug, line.vm.slug]), loss=loss,
        to_running=line.running_at - decided_at if line.running_at and decided_at else None, note=_note(ticket, line),
    )  # fmt: skip


def _note(ticket: Ticket, line: Failover) -> str:
    """What is going on, or why nothing is (P5)."""
    if line.state == "requested" and ticket.state == "approved":
        first = line.vm.held_by
        return f"Starts when the test in {first} is terminated" if first not in ("", ticket.number) else "Next"
    if line.state in ("starting", "undoing", "terminating") and line.step:
        return f"{line.step}, {line.percent}%" if line.percent else line.step
    if line.state in ("starting", "undoing", "terminating") and not line.last_error and not line.waiting_on:
        return "Sent to the recovery site" if line.attempts or line.accepted_at else "Begins"
    return ""


# ---- Facts -----------------------------------------------------------------------------------------------------------


def _measured(ticket: Ticket, lines: Lines) -> dict[str, Any]:
    """What was really used, lost and needed, once something runs."""
    decided, ends = ticket.decided_at, ticket.of_others
    return {
        "to_running": lines.running_at - decided if lines.running_at and decided and not ends else None,
        "lost": None if lines.loss_seconds is None else timedelta(seconds=lines.loss_seconds),
        "time_to_answer": decided - ticket.requested_at if decided else None,
    }


def _before(request: Visit, ticket: Ticket) -> dict[str, Any]:
    """While it waits: what it would cost and take, and whether the requester still may."""
    if ticket.state != "waiting":
        return {}
    known: dict[str, Any] = {"requester": _requester(ticket, request.actor.account_slug)}
    if ticket.of_others:
        return known
    mine = vms_of(ticket)
    found = mine.aggregate(
        newest=Min("replication__newest_point_at"), chosen=Min("point_at"), target=Min("replication__rpo_target")
    )  # fmt: skip
    oldest = found["chosen"] or found["newest"]
    age = clock.now() - oldest if oldest else None
    return known | {
        "oldest": oldest, "age": age, "behind": bool(age and found["target"] and age > found["target"]),
        "expected": expected(mine.values("vm")),
    }  # fmt: skip


def _requester(ticket: Ticket, slug: str) -> Actor | None:
    """The requester as he stands now: the approval asks for his listing and his right to read again."""
    try:
        return enter(ticket.requested_by, slug)[0]
    except Refusal:
        return None


# ---- Timeline and what can be done -----------------------------------------------------------------------------------


def _after(actor: Actor, ticket: Ticket, lines: Lines, word: State) -> dict[str, Any]:
    """The timeline, and the buttons: none that its verb would refuse."""
    asked = list(ticket.requests.select_related("requested_by").order_by("pk")) if ticket.state == "approved" else []
    waits = next((one for one in asked if one.state == "waiting"), None)
    running = lines.any("running", "termination_failed") and not ticket.of_others
    found = events(actor, ticket.number)
    return {
        "asked": asked, "ending": waits, "past": past(ticket, found, asked, lines.shown > 0), "proofs": proofs(found),
        "coming": list(coming(ticket, lines, word)), "can_withdraw": actor.listed and ticket.allows("withdraw"),
        "can_confirm": actor.listed and running and lines.counts["running"] > lines.confirmed,
        "can_terminate": actor.listed and running and waits is None,
        "can_again": actor.listed and ticket.state in ("rejected", "lapsed", "withdrawn") and ticket.about_id is None,
    }  # fmt: skip


@require_POST
def withdraw(request: Visit, number: str) -> HttpResponse:
    """Takes the request back, unless Support was first."""
    need_read(request.actor)
    ticket = found_ticket(request.actor, number)
    try:
        actions.withdraw(request.actor, ticket)
    except Conflict as refusal:
        raise as_it_stands(request, refusal, ticket=ticket, attempt="Withdraw") from refusal
    return see_other("failover", request.actor.account_slug, number)


@require_POST
def works(request: Visit, number: str) -> HttpResponse:
    """The customer confirms. The second click of the same person is as good as the first."""
    need_read(request.actor)
    ticket = found_ticket(request.actor, number)
    try:
        actions.confirm(request.actor, ticket)
    except Conflict as refusal:
        if refusal.facts.get("who") != request.actor.name:
            raise as_it_stands(request, refusal, ticket=ticket, attempt="Confirm") from refusal
    return see_other("failover", request.actor.account_slug, number)


# ---- Messages with Support -------------------------------------------------------------------------------------------


def _talk(request: Visit, ticket: Ticket, form: Write | None = None) -> Any:
    """Whoever reads the ticket reads what was said of it."""
    said = Message.objects.filter(conversation__account=ticket.account_id, conversation__number=ticket.number)
    return talk(request.actor, Conversation.Kind.FAILOVER, said, request.GET, form)


@require_POST
def message(request: Visit, number: str) -> HttpResponse:
    """Writes to Support about this ticket."""
    need_read(request.actor)
    ticket = found_ticket(request.actor, number)
    about = Conversation.objects.filter(account=ticket.account_id, number=ticket.number).first()
    if about is None:
        raise Absent
    if form := refused(request, about):
        return _shown(request, ticket, form)
    answer = see_other("failover", request.actor.account_slug, number)
    answer["Location"] += "#talk"
    return answer


# ---- The short address -----------------------------------------------------------------------------------------------


def short_address(request: HttpRequest, number: str) -> HttpResponse:
    """From a mail or the phone: leads a member who may read replication to the account's page; 404 for everybody else.

    Whoever isn't signed in is asked to do so first, for any number: that tells nothing.
    """
    person = request.user
    if not isinstance(person, Person):
        return redirect_to_login(request.get_full_path())
    mine = Ticket.objects.filter(account__memberships__person=person, account__memberships__enabled=True)
    slug = mine.filter(number=number.replace("\0", "")).values_list("account__slug", flat=True).first()
    if slug is None or not enter(person, slug)[0].can(Permission.READ_REPLICATION):
        raise Absent
    return see_other("failover", slug, number)
