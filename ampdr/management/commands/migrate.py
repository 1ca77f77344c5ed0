"""`migrate`, which may take longer than a page may: in one transaction, and between two statements of it."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from ampdr.limits import lift_limits


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        lift_limits()
        super().handle(*args, **options)
