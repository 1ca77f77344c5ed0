"""Reads the CSV file of an import: which cells stand in which line, and what is wrong with its shape."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from django.core.management.base import CommandError

from replication.actions import COLUMNS, NEEDED, Entry, readable

DELIMITERS = ",;\t"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
MOST_BYTES = 64 * 2**20
QUOTES = "A quotation mark isn't closed, or stands within a cell. Double it there, or take it out."


def read(path: Path) -> list[Entry]:
    """The lines below the header; one of the wrong shape has no cells, and says what is wrong.

    Raises CommandError if the file or its header can't be used: nothing can be said of the lines then.
    """
    lines = _lines(_text(path))
    _, names, wrong = next(lines, (1, [], ""))
    if not (any(names) or wrong):
        raise CommandError(f"{path.name} is empty. Its first line names the columns: docs/generation3.md.")
    columns = [name.strip().lower() for name in names]
    if faults := [wrong] if wrong else [*_faults_of_header(columns)]:
        raise CommandError("\n".join(f"{path.name}, line 1: {words}" for words in faults))
    filled = ((line, cells, wrong) for line, cells, wrong in lines if wrong or any(map(str.strip, cells)))
    entries = [_entry(columns, *said) for said in filled]
    if not entries:
        raise CommandError(f"{path.name} names no VM: there is nothing below its first line.")
    return entries


def _text(path: Path) -> str:
    """What isn't UTF-8 is kept as lone surrogates, so that the cells that hold it can be named."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise CommandError(f"{path.name} is larger than {MOST_BYTES // 2**20} MB. Divide it.")
    if content.startswith(UTF16):
        raise CommandError(f"{path.name} is UTF-16. Save it as UTF-8.")
    return content.decode("utf-8-sig", "surrogateescape")


def _lines(text: str) -> Iterator[tuple[int, list[str], str]]:
    """Number of the line on which each row begins, its cells, and what is wrong with its quotation marks."""
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=header.count), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader), ""
        except csv.Error:
            yield line, [], QUOTES
        except StopIteration:
            return


def _faults_of_header(columns: list[str]) -> Iterator[str]:
    known = ", ".join(COLUMNS)
    for name, n in Counter(columns).items():
        if name not in COLUMNS:
            yield f"There is no column “{readable(name)}”. Columns are: {known}."
        elif n > 1:
            yield f"The column {name} stands there {n} times. Leave one."
    yield from (f"The column {name} is missing." for name in NEEDED if name not in columns)


def _entry(columns: list[str], line: int, cells: list[str], wrong: str) -> Entry:
    if not wrong and len(cells) != len(columns):
        wrong = f"It has {len(cells)} cells, the first line has {len(columns)}. Is a comma missing, or one too many?"
    if wrong:
        return Entry.bad(line, wrong)
    return Entry.of(line, {name: cell.strip() for name, cell in zip(columns, cells, strict=True)})
