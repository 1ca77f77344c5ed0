"""States, moves and the one way to change a state.

    with changes(actor, reason) as change:            # one transaction of moves; nested use joins the outer one
        rows = change.fire(subjects, "run", **facts)  # a queryset: one or thousands, all or none

Locks are taken in one order everywhere: ticket, failover, replication, VM, conversation, account
head; each kind in key order.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol

from django.conf import settings
from django.db import models, transaction
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from ampdr import clock
from ampdr.errors import Forbidden, IllegalTransition


class State(NamedTuple):
    """A state as people see it. Colour comes from `tone`: ok, info, warn, bad, off, test or live."""

    name: str
    word: str
    tone: str
    icon: str


class Move(NamedTuple):
    """A permitted way from some states to another. `by` says who makes it, in words for the printed table."""

    name: str
    sources: tuple[str, ...]
    target: str
    by: str


class Lifecycle:
    """The states of one kind of subject and the moves between them.

    A subject begins in the first state, or, if it was at work elsewhere before it was brought here, as `adopted`.
    """

    def __init__(self, kind: str, states: Sequence[State], moves: Sequence[Move], adopted: str = "") -> None:
        self.kind = kind
        self.initial = states[0].name
        self.adopted = adopted
        self.states = {state.name: state for state in states}
        self.moves = {move.name: move for move in moves}
        LIFECYCLES[kind] = self

    def choices(self) -> list[tuple[str, str]]:
        return [(state.name, state.word) for state in self.states.values()]

    def allows(self, state: str, move: str) -> bool:
        """Whether `move` leads on from `state`: what pages ask for their buttons."""
        return state in self.moves[move].sources

    def successors(self, state: str) -> dict[str, str]:
        """Move -> the state it leads to, for every move that leads on from `state`."""
        return {move.name: move.target for move in self.moves.values() if state in move.sources}


LIFECYCLES: dict[str, Lifecycle] = {}


FRESH = timedelta(minutes=5)


@dataclass(frozen=True)
class Actor:
    """Who acts: a person in one account, somebody of Support, or the portal itself."""

    name: str
    person_id: int | None = None
    staff: bool = False
    via: str = "page"
    account_id: int = 0  # 0: in no account
    account_slug: str = ""
    account_name: str = ""
    permissions: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()
    listed: bool = False
    unread: int = 0  # notices of his here
    proved_at: datetime | None = None  # when this session last proved a second factor
    proved_by: str = ""  # by which means: "totp" or "recovery_codes"

    @property
    def fresh(self) -> bool:
        """Whether a second factor was proved within the last five minutes (product rule 10)."""
        return self.proved_at is not None and clock.now() - self.proved_at < FRESH

    @property
    def initials(self) -> str:
        return "".join(part[0] for part in self.name.split()[:2]).upper()

    def can(self, permission: str) -> bool:
        return permission in self.permissions

    def need(self, permission: str) -> None:
        """A verb's first line. Raises Forbidden, naming the permission."""
        if not self.can(permission):
            raise Forbidden("Ask an administrator of your account for it.", permission=permission)


PORTAL = Actor("AMPDR", via="worker")


class Stateful(models.Model):
    """A row with a state. Only `Change.fire` writes `state`.

    `IN_ACTIVITY` says where an Activity row finds its columns: account, vm, vm_name, about -> a field path.
    `CARRIES` are the fields that `fire` hands back beside pk and state.
    """

    LIFECYCLE: ClassVar[Lifecycle]
    IN_ACTIVITY: ClassVar[Mapping[str, str]]
    CARRIES: ClassVar[tuple[str, ...]] = ()

    state = models.CharField(max_length=24, editable=False)
    state_since = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        abstract = True

    @property
    def shown_state(self) -> State:
        return self.LIFECYCLE.states[self.state]

    def allows(self, move: str) -> bool:
        return self.LIFECYCLE.allows(self.state, move)


@dataclass(frozen=True)
class Entry:
    """What becomes Activity rows: one per subject. `event` is `<kind>.<what>`."""

    subjects: QuerySet[Any]
    event: str
    actor: Actor
    reason: str
    from_state: str = ""
    to_state: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class LastChange(NamedTuple):
    who: str
    at: datetime


class Journal(Protocol):
    """What keeps the record. The settings name its class (`JOURNAL`), so that the kernel imports no app."""

    def write(
        self,
        batch: uuid.UUID,
        at: datetime,
        entries: Sequence[Entry],
        tallies: Tallies,
        touched: Set[int],
        before_sealing: Callable[[], None],
    ) -> None: ...

    def last(self, kind: str, subject_id: int) -> LastChange | None: ...


Tallies = Mapping[tuple[int, str], int]
Deed = Callable[[datetime, set[int]], None]  # gets the batch's time and the keys that were gathered for it


@cache
def journal() -> Journal:
    keeper: Journal = import_string(settings.JOURNAL)()
    return keeper


