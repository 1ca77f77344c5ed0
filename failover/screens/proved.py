"""The recovery point that a test has proved: the customer said that what it started works, and it is still kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, DateTimeField, Exists, Max, OuterRef, Subquery

from failover.models import Kind, Launch, TestResult
from inventory.models import VM
from replication.models import RecoveryPoint, Replication

WELL = (TestResult.PASSED, TestResult.REMARKS)


class Span(NamedTuple):
    """While a VM's last point is the one that a test proved: from it to the next one, if there is one yet."""

    vm: int
    begin: datetime
    until: datetime | None
    tested_at: datetime | None
    ticket: str


@dataclass(frozen=True)
class Proved:
    """The newest of the moments that are proved for as many of the VMs as any: for `n` of them, by `ticket` last."""

    at: datetime
    n: int
    tested_at: datetime | None
    ticket: str


def proved(vms: list[VM]) -> Proved | None:
    """None where no test proved anything that all of these VMs could be recovered to now."""
    keys = [vm.pk for vm in vms]
    spans = _spans(keys) if keys else []
    floor = _oldest_of_all(keys) if spans else None
    if floor is None:
        return None
    at, n = busiest((max(one.begin, floor), one.until) for one in {span[:3]: span for span in spans}.values())
    if at is None:
        return None
    there = [one for one in spans if one.begin <= at and (one.until is None or at < one.until)]
    last = max(there, key=lambda one: (one.tested_at or one.begin, one.ticket))
    return Proved(at, n, last.tested_at, last.ticket)


def busiest(spans: Iterable[tuple[datetime, datetime | None]]) -> tuple[datetime | None, int]:
    """The latest moment at which most of these half-open spans begin or go on, and how many these are."""
    steps = []
    for begin, until in spans:
        if until is None or begin < until:
            steps.append((begin, 1))
            steps += [(until, -1)] if until else []
    best: tuple[datetime | None, int] = (None, 0)
    open_now = 0
    for at, step in sorted(steps):
        open_now += step
        if step > 0 and open_now >= best[1]:
            best = at, open_now
    return best


def _spans(vms: list[int]) -> list[Span]:
    mine = RecoveryPoint.objects.filter(replication=OuterRef("failover__replication"))
    tests = Launch.objects.filter(
        Exists(mine.filter(at=OuterRef("point_at"))), failover__vm_id__among=vms, failover__kind=Kind.TEST,
        failover__ticket__result__in=WELL, failover__replication__state="protected",
    )  # fmt: skip
    following = mine.filter(at__gt=OuterRef("point_at")).order_by("at").values("at")[:1]
    columns = ("failover__vm", "point_at", "until", "failover__running_at", "failover__ticket__number")
    found = tests.annotate(until=Subquery(following, DateTimeField())).values_list(*columns)
    return [Span(*row) for row in found]


def _oldest_of_all(vms: list[int]) -> datetime | None:
    """From when on each of them has a point; None if one has none."""
    points = RecoveryPoint.objects.filter(replication=OuterRef("pk")).order_by("at").values("at")
    mine = Replication.objects.filter(vm_id__among=vms, state="protected")
    first = mine.annotate(first=Subquery(points[:1], DateTimeField()))
    found = first.aggregate(latest=Max("first"), known=Count("first"))
    latest: datetime | None = found["latest"]
    return latest if found["known"] == len(vms) else None
