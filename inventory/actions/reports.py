"""What agents inside of VMs report of their security: the newest report of each kind stands on the VM's row."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from ampdr import clock
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import Actor, changes
from inventory.actions.told import which
from inventory.models import VM

AT_MOST = 1_000  # reports in one call
AHEAD = timedelta(minutes=5)  # how far a machine's clock may be before ours
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
LARGEST = 1_000_000_000
LONGEST = 40
NO_SUCH_VM = "There is no such VM here."
NEEDED = "Needed."


class Taken(NamedTuple):
    """How many reports were kept, and how many say nothing new: a later one, or the same, is known."""

    taken: int
    stale: int


class Report(NamedTuple):
    vm: uuid.UUID
    kind: str
    at: datetime
    facts: dict[str, Any]  # column of the VM -> what it becomes


# ---- What is said: each reads one value or raises ValueError with the words for whoever sent it ----------------------


def moment(said: Any) -> datetime:
    try:
        found = parse_datetime(said) if isinstance(said, str) and len(said) <= LONGEST else said
    except ValueError:
        found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise ValueError("Give a time with its offset from UTC, as in 2026-03-01T04:00:00Z.")
    if found > clock.now() + AHEAD:
        raise ValueError("This is more than 5 minutes in the future. Is the machine's clock right?")
    if found < OLDEST:
        raise ValueError("This is before the year 2000. Is the machine's clock right?")
    return found


def moment_or_none(said: Any) -> datetime | None:
    return None if said is None else moment(said)


def number(said: Any) -> int:
    if type(said) is not int or not 0 <= said <= LARGEST:  # true is no number
        raise ValueError(f"Give a whole number from 0 to {LARGEST:,}.")
    return said


def words(said: Any) -> str:
    if not isinstance(said, str) or not 0 < len(said) <= LONGEST or not said.isprintable():
        raise ValueError(f"Give 1 to {LONGEST} characters on one line.")
    return said


@dataclass(frozen=True)
class Kind:
    """One kind of report: the VM's column of its time, and field -> the VM's column and how it is read."""

    at: str
    fields: Mapping[str, tuple[str, Callable[[Any], Any]]]

    @property
    def columns(self) -> list[str]:
        return [self.at, *(column for column, _ in self.fields.values())]


KINDS: Mapping[str, Kind] = {
    "fim": Kind("fim_report_at", {"changes": ("fim_changes", number)}),
    "malware": Kind(
        "malware_report_at",
        {
            "agent": ("malware_agent", words), "scan_at": ("malware_scan_at", moment_or_none),
            "findings": ("malware_findings", number),
        },
    ),
    "patch": Kind(
        "patch_report_at", {"missing": ("patches_missing", number), "critical": ("patches_critical", number)}
    ),
}  # fmt: skip


@dataclass
class _Reading:
    """The rows of one call as reports, and everything that is wrong with them: `reports.<index>.<field>` -> words."""

    reports: list[Report] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # of each report, the index of its row
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def read(self, place: int, row: Any) -> None:
        if not isinstance(row, Mapping):
            self.wrong[f"reports.{place}"] = ["Give an object."]
            return
        kind = KINDS.get(row["kind"]) if isinstance(row.get("kind"), str) else None
        if kind is None:
            self.wrong[f"reports.{place}.kind"] = [f"Give one of {', '.join(KINDS)}."]
            return
        before = len(self.wrong)
        vm, at = self.value(place, row, "vm", which), self.value(place, row, "at", moment)
        facts = {column: self.value(place, row, name, read) for name, (column, read) in kind.fields.items()}
        missing, critical = facts.get("patches_missing"), facts.get("patches_critical")
        if missing is not None and critical is not None and critical > missing:
            self.wrong[f"reports.{place}.critical"] = ["More critical ones than missing ones."]
        for name in row.keys() - {"vm", "kind", "at", *kind.fields}:
            known = ", ".join(("vm", "kind", "at", *kind.fields))
            self.wrong[f"reports.{place}.{str(name)[:64]}"] = [f"Not known here. Known: {known}."]
        if len(self.wrong) == before:
            self.reports.append(Report(vm, row["kind"], at, facts))
            self.places.append(place)

    def value(self, place: int, row: Mapping[str, Any], name: str, read: Callable[[Any], Any]) -> Any:
        try:
            return read(row[name])
        except KeyError:
            self.wrong[f"reports.{place}.{name}"] = [NEEDED]
        except ValueError as wrong:
            self.wrong[f"reports.{place}.{name}"] = [str(wrong)]
        return None


def report(actor: Actor, rows: Sequence[Any], reach: QuerySet[VM]) -> Taken:
    """Keeps what agents report: all rows or none, a later report before an earlier one, one statement a kind.

    A row is a mapping: `vm`, `kind`, `at` and the fields of its kind, as JSON has them or as Python has. `reach` are
    the VMs of which this machine may speak; any other is as one that never was. Raises Invalid, which names every bad
    row, and Forbidden to people. A report is no change of a state, so nothing of it stands in Activity.
    """
    if actor.person_id is not None:
        raise Forbidden("Machines report, with a token for it.")
    if len(rows) > AT_MOST:
        raise Invalid(f"Send at most {AT_MOST:,} reports at once.", fields={"reports": [f"{len(rows):,} were sent."]})
    found = _Reading()
    for place, row in enumerate(rows):
        found.read(place, row)
    with changes(actor) as change:
        vms = _locked(reach.filter(uuid__among=list({one.vm for one in found.reports})))
        for place, one in zip(found.places, found.reports, strict=True):
            if one.vm not in vms:
                found.wrong[f"reports.{place}.vm"] = [NO_SUCH_VM]
        if found.wrong:
            raise Invalid("Nothing was taken. Correct what is named in `fields`, or leave it out.", fields=found.wrong)
        newest = _newest(found.reports, vms)
        for kind, keys in newest.items():
            VM.objects.bulk_update([_written(vms[key], kind, one) for key, one in keys.items()], KINDS[kind].columns)
        change.touch({vms[key].account_id for keys in newest.values() for key in keys})
    taken = sum(map(len, newest.values()))
    return Taken(taken, len(rows) - taken)


def _locked(found: QuerySet[VM]) -> dict[uuid.UUID, VM]:
    needed = found.only("uuid", "account", *(kind.at for kind in KINDS.values()))
    return {vm.uuid: vm for vm in needed.order_by("pk").select_for_update(no_key=True, of=("self",))}


def _newest(reports: Sequence[Report], vms: Mapping[uuid.UUID, VM]) -> dict[str, dict[uuid.UUID, Report]]:
    """Kind -> VM -> its newest report, where that is newer than what is known."""
    found: dict[str, dict[uuid.UUID, Report]] = {}
    for one in sorted(reports, key=lambda each: each.at):
        known: datetime | None = getattr(vms[one.vm], KINDS[one.kind].at)
        if known is None or one.at > known:
            found.setdefault(one.kind, {})[one.vm] = one
    return found


def _written(vm: VM, kind: str, one: Report) -> VM:
    for column, value in {KINDS[kind].at: one.at, **one.facts}.items():
        setattr(vm, column, value)
    return vm
