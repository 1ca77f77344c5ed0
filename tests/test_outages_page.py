"""The page of an outage: what is known, what it means to the account's VMs, and who may see it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from accounts.actions import list_authorized
from ampdr import clock, work
from inventory import actions
from inventory.models import VM, Outage
from tests.cast import Cast, make_vms, protect, request, say_yes, sign_in
from tests.test_outages_strips import declare, key, over


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """Of Northwind in Dallas four protected and one bare; in Phoenix two protected, one in a test."""
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["app-01", "web-01", "web-02", "web-03", "bare-01"])
    there = make_vms(cast.northwind, cast.sites["PHX01"], ["there-01", "tested-01"])
    protect(cast, found[:4])
    protect(cast, there, "order-of-phoenix")
    for ticket in (request(cast, found[:1], "live"), request(cast, there[1:], "test")):
        say_yes(cast, ticket)
    work.drive()
    return found


def page(client: Client, outage: Outage, status: int = 200) -> str:
    answer = client.get(f"/northwind/outages/{outage.number}/")
    assert answer.status_code == status
    return answer.content.decode()


def words(html: str) -> str:
    return " ".join(strip_tags(html.partition("<main")[2].replace("<", " <")).split())


def rows(html: str) -> list[tuple[str, str]]:
    """Name and action of each row."""
    found = re.findall(r'<tr role="row" id="vm-.*?</tr>', html, re.DOTALL)
    name, action = re.compile(r'<a href="[^"]+">(.*?)</a>'), re.compile(r'sm q" href[^>]+>([^<]+)')
    return [(strip_tags(name.findall(one)[0]), next(iter(action.findall(one)), "")) for one in found]


def test_what_is_known_and_what_it_means(cast: Cast, vms: list[VM], client: Client) -> None:
    outage = declare(cast)
    actions.update(cast.actor("mary"), outage, "Engineers are on site.", key())
    waiting = request(cast, vms[1:2], "live", key="another-key")
    sign_in(client, cast.priya)
    html = page(client, outage)
    said = words(html)
    assert f"Outage {outage.number} in Dallas (DFW01) Open Since" in said and "Hall A has no power" in said
    assert said.index("Engineers are on site.") < said.index("No power."), "the newest first"
    assert said.index("7 of your VMs are affected") < said.index("No power.") < said.index("Data you may lose")
    assert "In an outage don't wait" in said and "Who may request failovers" in said
    assert "Request live failover of 2 VMs" in said and "Nothing fails over by itself" in said
    assert "1 person may make one: Priya Raman." in said
    assert "7 of your VMs are affected" in said, "4 on it, one test's VM runs there, 2 are protected towards it"
    for part in ("1 runs in PHX01", "1 in a request", "2 without a request", "1 not protected",
                 "1 running there in a failover", "2 protected towards it"):  # fmt: skip
        assert part in said, part
    assert waiting.number in said
    assert rows(html) == [
        ("app-01", "Open failover"), ("web-01", "Open failover"), ("web-02", "Request failover"),
        ("web-03", "Request failover"), ("bare-01", "Order replication"), ("tested-01 - Test", "Open failover"),
        ("tested-01", ""), ("there-01", ""),
    ]  # fmt: skip


def test_the_first_fifty_and_the_way_to_the_others(cast: Cast, client: Client) -> None:
    costs = []
    for batch in (1, 60):
        make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{batch}-{n}" for n in range(batch)])
    outage = declare(cast)
    sign_in(client, cast.priya)
    html = page(client, outage)
    assert len(rows(html)) == 50 and "The first 50" in html and "/northwind/vms/?site=DFW01" in html
    for count in (61, 1):
        VM.objects.exclude(pk__in=VM.objects.order_by("pk")[:count]).update(shown=False)
        with CaptureQueriesContext(connection) as asked:
            page(client, outage)
        costs.append(len(asked))
    assert costs[0] == costs[1] <= 10


def test_who_was_not_told_finds_nothing(cast: Cast, vms: list[VM], client: Client) -> None:
    with clock.ahead(-timedelta(days=100)):
        over(cast, long_ago := declare(cast))
    outage, elsewhere = declare(cast), declare(cast, "LHR01")
    sign_in(client, cast.priya)
    page(client, outage)
    for one in (long_ago, elsewhere):
        page(client, one, 404)
    assert client.get("/northwind/outages/N-999999/").content == client.get("/northwind/outages/N-1/").content
    sign_in(client, cast.olga)
    page(client, outage, 404)
    assert client.get(f"/contoso/outages/{outage.number}/").status_code == 404
    assert client.get(f"/outages/{outage.number}/").status_code == 404


def test_without_read_it_tells_what_support_said_and_no_number(cast: Cast, vms: list[VM], client: Client) -> None:
    role = cast.northwind.roles.create(name="Watcher", permissions=["read_vms"])
    cast.ravi.memberships.get().roles.set([role])
    outage = declare(cast)
    sign_in(client, cast.ravi)
    html = page(client, outage)
    assert "No power." in words(html) and rows(html) == []
    assert not re.search(r"affected|protected|failover|PHX01|Priya Raman", words(html))
    list_authorized(cast.actor("mary"), cast.northwind, cast.ravi)
    assert "You are an authorized user, and to request failovers you need" in words(page(client, outage))
    role.permissions = ["read_fim"]
    role.save()
    page(client, outage, 403)


def test_after_it_the_page_tells_what_still_runs_elsewhere(cast: Cast, vms: list[VM], client: Client) -> None:
    outage = declare(cast)
    ticket = request(cast, vms[1:3], "live", key="another-key")
    say_yes(cast, ticket)
    work.drive()
    over(cast, outage)
    sign_in(client, cast.priya)
    html = page(client, outage)
    assert "Nothing ends by itself. 3 of your VMs still run in PHX01." in words(html) and "Over" in words(html)
    assert [name for name, _ in rows(html)] == ["app-01", "web-01", "web-02"]
    assert "Request live failover" not in html and ticket.number in html
    assert "In an outage don't wait" not in words(html) and "Who may request termination" in words(html)


def test_the_short_address_leads_to_the_account_s_page(cast: Cast, vms: list[VM], client: Client) -> None:
    outage = declare(cast)
    assert client.get(f"/outages/{outage.number}/").status_code == 302, "to the sign-in page"
    sign_in(client, cast.priya)
    answer = client.get(f"/outages/{outage.number}/")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/northwind/outages/{outage.number}/")


def test_an_open_page_follows(cast: Cast, vms: list[VM], client: Client) -> None:
    outage = declare(cast)
    sign_in(client, cast.priya)
    found = re.search(r'id="outage"[^>]* hx-get="([^"]+)"', page(client, outage))
    assert found
    assert client.get(found[1], headers={"HX-Request": "true"}).status_code == 204
    actions.update(cast.actor("mary"), outage, "Engineers are on site.", key())
    part = client.get(found[1], headers={"HX-Request": "true"}).content.decode()
    assert part.startswith('<div id="outage"') and "Engineers are on site." in part
