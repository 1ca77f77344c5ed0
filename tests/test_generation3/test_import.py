"""Generation 3 is imported: what becomes of it, and what it can do from then on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from accounts import activity
from accounts.models import Activity, Head
from ampdr import clock, work
from failover.actions import request_termination
from inventory.models import VM
from replication.actions import Month, bill, rpo_series, stop_replication
from replication.models import RecoveryPoint, Replication, ServiceLevel
from replication.providers.sites import provider_of
from tests.cast import Cast, make_vms, protect, request, rows, say_yes, sign_in, states
from tests.test_generation3.lines import everything, line, run
from tests.test_orders.asking import simulate, state_of


def imported(cast: Cast, path: Path, *names: str, **cells: str) -> list[VM]:
    """Northwind's, with the service."""
    said, last = run(path / "old.csv", [line(name, **cells) for name in names])
    assert last.endswith("Imported."), said
    return list(VM.objects.filter(name__in=names).order_by("name"))


def test_with_the_service_it_is_protected_with_its_history(cast: Cast, tmp_path: Path) -> None:
    newest = (clock.now() - timedelta(minutes=3)).replace(microsecond=0)
    terms = {"service_level": "", "rpo_target_minutes": "30", "retention_hours": "48"}
    (vm,) = imported(cast, tmp_path, "old-01", newest_point=newest.isoformat(), **terms)
    assert (vm.generation, vm.protection, vm.protected_to, vm.group) == (3, "protected", "PHX01", "protected")
    assert (vm.newest_point_at, vm.rpo_target, vm.order_number) == (newest, timedelta(minutes=30), "")
    assert vm.last_test_at == datetime(2025, 5, 9, 10, tzinfo=UTC)
    one = Replication.objects.get()
    assert (one.state, one.order, one.service_level, one.flag) == ("protected", None, None, "")
    assert one.protected_at == one.state_since == datetime(2024, 3, 1, tzinfo=UTC)
    assert (one.source, one.target, one.retention_hours) == ("DFW01", "PHX01", 48)
    assert one.next_step_at == newest + timedelta(minutes=30)
    assert (Head.objects.get(account=cast.northwind).protected, not list(activity.faults())) == (1, True)


def test_without_the_service_it_can_be_ordered(cast: Cast, tmp_path: Path) -> None:
    run(tmp_path / "old.csv", [line("old-01", False), line("old-02", False, site="LHR01")])
    one, two = VM.objects.order_by("name")
    assert (one.generation, one.group, one.why_not_orderable) == (3, "unprotected", "")
    assert two.why_not_orderable == "London (LHR01) has no failover site."
    protect(cast, [one])
    assert state_of(one) == ("protected", "protected")
    assert not list(activity.faults())


def test_the_level_gives_the_terms_that_the_line_leaves_out(cast: Cast, tmp_path: Path) -> None:
    ServiceLevel.objects.create(
        name="Gold", rpo_target=timedelta(minutes=10), rpo_minimum=timedelta(minutes=5), retention_hours=72
    )
    imported(cast, tmp_path, "old-01", service_level="Gold", rpo_target_minutes="5")
    one = Replication.objects.get()
    assert (one.rpo_target, one.retention_hours) == (timedelta(minutes=5), 72)
    assert one.service_level and one.service_level.name == "Gold"


def test_who_brought_it_in_stands_in_activity(cast: Cast, tmp_path: Path) -> None:
    imported(cast, tmp_path, "old-01")
    found = Activity.objects.filter(vm_name="old-01").order_by("id")
    told = found.values_list("kind", "event", "from_state", "to_state", "actor", "via", "about", "reason")
    by = ("AMPDR", "command", "", "Import from Generation 3")
    assert list(told) == [("vm", "added", "", "", *by), ("replication", "import", "", "protected", *by)]


def test_what_is_there_is_left_as_it_is(cast: Cast, tmp_path: Path) -> None:
    """Also what was stopped or ordered since: a second run revives nothing."""
    lines = [line("old-01"), line("old-02", False), line("old-03")]
    path = tmp_path / "old.csv"
    run(path, lines)
    stopped = VM.objects.get(name="old-01")
    stop_replication(cast.actor("priya"), [stopped.uuid])
    protect(cast, [VM.objects.get(name="old-02")])
    before = everything()
    lines[1] = line("old-02")
    said, _ = run(path, lines)
    assert [one.rpartition(": ")[2] for one in said] == ["already there"] * 3
    assert (everything(), state_of(stopped)) == (before, ("stopped", "none"))


def test_a_vm_that_the_inventory_told_already_gets_the_service(cast: Cast, tmp_path: Path) -> None:
    (vm,) = make_vms(cast.northwind, cast.sites["DFW01"], ["old-01"], generation=3)
    imported(cast, tmp_path, "old-01", uuid=str(vm.uuid), disk_gb="999")
    assert state_of(vm) == ("protected", "protected")
    vm.refresh_from_db()
    assert (vm.disk_gb, vm.last_test_at) == (40, datetime(2025, 5, 9, 10, tzinfo=UTC))
    assert (VM.objects.count(), Head.objects.get(account=cast.northwind).unprotected) == (1, 0)
    assert not list(activity.faults())


