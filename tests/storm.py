"""A portal of real processes that are killed at random: what the storms of `test_storm.py` are made of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from django.conf import settings
from django.db import OperationalError, connection
from environ import Env

from accounts.activity import faults
from ampdr import work
from ampdr.processes import end, last_words, launch
from ampdr.run import CHECKOUT, start_lines
from ampdr.servers import Postgres, Valkey
from failover.models import Failover, Ticket
from replication.models import Replication
from replication.providers.simulated import doubled, effects

SEED = 20260722
LEASE = 2.0
ENVIRONMENT = {
    "LEASE_SECONDS": str(LEASE), "SWEEP_SECONDS": "0.5", "PROVIDER_TIMEOUT_SECONDS": "2", "C_FORCE_ROOT": "1",
    "SIMULATION_TIME_SCALE": "18000",  # a first sync takes 4 to 9 s
    "SIMULATION_FAILOVER_TIME_SCALE": "240",  # a start 2 to 3 s, a fence half a second
    "SIMULATION_SEED": "7", "PYTHONWARNINGS": "ignore",
}  # fmt: skip

# What is done to them, in random order: 32 kills and 6 pauses longer than a lease.
BLOWS = {
    "worker child": 22, "worker main": 2, "worker group": 2, "driver main": 6, "worker paused": 3, "driver paused": 3,
}  # fmt: skip
EVERY = 0.6  # seconds between two blows

Road = Iterator[Callable[[], bool]]  # what a group of VMs goes through; it yields what it waits for


@dataclass
class Storm:
    """Processes of one portal on a database of its own, and what was done to them."""

    folder: Path
    postgres: Postgres
    valkey: Valkey
    env: dict[str, str]
    random: Random
    deck: list[str] = field(default_factory=list)  # the blows that are still to come
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    frozen: dict[int, float] = field(default_factory=dict)  # process id -> when to thaw it
    blows: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    begun: float = field(default_factory=time.monotonic)

    @property
    def ledger(self) -> str:
        return self.env["SIMULATION_LEDGER"]

    def start(self, *names: str) -> None:
        """By the documented start lines: "worker" and "driver", with any suffix."""
        for name in names:
            line = start_lines(0)[name.split("-")[0]]
            log = self.folder / f"{name}.log"
            self.processes[name] = launch([sys.executable, *line], log, env=self.env, cwd=CHECKOUT)

    def tend(self) -> None:
        """Whatever has ended is started again, as a supervisor does; whatever was frozen long enough goes on."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.exits[process.returncode] += 1
                end(process)
                self.start(name)
        for pid in [pid for pid, until in self.frozen.items() if time.monotonic() > until]:
            del self.frozen[pid]
            send(pid, signal.SIGCONT)

    def strike(self) -> None:
        """The next blow of the deck for which there is a victim that works by now."""
        up = {name: pids for name, process in self.processes.items() if (pids := victims(name, process.pid))}
        possible = [blow for blow in self.deck if any(name.startswith(blow.split()[0]) for name in up)]
        if not possible:
            return
        self.deck.remove(blow := possible[0])
        kind, how = blow.split()
        name = self.random.choice([name for name in sorted(up) if name.startswith(kind)])
        main, victim = self.processes[name].pid, self.random.choice(up[name])
        if how == "paused":
            self.frozen[victim] = time.monotonic() + 1.5 * LEASE
            send(victim, signal.SIGSTOP)
        elif how == "group":
            os.killpg(main, signal.SIGKILL)
        else:
            send(main if how == "main" else victim, signal.SIGKILL)
        self.blows[blow] += 1

    @property
    def kills(self) -> int:
        return sum(n for blow, n in self.blows.items() if not blow.endswith("paused"))

    def stop(self) -> None:
        for pid in self.frozen:
            send(pid, signal.SIGCONT)
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            end(process)

    def words(self) -> str:
        return "\n".join(f"--- {name}\n{last_words(self.folder / f'{name}.log', 15)}" for name in self.processes)


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def victims(name: str, pid: int) -> list[int]:
    """The processes of this one that do work by now; none while it starts, when a blow would be none.

    A pool that loses a child younger than this gives up, as Celery does on purpose.
    """
    try:
        if name.startswith("worker"):
            found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            return [child for child in found if time.time() - Path(f"/proc/{child}").stat().st_ctime > 1]
        open_files = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]
        return [pid] if any(one.startswith("socket:") for one in open_files) else []
    except OSError:
        return []  # it has just died


