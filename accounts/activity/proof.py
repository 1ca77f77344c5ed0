"""How the record is proved: every seal, every chain, and every subject where its rows lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.apps import apps
from django.db.models import Exists, OuterRef, Q

from accounts.activity.journal import chain, digests_of
from accounts.models import Activity, Head, Seal
from ampdr.lifecycle import LIFECYCLES, Lifecycle, Stateful


def faults() -> Iterator[str]:
    """Everything that doesn't fit, in words; nothing when the record is whole. Reads batch by batch."""
    for head in Head.objects.select_related("account").order_by("account_id"):
        yield from _faults_of_chain(head)
    yield from _faults_without_seal()
    for life in LIFECYCLES.values():
        yield from _faults_of_paths(life)


def size() -> str:
    """How much record there is, in words."""
    return f"{Activity.objects.count()} Activity rows under {Seal.objects.count()} seals"


def _faults_of_chain(head: Head) -> Iterator[str]:
    whose = str(head.account or "the installation")
    previous, number = "", 0
    for seal in Seal.objects.filter(account=head.account).order_by("number").iterator():
        number += 1
        if seal.number != number or seal.previous != previous:
            yield f"{whose}: seal {seal.number} doesn't follow seal {number - 1}: a seal was taken away or changed."
        if seal.hash != chain(seal.number, seal.previous, seal.digest, seal.rows):
            yield f"{whose}: seal {seal.number} was changed."
        rows = Activity.objects.filter(batch=seal.batch, account=head.account)
        if digests_of(rows).get(head.account_id, ("", 0)) != (seal.digest, seal.rows):
            yield f"{whose}: the Activity rows of seal {seal.number} ({seal.at:%Y-%m-%d %H:%M} UTC) were changed."
        previous, number = seal.hash, seal.number
    if (head.number, head.hash) != (number, previous):
        yield f"{whose}: the record ends at seal {number}, its head says {head.number}: the newest part was cut."


def _faults_without_seal() -> Iterator[str]:
    mine = Seal.objects.filter(batch=OuterRef("batch"), account=OuterRef("account"))
    house = Seal.objects.filter(batch=OuterRef("batch"), account=None)
    loose = Activity.objects.filter(~Exists(mine), ~Exists(house) | Q(account__isnull=False))
    for row in loose.order_by("id")[:20]:
        yield f"Activity {row.pk} of {row.account or 'the installation'}: inserted without a seal."


def _faults_of_paths(life: Lifecycle) -> Iterator[str]:
    """Every recorded move must be in the table, each start where the one before it ended, and the row be there now."""
    moves = {(move.name, source, move.target) for move in life.moves.values() for source in move.sources}
    at: dict[int, str] = {}
    rows = Activity.objects.filter(kind=life.kind).exclude(to_state="").order_by("id")
    for subject, event, source, target in rows.values_list("subject_id", "event", "from_state", "to_state").iterator():
        known = at.get(subject)
        if source and ((event, source, target) not in moves or known not in (None, source)):
            yield f"{life.kind} {subject}: {event} from {source} to {target} is no move of the table."
        at[subject] = target
    yield from _faults_of_states(life, at)


def _faults_of_states(life: Lifecycle, at: Mapping[int, str]) -> Iterator[str]:
    """Every subject is where its record leads, and none without a record, or the other way round."""
    models = (model for model in apps.get_models() if issubclass(model, Stateful) and model.LIFECYCLE is life)
    now = dict(next(models)._default_manager.values_list("pk", "state"))
    for subject in sorted({*at, *now}):
        if at.get(subject) != now.get(subject):
            told, is_now = at.get(subject, "nothing"), now.get(subject, "gone")
            yield f"{life.kind} {subject} is {is_now}, its Activity says {told}."
