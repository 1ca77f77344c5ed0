"""What a machine tells of VMs, read: every fault of every row is named, by its place, its uuid and its field."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError

from accounts.models import check_name
from ampdr.errors import Conflict, Invalid
from inventory.models import VM

DISKS, ADDRESSES = 64, 16  # at most
LARGEST_GB = 1_000_000
LOOK = "Nothing was taken. Correct what is named, or leave it out, and send the same call again."


@dataclass(frozen=True, slots=True)
class Told:
    """A row. `account` (a slug) and `site` (a code) are empty, and columns are absent, where nothing is told."""

    row: int
    uuid: uuid.UUID
    account: str
    site: str
    columns: dict[str, Any]


class Fault(NamedTuple):
    """What is wrong with a field of a row; rows are counted from 0."""

    row: int
    vm: str
    field: str
    reason: str


def which(said: Any) -> uuid.UUID:
    if isinstance(said, uuid.UUID):
        return said
    try:
        return uuid.UUID(said) if isinstance(said, str) and len(said) == 36 else uuid.UUID("")
    except ValueError:
        raise ValueError("Give a uuid.") from None


def text(longest: int) -> Callable[[Any], str]:
    def read(said: Any) -> str:
        if not isinstance(said, str) or len(said) > longest or not said.isprintable():
            raise ValueError(f"Give at most {longest} characters on one line.")
        return said.strip()

    return read


def named(said: Any) -> str:
    if not isinstance(said, str) or len(said) > 120:
        raise ValueError("Give at most 120 characters.")
    name = said.strip()
    try:
        check_name(name)
    except ValidationError as wrong:
        raise ValueError(" ".join(wrong.messages)) from None
    return name


def one_of(*known: Any) -> Callable[[Any], Any]:
    def read(said: Any) -> Any:
        if said not in known or type(said) is not type(known[0]):
            raise ValueError(f"Give {' or '.join(map(str, known))}.")
        return said

    return read


def gigabytes(said: Any) -> int:
    if type(said) is not int or not 0 <= said <= LARGEST_GB:  # true is no number
        raise ValueError(f"Give whole GB, from 0 to {LARGEST_GB:,}.")
    return said


def address(said: Any) -> str:
    """As the database writes it. A scope ("%eth0") is of one host alone."""
    try:
        found = ipaddress.ip_address(said if isinstance(said, str) and "%" not in said else "")
    except ValueError:
        raise ValueError("Give an IP address.") from None
    return str(getattr(found, "ipv4_mapped", None) or found)


def listed(read: Callable[[Any], Any], most: int) -> Callable[[Any], list[Any]]:
    def read_all(said: Any) -> list[Any]:
        if not isinstance(said, list | tuple) or len(said) > most:
            raise ValueError(f"Give a list, of {most} at most.")
        return [read(one) for one in said]

    return read_all


# Field of a row -> how it is read, and the columns that it becomes.
FIELDS: Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], dict[str, Any]]]] = {
    "name": (named, lambda it: {"name": it}),
    "power": (one_of("on", "off"), lambda it: {"power": it}),
    "disk_gb": (gigabytes, lambda it: {"disk_gb": it}),
    "disks_gb": (listed(gigabytes, DISKS), lambda it: {"disks_gb": it, "disk_gb": sum(it)}),
    "addresses": (
        listed(address, ADDRESSES),
        lambda it: {"address": it[0] if it else None, "other_addresses": list(dict.fromkeys(it))[1:]},
    ),
    "os": (text(60), lambda it: {"os": it}),
    "generation": (one_of(3, 4), lambda it: {"generation": it}),
    "unsupported": (text(200), lambda it: {"cannot_replicate": it}),
    "failover_address": (lambda said: address(said) if said else None, lambda it: {"failover_address": it}),
}
PLACES: Mapping[str, Callable[[Any], str]] = {"account": text(40), "site": text(8)}
COLUMNS = (
    "name", "power", "disk_gb", "disks_gb", "address", "other_addresses", "os", "generation", "cannot_replicate",
    "failover_address",
)  # fmt: skip


def read(rows: Sequence[Any], fixed: Mapping[str, str], known: Sequence[str] = tuple(FIELDS)) -> list[Told]:
    """The rows as facts; `fixed` is the account or the site of all of them. Raises Invalid, which names every fault."""
    faults: list[Fault] = []
    told = [_read_row(place, row, fixed, known, faults) for place, row in enumerate(rows)]
    first: dict[uuid.UUID, int] = {}
    found = [one for one in told if one is not None]
    for one in found:
        if first.setdefault(one.uuid, one.row) != one.row:
            faults.append(Fault(one.row, str(one.uuid), "uuid", f"Row {first[one.uuid]} tells of this VM already."))
    refuse(faults)
    return found


def _read_row(place: int, row: Any, fixed: Mapping[str, str], known: Sequence[str], faults: list[Fault]) -> Told | None:
    if not isinstance(row, Mapping):
        faults.append(Fault(place, "", "", "Give an object."))
        return None
    vm, values = str(row.get("uuid", ""))[:36], dict[str, Any]()
    readers = {"uuid": which, **{name: PLACES[name] for name in PLACES if name not in fixed}}
    readers |= {name: FIELDS[name][0] for name in known}
    for name in ("uuid", *(name for name in row if name != "uuid")):
        if name not in readers:
            faults.append(Fault(place, vm, str(name)[:64], f"Not known here. Known: {', '.join(readers)}."))
            continue
        try:
            values[name] = readers[name](row.get(name))
        except ValueError as wrong:
            faults.append(Fault(place, vm, name, str(wrong)))
    if "disks_gb" in values and values.get("disk_gb", sum(values["disks_gb"])) != sum(values["disks_gb"]):
        faults.append(Fault(place, vm, "disk_gb", "This is not the sum of disks_gb."))
    if "uuid" not in values:
        return None
    places = {name: fixed.get(name, values.get(name, "")) for name in PLACES}
    columns = {key: it for name in known if name in values for key, it in FIELDS[name][1](values[name]).items()}
    return Told(place, values["uuid"], places["account"], places["site"], columns)


def differences(row: Told, vm: VM, site: int | None) -> dict[str, Any]:
    """Column -> what it becomes, where that is something else than it is."""
    becomes = {**row.columns, "vanished_at": None}
    if site is not None:
        becomes["site_id"] = site
    if "disk_gb" in becomes and "disks_gb" not in becomes and becomes["disk_gb"] != sum(vm.disks_gb):
        becomes["disks_gb"] = []  # which disks these are is not known any more
    return {name: value for name, value in becomes.items() if value != getattr(vm, name)}


def refuse(faults: Sequence[Fault], *, standing: bool = False) -> None:
    """Raises Invalid; or Conflict, where rows are well-formed and things as they are stand against them."""
    if not faults:
        return
    reasons = [fault._asdict() for fault in sorted(faults)]
    if standing:
        first = "; ".join(f"row {fault.row}: {fault.reason.rstrip('.')}" for fault in sorted(faults)[:3])
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise Conflict(f"{LOOK} {first}{more}.", code="rows_refused", title="Some rows are refused", reasons=reasons)
    fields: dict[str, list[str]] = {}
    for fault in sorted(faults):
        name = ".".join(part for part in ("vms", str(fault.row), fault.field) if part)
        fields.setdefault(name, []).append(fault.reason)
    raise Invalid(LOOK, fields=fields, reasons=reasons)
