"""The first person of staff: without one, nobody could make the others in admin."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.actions import STAFF_MAY
from accounts.actions.people import create_staff, reset_path
from accounts.models import Person
from ampdr.errors import Invalid, Refusal
from ampdr.lifecycle import PORTAL


class Command(BaseCommand):
    help = "Makes somebody of staff. Asks for a password on the terminal; without one prints a link to choose it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", required=True)
        parser.add_argument(
            "--group", action="append", required=True, dest="groups", choices=list(STAFF_MAY), help="may be repeated"
        )
        parser.add_argument("--link", action="store_true", help="print a link, also on a terminal")

    def handle(self, *args: Any, **options: Any) -> None:
        ask = sys.stdin.isatty() and not options["link"]
        groups = list(Group.objects.filter(name__in=options["groups"]))
        password = ask_password(Person(email=options["email"], name=options["name"])) if ask else None
        try:
            person = create_staff(PORTAL, options["email"], options["name"], password, groups)
        except Invalid as refusal:
            words = "; ".join(f"{name}: {' '.join(errors)}" for name, errors in refusal.fields.items())
            raise CommandError(f"Nothing was made. {words}") from refusal
        except Refusal as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(f"{person.name} is of staff now: {', '.join(sorted(group.name for group in groups))}.")
        if not ask:
            self.stdout.write(f"Choose a password here, once: {settings.SITE_ORIGIN}{reset_path(person)}")
        self.stdout.write("At the first sign-in a second factor is set up.")


def ask_password(person: Person) -> str:
    """Until one is good enough and was typed twice alike."""
    while True:
        password = getpass.getpass("Password: ")
        try:
            validate_password(password, person)
        except ValidationError as error:
            sys.stderr.write("\n".join(error.messages) + "\n")
            continue
        if getpass.getpass("The same again: ") == password:
            return password
        sys.stderr.write("These two differ.\n")
