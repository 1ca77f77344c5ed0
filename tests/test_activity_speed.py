"""Whatever a reader asks of a long record, an index answers: no page passes through all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.activity.reading import ORDER, Asked, parts
from ampdr import clock
from ampdr.pages import cut
from tests.cast import Cast, make_vms

ROWS = 100_000
FILL = """
INSERT INTO accounts_activity (account_id, batch, at, actor, person_id, staff, via, kind, event, subject_id, vm,
  vm_name, about, from_state, to_state, reason, facts)
SELECT CASE WHEN i %% 997 = 7 THEN NULL ELSE %(account)s END, md5((i / 100)::text)::uuid,
  now() - i * interval '6 minutes', CASE WHEN i %% 499 = 3 THEN 'Priya Raman' ELSE 'AMPDR' END,
  CASE WHEN i %% 499 = 3 THEN %(person)s END, i %% 1996 = 3, 'worker',
  CASE WHEN i %% 997 = 7 THEN 'person' WHEN i %% 499 = 3 THEN 'membership' ELSE 'failover' END, 'signed_in',
  CASE WHEN i %% 997 = 7 THEN %(person)s ELSE i END, (ARRAY(SELECT uuid FROM inventory_vm))[i %% 100], 'x',
  CASE WHEN i %% 499 = 3 THEN '' ELSE 'FO-' || i / 100 END, '', '', '', '{}'
FROM generate_series(1, %(rows)s) AS i
"""


@pytest.fixture
def long(cast: Cast) -> Cast:
    make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n:03}" for n in range(100)])
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"account": cast.northwind.pk, "person": cast.priya.pk, "rows": ROWS})
        cursor.execute("ANALYZE accounts_activity")
    return cast


def read(cast: Cast, asked: Asked, hidden: bool) -> int:
    """How many rows of the record a page goes through, by the planner's own account of what it did."""
    actor = cast.actor("priya")
    actor = replace(actor, permissions=actor.permissions - {"read_replication"}) if hidden else actor
    with CaptureQueriesContext(connection) as caught:
        cut(parts(actor, asked), ORDER, {}, down=True)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {caught.captured_queries[-1]['sql']}")
        (found,) = cursor.fetchone()
    return passed(json.loads(found)[0]["Plan"] if isinstance(found, str) else found[0]["Plan"])


def passed(node: dict[str, Any]) -> int:
    rows = sum(int(node.get(name, 0)) for name in ("Actual Rows", "Rows Removed by Filter"))
    mine = rows * int(node["Actual Loops"]) if node.get("Relation Name") == "accounts_activity" else 0
    return mine + sum(passed(one) for one in node.get("Plans", ()))


def test_no_filter_passes_through_the_record(long: Cast) -> None:
    ago = clock.now() - timedelta(days=300)
    asked = {
        "nothing": Asked(), "support": Asked(who="support"), "people": Asked(who="people"),
        "portal": Asked(who="portal"),
        "people's": Asked(what="people"), "none of": Asked(what="tokens"), "failovers": Asked(what="failovers"),
        "sign-ins": Asked(what="signins"), "vm": Asked(q="vm-042"), "vms": Asked(q="vm-0"), "number": Asked(q="FO-77"),
        "person": Asked(q="priya"), "nobody": Asked(q="zz"), "old day": Asked(since=ago, until=ago + timedelta(days=1)),
        "before": Asked(until=ago), "old and seldom": Asked(what="people", until=ago),
    }  # fmt: skip
    cost = {name: read(long, one, hidden=False) for name, one in asked.items()}
    cost |= {f"{name}, hidden": read(long, asked[name], hidden=True) for name in ("nothing", "support", "old day")}
    assert {name: rows for name, rows in cost.items() if rows > ROWS / 5} == {}
    assert cost["nothing"] < 500
