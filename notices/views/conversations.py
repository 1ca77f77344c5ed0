"""The Tickets screen, and the page of one conversation with Support.

What is about a failover ticket is read and written on the ticket's own page, which takes `talk` from here.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.models import Permission
from accounts.views import Visit
from ampdr.errors import Absent, Conflict, Invalid, Refusal
from ampdr.lifecycle import Actor
from ampdr.pages import cut
from ampdr.views import page_or_part, unchanged
from notices import actions
from notices.actions import Opening, may_write, need_write, open_conversation, readable
from notices.forms import ASKED, Open, Write
from notices.models import Conversation, Message, Turn

Kind = Conversation.Kind
W = TypeVar("W", bound=Write)
KINDS = {Kind.FAILOVER.value: "Failovers", Kind.ORDER.value: "Orders", Kind.LIST.value: "Authorized users"}
KINDS[Kind.OTHER.value] = "Questions"
# How a failover ticket's word begins (product.md, States); the words of the other ones are asked by whose turn it is.
FOLLOWED = (
    "Failing over", "Running", "Terminating", "Failed", "Terminated", "Rejected", "Withdrawn", "Lapsed", "Given up",
)  # fmt: skip
STATES = {"support": "Waiting for Support", "customer": "Waiting for you", "closed": "Closed"}
FAILOVER_STATES = {word.lower().replace(" ", "-"): word for word in FOLLOWED}
SQUARES = {Kind.FAILOVER: "arrow-right-left", Kind.ORDER: "copy", Kind.LIST: "user-check", Kind.OTHER: "life-buoy"}


# ---- The Tickets screen ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A conversation as the list prints it."""

    conversation: Conversation
    href: str
    square: str


def index(request: Visit) -> HttpResponse:
    """Every conversation, the one that changed last first."""
    actor = request.actor
    found = readable(actor)
    if unchanged(request):
        return HttpResponse(status=204)
    kinds, states = _words(actor)
    asked = _asked(request.GET, {"kind": kinds, "state": states})
    page = cut(_matching(found, asked), ("updated_at", "pk"), request.GET, down=True)
    place = {name: request.GET[name] for name in ("after", "before") if request.GET.get(name)}
    context = {
        "lines": [_line(actor, one) for one in page.rows], "asked": asked, "kinds": kinds.items(),
        "states": states.items(), "chips": _chips(asked, {"kind": kinds, "state": states}), "clear": request.path,
        "can_open": may_write(actor, Kind.OTHER), "tells": actor.can(Permission.READ_REPLICATION),
        "previous": _link(asked, before=page.previous) if page.previous else "",
        "next": _link(asked, after=page.next) if page.next else "",
        "poll": f"{request.path}{_link(asked | place, version=str(request.head.version))}",
    }  # fmt: skip
    return page_or_part(request, "notices/tickets.html", "notices/parts/tickets.html", context)


def _words(actor: Actor) -> tuple[dict[str, str], dict[str, str]]:
    """The filters' words. Without Read nothing is said of failovers and orders (rule 4)."""
    if actor.can(Permission.READ_REPLICATION):
        return KINDS, STATES | FAILOVER_STATES
    return {kind: word for kind, word in KINDS.items() if kind not in actions.OF_REPLICATION}, STATES


