"""The chart of a replication's RPO, for every page that shows one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject
from django.utils.safestring import SafeString

from ampdr import clock
from ampdr.charts import Ages, Shade, chart, row_line, words_of
from inventory.actions import outages_of
from inventory.models import Outage
from replication.actions import PERIODS, kept_rpo, last_hours, rpo_series
from replication.models import Replication

FIRST = "24h"
MINUTE = timedelta(minutes=1)


def period_of(asked: str) -> str:
    """A time span that doesn't exist is as if not asked for."""
    return asked if asked in PERIODS else FIRST


def rpo_chart(replication: Replication, name: str, period: str) -> dict[str, Any]:
    """What `replication/parts/rpo.html` prints: the chart of a VM of this name and the time spans to choose from.

    One statement for the outages and one for the history, each of which a replication that was read with
    `drawn(period)` spares.
    """
    ages = rpo_series(replication, period)
    shades = [_shade(replication.source, ages, one) for one in _outages(replication, ages)]
    title = f"RPO of {name} over {PERIODS[period].words}"
    return {
        "chart": chart("rpo-chart", title, ages, replication.rpo_target, shades),
        "period": period, "spans": [(key, one.word) for key, one in PERIODS.items()], "over": PERIODS[period].words,
    }  # fmt: skip


def rpo_line(vm: Any) -> SafeString:
    """The RPO of a row's last 24 hours, for a row that bears `kept_hours`; empty when nothing is kept."""
    return row_line(last_hours(vm, clock.now()), vm.rpo_target.total_seconds())


def drawn(period: str) -> dict[str, Subquery]:
    """For a query of replications, to be annotated: what `rpo_chart` reads, in that one statement."""
    asked, now = PERIODS[period], clock.now()
    source: Any = OuterRef("source")
    near = outages_of(source, now - asked.span * asked.per * asked.count * MINUTE, now)
    facts = JSONObject(number="number", started_at="started_at", over_at="over_at")
    return {"kept": kept_rpo(period), "outages": ArraySubquery(near.values_list(facts))}


def _outages(replication: Replication, ages: Ages) -> Iterable[Outage]:
    """Those of its source that overlap this time, oldest first."""
    known: Sequence[dict[str, Any]] | None = vars(replication).get("outages")
    if known is None:
        return outages_of(replication.source, ages.begins_at, ages.ends_at)
    read = [Outage(**one | {name: _moment(one[name]) for name in ("started_at", "over_at")}) for one in known]
    return [one for one in read if one.over_at is None or one.over_at > ages.begins_at]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _shade(site: str, ages: Ages, one: Outage) -> Shade:
    words = f"Outage {one.number} of {site} from {words_of(one.started_at)} {_end(one.over_at)}."
    return Shade(one.started_at, one.over_at or ages.ends_at, f"{site} outage {one.number}", words)


def _end(over_at: datetime | None) -> str:
    return f"to {words_of(over_at)}" if over_at else "on"
