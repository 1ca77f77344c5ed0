"""How many VMs were protected over time: from when each replication was complete and when it was cancelled."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.db.models import Count, DateTimeField, DurationField, F, Func, Value

from accounts.models import Permission
from ampdr import clock
from ampdr.bars import Bars, Series, bars
from ampdr.charts import Ages, ticks
from ampdr.lifecycle import Actor
from inventory.models import VM, Role
from replication.models import Replication

SERIES = (Series("c-ok", "Protected"), Series("c-off", "Not protected"))
A_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Span:
    """A time span to choose: so many bars, one each `step`, the last of them now."""

    word: str
    words: str
    step: timedelta
    count: int


SPANS = {
    "24h": Span("24 h", "24 hours", timedelta(minutes=30), 48),
    "7d": Span("7 d", "7 days", timedelta(hours=4), 42),
    "30d": Span("30 d", "30 days", timedelta(days=1), 30),
}
FIRST = "30d"


def span_of(asked: str) -> str:
    """One that doesn't exist is as if not asked for."""
    return asked if asked in SPANS else FIRST


def protection_chart(actor: Actor, asked: str, complete: int, vms: int) -> Bars:
    """What `parts/bars.html` draws, in one statement over what came and went in this time. `complete`: how many
    replications last now, of how many `vms`: what was before is reckoned back from there."""
    span, now = SPANS[asked], clock.now()
    moments = [now - span.step * n for n in reversed(range(span.count))]
    protected, there = _counted(actor, moments, span, (complete, vms))
    values = [(at, (done, max(0, vms - done))) for at, done, vms in zip(moments, protected, there, strict=True)]
    title = f"Protection over {span.words}"
    drawn = Ages(moments[0], now, span.step, [None] * span.count)
    return bars("protection-chart", title, _described(protected, there[-1]), SERIES, values, list(ticks(drawn)))


def _counted(
    actor: Actor, moments: Sequence[datetime], span: Span, now_there: tuple[int, int]
) -> tuple[list[int], list[int]]:
    """How many were protected at each of these moments, and how many there were."""
    first, now, may = moments[0], moments[-1], Permission.READ_REPLICATION
    complete = Replication.objects.visible_to(actor, may).filter(protected_at__isnull=False)
    vms = VM.objects.visible_to(actor, may).filter(role=Role.PRIMARY)
    begun = _grouped(complete, "protected_at", first, now, span, 0, 1)
    ended = _grouped(complete, "cancelled_at", first, now, span, 0, -1)
    made = _grouped(vms, "made_at", first, now, span, 1, 1)
    came: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for step, kind, sign, n in begun.union(ended, made, all=True):
        came[kind][min(bisect_left(moments, step + span.step), len(moments) - 1)] += sign * n
    for found, there in zip(came, now_there, strict=True):
        found[0] += there - found.total()
    return _summed(came[0], len(moments)), _summed(came[1], len(moments))


def _grouped(rows: Any, column: str, first: datetime, now: datetime, span: Span, kind: int, sign: int) -> Any:
    """How many of these moments lie in each step: by the last moment before which it happened."""
    happened = F(column) - Value(A_TICK, output_field=DurationField())
    arguments = (Value(span.step, output_field=DurationField()), happened, Value(now))
    step = Func(*arguments, function="date_bin", output_field=DateTimeField())
    lately = (
        rows.filter(**{f"{column}__gt": first}).order_by().annotate(step_=step, kind_=Value(kind), sign_=Value(sign))
    )
    return lately.values_list("step_", "kind_", "sign_").annotate(n=Count("pk"))


def _summed(came: Counter[int], count: int) -> list[int]:
    return list(accumulate(came[n] for n in range(count)))


def _described(protected: Sequence[int], vms: int) -> str:
    """The chart in words: what it says to who can't see it."""
    first, last = protected[0], protected[-1]
    went = f"{last:,} all the time" if len(set(protected)) == 1 else f"from {first:,} at first to {last:,} now"
    return (
        f"Protected VMs: {went}, of {vms:,}. Counted from the completion of each replication to its cancellation: "
        "one that is behind its RPO target, or paused while its VM runs in a live failover, counts."
    )
