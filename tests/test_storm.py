"""Kill them all: real workers and drivers, killed and frozen at random, lose nothing and do nothing twice.

Each part prints its share of the time and its counts. A twin with a provider that only says it remembers keys shows
that the check for doubles can fail.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.activity import faults
from accounts.management.commands.verify_activity import one_moment
from ampdr.servers import Postgres, Valkey, temporary_folder
from failover.actions import Wish, approve, request_failover, request_termination, version_of
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.actions import place_order, stop_replication
from replication.models import Replication
from replication.providers.base import Kind
from replication.providers.simulated import doubled, effects
from tests.cast import Cast, make_cast, make_vms
from tests.storm import BLOWS, Road, Storm, connected, insist, play, storm, tell
from tests.test_counters import check_heads


class Ground:
    """The servers of this file, and a world to copy for each storm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder, durable=False).start()
        self.valkey = Valkey(folder).start()
        with connected(self.postgres.url):
            call_command("migrate", verbosity=0)
            self.cast = make_cast()


@pytest.fixture(scope="module")
def ground(django_db_blocker: pytest.FixtureRequest) -> Iterator[Ground]:
    folder = temporary_folder("ampdr-tests-")
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        ground = Ground(folder)
        yield ground
    ground.valkey.stop()
    ground.postgres.stop()
    shutil.rmtree(folder)


# ---- What customers and Support do meanwhile -------------------------------------------------------------------------


def vms_of(cast: Cast, n: int) -> list[VM]:
    return make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{uuid.uuid4().hex[:8]}" for _ in range(n)])


def in_state(keys: Sequence[int], *states: str) -> bool:
    return Failover.objects.filter(ticket__in=keys).exclude(state__in=states).count() == 0


def order(cast: Cast, vms: Sequence[VM]) -> Road:
    key = f"order-{vms[0].pk}-{uuid.uuid4()}"
    insist(lambda: place_order(cast.actor("priya"), [vm.uuid for vm in vms], key))
    yield lambda: not Replication.objects.filter(vm__in=vms).exclude(state__in=("protected", "stopped")).exists()


def fail_over(cast: Cast, vms: Sequence[VM], kind: str) -> Road:
    """Requested, approved, running, its end requested, approved, over."""
    wish, key = Wish(kind, [vm.uuid for vm in vms], reason="Storm", site_code="PHX01"), f"{kind}-{uuid.uuid4()}"
    insist(lambda: request_failover(cast.actor("priya"), wish, key))
    ticket = Ticket.objects.filter(lines__vm=vms[0], kind=kind).latest("pk")
    say_yes(cast, ticket)
    yield lambda: in_state([ticket.pk], "running")
    insist(lambda: request_termination(cast.actor("priya"), ticket, "Enough", "DFW01", f"end-{key}"))
    say_yes(cast, Ticket.objects.get(about=ticket))
    yield lambda: in_state([ticket.pk], "terminated")


def say_yes(cast: Cast, ticket: Ticket) -> None:
    def deed() -> None:
        ticket.refresh_from_db()
        if ticket.state == "waiting":
            approve(cast.actor("mary"), ticket, "Storm", version_of(ticket))

    insist(deed)


def stop(cast: Cast, vms: Sequence[VM]) -> Road:
    insist(lambda: stop_replication(cast.actor("priya"), [vm.uuid for vm in vms], f"stop-{vms[0].pk}-key"))
    yield lambda: not Replication.objects.filter(vm__in=vms).exclude(state="stopped").exists()


def whole_road(cast: Cast, vms: Sequence[VM], *parts: str) -> Road:
    yield from order(cast, vms)
    for part in parts:
        yield from stop(cast, vms) if part == "stop" else fail_over(cast, vms, part)


# ---- What must hold afterwards ---------------------------------------------------------------------------------------

STEPS = {"live": ("fence", "start_live", "stop", "release"), "test": ("start_test", "stop")}


def done_once(one: Storm) -> None:
    """0 lost, 0 doubled, 0 illegal; and every step of every line was really done, once.

    Read as it stood at one moment: the processes still work, on recovery points and on notices.
    """
    assert doubled(one.ledger) == []
    with one_moment():
        done = Counter((effect.subject, effect.step) for effect in effects(one.ledger))
        wanted = {(str(line.uuid), "protect") for line in Replication.objects.all()}
        wanted |= {(str(line.uuid), "unprotect") for line in Replication.objects.filter(state="stopped")}
        for line in Failover.objects.all():
            wanted |= {(str(line.uuid), step) for step in STEPS[line.kind]}
        assert set(done) == wanted and set(done.values()) == {1}
        assert not Ticket.objects.exclude(state="approved").exists()
        assert not Failover.objects.exclude(state="terminated").exists()
        assert not Replication.objects.exclude(state__in=("protected", "stopped")).exists()
        assert list(VM.objects.exclude(role="primary")) == []
        check_heads()
        assert list(faults()) == []


