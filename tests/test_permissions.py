"""Asks every cell of the permission table (tests/permissions), with real rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import combinations
from typing import Any, cast

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.actions import LEAD, OPERATOR, SUPPORT
from accounts.models import Activity, Person, Receipt
from ampdr import clock
from ampdr.api import document
from tests.cast import Cast, sign_in
from tests.permissions import ADMIN, OTHER_STAFF, TABLE
from tests.things import KEY, NEVER, NOW, Things, furnish

# ---- The table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    route: str
    method: str
    sent: str
    cells: dict[str, str]

    def __str__(self) -> str:
        return f"{self.route} {self.method} {self.sent}"


def lines(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines() if line and not line.startswith("#")]


def read(table: str) -> list[Row]:
    (_, _, _, *people), *found = lines(table)
    return [
        Row(route, method, sent, dict(zip(people, cells, strict=True)))
        for route, methods, sent, *cells in found
        for method in methods.split(",")
    ]


def read_admin(table: str) -> list[Row]:
    """One line per model becomes a row per way in; what a raw address leads to is the page."""
    ways = {
        "list": ("changelist", "GET", "-"), "add": ("add", "GET", "-"), "add:POST": ("add", "POST", "-"),
        "page": ("change", "GET", "{}"), "page:POST": ("change", "POST", "{}"), "history": ("history", "GET", "{}"),
        "delete": ("delete", "GET,POST", "{}"),
    }  # fmt: skip
    (_, *heads), *found = lines(table)
    rows = []
    for model, *cells in found:
        for head, cell in zip(heads, cells, strict=True):
            page, methods, sent = ways[head]
            for method in methods.split(","):
                rows.append(for_staff(f"admin:{model}_{page}", method, sent.format(f"{{{model}}}"), cell))
        app, name = model.split("_")
        rows.append(for_staff(f"/admin/{app}/{name}/<path:object_id>/", "GET", f"{{{model}}}", "302"))
    return rows


def for_staff(route: str, method: str, sent: str, cell: str) -> Row:
    return Row(route, method, sent, {"anon": "in", **dict.fromkeys(PEOPLE[1:-1], "403"), "mary": cell})


PEOPLE = lines(TABLE)[0][3:]
ROWS = read(TABLE) + read_admin(ADMIN)


def routes(resolver: URLResolver, before: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    """Name and pattern of every address; one without a name is called by its pattern."""
    for one in resolver.url_patterns:
        pattern = before + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from routes(one, pattern, f"{one.namespace}:" if one.namespace else space)
        elif isinstance(one, URLPattern):
            yield (space + one.name if one.name else f"/{pattern}"), pattern


ROUTES = dict(routes(get_resolver()))


def test_every_route_is_in_the_table_and_every_line_of_it_is_a_route() -> None:
    assert set(ROUTES) - {row.route for row in ROWS} == set()
    assert {row.route for row in ROWS} - set(ROUTES) == set()


# ---- The world -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    clients: dict[str, Client]
    own: Things
    foreign: Things


def browser(person: Person | None, factor: bool = True) -> Client:
    client = Client(raise_request_exception=False)
    return sign_in(client, person, factor=factor) if person else client


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is written in here is taken back, as Django's TestCase does it: verbs may begin their transactions."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)


@pytest.fixture
def world(cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> World:
    own, foreign = furnish(cast, cast.northwind, "priya"), furnish(cast, cast.contoso, "olga")
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    people: dict[str, Any] = {name: getattr(cast, name, None) for name in PEOPLE}
    people["sana"] = Person.objects.get(email="sana@northwind.example")
    caplog.set_level("CRITICAL", "django.request")  # a thousand refusals are what this is about
    monkeypatch.setattr(clock, "now", lambda: NOW)  # a page that shows the time shows the same one to everybody
    return World({name: browser(person) for name, person in people.items()}, own, foreign)


# ---- Asking ----------------------------------------------------------------------------------------------------------


def address(row: Row, argument: str, account: str) -> str:
    if row.route.startswith("/"):
        return re.sub(r"<[^>]+>|\(\?P<.*", argument or "nowhere", row.route)
    found = [account] if ":account>" in ROUTES[row.route] else []
    return reverse(row.route, args=found + (argument.split(",") if argument else []))


def ask(client: Client, row: Row, things: Things, account: str = "northwind", keep: bool = False) -> HttpResponse:
    """One request. What is sent stands in the table as address?query;form."""
    said = "" if row.sent == "-" else row.sent.format(**asdict(things))
    there, _, form = said.partition(";")
    place, mark, query = there.partition("?")
    path = address(row, place, account) + mark + query
    cookies, kind = copy(client.cookies), "application/x-www-form-urlencoded"
    if path.startswith("/api/"):
        data: dict[str, Any] = dict(part.split("=") for part in form.split("&") if part)
        form = json.dumps(data | {"vms": [data["vms"]]} if "vms" in data else data)
        kind = "application/json"
    with nullcontext() if keep else undone():
        response: Any = client.generic(row.method, path, form, kind, headers={"Idempotency-Key": KEY})
    client.cookies = cookies
    return cast(HttpResponse, response)


def inside(row: Row) -> bool:
    """Whether its address lies below an account, at a person's door: a machine's says 401 to every person."""
    return ":account>" in ROUTES.get(row.route, "") and set(row.cells.values()) != {"401"}


def expected(cell: str) -> list[str]:
    """Of an own, a foreign and an absent thing."""
    parts = cell.split("/")
    return [parts[0], parts[min(1, len(parts) - 1)], parts[-1]]


def answer(response: HttpResponse) -> str:
    led = response.status_code == 302 and response["Location"].startswith(("/sign-in/?next=", "/admin/login/?next="))
    return "in" if led else str(response.status_code)


def seen(response: HttpResponse) -> tuple[Any, ...]:
    """Everything that could tell one thing from another."""
    headers = {name: value for name, value in response.headers.items() if name != "X-Request-ID"}
    form_token = re.compile(rb'(?<=name="csrfmiddlewaretoken" value=")\w+')  # new for each page; none on a 404
    content = response.content if response.status_code == 404 else form_token.sub(b"", response.content)
    return response.status_code, headers, content


PARTS = {
    "outside": [row for row in ROWS if not re.search(r"^/?(api|admin)", row.route) and not inside(row)],
    "pages": [row for row in ROWS if not row.route.startswith("api") and inside(row)],
    "api": [row for row in ROWS if row.route.startswith("api")],
    "admin": [row for row in ROWS if re.search(r"^/?admin", row.route)],
}


@pytest.mark.parametrize("part", PARTS)
def test_answers(world: World, part: str) -> None:
    found = [fault for row in PARTS[part] for who in PEOPLE for fault in faults(world, row, who)]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize("group", [LEAD, OPERATOR])
def test_other_staff(world: World, group: str) -> None:
    """A Support lead and an Operator, at the pages of admin."""
    tom = Person.objects.get(email="tom@example.com")
    tom.groups.set([Group.objects.get(name=group)])
    world.clients["mary"] = browser(tom)
    (_, *heads), *found = lines(OTHER_STAFF)
    mine = [" ".join(cells) for name, *cells in found if name == group.replace(" ", "_")]
    rows = read_admin("\n".join([" ".join(heads), *mine]))
    assert not (wrong := [fault for row in rows for fault in faults(world, row, "mary")]), "\n".join(["", *wrong])


def test_the_parts_are_the_whole_table() -> None:
    assert sorted(map(str, ROWS)) == sorted(str(row) for part in PARTS.values() for row in part)


def faults(world: World, row: Row, who: str) -> Iterator[str]:
    """What is not as one cell says."""
    cell, things = row.cells[who], (world.own, world.foreign, NEVER)
    names = ("own", "foreign", "absent")[: 3 if "{" in row.sent else 1]
    answers = [ask(world.clients[who], row, thing) for thing, _ in zip(things, names, strict=False)]
    for name, got, wanted in zip(names, map(answer, answers), expected(cell), strict=False):
        if got != wanted:
            yield f"{row}: {who}, {name}: {got} instead of {wanted}"
    alike = [seen(one) for one, wanted in zip(answers, expected(cell), strict=False) if wanted == hiding(cell)]
    if any(one != alike[0] for one in alike):
        yield f"{row}: {who}: what is there and what isn't are told apart by {difference(alike)}"


def hiding(cell: str) -> str:
    """The answer in which nothing may differ: 404, or 403 to somebody who may not even read the kind."""
    return "404" if "404" in cell else "403" if cell in ("403", "403/403") else ""


def difference(answers: list[tuple[Any, ...]]) -> str:
    for one, other in combinations(answers, 2):
        for part, another in zip(one, other, strict=True):
            if part != another:
                both = zip(str(part), str(another), strict=False)
                at = next((place for place, (a, b) in enumerate(both) if a != b), 0)
                return f"{str(part)[at : at + 40]!r} and {str(another)[at : at + 40]!r}"
    return "nothing"


@pytest.mark.parametrize("who", ["olga", "mary"])
def test_another_account_is_as_one_that_never_was(world: World, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At Northwind's doors, and a day later at those of an account that nobody made."""
    for row in ROWS:
        if inside(row) and row.cells[who] == "404":
            monkeypatch.setattr(clock, "now", lambda: NOW)
            there = seen(ask(world.clients[who], row, world.own))
            monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(days=1))
            assert seen(ask(world.clients[who], row, world.own, "never-made")) == there, str(row)


