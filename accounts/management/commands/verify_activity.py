"""Proves the record: seals, chains, and that every subject's state follows from its Activity rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from accounts import activity

ISOLATION = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL"


class Command(BaseCommand):
    help = "Checks the seals of every account and of the installation's log, and the paths of all subjects."

    def handle(self, *args: Any, **options: Any) -> None:
        with one_moment():
            found, size = list(activity.faults()), activity.size()
        for fault in found:
            self.stderr.write(fault)
        if found:
            raise CommandError(f"The record does not hold: {len(found)} faults.")
        self.stdout.write(f"The record holds: {size}.")


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