# ---- Storms ----------------------------------------------------------------------------------------------------------

NOISE = [
    {"fault": "left_out", "probability": 0.05}, {"fault": "lost_answer", "probability": 0.02},
    {"fault": "refuse", "probability": 0.02},
]  # fmt: skip


FEW = {"worker child": 6, "driver main": 2}


def roads(cast: Cast) -> list[Road]:
    """24 VMs and 114 operations, all at the same time."""
    ways: list[tuple[str, ...]] = [("live",), ("test",), ("test", "live"), ("test", "stop")]
    return [whole_road(cast, vms_of(cast, 6), *way) for way in ways]


def while_it_storms(one: Storm, cast: Cast) -> Road:
    """More orders, one after the other, as long as blows are to come: none of them shall meet idle processes."""
    while one.deck:
        yield from order(cast, vms_of(cast, 2))


def test_kills_lose_nothing_and_double_nothing(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    with storm(ground.folder, ground.postgres, ground.valkey, rules=NOISE) as one:
        one.start("worker-1", "driver-1", "driver-2")
        seconds = play(one, [*roads(ground.cast), while_it_storms(one, ground.cast)], BLOWS)
        with capsys.disabled():
            tell(one, "Storm", seconds)
        assert one.kills >= 30
        done_once(one)


def test_twin_a_provider_that_only_says_it_remembers_is_found_out(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same portal and the same blows: what is sent again is done again, and the check sees it."""
    lost = {"fault": "lost_answer", "kind": "protect", "times": 2}  # so that something is surely sent again
    with storm(ground.folder, ground.postgres, ground.valkey, "Impostor", [*NOISE, lost]) as one:
        one.start("worker-1", "driver-1")
        seconds = play(one, [whole_road(ground.cast, vms_of(ground.cast, 6)) for _ in range(4)], FEW)
        with capsys.disabled():
            tell(one, "Twin that forgets keys", seconds)
        assert doubled(one.ledger)


def crashed(one: Storm) -> Counter[str]:
    """How often each kind of operation was struck by its crash, from the ledger, which outlives the process."""
    with sqlite3.connect(one.ledger) as db:
        rules = [rule for (rule,) in db.execute("SELECT rule FROM strikes WHERE hit")]
    return Counter(kind.value for kind in Kind for rule in rules if f"'{kind.value}'" in rule)


def test_a_driver_alone_that_dies_at_every_kind_of_operation(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """No broker and no worker at all; the provider kills the process between effect and answer, once for each kind."""
    crashes = [{"fault": "crash", "kind": kind, "times": 1} for kind in Kind]
    ground.valkey.kill()
    try:
        with storm(ground.folder, ground.postgres, ground.valkey, rules=crashes) as one:
            one.start("driver")
            ways = [("live",), ("test", "stop")]
            seconds = play(one, [whole_road(ground.cast, vms_of(ground.cast, 2), *way) for way in ways])
            with capsys.disabled():
                tell(one, f"A driver alone, died {one.exits[137]} times", seconds)
            assert crashed(one) == {kind.value: 1 for kind in Kind}
            assert set(one.exits) == {137} and one.exits[137] > 1  # one death may be that of two kinds in one batch
            done_once(one)
    finally:
        ground.valkey.start()


def test_a_database_that_stops_at_once_is_waited_for(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice, in the middle of it; worker and driver are the same processes afterwards."""
    with storm(ground.folder, ground.postgres, ground.valkey) as one:
        one.start("worker", "driver")
        going = [whole_road(ground.cast, vms_of(ground.cast, 6), *way) for way in (("live",), ("test",))]
        seconds = play(
            one, [falls(one, ground.postgres, "provisioning"), falls(one, ground.postgres, "starting"), *going]
        )
        with capsys.disabled():
            tell(one, "Database stopped at once, twice", seconds)
        assert one.exits == {}
        done_once(one)


def falls(one: Storm, postgres: Postgres, state: str) -> Road:
    """The database is gone as soon as something is in this state, and is back a second later."""
    model = Replication if state == "provisioning" else Failover
    yield lambda: model._default_manager.filter(state=state).count() > 3
    connection.close()
    postgres.stop_at_once()
    time.sleep(1)
    postgres.start()
    one.blows["database"] += 1
