"""Conversations between an account and Support: opened, written in, closed. They never move a state.

Lock order: a conversation comes after everything it may be about, and before the account's head.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from accounts.actions import receive
from accounts.models import Permission, TenantQuerySet, forbid_customer
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor, Change, State, changes
from ampdr.numbers import next_number
from notices.models import Conversation, Message, Turn

LONGEST, LONGEST_TITLE = 4000, 200
LONGEST_ANSWER, MOST_ANSWERS = 120, 8
LOOK_AGAIN = "Please correct what is marked."
Kind = Conversation.Kind
OF_REPLICATION = (Kind.FAILOVER, Kind.ORDER)  # left out for whoever lacks Read Server Replication (rule 4)


# ---- Who may -------------------------------------------------------------------------------------------------------


def readable(actor: Actor) -> TenantQuerySet[Conversation]:
    """The account's conversations that this person may read. Raises Forbidden."""
    found = Conversation.objects.visible_to(actor, Permission.READ_TICKETS)
    return found if actor.can(Permission.READ_REPLICATION) else found.exclude(kind__in=OF_REPLICATION)


def need_write(actor: Actor, kind: str) -> None:
    """Raises Forbidden. About a failover a listed person may write besides: it is he whom Support asks back."""
    if actor.staff:
        return
    if kind in OF_REPLICATION:
        actor.need(Permission.READ_REPLICATION)
    if kind == Kind.FAILOVER and actor.listed:
        return
    actor.need(Permission.WRITE_TICKETS)


def may_write(actor: Actor, kind: str) -> bool:
    try:
        need_write(actor, kind)
    except Forbidden:
        return False
    return True


# ---- Opening, writing, closing ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opening:
    """What a new conversation is about, and its first message."""

    kind: str
    title: str
    text: str
    about: str = ""  # the number of the order, where it is about one
    answers: tuple[str, ...] = ()  # short ones of which the customer may choose
    vms: int = 0  # about how many


def open_conversation(actor: Actor, said: Opening, key: str, account_id: int = 0) -> Conversation:
    """A new conversation with its first message. The same key gets the same one. Support names the account.

    Raises Forbidden and Invalid (kind, title, text).
    """
    need_write(actor, said.kind)
    actor = actor if not actor.staff else replace(actor, account_id=account_id)
    title, text = _checked(said)
    with changes(actor) as change:
        receipt = receive(actor, key, ["conversation", said.kind, said.about, title, text])
        if receipt.made:
            return Conversation.objects.get(number=receipt.made)
        made = Conversation.objects.create(
            account_id=actor.account_id, number=next_number("T"), kind=said.kind, about=said.about, title=title,
            opened_by_id=actor.person_id, opened_at=change.at, updated_at=change.at, turn_since=change.at,
            turn=_turn_after(actor), answers=list(said.answers), vms=said.vms,
        )  # fmt: skip
        _add_message(actor, change, made, text)
        change.note(Conversation.objects.filter(pk=made.pk), "conversation.opened", about=said.kind)
        receipt.made = made.number
        receipt.save(update_fields=["made"])
    return made


def write(actor: Actor, conversation: Conversation, text: str, key: str) -> None:
    """One message; it opens a closed conversation again. The same key writes it once.

    Raises Absent (another account's), Forbidden and Invalid (text). The text itself stays out of the record.
    """
    if not actor.staff and conversation.account_id != actor.account_id:
        raise Absent
    need_write(actor, conversation.kind)
    text, wrong = text_of(text)
    if wrong:
        raise Invalid(LOOK_AGAIN, fields={"text": [wrong]})
    inside = replace(actor, account_id=conversation.account_id)
    with changes(inside) as change:
        receipt = receive(inside, key, ["message", conversation.number, text])
        if receipt.made:
            return
        if conversation.kind in _heard and not actor.staff:
            _heard[conversation.kind](change, conversation)
        now = _locked(conversation)
        message = _add_message(inside, change, now, text)
        turn = _turn_after(actor)
        since = now.turn_since if now.turn == turn and not now.closed_at else change.at
        facts = {"turn": turn, "turn_since": since, "closed_at": None, "updated_at": change.at}
        Conversation.objects.filter(pk=now.pk).update(**facts)
        change.note(Message.objects.filter(pk=message.pk), "message.written")
        receipt.made = conversation.number
        receipt.save(update_fields=["made"])


_heard: dict[str, Callable[[Change, Conversation], None]] = {}


def on_answer(kind: str, hear: Callable[[Change, Conversation], None]) -> None:
    """From now on `hear` is called in the transaction in which a customer writes in a conversation of this kind.

    Before the conversation is locked: what lies above, and waits for the answer, comes first in the order of locks.
    """
    _heard[kind] = hear


