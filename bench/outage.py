"""G7, G9, G10, G12: one order and one ticket of thousands of VMs, through verbs, Celery and the simulated provider."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from celery import current_app
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.actions import SUPPORT
from accounts.models import Activity, Head, Person
from ampdr import work
from ampdr.processes import end, launch
from bench import beside, byhand
from bench.clocks import cpu_of
from bench.data import settle
from bench.pages import Browser
from bench.report import Figure
from failover.actions import Wish, request_failover, version_of
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.actions import place_order
from replication.models import Replication
from tests.cast import Cast, make_vms, sign_in

FOLDER = Path(os.environ.get("BENCH_FOLDER", "/tmp"))
POSTMASTER = int(os.environ.get("BENCH_POSTMASTER", "0"))
APPROVALS = 20
PATIENCE = 600.0


def measure(cast: Cast, number: int, rounds: int) -> list[Figure]:
    """Each round takes two lots of `number` VMs: one for the portal, one for the SQL by hand. One more is for G10."""
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    orders, lots = [], []
    for n in range(2 * rounds + 1):
        vms = make_vms(cast.contoso, cast.sites["DFW01"], [f"lot-{n}-{i:05d}" for i in range(number)])
        uuids = [vm.uuid for vm in vms]
        orders.append(timed(partial(place_order, cast.actor("olga"), uuids, f"order-of-lot-{n}")))
        work.drive()
        wish = Wish("live", uuids, "The site is down", "PHX01")
        lots.append(request_failover(cast.actor("olga"), wish, f"ticket-of-lot-{n}"))
    settle()
    approvals = approval_times(cast.mary, lots[0])
    with worker() as pid:
        last, pairs = lots.pop(), zip(lots[::2], lots[1::2], strict=True)
        both = [(through_celery(cast.mary, mine, pid), by_hand(other)) for mine, other in pairs]
        client = sign_in(Client(), cast.mary)
        felt = beside.measure(Browser(cast.olga), cast.contoso.slug, last, partial(approve, client, last))
    return [*figures(both), approval(approvals, number), *felt, order(orders, number)]


# ---- The approval ----------------------------------------------------------------------------------------------------


def approve(client: Client, ticket: Ticket) -> None:
    ticket.refresh_from_db()
    said = {"version": version_of(ticket), "quick": "outage", "reason": "", "decision": "approve"}
    response = client.post(reverse("admin:failover_ticket_change", args=[ticket.pk]), said)
    ticket.refresh_from_db()
    if response.status_code != 302 or ticket.state != "approved":
        raise RuntimeError(f"the approval answered {response.status_code}")


def approval_times(mary: Person, ticket: Ticket) -> list[float]:
    """The request as Support's browser sends it. Each time the ticket is put back by hand, as if it were new."""
    client, found = sign_in(Client(), mary), []
    waiting = Ticket.objects.filter(pk=ticket.pk).values(
        "state", "state_since", "next_step_at", "decided_at", "decided_by", "decision_reason"
    )[0]
    for _ in range(APPROVALS + 1):
        ticket.refresh_from_db()
        begun = time.perf_counter()
        approve(client, ticket)
        found.append(time.perf_counter() - begun)
        Ticket.objects.filter(pk=ticket.pk).update(**waiting)
    Head.objects.filter(account=ticket.account_id).update(waiting=Ticket.objects.filter(state="waiting").count())
    return sorted(found[1:])


# ---- The failover ----------------------------------------------------------------------------------------------------


@contextmanager
def worker() -> Iterator[int]:
    """Celery with two processes, ready to work."""
    command = [sys.executable, "-m", "celery", "-A", "ampdr", "worker", "--concurrency", "2", "-l", "warning"]
    process = launch(command, FOLDER / "worker.log", env=dict(os.environ))
    deadline = time.monotonic() + 60
    while not current_app.control.ping(timeout=1):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no worker: {(FOLDER / 'worker.log').read_text()[-2000:]}")
    try:
        yield process.pid
    finally:
        end(process)


def through_celery(mary: Person, ticket: Ticket, worker_pid: int) -> tuple[float, float]:
    """Seconds on the wall, from the approval to the last row, and CPU seconds of everybody."""
    client, n = sign_in(Client(), mary), ticket.vm_count
    before, shown = cpu_of(worker_pid, POSTMASTER, os.getpid()), VM.objects.filter(role="live").count()
    rows = Activity.objects.filter(about=ticket.number, kind="failover").count()
    begun = time.perf_counter()
    approve(client, ticket)
    lines = Failover.objects.filter(ticket=ticket, state="running")
    while lines.count() < n:
        if time.perf_counter() - begun > PATIENCE:
            raise RuntimeError(f"{lines.count()} of {n} run after {PATIENCE} s")
        time.sleep(0.05)
    took = time.perf_counter() - begun
    spent = cpu_of(worker_pid, POSTMASTER, os.getpid()) - before
    check(ticket, shown, rows)
    return took, spent


def check(ticket: Ticket, shown: int, rows: int) -> None:
    """Every row right, every row of the record there: otherwise the time means nothing."""
    n, keys = ticket.vm_count, Failover.objects.filter(ticket=ticket).values("vm")
    facts = {
        "stand-ins": VM.objects.filter(role="live").count() - shown,
        "originals hidden": VM.objects.filter(pk__in=keys, shown=False, protection="paused").count(),
        "replications paused": Replication.objects.filter(vm__in=keys, state="paused").count(),
        "fenced": Failover.objects.filter(ticket=ticket, fenced="yes", mode="planned").count(),
    }
    record = Activity.objects.filter(about=ticket.number, kind="failover").count() - rows
    if set(facts.values()) != {n} or record != 3 * n:  # start, fenced, run; the pauses bear the order's number
        raise RuntimeError(f"not right: {facts}, {record} rows of the record")


def by_hand(ticket: Ticket) -> tuple[float, float]:
    return timed(lambda: byhand.fail_over(ticket))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall, and CPU seconds of this process and the database."""
    before, begun = cpu_of(POSTMASTER, os.getpid()), time.perf_counter()
    work()
    return time.perf_counter() - begun, cpu_of(POSTMASTER, os.getpid()) - before


def figures(both: list[tuple[tuple[float, float], tuple[float, float]]]) -> list[Figure]:
    took, spent = middle([portal for portal, _ in both])
    sql, sql_spent = middle([other for _, other in both])
    portal = f"{took:.2f} s, {spent:.1f} s CPU of web, workers and database"
    facts = ("one ticket, from approval to the last row", portal, f"SQL by hand: {sql:.2f} s, {sql_spent:.1f} s CPU")
    return [
        Figure("G7", *facts, f"{took:.2f} s", "<= 2 s", took <= 2),
        Figure("G7, reach for", *facts, f"{took / sql:.1f} x", "<= 2 x", took <= 2 * sql),
    ]


def middle(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    walls, cpus = zip(*pairs, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def approval(times: list[float], number: int) -> Figure:
    p95 = times[int(len(times) * 0.95) - 1] * 1000
    words = f"{statistics.median(times) * 1000:.0f} ms in the middle of {len(times)}"
    what = f"the approval request of {number:,} VMs"
    return Figure("G9", what, words, "", f"p95 {p95:.0f} ms", "<= 100 ms", p95 <= 100)


def order(times: list[tuple[float, float]], number: int) -> Figure:
    took, spent = middle(times)
    words = f"{took:.2f} s, {spent:.1f} s CPU of web and database"
    return Figure("G12", f"one order of {number:,} VMs", words, "", f"{took:.2f} s", "<= 2 s", took <= 2)
