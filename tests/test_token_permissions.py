"""Asks every cell of the table of tokens (tests/permissions): people's and machines', at every door of the API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from accounts.actions import issue_machine_token, issue_token, revoke_tokens
from accounts.models import Permission
from ampdr import clock
from ampdr.lifecycle import PORTAL, changes
from tests.cast import Cast, join
from tests.permissions import TOKENS
from tests.test_permissions import ROWS, World, faults, read
from tests.things import NOW, furnish

HELD = {
    "reads": ("priya", ["read_vms", "read_replication"]),
    "all": ("priya", Permission.values),
    "vms": ("priya", ["read_vms"]),
    "ravi": ("ravi", Permission.values),
    "olga": ("olga", Permission.values),
}
CELLS = read(TOKENS)


def caller(secret: str) -> Client:
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
def world(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> World:
    own, foreign = furnish(cast, cast.northwind, "priya"), furnish(cast, cast.contoso, "olga")
    callers = {}
    for name, (who, scopes) in HELD.items():
        account = cast.contoso if who == "olga" else cast.northwind
        callers[name] = caller(issue_token(PORTAL, getattr(cast, who), account, name, scopes))
    join(cast.tom, cast.northwind, "Admin")
    callers["ended"] = caller(issue_token(PORTAL, cast.tom, cast.northwind, "ended", Permission.values))
    with changes(PORTAL) as change:
        revoke_tokens(change, cast.northwind, cast.tom)
    callers["machine"] = caller(issue_machine_token(PORTAL, "machine", "inventory", site="DFW01")[1])
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return World(callers, own, foreign)


def test_answers_to_tokens(world: World) -> None:
    assert set(world.clients) == set(CELLS[0].cells)
    found = [fault for row in CELLS for who in row.cells for fault in faults(world, row, who)]
    assert not found, "\n".join(["", *found])


def test_every_door_of_the_api_is_in_the_table_of_tokens() -> None:
    asked = {(row.route, row.method) for row in CELLS}
    assert asked == {(row.route, row.method) for row in ROWS if row.route.startswith("api-")}


def test_a_token_that_may_too_much_would_be_found(world: World) -> None:
    row = next(row for row in CELLS if row.route == "api-orders" and row.method == "POST")
    assert list(faults(world, replace(row, cells={"all": "403/404"}), "all"))
