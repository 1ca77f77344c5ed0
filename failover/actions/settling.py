"""What Support alone does with lines of a ticket: retry what failed, give it up, settle what the provider can't tell.

One line or a thousand: all of them in one transaction, or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import F, QuerySet

from accounts.models import Activity, forbid_customer
from ampdr import clock, work
from ampdr.errors import Conflict
from ampdr.lifecycle import Actor, Change, changes
from ampdr.work import WaitingOn, fresh
from failover.actions.decisions import need_reason
from failover.models import Failover, Kind
from failover.tasks import fire
from failover.tasks.lines import WITHOUT_UNKNOWN, Carry
from replication.providers.base import Kind as Ask
from replication.providers.base import Progress
from replication.tasks import Answers

UNKNOWN = "outcome_unknown"
NOTHING = "Look again: nothing was done."


def retry(actor: Actor, lines: Failover | Iterable[Failover], seen: str = "") -> int:
    """Tries failed starts and terminations again, and sets going what waits for Support. Returns how many.

    Raises Conflict when one of them waits for nothing, or when its outcome is unknown: that is settled first.
    """
    forbid_customer(actor)
    with changes(actor) as change:
        chosen = _locked(lines, seen)
        for one in chosen:
            _refuse_to_go_on(one)
        for (_, move, verb, site), keys in _by_move(chosen).items():
            again = {"generation": F("generation") + 1}
            if verb == Ask.FENCE:
                again = {"fence_generation": F("fence_generation") + 1}
            fire(change, _these(keys), move, **fresh(verb, F(site)), **again)
        _set_going(change, [one.pk for one in chosen if one.state not in _FAILED])
        work.ring()
    return len(chosen)


def give_up(actor: Actor, lines: Failover | Iterable[Failover], reason: str, seen: str = "") -> int:
    """Gives failed starts up: what was made is removed, and a barred source is released. Returns how many."""
    forbid_customer(actor)
    need_reason(reason)
    with changes(actor, reason.strip()) as change:
        chosen = _locked(lines, seen)
        for kind in Kind:
            keys = [one.pk for one in chosen if one.kind == kind]
            fire(change, _these(keys), "give_up", **fresh(Ask.STOP, F("target")))
        work.ring()
    return len(chosen)


def settle(actor: Actor, lines: Failover | Iterable[Failover], done: bool, reason: str, seen: str = "") -> int:
    """Support has looked at what the provider couldn't tell. Done: as if it had said so. Not done: asked anew.

    `seen`: what `tries_of` said of these lines when they were looked at. Returns how many. Of two who settle at once
    the first one wins. Raises Invalid without a reason, Conflict when the outcome of one is known.
    """
    forbid_customer(actor)
    need_reason(reason)
    with changes(actor, reason.strip()) as change:
        chosen = _locked(lines, seen)
        for one in chosen:
            if one.flag != UNKNOWN or one.waiting_on != WaitingOn.SUPPORT:
                raise _changed(one, f"{one}: its outcome is not unknown any more. {NOTHING}")
        keys = [one.pk for one in chosen]
        change.note(_these(keys), "failover.settled", done=done)
        _these(keys).update(flag=WITHOUT_UNKNOWN, waiting_on="")
        if done:  # nothing is known of the point and the loss of a start: the launch is recorded without them
            Carry().commit(change, _these(keys), Answers(dict.fromkeys(keys, Progress(done=True))))
        else:
            _ask_anew(chosen)
        work.ring()
    return len(chosen)


def tries_of(lines: Iterable[Failover]) -> str:
    """How many lines these are, how often the provider was asked and for what: compared with what is by then."""
    tries = [(one.generation + one.fence_generation, one.verb) for one in lines]
    return said_of(len(tries), sum(n for n, _ in tries), {verb for _, verb in tries})


def said_of(count: int, tries: int, verbs: Iterable[str]) -> str:
    """The same of lines that were only counted."""
    return ":".join([f"{count}:{tries}", *sorted(verbs)])


# ---- Under the lines' locks ------------------------------------------------------------------------------------------

_FAILED = ("start_failed", "termination_failed")


def _locked(lines: Failover | Iterable[Failover], seen: str) -> list[Failover]:
    """These lines as they are now, locked in key order. Raises Conflict when they are no longer what was seen."""
    keys = [one.pk for one in ([lines] if isinstance(lines, Failover) else lines)]
    rows = _these(keys).select_related("vm", "ticket").order_by("pk").select_for_update(no_key=True, of=("self",))
    chosen = list(rows)
    if not chosen:
        raise Conflict(f"None of these VMs waits for that any more. {NOTHING}", code="changed_meanwhile")
    if seen and seen != tries_of(chosen):
        raise _changed(chosen[0], f"These VMs went on meanwhile. {NOTHING}")
    return chosen


def _these(keys: Sequence[int]) -> QuerySet[Failover]:
    return Failover.objects.filter(pk__among=keys)


def _changed(one: Failover, words: str) -> Conflict:
    last = Activity.objects.filter(kind="failover", subject_id=one.pk, staff=True).order_by("-pk").first()
    first: dict[str, Any] = {"who": f"{last.actor}, Support", "since": last.at} if last else {}
    return Conflict(words, code="changed_meanwhile", ticket=one.ticket.number, **first)


def _refuse_to_go_on(one: Failover) -> None:
    if one.flag == UNKNOWN:
        raise Conflict(f"{one}: its outcome is unknown. Settle that first: nothing was done.", code=UNKNOWN)
    if one.state not in _FAILED and not (one.waiting_on == "support" and one.verb):
        raise _changed(one, f"{one} doesn't wait for Support. {NOTHING}")


def _by_move(chosen: Sequence[Failover]) -> dict[tuple[str, str, str, str], list[int]]:
    """Kind, move, verb and the site that is asked -> the failed lines for which that is the way on."""
    found: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    for one in chosen:
        if one.state == "start_failed":
            found[(one.kind, "retry_start", *_start_again(one))].append(one.pk)
        elif one.state == "termination_failed":
            found[(one.kind, "retry_termination", Ask.STOP, "target")].append(one.pk)
    return found


def _start_again(one: Failover) -> tuple[str, str]:
    """Where a retried start goes on: at the fence only if the source was neither barred nor found silent."""
    if one.kind == Kind.TEST:
        return Ask.START_TEST, "target"
    return (Ask.START_LIVE, "target") if one.fenced else (Ask.FENCE, "source")


def _set_going(change: Change, keys: Sequence[int]) -> None:
    if keys:
        _these(keys).update(next_step_at=clock.db_now(), waiting_on="", refusals=0, attempts=0)
        change.note(_these(keys), "failover.set_going")


def _ask_anew(chosen: Sequence[Failover]) -> None:
    """The same step with a new key: the old one may have been used up by what nobody knows of."""
    again = fresh("", F("step_site")) | {"verb": F("verb")}
    fences = [one.pk for one in chosen if one.verb == Ask.FENCE]
    others = [one.pk for one in chosen if one.verb != Ask.FENCE]
    _these(fences).update(**again, fence_generation=F("fence_generation") + 1)
    _these(others).update(**again, generation=F("generation") + 1)
