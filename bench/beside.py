"""G10: what others feel of a ticket of thousands while its lines are carried: a list's page, and waits for locks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from django.db import connection

from bench.clocks import per_call
from bench.pages import Browser, ms
from bench.report import Figure
from failover.models import Failover, Ticket

IDLE = 40  # requests before anything runs
PATIENCE = 600.0
WAITS = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0) FROM pg_locks WHERE NOT granted"


def measure(browser: Browser, slug: str, ticket: Ticket, approve: Callable[[], None]) -> list[Figure]:
    """The page of the same account, asked again and again until the last line runs; between two of them a look at who
    waits for a lock, and for how long by then."""
    page = f"/{slug}/vms/"
    per_call(lambda: browser.get(page), 5)  # warm
    idle = [per_call(lambda: browser.get(page), 1).wall for _ in range(IDLE)]
    approve()
    busy, waits = beside(lambda: browser.get(page), ticket)
    ratio, longest = statistics.median(busy) / statistics.median(idle), max(waits)
    what = f"a list while {ticket.vm_count:,} VMs fail over"
    times = f"{ms(statistics.median(busy))} in the middle of {len(busy)}, {ms(max(busy))} at most"
    looks = f"{sum(1 for one in waits if one)} of {len(waits)} looks found somebody waiting"
    return [
        Figure("G10", what, times, f"idle: {ms(statistics.median(idle))}", f"{ratio:.2f} x", "<= 2 x", ratio <= 2),
        Figure("G10", "the longest wait for a lock meanwhile", looks, "", ms(longest), "<= 100 ms", longest <= 0.1),
    ]


def beside(page: Callable[[], object], ticket: Ticket) -> tuple[list[float], list[float]]:
    """Seconds of each request, and of the longest wait at each look."""
    busy, waits, begun = [], [], time.perf_counter()
    lines = Failover.objects.filter(ticket=ticket, state="running")
    while lines.count() < ticket.vm_count:
        busy.append(per_call(page, 1).wall)
        with connection.cursor() as cursor:
            cursor.execute(WAITS)
            waits.append(float(cursor.fetchone()[0]))
        if time.perf_counter() - begun > PATIENCE:
            raise RuntimeError(f"{lines.count()} of {ticket.vm_count} run after {PATIENCE} s")
    return busy, waits
