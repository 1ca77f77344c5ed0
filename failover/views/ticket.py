"""The page of one ticket, from the request to its end, and what a customer does there."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from accounts.actions import enter
from accounts.models import Permission, Person
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Absent, Conflict, Invalid, Refusal
from ampdr.lifecycle import Actor, State
from ampdr.views import page_or_part
from failover import actions
from failover.actions import Lines, lines_of, need_read, ticket_word
from failover.forms import Result
from failover.lifecycle import ENDED
from failover.models import Kind, Ticket
from failover.screens.facts import expected, profile_words
from failover.screens.row import RESULTS
from failover.views.history import Worst, worst_of
from failover.views.rows import page_of, row_of, vms_of
from failover.views.standing import as_it_stands, found_ticket, see_other
from failover.views.timeline import coming, events, past, proofs
from notices.forms import Write
from notices.models import Conversation, Message
from notices.views.conversations import refused, talk

LATE = timedelta(minutes=2)  # after which a live request that waits says whom to call
SENT_TO = ("messages/", "result/")  # the ends of addresses at which a form that was refused shows this page


def detail(request: Visit, number: str) -> HttpResponse:
    """One ticket from the request to its end. The part that changes looks again every 3 seconds while it moves."""
    need_read(request.actor)
    if _nothing_new(request, number):
        return HttpResponse(status=204)
    return _shown(request, found_ticket(request.actor, number))


def _shown(request: Visit, ticket: Ticket, form: Write | None = None, result: Result | None = None) -> HttpResponse:
    """`form`: a message that was refused; `result`: one of a test."""
    actor = request.actor
    lines = _lines(ticket)
    word = ticket_word(ticket, lines)
    page = page_of(ticket, request.GET)
    worst = _worst(request, ticket)
    context = {
        "ticket": ticket, "lines": lines, "word": word, "live": ticket.kind == Kind.LIVE, "late": _is_late(ticket),
        "urgent": _is_urgent(ticket), "ends_at": lines.ends_at or ticket.ends_at, "worst": worst,
        "rows": [row_of(actor, ticket, line) for line in page.rows], "previous": _link(request, before=page.previous),
        "next": _link(request, after=page.next), "names": [line.vm.name for line in page.rows[:3]],
        "more": max(0, ticket.vm_count - 3), "icon": _icon(ticket, lines), "count": _count(ticket.vm_count),
        "poll": _link(request, again=True, version=_version(request, ticket, lines)),
        "pause": "2s" if ticket.state == "waiting" or _moves(ticket, lines) else "29s",  # a second short of a tick
        "longer": _longer(ticket), "said": RESULTS[ticket.result],
        **_measured(ticket, lines), **_before(request, ticket, worst), **_after(actor, ticket, lines, word),
        "talk": _talk(request, ticket, form), "form": form or result, "result": result or Result.of(ticket),
    }  # fmt: skip
    response = page_or_part(request, "failover/ticket.html", "failover/parts/ticket.html", context)
    response.status_code = 400 if form or result else 200
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


def _is_urgent(ticket: Ticket) -> bool:
    """A live request, or the termination of a live one: people wait for the answer at night."""
    return Kind.LIVE in (ticket.kind, ticket.about and ticket.about.kind)


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
    kept = ("after", "before", "older", "newer", "rpo") if again else ()
    asked = {name: request.GET[name] for name in kept if request.GET.get(name)}
    if not any(other.values()):
        return ""
    return f"{_own(request.path)}?{urlencode(asked | other)}"


def _own(path: str) -> str:
    """The page's own address."""
    end = next((end for end in SENT_TO if path.endswith(end)), "")
    return path.removesuffix(end)


# ---- Facts -----------------------------------------------------------------------------------------------------------


def _measured(ticket: Ticket, lines: Lines) -> dict[str, Any]:
    """What was really used, lost and needed, once something runs."""
    decided, ends, users = ticket.decided_at, ticket.of_others, getattr(ticket, "vpn_users", None)
    return {
        "access": "" if ends else profile_words(**(users or {"with_it": 0, "of": 0})),
        "to_running": lines.running_at - decided if lines.running_at and decided and not ends else None,
        "lost": None if lines.loss_seconds is None else timedelta(seconds=lines.loss_seconds),
        "time_to_answer": decided - ticket.requested_at if decided else None,
    }


