"""Brings Generation 3 VMs in from a CSV file (docs/generation3.md)."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from accounts.views.activity import harmless
from ampdr.errors import Conflict
from ampdr.lifecycle import PORTAL
from ampdr.limits import lift_limits
from replication.actions import Arrival, import_generation3
from replication.management.commands._generation3_file import read

HELD = ("40P01", "55P03")  # a circle of locks, or a lock not had in time
HEADER = ("line", "account", "name", "outcome", "column", "what to do")


class Command(BaseCommand):
    help = "Imports Generation 3 VMs from a CSV file: all of its lines, or none if one of them is bad."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check and report, write nothing")
        parser.add_argument("--report", type=Path, help="write the report as CSV into this new file, not to the output")

    def handle(self, *args: Any, **options: Any) -> None:
        entries, dry_run = read(options["file"]), options["dry_run"]
        with ExitStack() as stack:
            report = stack.enter_context(_new(options["report"])) if options["report"] else None
            lift_limits()
            try:
                arrivals = import_generation3(replace(PORTAL, via="command"), entries, dry_run=dry_run)
            except Conflict as meanwhile:
                raise CommandError(meanwhile.message) from meanwhile
            except OperationalError as held:
                if getattr(held.__cause__, "pgcode", "") not in HELD:
                    raise
                raise CommandError(
                    "Somebody else is changing the same VMs: nothing was imported. Run it again."
                ) from held
            if report:
                csv.writer(report).writerows([HEADER, *_rows(arrivals)])
        self.tell(arrivals, whole=report is None)
        self.conclude(arrivals, dry_run)

    def tell(self, arrivals: Sequence[Arrival], *, whole: bool) -> None:
        for line, account, name, outcome, column, words in _rows(arrivals):
            if whole or outcome == "bad":
                what = ": ".join(filter(None, (" ".join(filter(None, (account, name))), outcome, column, words)))
                self.stdout.write(f"line {line}: {what}")

    def conclude(self, arrivals: Sequence[Arrival], dry_run: bool) -> None:
        counts = Counter(one.outcome for one in arrivals)
        said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in sorted(counts))
        if counts["bad"]:
            raise CommandError(f"{len(arrivals)} lines: {said}. Nothing was imported.")
        ending = "Imported." if counts.keys() - {"already there"} else "Nothing new."
        self.stdout.write(f"{len(arrivals)} lines: {said}. {'Nothing was written: a dry run.' if dry_run else ending}")


def _new(path: Path) -> TextIO:
    """Opened before anything is written: a report that can't be kept stops the import."""
    try:
        return path.open("x", encoding="utf-8", newline="")
    except OSError as error:
        raise CommandError(f"{path} can't be made: {error.strerror}.") from error


def _rows(arrivals: Sequence[Arrival]) -> Iterator[tuple[str, ...]]:
    """A row for each line, and for each thing that is wrong in it."""
    for one in arrivals:
        entry = one.entry
        for column, words in one.faults or (("", one.note),):
            yield str(entry.line), harmless(entry.account), harmless(entry.name), one.outcome, column, words