def test_names_that_read_alike_and_those_of_another_account(cast: Cast, tmp_path: Path) -> None:
    make_vms(cast.contoso, cast.sites["DFW01"], ["old-01"])
    vms = imported(cast, tmp_path, "old-01", "old 01", "日本", "日本 2")
    assert {vm.slug for vm in vms if vm.account_id == cast.northwind.pk} == {"old-01", "old-01-2", "vm", "2"}


# ---- What it can do from then on -------------------------------------------------------------------------------------


def test_its_points_are_collected(cast: Cast, tmp_path: Path) -> None:
    """The provider never got a request for it: it knows the VM by its uuid."""
    known, unknown = imported(cast, tmp_path, "old-01"), imported(cast, tmp_path, "old-02")
    Replication.objects.filter(vm__in=known).update(newest_point_at=clock.now() - timedelta(hours=1))
    work.drive()
    assert RecoveryPoint.objects.filter(replication__vm=known[0]).count() > 1
    assert RecoveryPoint.objects.filter(replication__vm=unknown[0]).count() == 1
    for vm in VM.objects.all():
        assert vm.protection == "protected" and vm.newest_point_at
        assert clock.now() - vm.newest_point_at < timedelta(minutes=6)


def test_its_rpo_is_watched(cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind at once with an old point; with no known one after a target without any."""
    simulate(monkeypatch, faults=json.dumps([{"fault": "points", "vm": "*"}]))
    old = (clock.now() - timedelta(hours=3)).isoformat()
    (late,), (unknown,) = imported(cast, tmp_path, "old-01", newest_point=old), imported(cast, tmp_path, "old-02")
    work.drive()
    assert state_of(late) == ("protected", "rpo_behind")
    assert state_of(unknown) == ("protected", "protected")
    with clock.ahead(timedelta(minutes=16)):
        work.drive()
    assert state_of(unknown) == ("protected", "rpo_behind")
    simulate(monkeypatch, faults="[]")
    provider_of.cache_clear()
    with clock.ahead(timedelta(minutes=17)):
        work.drive()
    assert not list(activity.faults())


def test_the_chart_of_its_rpo_begins_where_something_is_known(cast: Cast, tmp_path: Path) -> None:
    imported(cast, tmp_path, "old-01")
    newest = (clock.now() - timedelta(minutes=50)).isoformat()
    imported(cast, tmp_path, "old-02", newest_point=newest)
    unknown, known = Replication.objects.order_by("vm__name")
    for driven in range(2):
        for one, most in ((unknown, 30), (known, 80)):
            one.refresh_from_db()
            ages = [age for age in rpo_series(one).values if age is not None]
            assert max(ages, default=0) < most * 60, driven
        work.drive()


@pytest.mark.parametrize("kind", ["live", "test"])
def test_it_fails_over_and_comes_back(cast: Cast, tmp_path: Path, kind: str) -> None:
    vms = imported(cast, tmp_path, "old-01")
    work.drive()
    ticket = request(cast, vms, kind)
    say_yes(cast, ticket)
    work.drive()
    assert (states(ticket), rows(cast)[0]) == (["running"], ("old-01", "live" if kind == "live" else "primary"))
    assert state_of(vms[0])[0] == ("paused" if kind == "live" else "protected")
    over = request_termination(cast.actor("priya"), ticket, "Over", "dfw01", "end-key-1")
    say_yes(cast, over)
    work.drive()
    assert (states(ticket), rows(cast)) == (["terminated"], [("old-01", "primary")])
    assert state_of(vms[0])[0] == "protected"
    assert not list(activity.faults())


def test_it_is_stopped_billed_and_ordered_like_any_other(cast: Cast, tmp_path: Path) -> None:
    (vm,) = imported(cast, tmp_path, "old-01")
    work.drive()
    stop_replication(cast.actor("priya"), [vm.uuid])
    work.drive()
    assert state_of(vm) == ("stopped", "none") and not RecoveryPoint.objects.exists()
    days = [line.first_day.day for line in bill(Replication.objects.all(), Month.of(clock.now()))]
    assert (days, len(list(bill(Replication.objects.all(), Month(2024, 3))))) == ([1], 1)
    assert not list(bill(Replication.objects.all(), Month(2024, 2)))
    protect(cast, [vm])
    assert VM.objects.get(pk=vm.pk).order_number and not list(activity.faults())


def test_pages_and_api_show_it_without_an_order(cast: Cast, client: Client, tmp_path: Path) -> None:
    (vm,) = imported(cast, tmp_path, "old-01")
    sign_in(client, cast.priya)
    listed = client.get(reverse("replication", args=["northwind"])).content.decode()
    assert "old-01" in listed and "None" not in listed
    page = client.get(reverse("vm", args=["northwind", vm.slug])).content.decode()
    assert "Imported from Generation 3" in page and "before it was brought here" in page
    row = client.get(reverse("api-replication", args=["northwind", vm.uuid])).json()
    assert (row["order"], row["state"], row["late"], row["newest_point_at"]) == (None, "protected", False, None)
    assert "old-01" in client.get(reverse("replication-stop", args=["northwind"]) + f"?vm={vm.uuid}").content.decode()
