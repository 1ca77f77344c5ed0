"""Security reports of a demonstration's VMs, again and again, so that its screens stay as its world tells them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from accounts.models import Account
from ampdr.errors import Refusal
from failover.management.commands._world_file import World, read
from failover.management.commands._world_reports import of_account, send

EVERY = 120  # seconds


class Command(BaseCommand):
    help = "Reports for the VMs of a world's file, every two minutes. Only in the mode of `make run`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--once", action="store_true", help="one round, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get("AMPDR_DEMO") != "1":
            raise CommandError("Reports are simulated only in the mode of `make run`, which sets AMPDR_DEMO=1.")
        world = read(options["file"])
        while True:
            self.round(world)
            if options["once"]:
                return
            connection.close()
            time.sleep(EVERY)

    def round(self, world: World) -> None:
        for said in world.get("accounts", []):
            account = Account.objects.get(slug=said["slug"])
            try:
                send(account, of_account(account, said))
            except Refusal as refusal:  # a failover VM went away meanwhile: the next round is soon
                self.stderr.write(refusal.message)
