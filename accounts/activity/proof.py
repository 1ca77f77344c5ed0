"""How the record is proved: every seal, every chain, and every subject where its rows lead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from django.apps import apps
from django.db.models import Exists, F, OuterRef, Q

from accounts.activity.journal import chain, digests_of
from accounts.models import Account, Activity, Head, Seal
from ampdr.lifecycle import LIFECYCLES, Lifecycle, Stateful


@dataclass(frozen=True)
class Known:
    """A head as somebody outside wrote it down: this account's seal `number` had this hash then."""

    whose: str  # the account's slug, or INSTALLATION
    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.whose}={self.number}:{self.hash}"

    @classmethod
    def read(cls, line: str) -> Self:
        """From a line as `heads` makes it. Raises ValueError."""
        whose, _, rest = line.strip().partition("=")
        number, _, sealed = rest.partition(":")
        if not whose or not re.fullmatch(r"[0-9a-f]{64}|", sealed):
            raise ValueError(f"“{line.strip()}” is not a head: account=number:hash")
        return cls(whose, int(number), sealed)


INSTALLATION = "@installation"  # no account's slug begins so


def heads() -> list[Known]:
    """The newest seal of every record: kept elsewhere, it finds out whoever cuts record and head alike."""
    found = Head.objects.order_by("account_id").values_list("account__slug", "number", "hash")
    return [Known(slug or INSTALLATION, number, sealed) for slug, number, sealed in found]


def faults(known: Iterable[Known] = ()) -> Iterator[str]:
    """Everything that doesn't fit, in words; nothing when the record is whole. Reads batch by batch."""
    for head in Head.objects.select_related("account").order_by("account_id"):
        yield from _faults_of_chain(head)
    yield from _faults_of_heads(known)
    yield from _faults_without_seal()
    yield from _faults_of_counters()
    for life in LIFECYCLES.values():
        yield from _faults_of_paths(life)


def size() -> str:
    """How much record there is, in words."""
    return f"{Activity.objects.count()} Activity rows under {Seal.objects.count()} seals"


# ---- Chains ----------------------------------------------------------------------------------------------------------


def _faults_of_chain(head: Head) -> Iterator[str]:
    whose = str(head.account or "the installation")
    previous, number = "", 0
    for seal in Seal.objects.filter(account=head.account).order_by("number").iterator():
        number += 1
        if seal.number != number or seal.previous != previous:
            yield f"{whose}: seal {seal.number} doesn't follow seal {number - 1}: a seal was taken away or changed."
        if seal.hash != chain(seal.number, seal.previous, seal.digest, seal.rows):
            yield f"{whose}: seal {seal.number} was changed."
        yield from _faults_of_rows(whose, head, seal)
        previous, number = seal.hash, seal.number
    if (head.number, head.hash) != (number, previous):
        yield f"{whose}: the record ends at seal {number}, its head says {head.number}: the newest part was cut."
    if head.closed_to != (closed := _closed_to(head)):
        yield f"{whose}: its head says closed up to seal {head.closed_to}, its Activity says {closed}."


def _faults_of_rows(whose: str, head: Head, seal: Seal) -> Iterator[str]:
    rows = Activity.objects.filter(batch=seal.batch, account=head.account)
    if seal.number <= head.closed_to:
        if rows.exists():
            yield f"{whose}: there are Activity rows under seal {seal.number}, which was closed into a file."
    elif digests_of(rows).get(head.account_id, ("", 0)) != (seal.digest, seal.rows):
        yield f"{whose}: the Activity rows of seal {seal.number} ({seal.at:%Y-%m-%d %H:%M} UTC) were changed."


def _closed_to(head: Head) -> int:
    """Up to which seal the record itself says that it was closed into files."""
    closings = Activity.objects.filter(account=head.account, kind="record", event="closed").order_by("-id")
    facts: Mapping[str, Any] = closings.values_list("facts", flat=True).first() or {}
    return int(facts.get("to", 0))


