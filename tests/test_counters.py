"""The counters of a head equal a recount after every move of the tables; and what a big ticket costs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.activity import faults
from accounts.models import Account, Activity, Head
from ampdr import clock, work
from ampdr.lifecycle import LIFECYCLES
from failover.actions import give_up, reject, request_termination, retry, version_of, withdraw
from failover.lifecycle import SHOWN
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.actions import place_order, retry_replication, stop_replication
from replication.models import Replication
from replication.providers.sites import provider_of
from tests.cast import Cast, make_vms, protect, request, say_yes, states

NOBODY_MOVES = {("ticket", "lapse")}  # no worker lapses tickets yet


def recount(account: Account) -> dict[str, int]:
    groups = Counter(VM.objects.filter(account=account).values_list("group", flat=True))
    groups["waiting"] = Ticket.objects.filter(account=account, state="waiting").count()
    running = Failover.objects.filter(ticket__account=account, kind="live", state__in=SHOWN)
    groups["running"] = running.count()
    return {name: groups[name] for name in Head.COUNTERS}


def check_heads() -> None:
    for head in Head.objects.exclude(account=None).select_related("account"):
        assert head.account
        assert {name: getattr(head, name) for name in Head.COUNTERS} == recount(head.account), head.account


def drive() -> None:
    """As the workers do, and a recount after each batch."""
    while batch := work._next_batch():
        work.perform(batch)
        check_heads()


def at_fault(monkeypatch: pytest.MonkeyPatch, *rules: dict[str, object]) -> None:
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
    provider_of.cache_clear()


def drive_through_pauses(times: int = 4) -> None:
    """Refused steps are tried again after a pause."""
    for n in range(times):
        with clock.ahead(n * timedelta(seconds=31)):
            drive()


def test_after_every_move_of_every_table(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"web-{n}" for n in range(6)])
    make_vms(cast.contoso, cast.sites["DFW01"], ["other"])
    for part in (replicate, try_and_refuse, fail_and_give_up, go_live):
        part(cast, vms, lambda *rules: at_fault(monkeypatch, *rules))
        check_heads()
    seen = set(Activity.objects.exclude(to_state="").values_list("kind", "event"))
    moves = {(kind, move) for kind, life in LIFECYCLES.items() for move in life.moves}
    assert moves - seen == NOBODY_MOVES
    assert list(faults()) == []


Faults = Callable[..., None]


def replicate(cast: Cast, vms: Sequence[VM], set_faults: Faults) -> None:
    priya = cast.actor("priya")
    place_order(priya, [vms[0].uuid], "cancelled-order")
    check_heads()
    stop_replication(priya, [vms[0].uuid])  # not begun yet: over at once
    check_heads()
    set_faults({"fault": "refuse", "kind": "protect", "vm": "web-0", "times": 3})
    place_order(priya, [vm.uuid for vm in vms], "order-of-all")
    drive_through_pauses()
    failed = Replication.objects.filter(pk=Replication.objects.get(state="failed").pk)
    retry_replication(cast.actor("mary"), failed)
    drive()
    set_faults({"fault": "refuse", "kind": "unprotect", "times": 3})
    stop_replication(priya, [vms[0].uuid])
    drive_through_pauses()
    retry_replication(cast.actor("mary"), failed)
    drive()
    assert failed.get().state == "stopped"
    with clock.ahead(timedelta(minutes=40)):
        drive()  # flags are raised and taken down


def try_and_refuse(cast: Cast, vms: Sequence[VM], set_faults: Faults) -> None:
    withdraw(cast.actor("priya"), request(cast, vms[1:3], key="withdrawn"))
    drive()
    ticket = request(cast, vms[1:3], key="rejected")
    reject(cast.actor("mary"), ticket, "Not today", version_of(ticket))
    drive()
    ticket = request(cast, vms[1:3], key="ends-by-itself")
    say_yes(cast, ticket)
    drive()
    with clock.ahead(timedelta(days=4)):
        drive()
    assert states(ticket) == ["terminated", "terminated"]


def fail_and_give_up(cast: Cast, vms: Sequence[VM], set_faults: Faults) -> None:
    set_faults({"fault": "refuse", "kind": "start_live", "vm": "web-3", "times": 6})
    ticket = request(cast, vms[3:4], "live", key="given-up")
    say_yes(cast, ticket)
    drive_through_pauses()
    assert states(ticket) == ["start_failed"]
    retry(cast.actor("mary"), ticket.lines.get())
    drive_through_pauses()
    give_up(cast.actor("mary"), ticket.lines.get(), "No room there")
    drive()
    assert states(ticket) == ["dropped"]


def go_live(cast: Cast, vms: Sequence[VM], set_faults: Faults) -> None:
    """A test runs while the live one is asked for; it ends first. The termination is refused at first."""
    tests = request(cast, vms[4:5], key="in-the-way")
    say_yes(cast, tests)
    drive()
    live = request(cast, vms[4:6], "live", key="live")
    say_yes(cast, live)
    drive()
    with clock.ahead(timedelta(seconds=2)):
        drive()
    assert states(live) == ["running", "running"]
    set_faults({"fault": "refuse", "kind": "stop", "vm": "web-5", "times": 3})
    say_yes(cast, request_termination(cast.actor("priya"), live, "Dallas is back", "dfw01", "end-key-1"))
    drive_through_pauses()
    assert sorted(states(live)) == ["terminated", "termination_failed"]
    say_yes(cast, request_termination(cast.actor("priya"), live, "Once more", "dfw01", "end-key-2"))
    drive_through_pauses()
    assert states(live) == ["terminated", "terminated"]


# ---- What a big ticket costs -----------------------------------------------------------------------------------------


def statements(cast: Cast, vms: Sequence[VM], kind: str) -> tuple[int, int]:
    """From the approval until all run, and from the approved termination until all are back."""
    ticket = request(cast, vms, kind, key=f"{len(vms)}-vms")
    with CaptureQueriesContext(connection) as there:
        say_yes(cast, ticket)
        work.drive()
    assert set(states(ticket)) == {"running"}
    end = request_termination(cast.actor("priya"), ticket, "Enough", "dfw01", f"end-{len(vms)}-{kind}")
    with CaptureQueriesContext(connection) as back:
        say_yes(cast, end)
        work.drive()
    assert set(states(ticket)) == {"terminated"}
    return len(there), len(back)


def test_a_thousand_cost_about_as_many_statements_as_one(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n:04}" for n in range(1001)])
    with CaptureQueriesContext(connection) as one_order:
        protect(cast, vms[:1], key="order-of-one")
    with CaptureQueriesContext(connection) as big_order:
        protect(cast, vms[1:], key="order-of-many")
    counted = {"order": (len(one_order), len(big_order))}
    for kind in ("test", "live"):
        one, many = statements(cast, vms[:1], kind), statements(cast, vms[1:], kind)
        counted |= {f"{kind}, there": (one[0], many[0]), f"{kind}, back": (one[1], many[1])}
    with capsys.disabled():
        print("\nStatements for 1 VM and for 1000:", ", ".join(f"{what} {n[0]}/{n[1]}" for what, n in counted.items()))
    assert {what: n for what, n in counted.items() if n[1] > 3 * n[0]} == {}
    check_heads()
    assert list(faults()) == []
