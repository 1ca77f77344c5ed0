"""Who may know what of an outage, in the API and in Activity (product rule 4); races, and the cost of the numbers."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, Head
from ampdr import clock
from ampdr.errors import Conflict
from inventory import actions
from inventory.actions import Counts, affected
from inventory.models import VM, Outage
from tests.caller import by_token, said
from tests.cast import Cast, make_vms, protect, sign_in
from tests.threads import raised, together


def key() -> str:
    return str(uuid.uuid4())


def declare(cast: Cast, site: str = "DFW01", since: timedelta = timedelta()) -> Outage:
    start = clock.now() - since
    return actions.declare(cast.actor("mary"), cast.sites[site], f"{site} is down", "No power.", start, key())


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """Of Northwind in Dallas: one protected, one bare."""
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "bare-01"])
    protect(cast, found[:1])
    return found


# ---- The API ---------------------------------------------------------------------------------------------------------


def test_outages_with_their_numbers(cast: Cast, vms: list[VM]) -> None:
    mary, outage = cast.actor("mary"), declare(cast)
    actions.update(mary, outage, "Engineers are on site.", key())
    (row,) = by_token(cast).get("outages/").content["results"]
    assert (row["number"], row["site"], row["title"], row["over_at"]) == (outage.number, "DFW01", "DFW01 is down", None)
    assert [one["text"] for one in row["updates"]] == ["No power.", "Engineers are on site."]
    assert row["counts"] == Counts(on_it=2, protected=1)._asdict()
    actions.close(mary, outage, "Back.", clock.now(), key())
    (row,) = by_token(cast).get("outages/").content["results"]
    assert row["over_at"] and row["updates"][-1]["text"] == "Back."
    assert by_token(cast, "olga").get("outages/").content["results"] == []


def test_without_read_there_are_no_numbers(cast: Cast, vms: list[VM]) -> None:
    """And no outage of the site where only copies are: that would tell that there are copies."""
    declare(cast)
    declare(cast, "PHX01")
    whole, part = by_token(cast), by_token(cast, scopes=["read_vms"])
    assert [row["site"] for row in whole.get("outages/").content["results"]] == ["PHX01", "DFW01"]
    (row,) = part.get("outages/").content["results"]
    assert row["site"] == "DFW01" and "counts" not in row
    assert said(by_token(cast, scopes=["read_replication"]).get("outages/")) == (403, "forbidden")


def test_pages_of_outages_and_how_long_they_are_told(cast: Cast, vms: list[VM]) -> None:
    mary = cast.actor("mary")
    for days in (200, 80, 40):
        with clock.ahead(-timedelta(days=days)):
            actions.close(mary, outage := declare(cast), "Back.", clock.now(), key())
    last = declare(cast)
    caller = by_token(cast)
    assert len(caller.get("outages/").content["results"]) == 3, "one is over since 200 days"
    first = caller.get("outages/?size=1").content
    assert [row["number"] for row in first["results"]] == [last.number]
    second = caller.get(first["next"].partition("testserver")[2]).content
    assert [row["number"] for row in second["results"]] == [outage.number] and second["previous"]
    with CaptureQueriesContext(connection) as few:
        caller.get("outages/?size=1")
    with CaptureQueriesContext(connection) as all_of_them:
        caller.get("outages/")
    assert len(few) == len(all_of_them) <= 6


# ---- Activity --------------------------------------------------------------------------------------------------------


def test_the_record_tells_it_to_who_may_read_replication(cast: Cast, vms: list[VM], client: Client) -> None:
    outage = declare(cast)
    sign_in(client, cast.priya)
    shown = client.get("/northwind/activity/").content.decode()
    assert outage.number in shown and "declared an outage" in shown and "Protected of these: 1" in shown
    role = cast.northwind.roles.create(name="Watcher", permissions=["read_vms", "view_activity"])
    cast.ravi.memberships.get().roles.set([role])
    sign_in(client, cast.ravi)
    shown = client.get("/northwind/activity/").content.decode().partition("<main")[2]
    assert outage.number not in shown and "outage" not in shown


# ---- Twins and many --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_two_who_declare_at_once_one_does(transactional_db: None, request: pytest.FixtureRequest) -> None:
    cast: Cast = request.getfixturevalue("cast")
    make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    site, now, same, actors = cast.sites["DFW01"], clock.now(), key(), [cast.actor(name) for name in ("mary", "tom")]

    def deed(number: int, with_key: str) -> Any:
        return lambda: actions.declare(actors[number], site, "Down", "No power.", now, with_key)

    came = together(deed(0, key()), deed(1, key()))
    (refused,) = raised(came)
    (outage,) = Outage.objects.all()
    assert isinstance(refused, Conflict) and outage.number in str(refused)
    actions.close(actors[0], outage, "Back.", clock.now(), key())
    came = together(*[deed(0, same) for _ in range(4)])
    assert raised(came) == [] and len({one.number for one in came}) == 1
    outage = came[0]
    came = together(*[lambda: actions.close(actors[0], outage, "Back.", clock.now(), key()) for _ in range(3)])
    assert len(raised(came)) == 2 and outage.updates.count() == 2
    came = together(*[deed(n % 2, key()) for n in range(4)])
    assert len(raised(came)) == 3


def test_an_account_of_few_vms_is_counted_by_an_index(cast: Cast) -> None:
    """However many there are of others."""
    other = Account.objects.create(slug="fabrikam", name="Fabrikam", number=4109)
    Head.objects.create(account=other)
    for hundred in range(20):
        make_vms(other, cast.sites["DFW01"], [f"vm-{hundred}-{n}" for n in range(100)])
    make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_vm")
        with CaptureQueriesContext(connection) as asked:
            assert affected(cast.sites["DFW01"], [cast.northwind.pk]) == {cast.northwind.pk: Counts(on_it=1)}
        cursor.execute(f"EXPLAIN {asked[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index" in plan and "Seq Scan" not in plan, plan
