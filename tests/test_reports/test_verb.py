"""What agents report: the newest counts, all rows or none, and every bad row is named."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Activity, Head
from ampdr import clock, work
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import Actor
from inventory.actions import Taken, report
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, say_yes

MACHINE = Actor("Collector", via="machine")
HOUR = timedelta(hours=1)


def fim(vm: object, at: object, changes: object = 3) -> dict[str, Any]:
    return {"vm": vm, "kind": "fim", "at": at, "changes": changes}


def malware(vm: object, at: object, **facts: Any) -> dict[str, Any]:
    return {"vm": vm, "kind": "malware", "at": at, "agent": "Sentry 4.2", "scan_at": at, "findings": 0} | facts


def patch(vm: object, at: object, **facts: Any) -> dict[str, Any]:
    return {"vm": vm, "kind": "patch", "at": at, "missing": 4, "critical": 1} | facts


def send(*rows: Mapping[str, Any]) -> Taken:
    return report(MACHINE, rows, VM.objects.all())


def faults(*rows: Any) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as refused:
        report(MACHINE, rows, VM.objects.all())
    return refused.value.fields


@pytest.fixture
def web(cast: Cast) -> VM:
    return make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])[0]


def test_each_kind_is_kept_on_the_vm(web: VM) -> None:
    now = clock.now()
    sent = [fim(web.uuid, now), malware(str(web.uuid), now.isoformat(), findings=2), patch(web.uuid, now)]
    assert send(*sent) == (3, 0)
    web.refresh_from_db()
    assert (web.fim_report_at, web.fim_changes) == (now, 3)
    assert (web.malware_report_at, web.malware_scan_at) == (now, now)
    assert (web.malware_agent, web.malware_findings) == ("Sentry 4.2", 2)
    assert (web.patch_report_at, web.patches_missing, web.patches_critical) == (now, 4, 1)


def test_only_what_is_newer_counts(web: VM) -> None:
    now = clock.now()
    assert send(fim(web.uuid, now - HOUR, 7)) == (1, 0)
    assert send(fim(web.uuid, now - HOUR, 8), fim(web.uuid, now - 2 * HOUR, 9)) == (0, 2)
    web.refresh_from_db()
    assert (web.fim_report_at, web.fim_changes) == (now - HOUR, 7)
    newest = [fim(web.uuid, now - HOUR / 2, 1), fim(web.uuid, now, 2), fim(web.uuid, now - HOUR / 3, 3)]
    assert send(*newest) == (1, 2), "of several the newest, in whatever order they come"
    web.refresh_from_db()
    assert (web.fim_report_at, web.fim_changes) == (now, 2)


def test_open_pages_look_again_and_nothing_stands_in_activity(cast: Cast, web: VM) -> None:
    def versions() -> list[int]:
        heads = Head.objects.filter(account__in=[cast.northwind, cast.contoso]).order_by("account__slug")
        return list(heads.values_list("version", flat=True))

    before, said = versions(), Activity.objects.count()
    now = clock.now()
    send(fim(web.uuid, now))
    assert versions() == [before[0], before[1] + 1]
    send(fim(web.uuid, now))  # nothing new
    assert versions() == [before[0], before[1] + 1]
    assert Activity.objects.count() == said


def test_a_stand_in_by_its_own_uuid(cast: Cast, web: VM) -> None:
    protect(cast, [web])
    say_yes(cast, request(cast, [web]))
    work.drive()
    stand_in = VM.objects.get(role="test")
    assert send(fim(stand_in.uuid, clock.now(), 5)) == (1, 0)
    web.refresh_from_db()
    stand_in.refresh_from_db()
    assert (stand_in.fim_changes, web.fim_report_at) == (5, None)


def test_every_bad_row_is_named_and_nothing_is_taken(web: VM) -> None:
    now, good = clock.now(), fim(web.uuid, clock.now())
    found = faults(
        good,
        fim(web.uuid, now + 6 * HOUR / 60),
        fim(web.uuid, now, -1),
        fim(web.uuid, now, 10**12),
        fim(web.uuid, now, True),
        fim(uuid.uuid4(), now),
        fim("web-01", "yesterday", 1.5),
        patch(web.uuid, now.replace(tzinfo=None)),
        malware(web.uuid, now, agent="a\nb", scan_at=now + HOUR, findings="many"),
        {"vm": str(web.uuid), "kind": "malware", "at": now, "findings": 1},
        {"vm": str(web.uuid), "kind": "rootkit"},
        good | {"change": 1},
        "nonsense",
        fim(web.uuid, datetime(1, 1, 1, tzinfo=UTC)),
        patch(web.uuid, now, missing=0, critical=2),
        fim(web.uuid, "2026-13-01T00:00:00Z"),
        fim("\0" * 36, "\ud800", None),
        malware(web.uuid, now, agent="x" * 41),
        malware(web.uuid, now, agent="\0"),
        good | {"kind": ["fim"]},
    )
    assert [name.removeprefix("reports.") for name in sorted(found, key=lambda one: (int(one.split(".")[1]), one))] == [
        "1.at", "2.changes", "3.changes", "4.changes", "5.vm", "6.at", "6.changes", "6.vm", "7.at", "8.agent",
        "8.findings", "8.scan_at", "9.agent", "9.scan_at", "10.kind", "11.change", "12", "13.at", "14.critical",
        "15.at", "16.at", "16.changes", "16.vm", "17.agent", "18.agent", "19.kind",
    ]  # fmt: skip
    assert "future" in found["reports.1.at"][0] and found["reports.9.agent"] == ["Needed."]
    web.refresh_from_db()
    assert web.fim_report_at is None


def test_up_to_five_minutes_ahead_is_a_machines_clock(web: VM) -> None:
    assert send(fim(web.uuid, clock.now() + timedelta(minutes=4))) == (1, 0)


def test_at_most_a_thousand(web: VM) -> None:
    assert list(faults(*[fim(web.uuid, clock.now())] * 1001)) == ["reports"]
    assert send() == (0, 0)


def test_no_person_reports(cast: Cast, web: VM) -> None:
    with pytest.raises(Forbidden):
        report(cast.actor("priya"), [fim(web.uuid, clock.now())], VM.objects.all())


def test_as_many_statements_for_a_thousand_as_for_three(cast: Cast) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n}" for n in range(334)])
    costs = []
    for some, at in ((vms[:1], clock.now() - HOUR), (vms, clock.now())):
        rows = [make(vm.uuid, at) for vm in some for make in (fim, malware, patch)][:1000]
        with CaptureQueriesContext(connection) as caught:
            assert send(*rows) == (len(rows), 0)
        costs.append(len(caught))
    assert costs[0] == costs[1] <= 10, costs
