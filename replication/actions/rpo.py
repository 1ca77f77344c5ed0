"""RPO over time, as charts, lists, programs and reports read it: from kept maxima, never from recovery points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import F, Func, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, Extract

from ampdr import clock
from ampdr.charts import Ages
from replication.models import Replication, RpoHistory
from replication.tasks.history import MINUTE, Gap, Maxima, advance, beginning_of, gaps_until, number_of

HOUR, DAY = 60 * MINUTE, 24
# As lists name it: the RPO of these goes on rising.
COUNTS = ("protected", "rpo_behind", "source_unreachable", "resynchronising")


@dataclass(frozen=True)
class Period:
    """A time span that is asked for. `per`: so many kept spans make one value; `count`: of so many values."""

    word: str
    words: str
    span: RpoHistory.Span
    per: int
    count: int


PERIODS = {
    "24h": Period("24 h", "24 hours", RpoHistory.Span.FIVE_MINUTES, 3, 96),
    "7d": Period("7 d", "7 days", RpoHistory.Span.HOUR, 2, 84),
    "30d": Period("30 d", "30 days", RpoHistory.Span.HOUR, 8, 90),
}


def rpo_series(replication: Replication, period: str = "24h") -> Ages:
    """How the RPO of this replication went until now, in seconds: one statement, that reads one row.

    None for a replication that was read with `kept_rpo` of this period as `kept`. `period` is one of `PERIODS`;
    KeyError for any other.
    """
    asked, now = PERIODS[period], clock.now()
    length = asked.span * MINUTE
    told = vars(replication)
    kept: Sequence[Any] | None = told.get("kept")
    if "kept" not in told:
        kept = _numbered(asked.span).filter(replication=replication).first()
    last, maxima = (kept[0], kept[1:]) if kept else (-1, [])
    end = (number_of(now, length) // asked.per + 1) * asked.per - 1  # values begin at multiples of their length too
    known, last = advance(maxima, last, open_gaps(replication, now), length, RpoHistory.KEPT[asked.span])
    known = _ending_at(end, known, last)[-asked.per * asked.count :]
    return Ages(
        begins_at=beginning_of(end + 1 - asked.per * asked.count, length),
        ends_at=now,
        step=timedelta(seconds=asked.per * length),
        values=tuple(_highest(known[n : n + asked.per]) for n in range(0, len(known), asked.per)),
    )


def kept_rpo(period: str) -> Subquery:
    """For a query of replications: what `rpo_series` reads."""
    return Subquery(_numbered(PERIODS[period].span).filter(replication=OuterRef("pk"))[:1])


def _numbered(span: RpoHistory.Span, kept: str = "maxima") -> QuerySet[RpoHistory, list[int | None]]:
    """Rows of this length of span, each as an array: the number of its last span and its maxima."""
    number = Cast(Extract("until", "epoch", tzinfo=UTC) / (span * MINUTE), IntegerField())
    found = Func(number, F(kept), function="array_prepend", output_field=ArrayField(IntegerField()))
    return RpoHistory.objects.filter(span=span).values_list(found, flat=True)


def open_gaps(replication: Replication, now: datetime) -> list[Gap]:
    """What no point has ended yet, up to now; while paused, up to then: that may not be written yet."""
    until = {"protected": now, "paused": replication.paused_at}.get(replication.state)
    return gaps_until(replication, [until]) if until else []


def _ending_at(end: int, maxima: Maxima, last: int) -> Maxima:
    """As many maxima, up to another last span."""
    if end <= last:
        return [*([None] * (last - end)), *maxima][: len(maxima)]
    return [*maxima, *([None] * min(end - last, len(maxima)))][-len(maxima) :]


def _highest(maxima: Sequence[int | None]) -> int | None:
    return max((one for one in maxima if one is not None), default=None)


# ---- One line in each row of a list ----------------------------------------------------------------------------------


def kept_hours() -> dict[str, Subquery]:
    """For a query of VMs, what `last_hours` reads, to be annotated.

    `hours`: the number of the last hour that is kept, and the maxima of the day that ends with it; `resumed_at`.
    """
    end = RpoHistory.KEPT[RpoHistory.Span.HOUR]
    kept = _numbered(RpoHistory.Span.HOUR, f"maxima__{end - DAY}_{end}").filter(replication__vm=OuterRef("pk"))
    mine = Replication.objects.filter(vm=OuterRef("pk")).exclude(state="stopped")
    return {
        "hours": Subquery(kept.exclude(replication__state="stopped")[:1]),
        "resumed_at": Subquery(mine.values("resumed_at")[:1]),
    }


def last_hours(vm: Any, now: datetime) -> Maxima:
    """The maxima of the last 24 hours of a row that bears `kept_hours`; empty when none are kept."""
    if not vm.hours:
        return []
    last, *maxima = vm.hours
    hour = number_of(now, HOUR)
    since = [moment for moment in (vm.newest_point_at, vm.resumed_at) if moment]
    gaps = [Gap(max(since).timestamp(), now.timestamp())] if since and vm.protection in COUNTS else []
    maxima, last = advance(maxima, last, gaps, HOUR, DAY)
    return maxima if last == hour else _ending_at(hour, maxima, last)
