"""What the tests of the import say often: lines of a file, and what was said of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from django.core.management import CommandError, call_command

from accounts.models import Activity, Head
from inventory.models import VM
from replication.models import Replication

COLUMNS = (
    "account", "name", "site", "uuid", "os", "address", "disk_gb", "power", "service", "protected_since",
    "service_level", "rpo_target_minutes", "retention_hours", "newest_point", "last_test",
)  # fmt: skip
WITH = {
    "account": "northwind", "site": "DFW01", "os": "Debian 10", "address": "10.3.0.7", "disk_gb": "40", "power": "on",
    "service": "yes", "protected_since": "2024-03-01", "service_level": "Standard", "last_test": "2025-05-09T10:00Z",
}  # fmt: skip
WITHOUT = {"account": "northwind", "site": "DFW01", "disk_gb": "40", "service": "no"}


def line(name: str, served: bool = True, /, **cells: str) -> list[str]:
    said = {**(WITH if served else WITHOUT), "name": name, **cells}
    return [said.get(column, "") for column in COLUMNS]


def as_csv(lines: Iterable[Iterable[str]], *, ends: str = "\n", delimiter: str = ",") -> bytes:
    """What isn't UTF-8 stands in a line as lone surrogates."""
    text = io.StringIO()
    csv.writer(text, lineterminator=ends, delimiter=delimiter).writerows([COLUMNS, *lines])
    return text.getvalue().encode("utf-8", "surrogateescape")


def run(path: Path, content: bytes | Iterable[Iterable[str]], **options: object) -> tuple[list[str], str]:
    """What it said of each line, and its last words; those of a refusal begin with “refused”."""
    path.write_bytes(content if isinstance(content, bytes) else as_csv(content))
    out = io.StringIO()
    try:
        call_command("import_generation3", path, stdout=out, **options)
    except CommandError as refused:
        return out.getvalue().splitlines(), f"refused: {refused}"
    said = out.getvalue().splitlines()
    return said[:-1], said[-1]


def everything() -> tuple[int, ...]:
    """How much there is: what writes nothing leaves it as it is."""
    versions = Head.objects.order_by("pk").values_list("version", flat=True)
    return VM.objects.count(), Replication.objects.count(), Activity.objects.count(), *versions
