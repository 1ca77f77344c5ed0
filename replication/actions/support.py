"""What Support alone does with replications: ask about them, set them going again, settle what nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet

from accounts.models import forbid_customer
from ampdr import clock, work
from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes
from ampdr.work import WaitingOn, fresh
from notices.actions import Opening, on_answer, open_conversation, text_of
from notices.models import Conversation
from replication.models import UNREADY, Order, Replication
from replication.providers.base import Kind
from replication.tasks import ANEW, SETTLED, Provision, keys_of, list_lines

ASKABLE = ("provisioning", "failed")
LONGEST_WORDS = 400
NOTHING = "Nothing was done: choose without it."
FARTHEST = timedelta(days=365)


# ---- What failed, or stands still ------------------------------------------------------------------------------------


def retry_replication(actor: Actor, lines: QuerySet[Replication]) -> int:
    """Support tries failed steps again, with new keys; all of them or, if one is not failed, none. Returns how many."""
    forbid_customer(actor)
    with changes(actor) as change:
        chosen = _locked(lines)
        _retry(change, chosen)
        _go(change, chosen)
    return len(chosen)


def go_on(actor: Actor, lines: QuerySet[Replication]) -> int:
    """Support has what it asked for: what halted goes on with the same key, what failed is tried again with a new one.

    All or none; returns how many. Raises Conflict when nothing halts one of them, or when its outcome is unknown: that
    is settled first.
    """
    forbid_customer(actor)
    with changes(actor) as change:
        chosen = _locked(lines)
        halted = [one for one in chosen if one.state != "failed"]
        for one in halted:
            _refuse_to_go_on(one)
        _retry(change, [one for one in chosen if one.state == "failed"])
        going = _these(halted)
        going.update(
            question="", waiting_on=WaitingOn.NOBODY, next_step_at=clock.db_now(), claim=None, attempts=0,
            last_error="", speed=None, speed_from=None,
        )  # fmt: skip
        change.note(going, "replication.set_going")
        _go(change, chosen)
    return len(chosen)


def settle(actor: Actor, lines: QuerySet[Replication], done: bool, reason: str) -> int:
    """Support has looked at what the provider couldn't tell. Done: as if it had said so. Not done: asked anew.

    All or none; returns how many. Of two who settle at once the first one wins. Raises Invalid without a reason,
    Conflict when the outcome of one is known.
    """
    forbid_customer(actor)
    reason, wrong = text_of(reason, LONGEST_WORDS)
    if wrong:
        raise Invalid(wrong, fields={"reason": [wrong]})
    with changes(actor, reason) as change:
        chosen = _locked(lines)
        for one in chosen:
            if one.flag != "outcome_unknown":
                raise Conflict(f"{one}: its outcome is not unknown any more. {NOTHING}", code="changed_meanwhile")
        change.note(_these(chosen), "replication.settled", done=done)
        if done:
            duty = Provision()
            duty.done(change, duty.load(keys_of(chosen)), {})
        else:
            anew = {**SETTLED, **ANEW, **fresh("", F("source")), "verb": F("verb")}
            _these(chosen).update(**anew, generation=F("generation") + 1)
            _go(change, chosen)
    return len(chosen)


def _locked(lines: QuerySet[Replication]) -> list[Replication]:
    """These lines as they are now, locked in key order."""
    rows = lines.order_by("pk").select_for_update(no_key=True, of=("self",)).select_related(None)
    return list(rows.select_related("vm"))


def _these(lines: Sequence[Replication]) -> QuerySet[Replication]:
    return Replication.objects.filter(pk__among=keys_of(lines))


def _refuse_to_go_on(one: Replication) -> None:
    if one.flag == "outcome_unknown":
        raise Conflict(f"{one}: its outcome is unknown. Settle that first. {NOTHING}", code="outcome_unknown")
    if not one.waiting_on:
        raise Conflict(f"{one} waits for nobody. {NOTHING}", code="goes_on_already")


def _retry(change: Change, lines: Sequence[Replication]) -> None:
    """What failed on its way out is stopped again; whatever isn't failed is refused by its move."""
    for verb, move, leaving in (
        (Kind.PROTECT, "retry_provisioning", False), (Kind.UNPROTECT, "retry_stopping", True),
    ):  # fmt: skip
        if found := [one for one in lines if (one.failed_in == "stopping") is leaving]:
            facts = {**SETTLED, **ANEW, **fresh(verb, F("source")), "failed_in": ""}
            change.fire(_these(found), move, **facts, generation=F("generation") + 1)


