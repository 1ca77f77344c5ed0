"""Closes old Activity: whole old batches go into a file, their seals stay, so that verification goes on."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from accounts.activity import closing
from accounts.management.commands.verify_activity import one_moment
from ampdr import clock

PROMISED = 13  # months (product rule 14)


class Command(BaseCommand):
    help = (
        "Writes Activity from before a month (UTC) into a file with its SHA-256 beside it, keeps the seals, and takes "
        "the rows out. Needs the rights of the tables' owner. Changes of the portal wait meanwhile: take a quiet hour."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--before", required=True, metavar="YYYY-MM", help="the first month that stays")
        parser.add_argument("--to", type=Path, default=Path(), help="the folder of the file; this one")
        parser.add_argument("--at-least-months", type=int, default=PROMISED, help=f"what stays at least ({PROMISED})")

    def handle(self, *args: Any, **options: Any) -> None:
        before, months = self.month(options["before"]), options["at_least_months"]
        self.keep(before, months)
        path = options["to"] / f"activity-before-{before:%Y-%m}.jsonl.gz"
        with one_moment():
            parts = closing.closable(before)
        if not parts:
            self.stdout.write(f"Nothing to close: no whole batch from before {before:%B %Y} is left.")
            return
        try:
            with one_moment():
                rows, sha256 = closing.write(parts, path)
            closing.remove(parts, rows, path, sha256)
        except (closing.Unsound, OSError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"Nothing was closed: {error} (Is this the owner of the tables, in a quiet hour?)"
            ) from error
        self.stdout.write(f"{rows} Activity rows of {len(parts)} records from before {before:%B %Y} are in {path} now.")

    def month(self, said: str) -> datetime:
        match = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", said)
        if not match:
            raise CommandError(f"“{said}” is not a month: write 2025-09.")
        return datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)

    def keep(self, before: datetime, months: int) -> None:
        """Whole calendar months must lie between the end of what goes and now."""
        now = clock.now()
        stay = (now.year - before.year) * 12 + now.month - before.month
        if stay < months:
            raise CommandError(
                f"{stay} whole months would stay, {PROMISED} are promised. An earlier month, or --at-least-months says "
                "how few are enough."
            )
        if months < PROMISED and stay < PROMISED:
            self.stderr.write(f"Only {stay} whole months stay, since you said so; {PROMISED} are promised.")
