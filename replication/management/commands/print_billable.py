"""What is billed in a month, for whoever writes the bills."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account
from accounts.views.activity import harmless
from ampdr.errors import Invalid
from replication.actions import Line, Month, bill
from replication.models import Replication


class Command(BaseCommand):
    help = "Prints the replications that are billed in a calendar month (UTC), with their first and last billable day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", required=True, metavar="YYYY-MM")
        parser.add_argument("--account", metavar="SLUG", help="this account alone")
        parser.add_argument("--format", choices=sorted(FORMATS), default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            month = Month.read(options["month"])
        except Invalid as wrong:
            raise CommandError(f"--month {options['month']}: {wrong.message}") from wrong
        for text in FORMATS[options["format"]](bill(self.replications(options["account"]), month)):
            self.stdout.write(text)

    def replications(self, slug: str | None) -> Any:
        if slug is None:
            return Replication.objects.all()
        if not Account.objects.filter(slug=slug).exists():
            raise CommandError(f"There is no account {slug}.")
        return Replication.objects.filter(vm__account__slug=slug)


ROW = "{account:<20}  {name:<24}  {source:<6}  {target:<6}  {first_day:<10}  {last_day:<10}  {service_level:<16}  {vm}"
HEADS = {name: name.replace("_", " ") for name in Line._fields}


def as_text(lines: Iterator[Line]) -> Iterator[str]:
    yield ROW.format(**HEADS)
    for line in lines:
        cells = {name: "".join(c if c.isprintable() else "?" for c in str(cell)) for name, cell in _cells(line)}
        yield ROW.format(**cells).rstrip()


class _Echo:
    """What a csv.writer writes to: it hands the line back, so that nothing is gathered."""

    def write(self, line: str) -> str:
        return line


def as_csv(lines: Iterator[Line]) -> Iterator[str]:
    writer = csv.writer(_Echo(), lineterminator="")
    yield writer.writerow(Line._fields)
    for line in lines:
        yield writer.writerow([harmless(cell) for cell in line])


def as_json(lines: Iterator[Line]) -> Iterator[str]:
    """One array, a replication on each line of text."""
    before = "[\n "
    for line in lines:
        yield before + json.dumps(dict(_cells(line)))
        before = ","
    yield "]" if before == "," else "[]"


def _cells(line: Line) -> Iterator[tuple[str, str]]:
    return ((name, str(cell)) for name, cell in zip(Line._fields, line, strict=True))


FORMATS: dict[str, Callable[[Iterator[Line]], Iterator[str]]] = {"text": as_text, "csv": as_csv, "json": as_json}
