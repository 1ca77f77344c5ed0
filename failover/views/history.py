"""What a ticket's page tells of the points that its VMs can be recovered to: the worst one's, and how its RPO went."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Min, Window

from ampdr import clock
from failover.models import Ticket
from replication.models import Replication
from replication.views.chart import drawn, rpo_chart

SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


@dataclass(frozen=True)
class Worst:
    """Of the ticket's VMs the one that lost most, or would: its chart. The rest is of all of them, as they are now."""

    name: str = ""
    oldest: datetime | None = None  # the oldest point that a start would use now
    behind: bool = False  # older than the strictest target
    most: bool = False  # it lost more than another one
    replication: Replication | None = None
    rpo: dict[str, Any] = field(default_factory=dict)

    @property
    def age(self) -> timedelta | None:
        return clock.now() - self.oldest if self.oldest else None


def worst_of(ticket: Ticket, asked: str) -> Worst:
    """One statement, however many VMs. `asked`: the time span of the chart, if one was chosen."""
    over = asked if asked in SPANS else _span(ticket)
    found = Replication.objects.filter(failovers__ticket=ticket).annotate(
        name=F("vm__name"), loss=F("failovers__launch__loss_seconds"), **(drawn(over) if over else {}),
        newest=Window(Min("newest_point_at")), chosen=Window(Min("failovers__point_at")),
        strictest=Window(Min("rpo_target")), least=Window(Min("failovers__launch__loss_seconds")),
    )  # fmt: skip
    first: Any = found.order_by(
        F("loss").desc(nulls_last=True), F("newest_point_at").asc(nulls_first=True), "pk"
    ).first()
    if first is None:
        return Worst()
    oldest = first.chosen or first.newest
    return Worst(
        first.name, oldest, bool(oldest and clock.now() - oldest > first.strictest), _more(first.loss, first.least),
        first, rpo_chart(first, first.name, over) if over else {},
    )  # fmt: skip


def _more(loss: float | None, least: float | None) -> bool:
    """To the second, as it is shown."""
    return None not in (loss, least) and round(loss or 0) > round(least or 0)


def _span(ticket: Ticket) -> str:
    """The shortest that reaches back to the request; of an old one none: the days after it are not its own."""
    since = clock.now() - ticket.requested_at
    return next((name for name, span in SPANS.items() if since < span), "")
