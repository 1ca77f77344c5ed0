"""RPO history: what 30 days of it for 10,000 VMs cost on a list and on a VM's page, and what writing it costs."""

from __future__ import annotations

from functools import partial

from django.db import connection, transaction

from accounts.models import Account, Head
from ampdr import clock
from bench.clocks import Cost, interleaved
from bench.data import COUNT, VMS, settle
from bench.pages import Browser, counted, ms
from bench.report import Figure
from inventory.models import VM
from replication.models import Replication, RpoHistory
from replication.tasks.history import Gap, record
from tests.cast import Cast, join

WITH, WITHOUT = "rpo-kept", "rpo-bare"
NUMBER, BATCH, REQUESTS = 10_000, 1000, 40

REPLICATIONS = """
INSERT INTO replication_replication (uuid, state, state_since, vm_id, source, target, ordered_at, protected_at,
  newest_point_at)
SELECT gen_random_uuid(), 'protected', now(), id, 'DFW01', 'PHX01', now() - interval '40 days',
  now() - interval '40 days', newest_point_at
FROM inventory_vm WHERE account_id = %s AND newest_point_at IS NOT NULL
"""
HISTORY = """
WITH kinds AS MATERIALIZED (
  SELECT kind, array_agg(CASE WHEN (%(keep)s - n) * %(length)s < 30 * 86400 THEN
    300 + (n * 7919 + kind * 104729) %% 61 + CASE WHEN (n + kind * 37) %% 211 = 0 THEN 900 ELSE 0 END
    END ORDER BY n) AS maxima
  FROM generate_series(1, %(keep)s) AS n, generate_series(0, 99) AS kind GROUP BY kind
)
INSERT INTO replication_rpohistory (replication_id, span, until, maxima)
SELECT replication.id, %(span)s, to_timestamp(floor(extract(epoch FROM now()) / %(length)s) * %(length)s), kinds.maxima
FROM inventory_vm AS vm JOIN replication_replication AS replication ON vm.id = replication.vm_id
JOIN kinds ON kinds.kind = replication.id %% 100
WHERE vm.account_id = %(account)s
"""


def fill(cast: Cast) -> None:
    """Two accounts of as many protected VMs; only the first one's have a history."""
    for number, slug in enumerate((WITH, WITHOUT)):
        account = Account.objects.create(slug=slug, name=slug, number=8000 + number)
        Head.objects.create(account=account)
        join(cast.priya, account, "Admin")
        with connection.cursor() as cursor:
            cursor.execute(VMS, {"account": account.pk, "site": cast.sites["DFW01"].pk, "number": NUMBER})
            cursor.execute(REPLICATIONS, [account.pk])
            cursor.execute(COUNT, [account.pk])
            Head.objects.filter(account=account).update(**dict(cursor.fetchall()))
            cursor.execute("ANALYZE")
            for span, keep in RpoHistory.KEPT.items() if slug == WITH else ():
                facts = {"span": int(span), "length": span * 60, "keep": keep, "account": account.pk}
                cursor.execute(HISTORY, facts)
    settle()


def measure(cast: Cast, rounds: int) -> list[Figure]:
    fill(cast)
    return [*reading(cast, rounds), writing()]


def reading(cast: Cast, rounds: int) -> list[Figure]:
    browser, found = Browser(cast.priya), []
    pages = {"Virtual Machines, 50 rows": "/{}/vms/", "a VM's page, 30 d": "/{}/vms/" + a_name() + "/?rpo=30d"}
    for what, page in pages.items():
        calls = [partial(browser.get, page.format(slug)) for slug in (WITH, WITHOUT)]
        kept, bare = interleaved(calls, rounds, REQUESTS)
        with counted() as said:
            calls[0]()
        words = f"without one: {ms(bare.cpu)} CPU, {ms(bare.wall)}"
        most = 6 if "rows" in what else 10
        costs = f"{ms(kept.cpu)} CPU, {ms(kept.wall)}, {len(said)} statements"
        held = len(said) <= most
        found.append(
            Figure("G5", f"{what}, RPO of 30 days", costs, words, f"{_ratio(kept, bare):.2f} x", f"<= {most}", held)
        )
    return found


def _ratio(one: Cost, other: Cost) -> float:
    return one.cpu / other.cpu


def a_name() -> str:
    found = VM.objects.filter(account__slug=WITH, newest_point_at__isnull=False)
    return found.order_by("pk").values_list("slug", flat=True)[0]


def writing() -> Figure:
    """A batch's new points, each five minutes after the one before: as `Collect` writes them."""
    keys = list(Replication.objects.filter(vm__account__slug=WITH).order_by("pk").values_list("pk", flat=True)[:BATCH])
    now = clock.now().timestamp()
    steps = iter(range(100))

    def once() -> None:
        begin = now + 300 * next(steps)
        with transaction.atomic():
            record({pk: [Gap(begin, begin + 300)] for pk in keys})

    (cost,) = interleaved([once], 3, 4)
    words = f"{ms(cost.cpu)} CPU, {ms(cost.wall)}"
    return Figure("-", f"RPO history of {BATCH:,} VMs, one new point each", words, "", ms(cost.wall), "-", True)
