"""How an order stands, and what workers make of its lines."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from accounts import activity
from ampdr import clock, work
from ampdr.errors import Forbidden, IllegalTransition
from inventory.models import VM
from replication.actions import place_order, progress, progress_of, retry_replication
from replication.models import Replication
from tests.cast import Cast
from tests.test_orders.asking import KEY, refusal, servers, simulate, state_of


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ([("ordered", "", 1)], "0 of 1 ready"),
        ([("provisioning", "", 13), ("protected", "", 26), ("paused", "", 1)], "27 of 40 ready"),
        ([("provisioning", "", 1), ("protected", "", 1), ("failed", "support", 2)], "2 failed"),
        ([("provisioning", "customer", 1), ("failed", "support", 2)], "Needs you"),
        ([("protected", "", 2), ("stopping", "", 1)], "2 of 3 ready"),
        ([("protected", "", 2), ("stopped", "", 1)], "Ready"),
        ([("paused", "", 1)], "Ready"),
        ([("stopped", "", 3)], "Stopped"),
        ([], "Stopped"),
    ],
)
def test_the_word_of_an_order_is_the_first_that_matches(lines: list[tuple[str, str, int]], word: str) -> None:
    found = progress_of((*line, 0) for line in lines)
    assert found.word == word
    assert (found.tone == "ok") == (word == "Ready")


def test_three_refusals_fail_a_line_and_support_tries_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    vms = servers(cast, "web-01", "web-02")
    simulate(monkeypatch, faults='[{"fault": "refuse", "kind": "protect", "vm": "web-02", "times": 3}]')
    order = place_order(cast.actor("priya"), [vm.uuid for vm in vms], KEY)
    for _ in range(3):
        Replication.objects.filter(next_step_at__isnull=False, verb="protect").update(next_step_at=F("ordered_at"))
        work.drive()
    assert state_of(vms[0]) == ("protected", "protected")
    assert state_of(vms[1]) == ("failed", "failed")
    line = Replication.objects.get(vm=vms[1])
    assert (line.failed_in, line.waiting_on) == ("provisioning", "support")
    assert line.last_error
    assert progress(Replication.objects.filter(order=order)).word == "1 failed"
    refusal(Forbidden, retry_replication, cast.actor("priya"), Replication.objects.filter(pk=line.pk))
    generation = line.generation
    retry_replication(cast.actor("mary"), Replication.objects.filter(pk=line.pk))
    line.refresh_from_db()
    assert (line.state, line.generation, line.last_error, line.waiting_on) == ("provisioning", generation + 1, "", "")
    refusal(IllegalTransition, retry_replication, cast.actor("mary"), Replication.objects.filter(pk=line.pk))
    work.drive()
    assert state_of(vms[1]) == ("protected", "protected")
    assert progress(Replication.objects.filter(order=order)).word == "Ready"
    assert not list(activity.faults())


def poison(vm: VM) -> None:
    """From now on the database refuses to write this VM's row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION refuse_row() RETURNS trigger AS $$ BEGIN RAISE unique_violation"
            " USING MESSAGE = 'poisoned'; END $$ LANGUAGE plpgsql"
        )
        cursor.execute(
            f"CREATE TRIGGER poison BEFORE UPDATE ON inventory_vm FOR EACH ROW WHEN (OLD.id = {vm.pk})"
            " EXECUTE FUNCTION refuse_row()"
        )


def cure() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER poison ON inventory_vm")


def test_a_poisoned_row_holds_nobody_back_and_waits_for_support(cast: Cast) -> None:
    vms = servers(cast, *[f"web-{i:02}" for i in range(10)])
    order = place_order(cast.actor("priya"), [vm.uuid for vm in vms], KEY)
    poison(vms[4])
    work.drive()
    lines = Replication.objects.filter(order=order)
    assert lines.filter(state="protected").count() == 9
    bad = lines.get(vm=vms[4])
    assert (bad.state, bad.waiting_on, bad.claim) == ("ordered", "support", None)
    assert "poisoned" in bad.last_error
    assert bad.next_step_at is not None
    cure()
    with clock.ahead(timedelta(hours=1)):
        work.drive()
    bad.refresh_from_db()
    assert (bad.state, bad.waiting_on, bad.last_error) == ("protected", "", "")


def test_a_row_that_goes_on_after_all_waits_for_nobody(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    (vm,) = servers(cast, "web-01")
    simulate(monkeypatch, time_scale=1)
    place_order(cast.actor("priya"), [vm.uuid], KEY)
    work.drive()
    Replication.objects.update(waiting_on="support", last_error="poisoned", next_step_at=F("ordered_at"))
    work.drive()
    line = Replication.objects.get()
    assert (line.state, line.waiting_on, line.last_error) == ("provisioning", "", "")


def test_a_silent_provider_is_told_on_the_line_and_asked_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    (vm,) = servers(cast, "web-01")
    simulate(monkeypatch, sites_down="DFW01")
    place_order(cast.actor("priya"), [vm.uuid], KEY)
    work.drive()
    line = Replication.objects.get()
    assert line.state == "provisioning" and line.attempts == 1 and line.last_error
    assert line.next_step_at is not None
