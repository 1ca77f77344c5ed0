"""Rows in any state of any lifecycle, brought there by the moves that lead there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.db import models
from django.db.models import QuerySet

from accounts.models import Account, Activity, Head, Seal
from ampdr.lifecycle import LIFECYCLES, Actor, Lifecycle, changes
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.models import Replication
from tests.cast import Cast, make_vms

MARY = Actor("Mary Osei", person_id=None, staff=True, via="admin")
PRIYA = Actor("Priya Raman")


def make_replications(cast: Cast, account: Account, n: int) -> QuerySet[Replication]:
    vms = make_vms(account, cast.sites["DFW01"], [f"vm-{uuid.uuid4().hex[:8]}" for _ in range(n)])
    made = Replication.objects.bulk_create([Replication(vm=vm, source="DFW01", target="PHX01") for vm in vms])
    return Replication.objects.filter(pk__in=[row.pk for row in made])


def make_tickets(cast: Cast, account: Account, n: int) -> QuerySet[Ticket]:
    facts: dict[str, Any] = {"kind": "test", "source": "DFW01", "target": "PHX01", "vm_count": 1}
    made = Ticket.objects.bulk_create(
        [
            Ticket(account=account, number=f"FO-{uuid.uuid4().hex[:8]}", requested_by=cast.priya, **facts)
            for _ in range(n)
        ]
    )
    return Ticket.objects.filter(pk__in=[row.pk for row in made])


def make_failovers(cast: Cast, account: Account, n: int) -> QuerySet[Failover]:
    [ticket] = make_tickets(cast, account, 1)
    with changes(PRIYA) as change:
        change.begin(Ticket.objects.filter(pk=ticket.pk), "request")
    replications = make_replications(cast, account, n)
    with changes(PRIYA) as change:
        change.begin(replications, "order")
    route: dict[str, Any] = {"kind": "test", "source": "DFW01", "target": "PHX01"}
    made = Failover.objects.bulk_create(
        [Failover(ticket=ticket, vm=row.vm, replication=row, **route) for row in replications]
    )
    return Failover.objects.filter(pk__in=[row.pk for row in made])


MAKERS: dict[str, Callable[[Cast, Account, int], QuerySet[Any]]] = {
    "replication": make_replications, "ticket": make_tickets, "failover": make_failovers,
}  # fmt: skip


def way_to(life: Lifecycle, state: str) -> list[str]:
    """The shortest way from the first state: the names of its moves."""
    ways: dict[str, list[str]] = {life.initial: []}
    for at in (queue := [life.initial]):
        for move, target in life.successors(at).items():
            if target not in ways:
                ways[target] = [*ways[at], move]
                queue.append(target)
    return ways[state]


def make(cast: Cast, kind: str, state: str, account: Account, n: int = 1) -> QuerySet[Any]:
    """Rows that came to this state by the moves that lead there, the last of them Mary's."""
    rows = MAKERS[kind](cast, account, n)
    with changes(PRIYA) as change:
        change.begin(rows, "request")
    for move in way_to(LIFECYCLES[kind], state):
        with changes(MARY) as change:
            change.fire(rows, move)
    return rows


def everything() -> list[Any]:
    """What a refusal must leave as it was: subjects, the record and its heads."""
    tables: Iterable[type[models.Model]] = (Replication, Ticket, Failover, VM, Activity, Seal, Head)
    return [list(model._default_manager.order_by("pk").values()) for model in tables]