@dataclass
class _Batch:
    """What one outermost `changes` has gathered. All its Activity rows bear `token`."""

    token: uuid.UUID = field(default_factory=uuid.uuid4)
    at: datetime = field(default_factory=clock.now)
    entries: list[Entry] = field(default_factory=list)
    tallies: Counter[tuple[int, str]] = field(default_factory=Counter)
    touched: set[int] = field(default_factory=set)
    last: dict[Deed, set[int]] = field(default_factory=lambda: defaultdict(set))

    def close(self) -> None:
        tallies = {key: difference for key, difference in self.tallies.items() if difference}
        if self.entries or tallies or self.touched:
            journal().write(self.token, self.at, self.entries, tallies, self.touched, self.finish)

    def finish(self) -> None:
        for deed, keys in self.last.items():
            deed(self.at, keys)


_open: ContextVar[_Batch | None] = ContextVar("changes", default=None)


class Change:
    """One transaction of moves, made by `changes`."""

    def __init__(self, batch: _Batch, actor: Actor, reason: str) -> None:
        self._batch, self.actor, self.reason = batch, actor, reason

    @property
    def at(self) -> datetime:
        return self._batch.at

    def fire(
        self, subjects: QuerySet[Any], move: str, *, noted: Mapping[str, Any] | None = None, **facts: Any
    ) -> list[Any]:
        """Moves every subject, or none. Hands back a named tuple for each: pk, state (before), `CARRIES`.

        `facts` are columns that get the same value (or expression) on every subject, in the same UPDATE; `noted` are
        facts that stand in the record alone.
        Raises IllegalTransition (409), naming who was first, when one is in a state the move doesn't start from.
        """
        model = subjects.model
        life: Lifecycle = model.LIFECYCLE
        step = life.moves[move]
        rows = _lock(subjects)
        for row in rows:
            if row.state not in step.sources:
                raise _refusal(model, row, move)
        if rows:
            locked = model._default_manager.filter(pk__among=[row.pk for row in rows])
            locked.update(state=step.target, state_since=self.at, **facts)
            self._note_moves(model, rows, f"{life.kind}.{move}", step.target, noted or {})
        return rows

    def begin(self, subjects: QuerySet[Any], event: str, **facts: Any) -> None:
        """Writes down that these subjects were just inserted, in their first state."""
        life: Lifecycle = subjects.model.LIFECYCLE
        self.note(subjects, f"{life.kind}.{event}", to_state=life.initial, **facts)

    def adopt(self, subjects: QuerySet[Any], event: str, **facts: Any) -> None:
        """Writes down that these subjects were just inserted as they were elsewhere, in their `adopted` state."""
        life: Lifecycle = subjects.model.LIFECYCLE
        self.note(subjects, f"{life.kind}.{event}", to_state=life.adopted, **facts)

    def note(
        self, subjects: QuerySet[Any], event: str, *, from_state: str = "", to_state: str = "", **facts: Any
    ) -> None:
        """Writes one Activity row per subject when the transaction ends; `facts` stand on each.

        A fact may be an expression over the subject, F("on_it"): then each row has its own.
        """
        self._batch.entries.append(Entry(subjects, event, self.actor, self.reason, from_state, to_state, facts))

    def tally(self, account_id: int, counter: str, difference: int) -> None:
        """Changes a kept counter of the account's head by a difference, under its lock at the end."""
        self._batch.tallies[account_id, counter] += difference

    def touch(self, account_ids: Iterable[int]) -> None:
        """Raises these accounts' versions, so that open pages look again, where nothing else would."""
        self._batch.touched.update(account_ids)

    def finish(self, deed: Deed, keys: Iterable[int]) -> None:
        """Has `deed` done once for all such keys of this transaction, after its record is written and right before the
        heads are locked: what many write to at once is then locked for the shortest time.
        """
        self._batch.last[deed].update(keys)

    def _note_moves(
        self, model: type[Any], rows: Iterable[Any], event: str, target: str, noted: Mapping[str, Any]
    ) -> None:
        by_source: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            by_source[row.state].append(row.pk)
        for source, keys in by_source.items():
            moved = model._default_manager.filter(pk__among=keys)
            self.note(moved, event, from_state=source, to_state=target, **noted)


@contextmanager
def changes(actor: Actor, reason: str = "") -> Iterator[Change]:
    """One transaction of moves. On leaving, Activity is written and every touched account gets one seal."""
    if outer := _open.get():
        yield Change(outer, actor, reason)
        return
    with transaction.atomic(durable=True):
        batch = _Batch()
        token = _open.set(batch)
        try:
            yield Change(batch, actor, reason)
            batch.close()
        finally:
            _open.reset(token)


def _lock(subjects: QuerySet[Any]) -> list[Any]:
    fields = ("pk", "state", *subjects.model.CARRIES)
    locked = subjects.order_by("pk").select_for_update(no_key=True, of=("self",))
    return list(locked.values_list(*fields, named=True))


def _refusal(model: type[Any], row: Any, move: str) -> IllegalTransition:
    """Says who was first and since when, as far as the record tells."""
    life: Lifecycle = model.LIFECYCLE
    subject = model._default_manager.get(pk=row.pk)
    last = journal().last(life.kind, row.pk)
    word = life.states[row.state].word
    who = f", by {last.who}" if last else ""
    since = subject.state_since.strftime("%H:%M UTC")
    return IllegalTransition(
        f"{subject} is {word} since {since}{who}. Look again: nothing was done.",
        subject=str(subject), state=word, since=subject.state_since, who=last.who if last else "", move=move,
    )  # fmt: skip
