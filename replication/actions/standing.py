"""How an order stands: read from its lines, for it has no state of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, QuerySet

from ampdr.work import WaitingOn
from replication.models import UNREADY, Order, Replication


class Progress(NamedTuple):
    """How an order stands, read from its lines: first match wins (product.md, States)."""

    word: str
    tone: str
    icon: str
    ready: int
    counts: dict[str, int]
    waiting: int = 0
    unready: int = 0

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def open(self) -> int:
        """Lines on which something is still to be done."""
        return sum(self.counts.get(state, 0) for state in UNFINISHED)

    def late(self, order: Order, now: datetime) -> bool:
        """Whether its promise has passed and something of it is neither ready nor cancelled."""
        return self.unready > 0 and now > order.ready_by


UNFINISHED = ("ordered", "provisioning", "stopping", "failed")
Counted = tuple[str, str, int, int]  # state, for whom it waits, how many, how many of these are not ready
COUNTS = {"n": Count("pk"), "unready": Count("pk", filter=UNREADY)}


def progress(lines: QuerySet[Replication]) -> Progress:
    """How these lines of one order stand, in one statement whatever their number."""
    return progress_of(lines.order_by().values_list("state", "waiting_on").annotate(**COUNTS))


def progress_of_orders(orders: Iterable[int]) -> dict[int, Progress]:
    """The same for many orders, by primary key, also in one statement."""
    lines = Replication.objects.filter(order__in=list(orders)).order_by()
    by_order: dict[int, list[Counted]] = defaultdict(list)
    for order, *counted in lines.values_list("order", "state", "waiting_on").annotate(**COUNTS):
        by_order[order].append((counted[0], counted[1], counted[2], counted[3]))
    return {order: progress_of(counted) for order, counted in by_order.items()}


def progress_of(counted: Iterable[Counted]) -> Progress:
    """From lines counted by state and by whom they wait for."""
    counts: Counter[str] = Counter()
    waiting = unready = 0
    for state, waiting_on, n, not_ready in counted:
        counts[state] += n
        waiting += n if waiting_on == WaitingOn.CUSTOMER else 0
        unready += not_ready
    ready = counts["protected"] + counts["paused"]
    return Progress(*_order_word(counts, waiting, ready), ready, dict(counts), waiting, unready)


def _order_word(counts: Counter[str], waiting: int, ready: int) -> tuple[str, str, str]:
    if waiting:
        return "Needs you", "warn", "triangle-alert"
    if counts["failed"]:
        return f"{counts['failed']} failed", "bad", "octagon-alert"
    if counts["ordered"] + counts["provisioning"] + counts["stopping"]:
        return f"{ready} of {counts.total()} ready", "info", "loader-circle"
    return ("Ready", "ok", "circle-check") if ready else ("Stopped", "off", "circle-x")