def _longer(ticket: Ticket) -> timedelta | None:
    """By how much an extension moves the end date with which the test was approved: there is one only."""
    if ticket.kind != Kind.EXTEND or ticket.about is None or not (ticket.ends_at and ticket.about.ends_at):
        return None
    return ticket.ends_at - ticket.about.ends_at


def _worst(request: Visit, ticket: Ticket) -> Worst:
    """What never ran, and what has no lines of its own, has no points to tell of."""
    if ticket.of_others or ticket.state not in ("waiting", "approved"):
        return Worst()
    return worst_of(ticket, request.GET.get("rpo", ""))


def _before(request: Visit, ticket: Ticket, worst: Worst) -> dict[str, Any]:
    """While it waits: what it would cost and take, and whether the requester still may."""
    if ticket.state != "waiting":
        return {}
    known: dict[str, Any] = {"requester": _requester(ticket, request.actor)}
    if ticket.of_others:
        return known
    return known | {
        "oldest": worst.oldest, "behind": worst.behind,
        "expected": expected(vms_of(ticket).values("vm"), ticket.vm_count),
    }  # fmt: skip


def _requester(ticket: Ticket, reader: Actor) -> Actor | None:
    """The requester as he stands now: the approval asks for his listing and his right to read again."""
    if ticket.requested_by_id == reader.person_id:
        return reader
    try:
        return enter(ticket.requested_by, reader.account_slug)[0]
    except Refusal:
        return None


# ---- Timeline and what can be done -----------------------------------------------------------------------------------


def _after(actor: Actor, ticket: Ticket, lines: Lines, word: State) -> dict[str, Any]:
    """The timeline, and the buttons: none that its verb would refuse."""
    asked = list(ticket.requests.select_related("requested_by").order_by("pk")) if ticket.state == "approved" else []
    waiting = {one.kind: one for one in asked if one.state == "waiting"}
    running = lines.any("running", "termination_failed") and not ticket.of_others
    found = events(actor, ticket.number)
    return {
        "asked": asked, "ending": waiting.get(Kind.TERMINATE), "extending": waiting.get(Kind.EXTEND),
        "past": past(ticket, found, asked, lines.shown > 0), "proofs": proofs(found),
        "coming": list(coming(ticket, lines, word, waiting.get(Kind.TERMINATE))),
        "can_withdraw": actor.listed and ticket.allows("withdraw"),
        "can_confirm": actor.listed and running and lines.counts["running"] > lines.confirmed,
        "can_terminate": actor.listed and running and Kind.TERMINATE not in waiting,
        "can_extend": actor.listed and lines.counts["running"] > 0 and _extensible(ticket, asked),
        "has_run": ticket.kind == Kind.TEST and (bool(lines.running_at) or lines.any(*ENDED)),
        "can_again": actor.listed and ticket.state in ("rejected", "lapsed", "withdrawn") and ticket.about_id is None,
    }  # fmt: skip


def _extensible(ticket: Ticket, asked: list[Ticket]) -> bool:
    """A test, once, and for a week at most."""
    if ticket.kind != Kind.TEST or ticket.ends_at is None or ticket.ends_at >= actions.latest_end(ticket):
        return False
    return not any(one.kind == Kind.EXTEND and one.state in ("waiting", "approved") for one in asked)


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


@require_POST
def result(request: Visit, number: str) -> HttpResponse:
    """The customer says how the test went."""
    need_read(request.actor)
    ticket = found_ticket(request.actor, number)
    form = Result(request.POST)
    try:
        if form.is_valid():
            said = form.cleaned_data
            actions.record_result(request.actor, ticket, said["result"], said["notes"])
            return see_other("failover", request.actor.account_slug, number)
        actions.need_listing(request.actor)
    except Invalid as refusal:
        form.refuse(refusal.fields)
    except Conflict as refusal:
        raise as_it_stands(request, refusal, ticket=ticket, attempt="Tell the result") from refusal
    return _shown(request, ticket, result=form)


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