def _faults_of_heads(known: Iterable[Known]) -> Iterator[str]:
    """Each head of a record that has one, and each that somebody wrote down."""
    headless = Account.objects.filter(head=None).order_by("pk")
    yield from (f"{account}: the record has no head." for account in headless)
    if not Head.objects.filter(account=None).exists():
        yield "the installation: the record has no head."
    for one in known:
        account = Q(account=None) if one.whose == INSTALLATION else Q(account__slug=one.whose)
        sealed = Seal.objects.filter(account, number=one.number).values_list("hash", flat=True).first() or ""
        if sealed != one.hash:
            yield f"{one.whose}: seal {one.number} is not the one that was written down outside: cut or made anew."


def _faults_without_seal() -> Iterator[str]:
    mine = Seal.objects.filter(batch=OuterRef("batch"), account=OuterRef("account"))
    house = Seal.objects.filter(batch=OuterRef("batch"), account=None)
    loose = Activity.objects.filter(~Exists(mine), ~Exists(house) | Q(account__isnull=False))
    for row in loose.order_by("id")[:20]:
        yield f"Activity {row.pk} of {row.account or 'the installation'}: inserted without a seal."


# ---- Counters --------------------------------------------------------------------------------------------------------


def _faults_of_counters() -> Iterator[str]:
    """Every head's counters against what they count. Whoever is counted says how: `recount` of its model."""
    counted: Counter[tuple[int, str]] = Counter()
    for model in apps.get_models():
        for account, counter, n in getattr(model, "recount", tuple)():
            counted[account, counter] += n
    for head in Head.objects.exclude(account=None).select_related("account").order_by("account_id"):
        for counter in Head.COUNTERS:
            kept, found = getattr(head, counter), counted[head.account_id or 0, counter]
            if kept != found:
                yield f"{head.account}: its head counts {kept} under “{counter}”, there are {found}."


# ---- Paths and states ------------------------------------------------------------------------------------------------


def _faults_of_paths(life: Lifecycle) -> Iterator[str]:
    """Every recorded move must be in the table, each start where the one before it ended (the first one in a state in
    which subjects begin), and the row be there now.

    Of what was closed into files the path goes on from the state before the oldest kept row.
    """
    moves = {(move.name, source, move.target) for move in life.moves.values() for source in move.sources}
    closed = set(Head.objects.filter(closed_to__gt=0).values_list("account", flat=True))
    at: dict[int, str] = {}
    rows = Activity.objects.filter(kind=life.kind).exclude(to_state="").order_by("id")
    fields = ("subject_id", "account", "event", "from_state", "to_state")
    for subject, account, event, source, target in rows.values_list(*fields).iterator():
        known = at.get(subject, source if account in closed else "")
        fits = (event, source, target) in moves if source else target in (life.initial, life.adopted)
        if not fits or known != source:
            yield f"{life.kind} {subject}: {event} from {source} to {target} is no move of the table."
        at[subject] = target
    yield from _faults_of_states(life, at)


def _faults_of_states(life: Lifecycle, at: Mapping[int, str]) -> Iterator[str]:
    """Every subject is where its record leads, and none without a record, or the other way round.

    One whose whole record was closed has not moved since: the files tell its state.
    """
    models = (model for model in apps.get_models() if issubclass(model, Stateful) and model.LIFECYCLE is life)
    model: type[Stateful] = next(models)
    rows = model._default_manager.values_list("pk", "state", "state_since", model.IN_ACTIVITY["account"])
    now = {pk: (state, since, account) for pk, state, since, account in rows.iterator()}
    until = _closed_until()
    for subject in sorted({*at, *now}):
        is_now, since, account = now.get(subject, ("gone", None, None))
        if subject not in at and since and since <= until.get(account, NEVER):
            continue
        if at.get(subject) != is_now:
            yield f"{life.kind} {subject} is {is_now}, its Activity says {at.get(subject, 'nothing')}."


NEVER = datetime.min.replace(tzinfo=UTC)


def _closed_until() -> dict[int, datetime]:
    """Account -> when the newest seal was made whose rows lie in files."""
    last = Seal.objects.filter(account__head__closed_to=F("number"))
    return dict(last.values_list("account_id", "at"))
