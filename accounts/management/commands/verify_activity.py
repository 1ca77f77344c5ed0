"""Proves the record: seals, chains, counters, and that every subject's state follows from its Activity rows."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from accounts import activity
from accounts.activity import Known

ISOLATION = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL"


class Command(BaseCommand):
    help = (
        "Checks the seals of every account and of the installation's log, the counters, and the paths of all subjects; "
        "prints the head of each record, to be kept elsewhere and handed in with --head or --heads next time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--head", action="append", default=[], metavar="ACCOUNT=NUMBER:HASH", help="a known head")
        parser.add_argument("--heads", type=Path, help="a file with what an earlier run printed")
        parser.add_argument("--file", type=Path, help="prove a file that close_activity wrote, by the kept seals")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"]:
            self.check_file(options["file"])
            return
        known = self.known(options["head"], options["heads"])
        with one_moment():
            found, size, heads = list(activity.faults(known)), activity.size(), activity.heads()
        self.refuse(found, "The record does not hold")
        self.stdout.write(f"The record holds: {size}.")
        for head in heads:
            self.stdout.write(str(head))

    def check_file(self, path: Path) -> None:
        with one_moment():
            found, size = activity.faults_of_file(path)
        self.refuse(found, f"{path.name} does not hold")
        self.stdout.write(f"{path.name} holds: {size}.")

    def refuse(self, found: list[str], title: str) -> None:
        for fault in found:
            self.stderr.write(fault)
        if found:
            raise CommandError(f"{title}: {len(found)} fault{'' if len(found) == 1 else 's'}.")

    def known(self, said: list[str], path: Path | None) -> list[Known]:
        """Of a file the lines that are heads; what was typed must be one."""
        try:
            lines = path.read_text().splitlines() if path else []
            return [Known.read(line) for line in [*said, *(line for line in lines if "=" in line)]]
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error


@contextmanager
def one_moment() -> Iterator[None]:
    """Everything in the block is read as it stood at one moment: the portal goes on meanwhile, and long records take
    longer than a page may."""
    with connection.cursor() as cursor:
        cursor.execute(f"{ISOLATION} REPEATABLE READ")
        try:
            with transaction.atomic():
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield
        finally:
            cursor.execute(f"{ISOLATION} READ COMMITTED")