@contextmanager
def storm(
    folder: Path, postgres: Postgres, valkey: Valkey, provider: str = "SlowLine", rules: Sequence[object] = ()
) -> Iterator[Storm]:
    """A fresh copy of the world, and this process among those who use it, until the block ends.

    Not copied by WAL, which takes the sequences back to those of the template at a crash soon after (tried).
    """
    name = f"storm_{time.monotonic_ns()}"
    postgres._execute(f"CREATE DATABASE {name} TEMPLATE ampdr STRATEGY file_copy")
    url = postgres.url.replace("/ampdr?", f"/{name}?")
    providers = ",".join(f"{site}=tests.slow_line.{provider}" for site in ("DFW01", "PHX01"))
    env = os.environ | ENVIRONMENT | {
        "DATABASE_URL": url, "BROKER_URL": valkey.url, "SIMULATION_LEDGER": str(folder / f"{name}.sqlite3"),
        "SIMULATION_FAULTS": json.dumps(rules), "PROVIDERS": providers,
    }  # fmt: skip
    one = Storm(folder, postgres, valkey, env, Random(SEED))
    with connected(url), broker(valkey.url):
        try:
            yield one
        finally:
            one.stop()


@contextmanager
def connected(url: str) -> Iterator[None]:
    """This process's own connection leads to another database for a while."""
    before = connection.settings_dict
    connection.close()
    there = Env.db_url_config(url)
    options = {**before["OPTIONS"], **there.pop("OPTIONS", {})}
    connection.settings_dict = {**before, **there, "OPTIONS": options}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before


@contextmanager
def broker(url: str) -> Iterator[None]:
    before, settings.CELERY_BROKER_URL = settings.CELERY_BROKER_URL, url
    work.broker.cache_clear()
    try:
        yield
    finally:
        settings.CELERY_BROKER_URL = before
        work.broker.cache_clear()
        work._Bell.silent_until = 0.0


def insist(deed: Callable[[], object]) -> None:
    """As a person does: who is told that the database is busy tries again. All deeds bear a key or a state."""
    for patience in range(10):
        try:
            deed()
            return
        except OperationalError:
            connection.close()
            time.sleep(0.5 * (patience + 1))
    deed()


def play(one: Storm, roads: Sequence[Road], blows: Mapping[str, int] | None = None, patience: float = 200) -> float:
    """Walks all roads to their ends, with these blows on the way. Returns the seconds it took."""
    begun = last_blow = time.monotonic()
    one.deck = list(Counter(blows or {}).elements())
    one.random.shuffle(one.deck)
    waiting: list[tuple[Road, Callable[[], bool]]] = [(road, lambda: True) for road in roads]
    while waiting:
        one.tend()
        waiting = [pair for pair in map(step, waiting) if pair]
        if one.deck and time.monotonic() - last_blow > EVERY:
            one.strike()
            last_blow = time.monotonic()
        assert time.monotonic() - begun < patience, f"{len(waiting)} roads have not ended\n{one.words()}\n{where()}"
        time.sleep(0.1)
    return time.monotonic() - begun


def step(pair: tuple[Road, Callable[[], bool]]) -> tuple[Road, Callable[[], bool]] | None:
    """The road with what it waits for next; None at its end."""
    road, ready = pair
    try:
        return (road, next(road)) if ready() else pair
    except StopIteration:
        return None


def where() -> str:
    """What isn't settled, and why: the last words of a run that doesn't end."""
    found = []
    for model in (Replication, Failover, Ticket):
        rows = model._default_manager.exclude(next_step_at=None, waiting_on="")
        facts = rows.values_list("pk", "state", "verb", "attempts", "refusals", "waiting_on", "last_error")
        found += [f"{model.__name__} {row}" for row in facts[:20]]
    return "\n".join(found)


def tell(one: Storm, title: str, seconds: float) -> None:
    """The figures of a part, for whoever reads the log of the tests."""
    blows = ", ".join(f"{n} {what}" for what, n in sorted(one.blows.items())) or "none"
    print(
        f"\n{title}: {seconds:.0f} s and {time.monotonic() - one.begun - seconds:.0f} s of checks; {one.kills} kills "
        f"({blows}); {len(effects(one.ledger))} effects, {len(doubled(one.ledger))} doubled, "
        f"{len(list(faults()))} faults of the record"
    )
