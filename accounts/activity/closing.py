"""Old batches go into a file and their seals stay, so that the record verifies for ever.

A file is JSON lines: one object for each seal, and beneath it the canonical text of each of its rows, byte for byte
what the seal's digest was made of. So a file is proved by the seals alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.activity.journal import chain, row_text
from accounts.activity.proof import INSTALLATION
from accounts.models import Activity, Head, Seal
from ampdr.lifecycle import Actor, changes

OPERATOR = Actor("Operator of AMPDR", via="command")
AT_ONCE = 1000  # seals that are held in memory
PATIENCE = "5s"  # how long the portal's own changes are waited for, before the rows go


class Unsound(Exception):
    """Rows don't fit their seals, or the file that is there: nothing was closed."""


@dataclass(frozen=True)
class Part:
    """The oldest kept seals of one record, `first` to `last`, which are to be closed."""

    head: Head
    first: int
    last: int

    @property
    def whose(self) -> str:
        return self.head.account.slug if self.head.account else INSTALLATION

    @property
    def seals(self) -> QuerySet[Seal]:
        return Seal.objects.filter(account=self.head.account, number__range=(self.first, self.last))

    def in_order(self) -> Iterator[Seal]:
        for first in range(self.first, self.last + 1, AT_ONCE):
            yield from self.seals.filter(number__range=(first, first + AT_ONCE - 1)).order_by("number")


def closable(before: datetime) -> list[Part]:
    """Of every record the whole seals, from its oldest kept one on, that were all made before a moment."""
    found = []
    for head in Head.objects.select_related("account").order_by("account_id"):
        kept = Seal.objects.filter(account=head.account, number__gt=head.closed_to)
        young = kept.filter(at__gte=before).order_by("number").values_list("number", flat=True).first()
        last = head.number if young is None else young - 1
        if last > head.closed_to:
            found.append(Part(head, head.closed_to + 1, last))
    return found


# ---- The file --------------------------------------------------------------------------------------------------------


def write(parts: Iterable[Part], path: Path) -> tuple[int, str]:
    """Writes and proves the file; it is there, whole and on disk, or not at all. Its number of rows and SHA-256.

    The same parts make the same file to the byte, so that a run that was killed is simply repeated.
    """
    draft, rows = path.with_name(f"{path.name}.part"), 0
    with draft.open("wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed:
        for part in parts:
            rows += sum(_write_seal(part, seal, packed) for seal in part.in_order())
    found = digest_of(draft)
    if path.exists() and digest_of(path) != found:
        draft.unlink()
        raise Unsound(f"{path} is there already and holds something else. Move it away, or name another folder.")
    _keep(draft, path)
    note = path.with_name(f"{path.name}.sha256.part")
    note.write_text(f"{found}  {path.name}\n")
    _keep(note, path.with_name(f"{path.name}.sha256"))
    return rows, found


def _write_seal(part: Part, seal: Seal, file: IO[bytes] | gzip.GzipFile) -> int:
    rows = Activity.objects.filter(batch=seal.batch, account=seal.account_id)
    texts = [text.encode() for text in rows.order_by("id").annotate(text=row_text()).values_list("text", flat=True)]
    fits = (hashlib.sha256(b"\n".join(texts)).hexdigest(), len(texts)) == (seal.digest, seal.rows)
    if not fits or seal.hash != chain(seal.number, seal.previous, seal.digest, seal.rows):
        raise Unsound(f"{part.whose}: the Activity rows of seal {seal.number} don't fit it. Run verify_activity first.")
    about = {"account": part.whose, "seal": seal.number, "batch": str(seal.batch), "rows": seal.rows}
    for line in (json.dumps(about | {"at": seal.at.isoformat(), "hash": seal.hash}).encode(), *texts):
        file.write(line + b"\n")
    return len(texts)


def _keep(draft: Path, path: Path) -> None:
    """On disk first, then under its name: a file with that name is a whole one, whatever happens meanwhile."""
    _sync(draft)
    draft.replace(path)
    _sync(path.parent)


def _sync(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- The rows --------------------------------------------------------------------------------------------------------


def remove(parts: list[Part], rows: int, path: Path, sha256: str) -> None:
    """Takes the rows out whose file is on disk, and writes down that they were: all or nothing.

    The table's lock comes first: whoever is in the middle of a change is waited for, whoever begins one waits. The
    bars are up again before anybody else sees the table.
    """
    with changes(OPERATOR, f"Closed into {path.name}") as change, connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
        cursor.execute("ALTER TABLE accounts_activity DISABLE TRIGGER activity_bar")
        gone = sum(_remove(part) for part in parts)
        cursor.execute("ALTER TABLE accounts_activity ENABLE TRIGGER activity_bar")
        if gone != rows:
            raise Unsound(f"{rows} rows are in {path.name}, {gone} were found now. Somebody else closes too?")
        for part in parts:
            mine = Head.objects.filter(pk=part.head.pk)
            facts: dict[str, Any] = {"first": part.first, "to": part.last, "file": path.name, "sha256": sha256}
            change.note(mine, "record.closed", **facts)
            mine.update(closed_to=part.last)


def _remove(part: Part) -> int:
    head = Head.objects.select_for_update().get(pk=part.head.pk)
    if head.closed_to != part.first - 1:
        raise Unsound(f"{part.whose}: somebody else has closed up to seal {head.closed_to} meanwhile.")
    of_them = part.seals.filter(batch=OuterRef("batch"))
    return Activity.objects.filter(Exists(of_them), account=head.account_id).delete()[0]


# ---- The proof of a file ---------------------------------------------------------------------------------------------


def faults_of_file(path: Path) -> tuple[list[str], str]:
    """What of a closed file doesn't fit the kept seals, in words; and how much there is in it."""
    found = list(_faults_of_digest(path))
    seals = rows = 0
    try:
        for about, texts in _seals_of(path):
            seals, rows = seals + 1, rows + len(texts)
            found += _faults_of_seal(about, texts)
    except (OSError, EOFError, ValueError, LookupError, TypeError) as error:
        found.append(f"{path.name} can't be read to its end: {error}")
    return found, f"{rows} Activity rows under {seals} seals"


def _faults_of_digest(path: Path) -> Iterator[str]:
    note = path.with_name(f"{path.name}.sha256")
    if path.exists() and note.exists() and note.read_text().split()[:1] != [digest_of(path)]:
        yield f"{path.name} is not the file whose SHA-256 stands in {note.name}."


def _seals_of(path: Path) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        while line := file.readline():
            about = json.loads(line)
            yield about, [file.readline().rstrip(b"\n") for _ in range(about["rows"])]


def _faults_of_seal(about: dict[str, Any], texts: list[bytes]) -> Iterator[str]:
    account = Q(account=None) if about["account"] == INSTALLATION else Q(account__slug=about["account"])
    seal = Seal.objects.filter(account, number=about["seal"]).first()
    if seal is None:
        yield f"{about['account']}: there is no seal {about['seal']}."
    elif (hashlib.sha256(b"\n".join(texts)).hexdigest(), len(texts)) != (seal.digest, seal.rows):
        yield f"{about['account']}: the Activity rows of seal {seal.number} in the file don't fit the kept seal."
