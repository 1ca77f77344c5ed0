"""The present code of a demonstration's person, since nobody has his authenticator app."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from accounts.actions.second_factor import demo_code
from accounts.models import Person
from ampdr.errors import Refusal


class Command(BaseCommand):
    help = "Prints a demonstration person's current code. Only in the mode of `make run`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("person", help="the e-mail address, or how it or the name begins: priya")

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get("AMPDR_DEMO") != "1":
            raise CommandError("Codes are printed only in the mode of `make run`, which sets AMPDR_DEMO=1.")
        person = one_of(options["person"].strip())
        try:
            code = demo_code(person)
        except Refusal as refusal:
            raise CommandError(refusal.message) from refusal
        if code.used:
            raise CommandError(f"{person.name}'s code was used. It counts once; the next comes in {code.next_in} s.")
        self.stdout.write(code.digits)
        self.stderr.write(f"{person.name}'s code. It counts once, and for {code.next_in} s more.")


def one_of(start: str) -> Person:
    exact = Person.objects.filter(email=start.lower()).first()
    if exact:
        return exact
    found = list(Person.objects.filter(Q(email__istartswith=start) | Q(name__istartswith=start)).order_by("email")[:5])
    if len(found) != 1 or not start:
        among = ", ".join(person.email for person in found) if start else ""
        raise CommandError(
            f"Whom do you mean: {among}?" if among else f"Nobody's name or address begins with {start!r}."
        )
    return found[0]
