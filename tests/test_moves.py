"""Every state x every move of every lifecycle, on real rows: what the table allows moves, all else changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import models
from django.db.models import QuerySet

from accounts.activity import faults
from accounts.models import Account, Activity, Head, Seal
from ampdr.errors import IllegalTransition
from ampdr.lifecycle import LIFECYCLES, PORTAL, Actor, Lifecycle, changes
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.models import Replication
from tests.cast import Cast, make_vms

MARY = Actor("Mary Osei", person_id=None, staff=True, via="admin")
PRIYA = Actor("Priya Raman")
TABLE = [(kind, state) for kind, life in LIFECYCLES.items() for state in life.states]


def test_the_table_is_the_one_of_the_product() -> None:
    """21 states and 25 moves: 189 pairs, of which the tables below allow 29."""
    assert {kind: (len(life.states), len(life.moves)) for kind, life in LIFECYCLES.items()} == {
        "replication": (7, 10), "ticket": (5, 4), "failover": (9, 11),
    }  # fmt: skip
    assert sum(len(life.states) * len(life.moves) for life in LIFECYCLES.values()) == 189
    allowed = {kind: sum(len(move.sources) for move in life.moves.values()) for kind, life in LIFECYCLES.items()}
    assert allowed == {"replication": 13, "ticket": 4, "failover": 11}


# ---- Rows in every state ---------------------------------------------------------------------------------------------


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


# ---- The table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "state"), TABLE)
def test_every_move_from(cast: Cast, kind: str, state: str) -> None:
    life = LIFECYCLES[kind]
    for move in life.moves:
        if life.allows(state, move):
            moves(cast, kind, state, move)
        else:
            refuses(cast, kind, state, move)
    assert list(faults()) == []


def moves(cast: Cast, kind: str, state: str, move: str) -> None:
    """Two subjects of one account and one of another: one Activity row each, one seal per account."""
    life = LIFECYCLES[kind]
    mine, theirs = make(cast, kind, state, cast.northwind, 2), make(cast, kind, state, cast.contoso)
    rows = mine.model._default_manager.filter(pk__in=[row.pk for row in (*mine, *theirs)])
    last, versions = Activity.objects.latest("id").pk, heads()
    with changes(MARY, "because") as change:
        fired = change.fire(rows, move)
    assert [(row.pk, row.state) for row in fired] == [(pk, state) for pk in sorted(row.pk for row in rows)]
    target = life.moves[move].target
    assert set(rows.values_list("state", "state_since")) == {(target, change.at)}
    written = list(Activity.objects.filter(pk__gt=last).order_by("subject_id"))
    told = [(one.kind, one.event, one.subject_id, one.from_state, one.to_state) for one in written]
    assert told == [(kind, move, row.pk, state, target) for row in fired]
    assert {(one.actor, one.staff, one.reason, one.at) for one in written} == {
        ("Mary Osei", True, "because", change.at)
    }
    seals = Seal.objects.filter(batch=written[0].batch).order_by("account_id")
    assert [(seal.account_id, seal.rows) for seal in seals] == [(cast.northwind.pk, 2), (cast.contoso.pk, 1)]
    raised = {account: version - versions[account] for account, version in heads().items()}
    assert raised == {cast.northwind.pk: 1, cast.contoso.pk: 1, None: 0}


def heads() -> dict[int | None, int]:
    return dict(Head.objects.values_list("account", "version"))


def refuses(cast: Cast, kind: str, state: str, move: str) -> None:
    """The refusal names who was first and since when, and nothing at all has changed."""
    life = LIFECYCLES[kind]
    rows = make(cast, kind, state, cast.northwind)
    [subject], before = rows, everything()
    with pytest.raises(IllegalTransition) as refused, changes(PORTAL) as change:
        change.fire(rows, move, next_step_at=None)
    who = "Mary Osei, Support" if way_to(life, state) else "Priya Raman"
    facts = {"subject": str(subject), "state": life.states[state].word, "since": subject.state_since, "who": who}
    assert refused.value.facts == {**facts, "move": move}
    since = f"{subject.state_since:%H:%M} UTC"
    assert refused.value.message == (
        f"{subject} is {facts['state']} since {since}, by {who}. Look again: nothing was done."
    )
    assert (refused.value.status, refused.value.code) == (409, "illegal_transition")
    assert everything() == before


# ---- Sets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LIFECYCLES)
def test_one_row_in_another_state_stops_all(cast: Cast, kind: str) -> None:
    """All or none, and the one that stands in the way is named."""
    life = LIFECYCLES[kind]
    first = life.moves[way_to(life, last_of(life))[0]]
    ready = make(cast, kind, life.initial, cast.northwind, 3)
    [astray] = make(cast, kind, first.target, cast.northwind)
    rows = ready.model._default_manager.filter(pk__in=[*ready.values_list("pk", flat=True), astray.pk])
    before = everything()
    with pytest.raises(IllegalTransition, match=str(astray)), changes(PORTAL) as change:
        change.fire(rows, first.name)
    assert everything() == before


def last_of(life: Lifecycle) -> str:
    return max(life.states, key=lambda state: len(way_to(life, state)))


def test_nothing_to_move_is_no_move(cast: Cast) -> None:
    before = everything()
    with changes(PORTAL) as change:
        assert change.fire(Ticket.objects.none(), "approve") == []
    assert everything() == before
