"""Proves the record: seals, chains, and that every subject's state follows from its Activity rows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import activity


class Command(BaseCommand):
    help = "Checks the seals of every account and of the installation's log, and the paths of all subjects."

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(activity.faults())
        for fault in found:
            self.stderr.write(fault)
        if found:
            raise CommandError(f"The record does not hold: {len(found)} faults.")
        self.stdout.write(f"The record holds: {activity.size()}.")