def _asked(query: Mapping[str, str], known: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The filters in force. A value that means nothing is as if not sent."""
    found = {name: query.get(name, "").replace("\0", "").strip()[:120] for name in ("kind", "state", "q")}
    return {name: value for name, value in found.items() if value and value in known.get(name, (value,))}


def _chips(asked: Mapping[str, str], words: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    labels = {name: words.get(name, {}).get(value, f"“{value}”") for name, value in asked.items()}
    return [{"label": labels[one], "href": _link({n: v for n, v in asked.items() if n != one})} for one in asked]


def _link(asked: Mapping[str, str], **other: str) -> str:
    return "?" + urlencode({**asked, **other})


def _matching(found: QuerySet[Conversation], asked: Mapping[str, str]) -> QuerySet[Conversation]:
    if kind := asked.get("kind"):
        found = found.filter(kind=kind)
    if state := asked.get("state"):
        found = found.filter(_in_state(state))
    if number := asked.get("q", "").upper():
        found = found.filter(number__in=[number, f"T-{number}", f"FO-{number}"])
    return found


def _in_state(state: str) -> Q:
    if word := FAILOVER_STATES.get(state):
        return Q(word__startswith=word)
    if state == "closed":
        return Q(word="", closed_at__isnull=False)
    turn = Q(turn=state, closed_at=None)
    return turn if state == Turn.CUSTOMER else turn & Q(word="") | Q(word__startswith=STATES[state])


def _line(actor: Actor, conversation: Conversation) -> Line:
    return Line(conversation, _address(actor, conversation), SQUARES[Kind(conversation.kind)])


def _address(actor: Actor, conversation: Conversation) -> str:
    """A failover ticket's is the ticket's page."""
    name = "failover" if conversation.kind == Kind.FAILOVER else "conversation"
    return reverse(name, args=[actor.account_slug, conversation.number])


# ---- One conversation ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    message: Message
    own: bool


def talk(actor: Actor, kind: str, said: QuerySet[Message], query: Mapping[str, str], form: Write | None) -> Any:
    """What `notices/parts/talk.html` shows: the newest fifty messages, or those before them, oldest first."""
    asked = {"after": query.get("older", ""), "before": query.get("newer", "")}
    page = cut(said, ("pk",), asked, down=True)
    return {
        "form": form or Write(), "key": uuid.uuid4(),
        "said": [Said(one, one.person_id == actor.person_id and not one.staff) for one in reversed(page.rows)],
        "older": f"?{urlencode({'older': page.next})}" if page.next else "",
        "newer": f"?{urlencode({'newer': page.previous})}" if page.previous else "",
        "may_write": may_write(actor, kind),
    }  # fmt: skip


def detail(request: Visit, number: str) -> HttpResponse:
    """The messages and a form. The messages look for new ones by themselves; what is being typed stays."""
    actor = request.actor
    found = readable(actor)
    if request.method != "POST" and unchanged(request):
        return HttpResponse(status=204)
    conversation = found.filter(number=number.replace("\0", "")).select_related("opened_by").first()
    if conversation is None:
        raise Absent
    if request.method == "POST":
        return _write(request, conversation)
    if conversation.kind == Kind.FAILOVER:
        return see_other(_address(actor, conversation))
    return _page(request, conversation)


def _page(request: Visit, conversation: Conversation, form: Write | None = None) -> HttpResponse:
    place = {name: request.GET[name] for name in ("older", "newer") if request.GET.get(name)}
    said = Message.objects.filter(conversation=conversation)
    context = {
        "talk": talk(request.actor, conversation.kind, said, request.GET, form), "conversation": conversation,
        "form": form,
        "poll": f"{request.path}{_link(place, version=str(request.head.version))}",
    }  # fmt: skip
    response = page_or_part(request, "notices/conversation.html", "notices/parts/conversation.html", context)
    response.status_code = 400 if form else 200
    return response


def _write(request: Visit, conversation: Conversation) -> HttpResponse:
    if form := refused(request, conversation):
        return _page(request, conversation, form)
    if request.POST.get("from") == "order" and conversation.kind == Kind.ORDER and conversation.about:
        messages.success(request, f"Your answer was sent to Support: {conversation.number}.")
        return see_other(reverse("order", args=[request.actor.account_slug, conversation.about]))
    return see_other(f"{_address(request.actor, conversation)}#talk")


def refused(request: Visit, conversation: Conversation) -> Write | None:
    """Writes what was sent; hands back the form with its errors if it isn't well-formed."""
    form = Write(request.POST)
    need_write(request.actor, conversation.kind)
    if not form.is_valid():
        return form
    try:
        actions.write(request.actor, conversation, form.cleaned_data["text"], request.POST.get("key", ""))
    except (Invalid, Conflict) as refusal:
        return _explain(form, refusal)
    return None


def _explain(form: W, refusal: Refusal) -> W:
    """What the verb said. A form that was sent before with other words gets a new key, and may be sent once more."""
    again = refusal.code == "idempotency_key_reused"
    words = "This form was sent before, with other words. Send it again to send these too." if again else ""
    form.refuse(getattr(refusal, "fields", None) or {"": [words or refusal.message]})
    return form


def see_other(address: str) -> HttpResponse:
    """After a form was sent: reloading the page that follows sends nothing again."""
    response = redirect(address)
    response.status_code = 303
    return response


# ---- A new one -------------------------------------------------------------------------------------------------------


def new(request: Visit) -> HttpResponse:
    """Write to Support: about anything, about the list of authorized users, or about an order (`about`)."""
    actor = request.actor
    actor.need(Permission.READ_TICKETS)
    sent = request.POST if request.method == "POST" else request.GET
    kind, about = sent.get("kind", ""), sent.get("about", "")
    about = about if kind == Kind.ORDER and actions.is_order(about) else ""
    need_write(actor, kind)
    if request.method == "POST":
        return _open(request, kind, about)
    shown = {"kind": kind if kind in dict(ASKED) else Kind.OTHER, "title": _subject(actor, kind, about)}
    return _new_page(request, Open(initial=shown), about)


def _subject(actor: Actor, kind: str, about: str) -> str:
    """What the page that led here suggests."""
    if about:
        return f"Order {about}"
    return f"Authorized users of {actor.account_name}" if kind == Kind.LIST else ""


def _open(request: Visit, kind: str, about: str) -> HttpResponse:
    form = Open(request.POST)
    if about:
        form.about_order()
    if not form.is_valid():
        return _new_page(request, form, about)
    said = Opening(kind, form.cleaned_data["title"], form.cleaned_data["text"], about)
    try:
        made = open_conversation(request.actor, said, request.POST.get("key", ""))
    except (Invalid, Conflict) as refusal:
        return _new_page(request, _explain(form, refusal), about)
    return see_other(_address(request.actor, made))


def _new_page(request: Visit, form: Open, about: str) -> HttpResponse:
    if about and "kind" in form.fields:
        form.about_order()
    context = {"form": form, "about": about, "key": uuid.uuid4()}
    response = render(request, "notices/ticket_new.html", context)
    response.status_code = 400 if form.is_bound else 200
    return response
