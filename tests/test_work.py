"""Work that survives: leases, unknown outcomes, refusals, pauses, poison, order. Time is set, nobody sleeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.activity import faults
from accounts.models import Activity
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from ampdr.work import Batch, Duty, claim, perform
from failover.models import Failover, Ticket
from failover.tasks import Carry, Spread
from inventory.models import VM
from replication.actions import place_order
from replication.models import PointFeed, RecoveryPoint, Replication
from replication.providers.simulated import doubled, effects, set_site_answers
from replication.providers.simulated.settings import ledger_path
from replication.providers.sites import provider_of
from replication.tasks import Accept, Collect, Provision, RaiseFlags, caught_up
from tests.cast import Cast, make_vms, protect, request, say_yes, states
from tests.threads import together

LEASE = timedelta(seconds=30)
Simulation = Callable[..., None]


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """Sets faults and variables of the simulated provider."""

    def set_to(*rules: dict[str, object], **variables: str) -> None:
        monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        provider_of.cache_clear()

    return set_to


def order(cast: Cast, n: int, site: str = "DFW01", prefix: str = "vm") -> list[Replication]:
    """Replications that are due to be provisioned, in key order."""
    vms = make_vms(cast.northwind, cast.sites[site], [f"{prefix}-{k:03}" for k in range(n)])
    place_order(cast.actor("priya"), [vm.uuid for vm in vms], f"order-of-{prefix}-{site}")
    perform(claimed(Accept))
    return list(Replication.objects.filter(vm__in=vms).order_by("pk"))


def claimed(duty: type[Duty]) -> Batch:
    batch = claim(duty())
    assert batch
    return batch


def due_in(row: Any) -> float:
    row.refresh_from_db()
    return float((row.next_step_at - clock.now()).total_seconds())


def keys_sent() -> list[str]:
    """The verb and generation of every effect, oldest first."""
    return [effect.key.split(":", 1)[1] for effect in effects(ledger_path())]


# ---- Leases ----------------------------------------------------------------------------------------------------------


def test_a_claim_holds_for_a_lease(cast: Cast) -> None:
    rows = order(cast, 3)
    batch = claimed(Provision)
    assert batch.keys == [row.pk for row in rows] and batch.site == "DFW01"
    assert claim(Provision()) is None
    with clock.ahead(LEASE - timedelta(seconds=1)):
        assert claim(Provision()) is None
    with clock.ahead(LEASE + timedelta(seconds=1)):
        assert claimed(Provision).keys == batch.keys
    assert batch.rows.count() == 0


def test_who_was_taken_over_writes_nothing(cast: Cast) -> None:
    """The first worker was frozen past its lease: what it heard is the second one's to write by now."""
    order(cast, 3)
    slow = claimed(Provision)
    answer = slow.duty.call(slow.site, slow.duty.load(slow.keys))
    with clock.ahead(LEASE + timedelta(seconds=1)):
        quick = claimed(Provision)
        before = list(Replication.objects.order_by("pk").values())
        work._commit(slow, slow.keys, answer)
        work.put_off(slow, "frozen")
        assert list(Replication.objects.order_by("pk").values()) == before
        perform(quick)
    assert set(Replication.objects.values_list("state", flat=True)) == {"protected"}
    assert doubled(ledger_path()) == [] and keys_sent() == ["protect:1"] * 3
    assert list(faults()) == []


def test_rows_that_were_taken_over_singly_are_left_alone(cast: Cast) -> None:
    rows = order(cast, 3)
    batch = claimed(Provision)
    Replication.objects.filter(pk=rows[1].pk).update(claim=None)
    perform(batch)
    assert [row.state for row in Replication.objects.order_by("pk")] == ["protected", "provisioning", "protected"]


@pytest.mark.django_db(transaction=True)
def test_a_claim_passes_over_rows_that_are_locked(request: pytest.FixtureRequest) -> None:
    cast: Cast = request.getfixturevalue("cast")
    rows = order(cast, 4)
    with transaction.atomic():
        list(Replication.objects.filter(pk__in=[rows[0].pk, rows[2].pk]).select_for_update(no_key=True))
        [batch] = together(lambda: claim(Provision()))
    assert batch.keys == [rows[1].pk, rows[3].pk]
    assert claimed(Provision).keys == [rows[0].pk, rows[2].pk]


