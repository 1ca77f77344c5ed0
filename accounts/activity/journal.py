"""How a batch of the record is written and sealed.

Each batch of an account's rows gets one seal: the digest of its rows, chained to the seal before it. A row changed,
added or taken away later no longer fits its seal; a seal changed or cut no longer fits the head.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

from django.db.models import Aggregate, Count, F, Func, JSONField, QuerySet, TextField, Value
from django.db.models import fields as column
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, JSONObject, Left

from accounts.models import Activity, Head, Seal
from ampdr.lifecycle import Actor, Entry, LastChange, Tallies
from ampdr.sets import insert_select

COLUMNS = (
    "account", "batch", "at", "actor", "person_id", "staff", "via", "kind", "event", "subject_id",
    "vm", "vm_name", "about", "from_state", "to_state", "reason", "facts",
)  # fmt: skip


class SealedJournal:
    """The kernel's Journal, kept in this database."""

    def write(
        self,
        batch: uuid.UUID,
        at: datetime,
        entries: Sequence[Entry],
        tallies: Tallies,
        touched: Set[int],
        before_sealing: Callable[[], None],
    ) -> None:
        """Inserts the Activity rows, then locks the heads, in account order and last of all, and seals."""
        for entry in entries:
            _insert(entry, batch, at)
        digests = digests_of(Activity.objects.filter(batch=batch)) if entries else {}
        before_sealing()
        _seal(batch, at, digests, tallies, touched)

    def last(self, kind: str, subject_id: int) -> LastChange | None:
        """Who moved it last; what else was written down of it (a confirmation, a flag) moved nothing."""
        moves = Activity.objects.filter(kind=kind, subject_id=subject_id).exclude(to_state="")
        row = moves.order_by("-id").first()
        return LastChange(name_of(row.actor, row.staff), row.at) if row else None


def name_of(actor: str, staff: bool) -> str:
    """A name as the log shows it: staff are marked."""
    return f"{actor}, Support" if staff else actor


def _insert(entry: Entry, batch: uuid.UUID, at: datetime) -> None:
    kind, event = entry.event.split(".")
    road: Mapping[str, str] = entry.subjects.model.IN_ACTIVITY
    actor: Actor = entry.actor
    constant = {
        "batch": Value(batch, output_field=column.UUIDField()),
        "at": Value(at, output_field=column.DateTimeField()),
        "actor": _text(actor.name),
        "person_id": Value(actor.person_id, output_field=column.BigIntegerField(null=True)),
        "staff": Value(actor.staff, output_field=column.BooleanField()),
        "via": _text(actor.via),
        "kind": _text(kind),
        "event": _text(event),
        "from_state": _text(entry.from_state),
        "to_state": _text(entry.to_state),
        "reason": _text(entry.reason),
        "facts": _facts(entry.facts),
    }
    found: dict[str, Combinable] = {
        "account": F(road["account"]) if "account" in road else Value(None, output_field=column.BigIntegerField()),
        "subject_id": F("pk"),
        "vm": F(road["vm"]) if "vm" in road else Value(None, output_field=column.UUIDField()),
        "vm_name": Left(F(road["vm_name"]), 128, output_field=TextField()) if "vm_name" in road else _text(""),
        "about": Coalesce(F(road["about"]), _text(""), output_field=TextField()) if "about" in road else _text(""),
    }
    expressions = [found[name] if name in found else constant[name] for name in COLUMNS]
    insert_select(Activity, COLUMNS, entry.subjects.order_by("pk").values_list(*expressions))


def _text(words: str) -> Value:
    return Value(words, output_field=TextField())


def _facts(facts: Mapping[str, Any]) -> Combinable:
    """The same on every row; a fact that is an expression, such as F("on_it"), is read from each subject."""
    own = {name: fact for name, fact in facts.items() if hasattr(fact, "resolve_expression")}
    alike = Value({name: facts[name] for name in facts.keys() - own.keys()}, output_field=JSONField())
    return _Joined(Cast(alike, JSONField()), JSONObject(**own)) if own else alike


class _Joined(Func):
    """Two JSON objects as one."""

    template, arg_joiner, output_field = "(%(expressions)s)", " || ", JSONField()


class _RowText(Func):
    """One row as canonical text: a JSON array of its sealed columns, times in microseconds since 1970."""

    function = "jsonb_build_array"
    output_field = TextField()


class _RowsDigest(Aggregate):
    """SHA-256, in hex, of the rows' texts in the order of their ids. An aggregate: a mere function is grouped by."""

    template = "encode(sha256(convert_to(string_agg((%(expressions)s)::text, chr(10) ORDER BY id), 'UTF8')), 'hex')"
    output_field = TextField()


class _Microseconds(Func):
    template = "(extract(epoch from %(expressions)s) * 1000000)::bigint"
    output_field = column.BigIntegerField()


def row_text() -> Func:
    """The canonical text of a row, as an expression over Activity."""
    return _RowText(*[_Microseconds("at") if name == "at" else F(name) for name in Activity.SEALED])


def digests_of(rows: QuerySet[Activity]) -> dict[int | None, tuple[str, int]]:
    """Account (None: the installation) -> digest and number of its rows."""
    found = rows.order_by().values("account_id").annotate(digest=_RowsDigest(row_text()), n=Count("pk"))
    return {row["account_id"]: (row["digest"], row["n"]) for row in found}


def _seal(
    batch: uuid.UUID,
    at: datetime,
    digests: Mapping[int | None, tuple[str, int]],
    tallies: Tallies,
    touched: Set[int],
) -> None:
    heads = _locked_heads({*digests, *(account for account, _ in tallies), *touched})
    seals = [_next_seal(head, batch, at, *digests[head.account_id]) for head in heads if head.account_id in digests]
    for head in heads:
        head.version += 1
        for counter in Head.COUNTERS:
            if difference := tallies.get((head.account_id or 0, counter)):
                setattr(head, counter, getattr(head, counter) + difference)
    Seal.objects.bulk_create(seals)
    changed = ["number", "hash", "version", *{counter for _, counter in tallies}]
    Head.objects.bulk_update(heads, changed)


def _locked_heads(accounts: set[int | None]) -> list[Head]:
    rows = Head.objects.filter(account__in=[account for account in accounts if account is not None])
    if None in accounts:
        rows = rows | Head.objects.filter(account=None)
    return list(rows.order_by("account_id").select_for_update(no_key=True))


def _next_seal(head: Head, batch: uuid.UUID, at: datetime, digest: str, rows: int) -> Seal:
    seal = Seal(
        account_id=head.account_id, number=head.number + 1, batch=batch, rows=rows, digest=digest, previous=head.hash,
        at=at, hash=chain(head.number + 1, head.hash, digest, rows),
    )  # fmt: skip
    head.number, head.hash = seal.number, seal.hash
    return seal


def chain(number: int, previous: str, digest: str, rows: int) -> str:
    """The hash of a seal: SHA-256 over its number, the hash before it, its rows' digest and their number."""
    return hashlib.sha256(f"{number}:{previous}:{digest}:{rows}".encode()).hexdigest()