def _go(change: Change, chosen: Sequence[Replication]) -> None:
    """These are due again: late, if that is what they are."""
    lines = _these(chosen)
    late = lines.filter(state__in=("ordered", "provisioning"), flag="", order__promised_at__lte=change.at)
    lines.filter(pk__in=list(late.values_list("pk", flat=True))).update(flag="late")
    list_lines(change, lines)
    work.ring()


# ---- Questions -------------------------------------------------------------------------------------------------------


def ask(
    actor: Actor, replications: QuerySet[Replication], text: str, key: str, answers: tuple[str, ...] = ()
) -> Conversation:
    """One question about lines of one order: they halt until it is answered and Support sets them going again.

    It is a conversation; `answers` are short ones of which the customer may choose. The same key asks once.
    Raises Invalid (no line, lines of several orders, text, answers), and Conflict when one can't be asked about.
    """
    forbid_customer(actor)
    chosen = list(replications.select_related("order", "vm").order_by("pk"))
    order = _order_of(chosen)
    with changes(actor) as change:
        said = Opening("order", _title(order, chosen), text, order.number, answers, len(chosen))
        made = open_conversation(actor, said, key, order.account_id)
        if made.opened_at != change.at:
            return made  # the same form once more; its first press may have begun after this one, and been faster
        lines = Replication.objects.filter(pk__in=[one.pk for one in chosen])
        _refuse_unaskable(lines)
        lines.update(question=made.number, waiting_on=WaitingOn.CUSTOMER, next_step_at=None, claim=None)
        change.note(lines, "replication.asked", ticket=made.number)
        list_lines(change, lines)
    return made


def _order_of(chosen: list[Replication]) -> Order:
    orders = {one.order for one in chosen}
    order = orders.pop() if len(orders) == 1 else None
    if order is None:
        words = "Choose lines of one order: a question is asked about one."
        raise Invalid(words, fields={"": [words]})
    return order


def _title(order: Order, chosen: list[Replication]) -> str:
    name = chosen[0].vm.name
    about = name if len(chosen) == 1 and name.isprintable() else f"{len(chosen)} VM{'s' if len(chosen) > 1 else ''}"
    return f"Question about {about} of {order.number}"


def _refuse_unaskable(lines: QuerySet[Replication]) -> None:
    """Locks them, in key order."""
    for line in lines.select_related("vm").order_by("pk").select_for_update(no_key=True, of=("self",)):
        if line.state not in ASKABLE:
            raise Conflict(
                f"{line} is {line.shown_state.word}: only what is being provisioned or failed can be asked about. "
                "Nothing was asked.", code="not_askable",
            )  # fmt: skip


def listen() -> None:
    """Whoever answers in whatever door hands the line back to Support."""
    on_answer(Conversation.Kind.ORDER, answered)


def answered(change: Change, conversation: Conversation) -> None:
    """What waits for this answer waits for Support from now on; a conversation moves no state."""
    waiting = Replication.objects.filter(question=conversation.number, waiting_on=WaitingOn.CUSTOMER).order_by("pk")
    keys = list(waiting.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
    lines = Replication.objects.filter(pk__in=keys)
    if lines.update(waiting_on=WaitingOn.SUPPORT):
        change.note(lines, "replication.answered", ticket=conversation.number)
        list_lines(change, lines)


# ---- Promises --------------------------------------------------------------------------------------------------------


def promise(actor: Actor, order: Order, when: datetime, words: str) -> None:
    """A new date by which the order is to be ready, and why; what was late is in time again until then.

    Raises Invalid (when, words), and Conflict when nothing of the order is left to be made ready.
    """
    forbid_customer(actor)
    words, wrong = text_of(words, LONGEST_WORDS)
    far = "" if clock.now() < when < clock.now() + FARTHEST else "Give a date that is still to come, within a year."
    if wrong or far:
        fields = {name: [said] for name, said in (("words", wrong), ("when", far)) if said}
        raise Invalid("Please correct what is marked.", fields=fields)
    with changes(actor, words) as change:
        now = Order.objects.select_for_update(no_key=True, of=("self",)).get(pk=order.pk)
        lines = Replication.objects.filter(order=now)
        if not lines.filter(UNREADY).exists():
            raise Conflict(f"Nothing of {now} is left to be made ready.", code="nothing_open")
        facts: dict[str, Any] = {"promised_at": when, "promise_words": words, "next_step_at": when, "claim": None}
        Order.objects.filter(pk=now.pk).update(**facts)
        change.note(Order.objects.filter(pk=now.pk), "order.promised", before=_utc(now.ready_by), promised=_utc(when))
        late = lines.filter(flag="late").order_by("pk").select_for_update(no_key=True, of=("self",))
        in_time = Replication.objects.filter(pk__in=list(late.values_list("pk", flat=True)))
        in_time.update(flag="")
        list_lines(change, in_time)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
