"""The chart of a replication's RPO, for every page that shows one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from ampdr import clock
from ampdr.charts import Ages, Shade, chart, row_line, words_of
from inventory.actions import outages_of
from inventory.models import Outage
from replication.actions import PERIODS, last_hours, rpo_series
from replication.models import Replication

FIRST = "24h"


def period_of(asked: str) -> str:
    """A time span that doesn't exist is as if not asked for."""
    return asked if asked in PERIODS else FIRST


def rpo_chart(replication: Replication, name: str, period: str) -> dict[str, Any]:
    """What `replication/parts/rpo.html` prints: the chart of a VM of this name and the time spans to choose from.

    One statement, and another one for a replication that was read without `kept_rpo` as `kept`.
    """
    ages = rpo_series(replication, period)
    title = f"RPO of {name} over {PERIODS[period].words}"
    return {
        "chart": chart("rpo-chart", title, ages, replication.rpo_target, outages(replication.source, ages)),
        "period": period, "spans": [(key, one.word) for key, one in PERIODS.items()], "over": PERIODS[period].words,
    }  # fmt: skip


def rpo_line(vm: Any) -> SafeString:
    """The RPO of a row's last 24 hours, for a row that bears `kept_hours`; empty when nothing is kept."""
    return row_line(last_hours(vm, clock.now()), vm.rpo_target.total_seconds())


def outages(site: str, ages: Ages) -> list[Shade]:
    """Those of the site that overlap this time, oldest first."""
    return [
        Shade(one.started_at, one.over_at or ages.ends_at, f"{site} outage {one.number}", told(site, one))
        for one in outages_of(site, ages.begins_at, ages.ends_at)
    ]


def told(site: str, one: Outage) -> str:
    return f"Outage {one.number} of {site} from {words_of(one.started_at)} {_end(one.over_at)}."


def _end(over_at: datetime | None) -> str:
    return f"to {words_of(over_at)}" if over_at else "on"