@pytest.mark.django_db(transaction=True)
def test_ten_who_claim_at_once_share_the_work(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    cast: Cast = request.getfixturevalue("cast")
    rows = order(cast, 40)
    monkeypatch.setattr(Provision, "size", 4)
    batches = together(*[lambda: claim(Provision())] * 10)
    keys = [key for batch in batches if batch for key in batch.keys]
    assert len(keys) == len(set(keys)) and set(keys) <= {row.pk for row in rows}
    while batch := claim(Provision()):
        keys += batch.keys
    assert sorted(keys) == [row.pk for row in rows]


# ---- Unknown is not failed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["no_answer", "lost_answer", "left_out"])
def test_an_unknown_outcome_is_asked_again_with_the_same_key(cast: Cast, simulation: Simulation, fault: str) -> None:
    simulation({"fault": fault, "kind": "protect", "times": 2})
    [row] = order(cast, 1)
    for attempts, pause in ((1, 1), (2, 2)):
        with clock.ahead(timedelta(seconds=5 * attempts)):
            perform(claimed(Provision))
            assert due_in(row) == pytest.approx(pause, abs=0.7)
        assert (row.state, row.attempts, row.generation, row.refusals) == ("provisioning", attempts, 1, 0)
        assert row.last_error and row.waiting_on == ""
    with clock.ahead(LEASE):
        perform(claimed(Provision))
    row.refresh_from_db()
    assert (row.state, row.last_error) == ("protected", "")
    assert keys_sent() == ["protect:1"]


def test_what_the_provider_forgot_while_it_was_under_way_is_sent_again(cast: Cast, simulation: Simulation) -> None:
    """`observe` doesn't know the key any more: the same key is submitted, and nothing is done twice."""
    simulation({"fault": "forget", "times": 1}, SIMULATION_TIME_SCALE="100000")
    [row] = order(cast, 1)
    perform(claimed(Provision))
    row.refresh_from_db()
    assert row.accepted_at and row.state == "provisioning"
    with clock.ahead(LEASE):
        perform(claimed(Provision))
    assert keys_sent() == ["protect:1"]


def test_pauses_grow_up_to_a_lease() -> None:
    pauses = [work.pause_after(n).total_seconds() for n in range(12)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]


def test_after_a_long_silence_each_answer_doubles_what_is_asked_next(cast: Cast) -> None:
    rows = order(cast, 60)
    Replication.objects.update(attempts=1000)
    sizes: list[int] = []
    while (batch := claim(Provision())) and len(sizes) < len(rows):
        sizes.append(len(batch.keys))
        perform(batch)
    assert sum(sizes) == len(rows) and len(sizes) < 20
    assert sizes[0] == 1 and max(sizes) >= 15


def test_what_is_asked_in_vain_makes_no_call_larger(cast: Cast, simulation: Simulation) -> None:
    """One VM that is asked alone, of which nothing is said, tells nothing of the others."""
    simulation({"fault": "left_out", "kind": "protect", "vm": "vm-000"})
    order(cast, 20)
    Replication.objects.update(attempts=1000)
    perform(claimed(Provision))
    assert set(Replication.objects.values_list("attempts", flat=True)) == {1000, 1001}
    perform(claimed(Provision))
    assert set(Replication.objects.filter(state="provisioning").values_list("attempts", flat=True)) != {1000, 1001}


def test_a_silent_site_puts_off_all_its_due_rows_and_no_other(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead provider holds one worker for one call, not each for each batch."""
    dallas, phoenix = order(cast, 6), order(cast, 2, "PHX01", "px")
    monkeypatch.setattr(Provision, "size", 2)
    set_site_answers("DFW01", False)
    for pause in (1, 2, 4, 8):
        Replication.objects.filter(source="DFW01").update(next_step_at=clock.now() - timedelta(seconds=1))
        batch = claimed(Provision)
        perform(batch)
        waits = [due_in(row) for row in dallas]
        assert waits == pytest.approx([pause] * 2 + [pause / 2] * 4, abs=0.7)
        assert {row.last_error for row in dallas} == {"DFW01 doesn't answer"}
    assert all(due_in(row) < 0 for row in phoenix)
    work.drive()
    assert {row.state for row in Replication.objects.filter(source="PHX01")} == {"protected"}
    set_site_answers("DFW01", True)
    with clock.ahead(LEASE):
        work.drive()
    assert not Replication.objects.exclude(state="protected").exists() and list(faults()) == []


# ---- Refused ---------------------------------------------------------------------------------------------------------


def test_three_refusals_fail_each_under_a_key_of_its_own(cast: Cast, simulation: Simulation) -> None:
    simulation({"fault": "refuse", "vm": "vm-001", "kind": "protect"})
    _, row, _ = order(cast, 3)
    for n in range(3):
        with clock.ahead(n * LEASE):
            row.refresh_from_db()
            assert (row.state, row.refusals, row.generation) == ("provisioning", n, n + 1)
            perform(claimed(Provision))
    row.refresh_from_db()
    assert (row.state, row.failed_in, row.waiting_on) == ("failed", "provisioning", "support")
    assert row.last_error == "There is no room for the copy of vm-001 in PHX01." and row.next_step_at is None
    assert Activity.objects.get(event="fail").reason == row.last_error
    assert keys_sent() == ["protect:1"] * 2  # of the other two
    with clock.ahead(timedelta(days=1)):
        assert claim(Provision()) is None


def test_silence_between_refusals_is_not_counted(cast: Cast, simulation: Simulation) -> None:
    refuse = {"fault": "refuse", "kind": "protect", "times": 2}
    simulation({"fault": "no_answer", "kind": "protect", "times": 3}, refuse)
    [row] = order(cast, 1)
    for n in range(6):
        with clock.ahead(n * LEASE):
            perform(claimed(Provision))
    row.refresh_from_db()
    assert (row.state, row.refusals, row.generation) == ("protected", 0, 3) or row.state == "protected"
    assert keys_sent() == ["protect:3"]


# ---- Poison ----------------------------------------------------------------------------------------------------------


def poison(row: Replication) -> None:
    """A row that can't be written: a constraint that no code of ours knows."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        check = f"CHECK (id <> {row.pk} OR state <> 'protected') NOT VALID"
        cursor.execute(f"ALTER TABLE replication_replication ADD CONSTRAINT poison {check}")


def test_a_poisoned_row_is_set_aside_and_the_others_go_on(cast: Cast) -> None:
    rows = order(cast, 1000)
    bad = rows[417]
    poison(bad)
    statements = len(connection.queries_log)
    perform(claimed(Provision))
    assert len(connection.queries_log) - statements < 3000
    counted = {state: Replication.objects.filter(state=state).count() for state in ("protected", "provisioning")}
    assert counted == {"protected": 999, "provisioning": 1}
    assert due_in(bad) > LEASE.total_seconds() and bad.claim is None
    assert bad.waiting_on == "support" and "poison" in bad.last_error
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE replication_replication DROP CONSTRAINT poison")
    with clock.ahead(11 * LEASE):
        perform(claimed(Provision))
    bad.refresh_from_db()
    assert (bad.state, bad.waiting_on, bad.last_error) == ("protected", "", "") and list(faults()) == []


# ---- Order -----------------------------------------------------------------------------------------------------------


def test_live_goes_before_test_and_failovers_before_provisioning(cast: Cast) -> None:
    """Whatever was asked first, and however much of it there is."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["a-test", "b-test", "c-live"])
    protect(cast, vms)
    order(cast, 5, prefix="new")
    tests, live = [request(cast, [vm], key=vm.name) for vm in vms[:2]], request(cast, vms[2:], "live")
    for ticket in (*tests, live):
        say_yes(cast, ticket)
    assert Ticket.objects.get(pk=claimed(Spread).keys[0]) == live
    Ticket.objects.update(claim=None, next_step_at=clock.now() - timedelta(seconds=1))
    order_of_starts: list[str] = []
    while batch := work._next_batch():
        perform(batch)
        order_of_starts += [f"{batch.duty.name} {len(batch.keys)}"]
    at = {state: (Failover.objects.get(vm__name=name).running_at) for name, state in (("c-live", "l"), ("a-test", "t"))}
    assert at["l"] and at["t"] and at["l"] < at["t"]
    assert order_of_starts.index("provision 5") > order_of_starts.index("carry failovers 1")


def test_in_one_batch_live_lines_come_first(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n}" for n in range(4)])
    protect(cast, vms)
    test, live = request(cast, vms[:2]), request(cast, vms[2:], "live")
    say_yes(cast, test)
    perform(claimed(Spread))
    say_yes(cast, live)
    perform(claimed(Spread))
    Failover.objects.update(step_site="PHX01")
    batch = claimed(Carry)
    assert list(batch.rows.values_list("kind", flat=True)) and batch.keys[:2] == pks(live)
    assert batch.keys[2:] == pks(test)


def pks(ticket: Ticket) -> Sequence[int]:
    return list(ticket.lines.order_by("pk").values_list("pk", flat=True))


# ---- Two who work on one row -----------------------------------------------------------------------------------------


def test_a_flag_is_not_raised_on_what_went_on_meanwhile(cast: Cast) -> None:
    """Between claim and commit of a flag, new points came, or a live failover began: the flag is not true any more."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["points", "live"])
    protect(cast, vms)
    live = request(cast, vms[1:], "live")
    say_yes(cast, live)
    with clock.ahead(timedelta(minutes=20)):
        flags = claimed(RaiseFlags)
        assert len(flags.keys) == 2
        while batch := claim(Spread()) or claim(Carry()):
            perform(batch)
        collect_a_point(Replication.objects.get(vm=vms[0]))
        perform(flags)
    assert states(live) == ["running"]
    assert not Activity.objects.filter(event="rpo_behind").exists()
    assert [VM.objects.get(pk=vm.pk).protection for vm in vms] == ["protected", "paused"]
    assert set(Replication.objects.values_list("flag", flat=True)) == {""}


def collect_a_point(replication: Replication) -> None:
    """What `Collect` does with a new point."""
    RecoveryPoint.objects.create(replication=replication, at=clock.now())
    with changes(PORTAL) as change:
        caught_up(change, Replication.objects.filter(pk=replication.pk))


def test_points_are_collected_once_for_each_moment(cast: Cast) -> None:
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["vm-1"]))
    for n in range(3):
        PointFeed.objects.update(next_step_at=clock.now() - timedelta(seconds=1))
        with clock.ahead(n * timedelta(minutes=7)):
            perform(claimed(Collect))
    moments = list(Replication.objects.get().points.values_list("at", flat=True))
    assert len(moments) == len(set(moments)) >= 1
