"""A line of an import, cell by cell: what each column holds, and what is wrong with what stands there.

Nothing here looks into the database: `replication.actions.importing` holds a line against what is there.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from ampdr import clock

NEEDED = ("account", "name", "site", "disk_gb", "service")
OF_SERVICE = ("protected_since", "service_level", "rpo_target_minutes", "retention_hours", "newest_point", "last_test")
TERMS = ("rpo_target_minutes", "retention_hours")
WHOLE = re.compile(r"[0-9]{1,9}")
WHEN = re.compile(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}"
    r"(?P<time>[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Fault(NamedTuple):
    """What is wrong in a line: in which column ("" for the line as such), and what to do."""

    column: str
    words: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line as it was read: what its cells mean, where they mean something."""

    line: int
    account: str  # as written, for the report
    name: str
    said: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()

    @classmethod
    def bad(cls, line: int, words: str) -> Self:
        """A line of which no cell can be told from another."""
        return cls(line, "", "", {}, (Fault("", words),))

    @classmethod
    def of(cls, line: int, cells: Mapping[str, str]) -> Self:
        said: dict[str, Any] = {}
        faults = []
        for column, cell in cells.items():
            try:
                said[column] = _read(column, cell)
            except ValueError as wrong:
                faults.append(Fault(column, str(wrong)))
        faults += _faults_between(said, {fault.column for fault in faults})
        return cls(line, readable(cells["account"]), readable(cells["name"]), said, tuple(faults))


def readable(text: str) -> str:
    """Words of a file on a terminal or in a report: short, and with nothing that steers it."""
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[:61])
    return f"{shown[:60]}…" if len(shown) > 60 else shown


def _read(column: str, cell: str) -> Any:
    """What the cell means; None for an empty one that may be empty. Raises ValueError with what to do."""
    if not cell:
        if column in NEEDED:
            raise ValueError("It is empty. Fill it in.")
        return None
    for sign in cell:
        if not sign.isprintable():
            raise ValueError(_about(sign))
    return COLUMNS[column](cell)


def _about(sign: str) -> str:
    if "\ud800" <= sign <= "\udfff":
        return "It isn't UTF-8. Save the file as UTF-8."
    return f"It holds a sign that can't be printed (U+{ord(sign):04X}). Take it out."


# ---- What stands in a column -----------------------------------------------------------------------------------------


def _words(most: int) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if len(cell) > most:
            raise ValueError(f"It has {len(cell)} characters, at most {most} are kept. Shorten it.")
        return cell

    return read


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(cell: str) -> int:
        if WHOLE.fullmatch(cell) and least <= int(cell) <= most:
            return int(cell)
        raise ValueError(f"Write a whole number from {least} to {most}.")

    return read


def _one_of(*known: str) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if cell.lower() not in known:
            raise ValueError(f"Write {' or '.join(known)}.")
        return cell.lower()

    return read


def _uuid(cell: str) -> uuid.UUID:
    if not UUID.fullmatch(cell):
        raise ValueError("Write the uuid as 123e4567-e89b-42d3-a456-426614174000, or leave it empty.")
    return uuid.UUID(cell)


def _address(cell: str) -> str:
    try:
        if "%" not in cell:
            return str(ipaddress.ip_address(cell))
    except ValueError:
        pass
    raise ValueError("It is no IP address. Write one, as 10.1.2.3, or leave it empty.")


def _moment(cell: str) -> datetime:
    """A date alone is its beginning, UTC."""
    said = WHEN.fullmatch(cell)
    if said is None:
        raise ValueError("Write a date as 2024-03-01, or a moment as 2024-03-01T08:30Z.")
    if said["time"] and not said["offset"]:
        raise ValueError("Give the offset from UTC too, as in 2024-03-01T08:30Z or 2024-03-01T08:30+02:00.")
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("There is no such date or time. Correct it.") from None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > clock.now():
        raise ValueError("It is in the future. Correct it.")
    return moment


COLUMNS: dict[str, Callable[[str], Any]] = {
    "account": _words(60), "name": _words(120), "site": _words(60), "uuid": _uuid, "os": _words(60),
    "address": _address, "disk_gb": _number(1, 1_000_000), "power": _one_of("on", "off"),
    "service": _one_of("yes", "no"), "protected_since": _moment, "service_level": _words(60),
    "rpo_target_minutes": _number(1, 1440), "retention_hours": _number(1, 9_000), "newest_point": _moment,
    "last_test": _moment,
}  # fmt: skip


def _faults_between(said: Mapping[str, Any], broken: Set[str]) -> Iterator[Fault]:
    """What cells say against each other. Of a column that is broken already nothing more is said."""
    if said.get("service") == "no":
        filled = [column for column in OF_SERVICE if said.get(column) is not None]
        yield from (Fault(column, "Leave it empty: this VM is without the service.") for column in filled)
    if said.get("service") != "yes":
        return
    since = said.get("protected_since")
    if since is None and "protected_since" not in broken:
        yield Fault("protected_since", "It is empty. Say since when the VM is protected.")
    if said.get("service_level") is None and "service_level" not in broken:
        bare = [column for column in TERMS if said.get(column) is None and column not in broken]
        yield from (Fault(column, "It is empty. Fill it in, or name a service level.") for column in bare)
    for column in ("newest_point", "last_test"):
        if since and (moment := said.get(column)) and moment < since:
            yield Fault(column, "It is before protected_since. Correct one of them.")