def close(actor: Actor, conversation: Conversation, seen: int) -> None:
    """Support is done with it. `seen`: the key of the newest message that was read; a newer one is a Conflict."""
    forbid_customer(actor)
    with changes(actor) as change:
        now = _locked(conversation)
        if now.closed_at:
            return
        newer = Message.objects.filter(conversation=now, pk__gt=seen).order_by("pk").first()
        if newer:
            raise Conflict(
                f"{newer.author} wrote meanwhile. Read it first: nothing was closed.",
                code="changed_meanwhile", who=newer.author, since=newer.at,
            )  # fmt: skip
        Conversation.objects.filter(pk=now.pk).update(closed_at=change.at, updated_at=change.at)
        change.note(Conversation.objects.filter(pk=now.pk), "conversation.closed")


def _locked(conversation: Conversation) -> Conversation:
    return Conversation.objects.select_for_update(no_key=True).get(pk=conversation.pk)


def _turn_after(actor: Actor) -> str:
    return Turn.CUSTOMER if actor.staff else Turn.SUPPORT


def _add_message(actor: Actor, change: Change, conversation: Conversation, text: str) -> Message:
    return Message.objects.create(
        conversation=conversation, person_id=actor.person_id, author=actor.name, staff=actor.staff, at=change.at,
        text=text,
    )  # fmt: skip


# ---- What is well-formed ---------------------------------------------------------------------------------------------


def _checked(said: Opening) -> tuple[str, str]:
    """Title and text. Raises Invalid, naming each field that is wrong."""
    if fields := faults_of(said):
        raise Invalid(LOOK_AGAIN, fields={name: [words] for name, words in fields.items()})
    return title_of(said.title)[0], text_of(said.text)[0]


def faults_of(said: Opening) -> dict[str, str]:
    """What is wrong, by field."""
    known = said.kind in (Kind.ORDER, Kind.LIST, Kind.OTHER)
    wrong_kind = "" if known else "Choose what it is about."
    if known and (not is_order(said.about) if said.kind == Kind.ORDER else said.about):
        wrong_kind = "Say which order, by its number."
    wrong_answers = next((wrong for one in said.answers if (wrong := title_of(one, LONGEST_ANSWER)[1])), "")
    if len(said.answers) > MOST_ANSWERS:
        wrong_answers = f"Offer {MOST_ANSWERS} answers at most."
    found = {
        "kind": wrong_kind, "title": title_of(said.title)[1], "text": text_of(said.text)[1], "answers": wrong_answers,
    }  # fmt: skip
    return {name: words for name, words in found.items() if words}


def is_order(number: str) -> bool:
    """Whether this could be an order's number. Orders lie above: whose it is, its own page says."""
    return bool(re.fullmatch(r"RO-[0-9]{1,12}", number))


def title_of(typed: str, longest: int = LONGEST_TITLE) -> tuple[str, str]:
    """One line, and what is wrong with it."""
    title = typed.strip()
    if not title:
        return title, "Say in a few words what it is about."
    if len(title) > longest:
        return title, f"Shorten it to {longest} characters."
    return title, _unprintable(title, allowed="")


def text_of(typed: str, longest: int = LONGEST) -> tuple[str, str]:
    """Plain text with its line breaks, and what is wrong with it."""
    text = typed.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        return text, "Write something first."
    if len(text) > longest:
        return text, f"This has {len(text):,} characters. Shorten it to {longest:,}, or send it in parts."
    return text, _unprintable(text, allowed="\n\t")


def _unprintable(text: str, allowed: str) -> str:
    if any(unicodedata.category(one) == "Cc" for one in text if one not in allowed):
        return "It holds control characters. Paste it as plain text."
    return ""


# ---- Conversations of failover tickets: written by the app above ---------------------------------------------------


def open_for_ticket(at: datetime, account_id: int, number: str, title: str, vms: int, by: int, word: State) -> None:
    """The ticket's conversation, from the start and without a message: in the transaction that makes the ticket."""
    Conversation.objects.create(
        account_id=account_id, number=number, kind=Kind.FAILOVER, title=title, vms=vms, opened_by_id=by,
        word=word.word, tone=word.tone, icon=word.icon, opened_at=at, updated_at=at, turn_since=at,
    )  # fmt: skip


def lock_conversations(numbers: Collection[str]) -> dict[str, str]:
    """The words that these tickets' conversations show, by number; locked in key order until the transaction ends."""
    rows = Conversation.objects.filter(number__in=numbers).order_by("pk").select_for_update(no_key=True)
    return dict(rows.values_list("number", "word"))


def show_words(at: datetime, words: Mapping[str, State]) -> None:
    """These tickets stand like this now. One UPDATE for each word, and there is seldom more than one."""
    by_word: dict[State, list[str]] = defaultdict(list)
    for number, word in words.items():
        by_word[word].append(number)
    for word, numbers in by_word.items():
        facts = {"word": word.word, "tone": word.tone, "icon": word.icon, "updated_at": at}
        Conversation.objects.filter(number__in=numbers).update(**facts)
