"""The driver: drives whatever is due. One of them at least must run; the workers only make it faster."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ampdr import work
from failover import tasks as failover_tasks
from notices import tasks as notices_tasks
from replication import tasks as replication_tasks

DUTIES = (failover_tasks, replication_tasks, notices_tasks)  # imported so that their duties are known


class Command(BaseCommand):
    help = "Drives due work once, or, with --loop, every SWEEP_SECONDS for ever."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="go on for ever")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["loop"]:
            work.sweep_for_ever()
        self.stdout.write(f"{work.drive()} rows driven")
