"""A planned live failover that the recovery site refuses after the source was stopped: Support gives it up, and the
source is released and runs again. The same end, whenever its worker is killed on the way there."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from accounts.activity import faults
from failover.actions import give_up
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.providers.simulated import Simulated
from tests.cast import Cast, make_vms, protect, refuse, states
from tests.test_counters import check_heads
from tests.test_killed_between import at_the_end, carry_on, later, refused_live

# ---- Killed ----------------------------------------------------------------------------------------------------------


class Death:
    """Counts the moments of a worker, and kills it with -9 at one of them: before and after each call of the provider
    and each commit."""

    def __init__(self, at: int) -> None:
        self.at, self.names = at, list[str]()

    def moment(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, of: type[Any], name: str) -> None:
        real: Callable[..., Any] = getattr(of, name)

        def mortal(*given: Any, **named: Any) -> Any:
            self.moment(f"before {name}")
            answer = real(*given, **named)
            self.moment(f"after {name}")
            return answer

        setattr(of, name, mortal)


def worker(at: int) -> list[str]:
    """Drives in a process of its own that dies at this moment; the moments it came through, if it lives."""
    connections.close_all()
    reads, writes = os.pipe()
    if not (child := os.fork()):
        death = Death(at)
        try:
            os.close(reads)
            for name in ("submit", "observe", "existing"):
                death.around(Simulated, name)
            death.around(BaseDatabaseWrapper, "_commit")
            carry_on()
            os.write(writes, json.dumps(death.names).encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as told:
        said = told.read()
    _, status = os.waitpid(child, 0)
    assert said or os.WTERMSIG(status) == signal.SIGKILL, status
    return list(json.loads(said)) if said else []


def road(cast: Cast, vm: VM, deaths: list[int]) -> tuple[Ticket, list[list[str]]]:
    """Refused, given up, undone: two workers, each of which may die once; others take over from them."""
    ticket, seen = refused_live(cast, vm), []
    for leg, at in enumerate(deaths):
        if leg == 1:
            give_up(cast.actor("mary"), Failover.objects.get(ticket=ticket), "Phoenix is full")
        seen.append(worker(at))
        for n in range(60):
            if states(ticket) == [("start_failed", "dropped")[leg]]:
                break
            later(min(n, 6))
            free_of(ticket)
    return ticket, seen


def free_of(ticket: Ticket) -> None:
    """Waits until the database has noticed that a worker died in mid-transaction: its rows are passed over before."""
    with transaction.atomic():
        list(Ticket.objects.filter(pk=ticket.pk).select_for_update())
        list(Failover.objects.filter(ticket=ticket).select_for_update().values_list("pk"))


@pytest.mark.django_db(transaction=True)
def test_killed_at_every_moment_the_same_end(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    cast: Cast = request.getfixturevalue("cast")
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"web-{n:03}" for n in range(60)])
    protect(cast, vms)
    refuse(monkeypatch, "start_live")
    first = vms.pop()
    ticket, moments = road(cast, first, [0, 0])
    at_the_end(cast, first, ticket)
    killed = Counter[str]()
    for leg, names in enumerate(moments):
        for at, name in enumerate(names, 1):
            vm = vms.pop()
            ticket, seen = road(cast, vm, [at, 0] if leg == 0 else [0, at])
            assert seen[leg] == [], "it lived"
            at_the_end(cast, vm, ticket)
            killed[name] += 1
    assert {"before submit", "after submit", "before _commit", "after _commit"} <= set(killed)
    sys.stdout.write(f"{killed.total()} kills: {dict(killed)}\n")
    check_heads()
    assert list(faults()) == []
    assert connection.is_usable()
