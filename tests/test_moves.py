"""Every state x every move of every lifecycle, on real rows: what the table allows moves, all else changes nothing."""

from __future__ import annotations

import pytest

from accounts.activity import faults
from accounts.models import Activity, Head, Seal
from ampdr.errors import IllegalTransition
from ampdr.lifecycle import LIFECYCLES, PORTAL, Lifecycle, changes
from failover.models import Ticket
from tests.cast import Cast
from tests.states import MARY, everything, make, way_to

TABLE = [(kind, state) for kind, life in LIFECYCLES.items() for state in life.states]


def test_the_table_is_the_one_of_the_product() -> None:
    """21 states and 25 moves: 189 pairs, of which the tables below allow 29."""
    assert {kind: (len(life.states), len(life.moves)) for kind, life in LIFECYCLES.items()} == {
        "replication": (7, 10), "ticket": (5, 4), "failover": (9, 11),
    }  # fmt: skip
    assert sum(len(life.states) * len(life.moves) for life in LIFECYCLES.values()) == 189
    allowed = {kind: sum(len(move.sources) for move in life.moves.values()) for kind, life in LIFECYCLES.items()}
    assert allowed == {"replication": 13, "ticket": 4, "failover": 11}


# ---- The table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "state"), TABLE)
def test_every_move_from(cast: Cast, kind: str, state: str) -> None:
    life = LIFECYCLES[kind]
    for move in life.moves:
        if life.allows(state, move):
            moves(cast, kind, state, move)
        else:
            refuses(cast, kind, state, move)
    uncounted = "its head counts"  # counters are the verbs' business: here the kernel alone moves
    assert [one for one in faults() if uncounted not in one] == []


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
