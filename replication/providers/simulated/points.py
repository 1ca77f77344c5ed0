"""Recovery points, reckoned from the clock: nothing is stored for them, and every process reckons the same.

A VM has a point every `SIMULATION_POINT_SECONDS`, at a phase of its own, except in its gaps: before its first sync is
done, while its source site is down, while it is barred, and while it runs in a live failover. The end of a first sync
and of a last sync are points of their own. A VM that the ledger knows nothing of has no gaps.

The retention counts from the newest point, so an outage uses no points up.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import NamedTuple

from replication.providers.base import Kind, Point, Points
from replication.providers.simulated.chance import seeded
from replication.providers.simulated.timetable import moment

MOST_NEW = 300  # points of one VM in one answer
RETENTION_HOURS = 24  # of a VM that was never asked to be protected
APPLICATION_EVERY = 12  # one point in so many is consistent for applications too


class Span(NamedTuple):
    """The moments in [begin, end), in seconds of the epoch."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class History:
    """What decides on the points of one VM. All moments and lengths are in seconds."""

    vm: str
    every: int
    spans: tuple[Span, ...] = (Span(-inf, inf),)  # while points are made, in order
    syncs: tuple[float, ...] = ()  # ends of first and last syncs
    retention: float = RETENTION_HOURS * 3600
    barred_since: float | None = None  # when the original stopped; None = it may run

    def newest(self, now: float) -> float | None:
        """Return the newest point at `now`, or None if there is none."""
        regular = (self.phase + self._last(span, now) * self.every for span in self.spans if span.begin <= now)
        made = [at for at, span in zip(regular, self.spans, strict=False) if at >= span.begin]
        return max([*made, *(sync for sync in self.syncs if sync <= now)], default=None)

    def oldest_kept(self, now: float) -> float | None:
        newest = self.newest(now)
        return None if newest is None else newest - self.retention

    def after(self, since: float, now: float) -> list[float]:
        """Return the points in (since, now] that are kept, the oldest `MOST_NEW` of them, in order."""
        kept = self.oldest_kept(now)
        if kept is None:
            return []
        since = max(since, kept)
        syncs = (sync for sync in self.syncs if since < sync <= now)
        return sorted({*self._regular(since, now), *syncs})[:MOST_NEW]

    def told(self, since: float | None, now: float) -> Points:
        """Return what is answered to one who knows the points up to `since`; None asks for the newest alone."""
        newest = self.newest(now)
        if newest is None:
            return Points((), None)
        times = [newest] if since is None else self.after(since, now)
        return Points(tuple(map(self._point, times)), moment(newest - self.retention))

    @property
    def phase(self) -> int:
        return int(seeded("phase", self.vm) * self.every)

    def _regular(self, since: float, now: float) -> Iterator[float]:
        for span in self.spans:
            if span.begin <= now:
                first = self._first(span, since)
                last = min(self._last(span, now), first + MOST_NEW)
                yield from (self.phase + number * self.every for number in range(first, last + 1))

    def _first(self, span: Span, since: float) -> int:
        """Number of the first regular moment of the span that is later than `since`."""
        return floor(self._number(since)) + 1 if since >= span.begin else ceil(self._number(span.begin))

    def _last(self, span: Span, now: float) -> int:
        """Number of the last regular moment of the span that is not later than `now`."""
        return floor(self._number(now)) if now < span.end else ceil(self._number(span.end)) - 1

    def _number(self, at: float) -> float:
        return (at - self.phase) / self.every

    def _point(self, at: float) -> Point:
        told = moment(at)
        assert told is not None
        whole = at not in self.syncs and self._number(at) % APPLICATION_EVERY == 0
        return Point(told, "application" if whole else "crash")


def histories(db: sqlite3.Connection, vms: Mapping[str, str], every: int) -> dict[str, History]:
    """Return {vm: its history}, for {vm: code of the site where the original is}."""
    work = _work(db, vms)
    down = _downtimes(db)
    return {vm: _history(vm, every, work.get(vm, []), down.get(site, [])) for vm, site in vms.items()}


class _Work(NamedTuple):
    vm: str
    step: str
    at: float
    until: float
    ended: float | None
    retention_hours: int

    @property
    def pause(self) -> Span:
        return Span(self.at, inf if self.ended is None else self.ended)


def _work(db: sqlite3.Connection, vms: Iterable[str]) -> dict[str, list[_Work]]:
    """The effects that points depend on, of each VM, oldest first."""
    found: dict[str, list[_Work]] = defaultdict(list)
    rows = db.execute(
        "SELECT vm, step, at, until, ended, retention_hours FROM effects"
        " WHERE vm IN (SELECT value FROM json_each(?)) AND step IN (?, ?, ?) ORDER BY id",
        (json.dumps(list(vms)), Kind.PROTECT, Kind.FENCE, Kind.START_LIVE),
    )
    for row in map(_Work._make, rows):
        found[row.vm].append(row)
    return found


def _downtimes(db: sqlite3.Connection) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = defaultdict(list)
    for site, since, until in db.execute("SELECT site, since, until FROM downtimes"):
        found[site].append(Span(since, inf if until is None else until))
    return found


def _history(vm: str, every: int, work: list[_Work], down: list[Span]) -> History:
    if not work and not down:
        return History(vm, every)
    protect = next((one for one in reversed(work) if one.step == Kind.PROTECT), None)
    fences = [one for one in work if one.step == Kind.FENCE]
    pauses = [one.pause for one in work if one.step == Kind.START_LIVE] + down
    born = [Span(-inf, protect.until)] if protect else []
    ends = [protect.until] if protect else []
    ends += [one.until for one in fences if one.until <= one.pause.end]
    return History(
        vm,
        every,
        tuple(_between([*born, *pauses, *(one.pause for one in fences)])),
        tuple(end for end in ends if not any(pause.begin < end < pause.end for pause in pauses)),
        (protect.retention_hours if protect else RETENTION_HOURS) * 3600,
        next((one.until for one in fences if one.ended is None), None),
    )


def _between(pauses: Iterable[Span]) -> Iterator[Span]:
    """The spans that the pauses leave, in order."""
    free = -inf
    for pause in sorted(pauses):
        if pause.begin > free:
            yield Span(free, pause.begin)
        free = max(free, pause.end)
    if free < inf:
        yield Span(free, inf)
