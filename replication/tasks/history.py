"""RPO history: how old the newest recovery point got, kept as the maximum of each span of time.

Between two points the RPO rises with the clock and falls with the second one. So a span's maximum follows from the gaps
between points alone, and no point is ever read again. Everything here but `end_gaps` and `record` is arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import NamedTuple, Protocol

from django.db.models import QuerySet, Value
from django.db.models.functions import Cast

from replication.models import Replication, RpoHistory

MINUTE = 60
STANDS = ("newest_point_at", "protected_at", "resumed_at")  # the columns of `Stands`

Maxima = list[int | None]


class Gap(NamedTuple):
    """From one recovery point to the next, in seconds of the epoch."""

    begin: float
    end: float


class Stands(Protocol):
    """What of a replication tells since when its RPO counts."""

    @property
    def newest_point_at(self) -> datetime | None: ...
    @property
    def protected_at(self) -> datetime | None: ...
    @property
    def resumed_at(self) -> datetime | None: ...


def gaps_until(stands: Stands, moments: Iterable[datetime]) -> list[Gap]:
    """The gaps from the newest point that is known to each of these moments; what isn't later than it is left out.

    Nothing counts before the replication was protected, nor before it was resumed: what counted until it was paused is
    written before that (`end_gaps`).
    """
    told = sorted(moment.timestamp() for moment in moments)
    since = (stands.newest_point_at, stands.protected_at, stands.resumed_at)
    begin = max((moment.timestamp() for moment in since if moment), default=told[0] if told else 0)
    gaps = []
    for moment in told:
        gaps.append(Gap(begin, moment))
        begin = max(begin, moment)
    return [gap for gap in gaps if gap.end > gap.begin]


def advance(maxima: Sequence[int | None], last: int, gaps: Iterable[Gap], length: int, keep: int) -> tuple[Maxima, int]:
    """The maxima with these gaps in them, as many as are kept, and the number of the last span.

    Spans are `length` seconds long and numbered from the epoch; `last` is the number of the last of `maxima`. Gaps may
    reach back beyond what is kept, and may have been told before: a maximum never falls.
    """
    gaps = list(gaps)
    end = max([last, *(ceil(gap.end / length) - 1 for gap in gaps)])
    grown: Maxima = [*([None] * keep), *maxima, *([None] * min(end - last, keep))][-keep:]
    for begin, until in gaps:
        for span in range(max(int(begin // length), end - keep + 1), ceil(until / length)):
            age, place = int(min(until, (span + 1) * length) - begin), span - end - 1
            if (before := grown[place]) is None or before < age:
                grown[place] = age
    return grown, end


def number_of(moment: datetime, length: int) -> int:
    """Of the span in which this moment lies."""
    return int(moment.timestamp()) // length


def beginning_of(span: int, length: int) -> datetime:
    return datetime.fromtimestamp(span * length, UTC)


def end_gaps(replications: QuerySet[Replication]) -> None:
    """They are paused: what no point has ended is written up to when that was. Until then charts reckon it."""
    rows = replications.exclude(paused_at=None).values_list("pk", "paused_at", *STANDS, named=True)
    record({row.pk: gaps_until(row, [row.paused_at]) for row in rows})


def record(gaps: Mapping[int, Sequence[Gap]]) -> None:
    """Writes the maxima of all spans that these gaps touch, {key of a replication: its gaps}.

    The caller holds the locks of the replications, since arrays are read, reckoned on and written whole. At most two
    statements, however many they are; of an hour or a day whose maximum stays as it is, nothing is written.
    """
    told = {pk: found for pk, found in gaps.items() if found}
    if not told:
        return
    kept = RpoHistory.objects.filter(replication_id__among=list(told))
    known = {
        (pk, span): (until, maxima)
        for pk, span, until, maxima in kept.values_list("replication_id", "span", "until", "maxima")
    }
    changed = [row for pk, found in told.items() for span in RpoHistory.Span if (row := _moved(pk, span, found, known))]
    RpoHistory.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["replication", "span"], update_fields=["until", "maxima"]
    )


def _moved(
    pk: int, span: int, gaps: Sequence[Gap], known: Mapping[tuple[int, int], tuple[datetime, Maxima]]
) -> RpoHistory | None:
    """The row as it is after these gaps; None when nothing of it changes."""
    length, keep = span * MINUTE, RpoHistory.KEPT[span]
    until, maxima = known.get((pk, span), (None, []))
    last = number_of(until, length) if until else -1
    grown, end = advance(maxima, last, gaps, length, keep)
    if grown == maxima and end == last:
        return None
    return RpoHistory(replication_id=pk, span=span, until=beginning_of(end, length), maxima=literal(grown))


def literal(maxima: Maxima) -> Cast:
    """As PostgreSQL reads an array: adapted number by number, a thousand rows take more than twice as long."""
    words = ",".join("NULL" if one is None else str(one) for one in maxima)
    return Cast(Value(f"{{{words}}}"), RpoHistory._meta.get_field("maxima"))
