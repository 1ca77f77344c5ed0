"""An API token for a person in one account, from the shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.actions import issue_token
from accounts.models import Membership, Permission
from ampdr.lifecycle import PORTAL


class Command(BaseCommand):
    help = "Makes an API token for a member of an account and prints its secret, this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the person who will own it")
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("name", help="what it is for, in words")
        parser.add_argument("--days", type=int, help="how long it is good; without this it has no end")
        known = ", ".join(Permission.values)
        parser.add_argument("scopes", nargs="+", choices=Permission.values, metavar="scope", help=known)

    def handle(self, *args: Any, **options: Any) -> None:
        found = Membership.objects.filter(account__slug=options["account"], person__email=options["email"].lower())
        membership = found.select_related("person", "account").first()
        if membership is None:
            raise CommandError(f"{options['email']} is no member of {options['account']}.")
        scopes = sorted(set(options["scopes"]))
        person, account = membership.person, membership.account
        secret = issue_token(PORTAL, person, account, options["name"], scopes, options["days"])
        self.stdout.write(secret)