def test_a_page_that_says_no_such_thing_tells_no_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(row for row in ROWS if row.route == "failover")
    today = seen(ask(world.clients["priya"], row, world.foreign))
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(days=1))
    assert seen(ask(world.clients["priya"], row, NEVER)) == today


def test_a_leak_would_be_found(world: World) -> None:
    """The guard's own guard: with a wrong expectation, and with answers that differ, `faults` speaks."""
    row = next(row for row in ROWS if row.route == "vm")
    assert list(faults(world, replace(row, cells={"priya": "404"}), "priya"))
    assert difference([(404, {}, b"FO-1"), (404, {}, b"FO-2")]) != "nothing"


def test_the_documented_operations_are_the_ones_in_the_table() -> None:
    paths = json.loads(document())["paths"]
    documented = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    asked = {
        ("/" + re.sub(r"<\w+:(\w+)>", r"{\1}", ROUTES[row.route]), row.method)
        for row in ROWS
        if row.route.startswith("api-") and row.route != "api-nowhere"
    }
    assert documented == asked


def test_a_method_that_is_not_in_the_table_does_nothing(world: World) -> None:
    known = {(row.route, row.method) for row in ROWS}
    before = record()
    for row in {row.route: row for row in ROWS if not re.search("sign-|theme|admin", row.route)}.values():
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            if (row.route, method) not in known:
                response = ask(world.clients["priya"], replace(row, method=method), world.own, keep=True)
                assert response.status_code < 500, (row, method)
                assert record() == before, (row, method)


def record() -> tuple[int, int]:
    """How much was done: nothing changes without a row in the record or a receipt."""
    return Activity.objects.count(), Receipt.objects.count()
