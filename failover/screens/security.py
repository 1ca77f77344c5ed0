"""Security status of VMs (rule 15): one expression for each part, by which rows are shown, filtered and counted.

`PARTS` is all that the screens of security differ in, and what the VM's page and the API tell of each part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from django.db.models import Case, CharField, Q, Value, When

from accounts.models import Permission
from ampdr import clock
from ampdr.lifecycle import Actor, State
from inventory.models import VM

SECURITY: dict[str, State] = {
    state.name: state
    for state in (
        State("secured", "Secured", "ok", "circle-check"),
        State("warning", "Warning", "warn", "triangle-alert"),
        State("critical", "Critical", "bad", "octagon-alert"),
        State("none", "No report", "off", "circle-dashed"),
    )
}
WORST_FIRST = ("critical", "warning", "none", "secured")
DAY = timedelta(days=1)
Judgement = Callable[[datetime], Q]


class Column(NamedTuple):
    """A fact that agents report, as a column of its screen; `short` is its label on a phone and on the VM's page."""

    head: str
    short: str
    field: str
    kind: Literal["number", "time", "text"] = "number"


def nothing(now: datetime) -> Q:
    return Q()


@dataclass(frozen=True)
class Part:
    """One part of a VM's security, with a screen of the same name. `warning` and `critical`: what beside the age of
    the last report makes it so."""

    name: str
    label: str
    about: str
    icon: str
    permission: Permission
    reported: str  # the VM's column with the time of its last report
    columns: Sequence[Column]
    warning: Judgement = nothing
    critical: Judgement = nothing

    def status(self) -> Case:
        """First match wins. A VM that is off isn't judged: it counts under No report, so that the four add up."""
        now = clock.now()
        never = Q(**{self.reported: None})
        return Case(
            When(power="off", then=Value("none")),
            When(never & Q(made_at__gt=now - DAY), then=Value("none")),
            When(Q(**{f"{self.reported}__lt": now - 2 * DAY}) | self.critical(now), then=Value("critical")),
            When(never | Q(**{f"{self.reported}__lte": now - DAY}) | self.warning(now), then=Value("warning")),
            default=Value("secured"),
            output_field=CharField(),
        )

    @property
    def told(self) -> list[Column]:
        """What a VM's page tells of it: the columns, and the last report's time where none of them does."""
        known = any(column.field == self.reported for column in self.columns)
        return [*self.columns] if known else [*self.columns, Column("Last report", "Seen", self.reported, "time")]

    def status_of(self, vm: VM) -> State:
        """Of a VM that was listed."""
        return SECURITY[getattr(vm, self.name)]

    def reported_at(self, vm: VM) -> datetime | None:
        found: datetime | None = getattr(vm, self.reported)
        return found


def never_scanned_or_a_week_ago(now: datetime) -> Q:
    return Q(malware_scan_at=None) | Q(malware_scan_at__lte=now - 7 * DAY)


FIM = Part(
    "fim", "FIM", "File integrity monitoring: which servers report, and what changed in the last 24 hours.",
    "file-check-2", Permission.READ_FIM, "fim_report_at",
    (Column("Changes, 24 h", "Changes", "fim_changes"), Column("Last report", "Seen", "fim_report_at", "time")),
)  # fmt: skip
MALWARE = Part(
    "malware", "Malware Protection", "Which servers watch for malware, when they were scanned last, what was found.",
    "bug", Permission.READ_AVAM, "malware_report_at",
    (
        Column("Agent", "Agent", "malware_agent", "text"),
        Column("Last scan", "Scan", "malware_scan_at", "time"),
        Column("Findings", "Findings", "malware_findings"),
    ),
    warning=never_scanned_or_a_week_ago,
    critical=lambda now: Q(malware_scan_at__lte=now - 14 * DAY),
)  # fmt: skip
PATCHING = Part(
    "patching", "Patching", "Which servers miss patches of their operating system, critical ones counted apart.",
    "package-check", Permission.READ_PACKAGES, "patch_report_at",
    (
        Column("Missing", "Missing", "patches_missing"),
        Column("Critical", "Critical", "patches_critical"),
        Column("Last check", "Seen", "patch_report_at", "time"),
    ),
    warning=lambda now: Q(patches_critical__gt=0),
)  # fmt: skip
PARTS = (FIM, MALWARE, PATCHING)
BY_PERMISSION = {part.permission: part for part in PARTS}


def readable(actor: Actor) -> list[Part]:
    """The parts that this actor may read."""
    return [part for part in PARTS if actor.can(part.permission)]


def worst(actor: Actor, vm: VM) -> State | None:
    """A VM's status is the worst of its parts, of those that this actor may read; without any there is none."""
    found = [part.status_of(vm).name for part in readable(actor)]
    return SECURITY[min(found, key=WORST_FIRST.index)] if found else None
