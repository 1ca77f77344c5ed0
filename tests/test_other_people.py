"""Asks every cell of the table of other members, and what holds by a rule for who was removed and for staff without a
proved second factor (tests/permissions)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.contrib.auth.models import Group

from accounts.actions import LEAD, list_authorized, remove_member
from accounts.models import Membership, Permission, Role
from ampdr import clock
from tests.cast import Cast, join, make_person
from tests.permissions import OTHER_MEMBERS
from tests.test_permissions import ROWS, Row, World, browser, faults, inside, read
from tests.things import NOW, furnish

CELLS = read(OTHER_MEMBERS)


@pytest.fixture
def world(cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> World:
    own, foreign = furnish(cast, cast.northwind, "priya"), furnish(cast, cast.contoso, "olga")
    people = {name: make_person(f"{name}@example.com", name.capitalize()) for name in ("nora", "adam", "rita", "gone")}
    reads = Role.objects.create(
        account=cast.northwind, name="Reads", slug="reads", permissions=[Permission.READ_REPLICATION]
    )
    for name, roles in (("nora", []), ("rita", [reads])):
        join(people[name], cast.northwind).roles.set(roles)
    for name in ("adam", "gone"):
        join(people[name], cast.northwind, "Admin")
    list_authorized(cast.actor("mary"), cast.northwind, people["rita"], phone="+1 555 0144")
    remove_member(cast.actor("priya"), Membership.objects.get(person=people["gone"]))
    caplog.set_level("CRITICAL", "django.request")
    monkeypatch.setattr(clock, "now", lambda: NOW)
    staff = {"unproved": browser(cast.tom, factor=False)}
    cast.tom.groups.set([Group.objects.get(name=LEAD)])
    return World({name: browser(person) for name, person in people.items()} | staff, own, foreign)


def test_answers_to_other_members(world: World) -> None:
    found = [fault for row in CELLS for who in row.cells for fault in faults(world, row, who)]
    assert not found, "\n".join(["", *found])


def test_every_door_of_an_account_is_in_the_table_of_other_members() -> None:
    assert {(row.route, row.method, row.sent) for row in CELLS} == {
        (row.route, row.method, row.sent) for row in ROWS if inside(row)
    }


def test_who_was_removed_finds_no_account(world: World) -> None:
    """As somebody of another account: whatever there was is as absent as what never was."""
    rows = [replace(row, cells={"gone": "404"}) for row in ROWS if inside(row)]
    found = [fault for row in rows for fault in faults(world, row, "gone")]
    assert not found, "\n".join(["", *found])


def test_support_without_a_proved_second_factor_gets_nowhere(world: World) -> None:
    """Admin leads to where one is set up; the API's doors for Support are shut."""
    found = [fault for row in shut() for fault in faults(world, row, "unproved")]
    assert not found, "\n".join(["", *found])


def shut() -> Iterator[Row]:
    for row in ROWS:
        if row.route.startswith("admin:") and row.route not in ("admin:login", "admin:logout"):
            yield replace(row, cells={"unproved": "302"})
        elif row.route.startswith("api-") and row.cells["mary"].startswith("200/404"):
            yield replace(row, cells={"unproved": "403"})
