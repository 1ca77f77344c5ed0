"""Who sees a ticket, what is spoken and polled, and what the page costs."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Activity, Head
from failover.actions import (
    confirm,
)
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, say_yes, sign_in
from tests.test_ticket_page.seen import (
    LIST,
    buttons,
    end,
    page,
    poll_of,
    push,
    run,
    statements,
    walk,
    words,
)


@pytest.mark.parametrize("after", ["", "terminate/"])
def test_another_accounts_ticket_and_a_made_up_one_are_alike(
    cast: Cast, priya: Client, vms: list[VM], after: str
) -> None:
    theirs = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    protect(cast, theirs, "order-key-9", who="olga")
    foreign = request(cast, theirs, who="olga")
    answers = [priya.get(f"{LIST}{number}/{after}") for number in (foreign.number, "FO-999999", "fo-1", "<b>")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    for way in ("withdraw/", "works/", "terminate/"):
        posts = [priya.post(f"{LIST}{number}/{way}") for number in (foreign.number, "FO-999999")]
        assert [answer.status_code for answer in posts] == [404, 404] and posts[0].content == posts[1].content
    assert Ticket.objects.get(pk=foreign.pk).state == "waiting"


def test_who_is_not_listed_may_look_and_not_touch(cast: Cast, client: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:1])
    sign_in(client, cast.ravi)
    html = page(client, ticket)
    assert buttons(html) == set() and "Support keeps the list" in words(html)
    assert "Request failover" not in words(client.get(LIST).content.decode())
    for way in ("withdraw/", "works/", "terminate/"):
        answer = client.post(f"{LIST}{ticket}/{way}")
        assert answer.status_code == 403 and "You are not on the list" in words(answer.content.decode())


def test_without_read_every_number_is_forbidden_alike(cast: Cast, client: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    cast.priya.memberships.get().roles.set([])
    sign_in(client, cast.priya)
    for address in (LIST, f"{LIST}{ticket}/", f"{LIST}FO-999999/", f"{LIST}{ticket}/terminate/", f"{LIST}new/"):
        answer = client.get(address)
        assert answer.status_code == 403 and "Read Server Replication" in words(answer.content.decode())
    answer = client.get(f"{LIST}{ticket}/", headers={"HX-Request": "true"})
    assert answer.status_code == 403


def test_the_short_address_leads_a_member_to_his_account(cast: Cast, client: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    short = f"/failovers/{ticket}/"
    assert client.get(short)["Location"].startswith("/sign-in/")
    assert client.get("/failovers/FO-999999/").status_code == 302
    sign_in(client, cast.priya)
    assert client.get(short)["Location"] == f"{LIST}{ticket}/"
    answers = []
    sign_in(client, cast.olga)
    answers += [client.get(short), client.get("/failovers/FO-999999/")]
    assert {answer.status_code for answer in answers} == {404} and answers[0].content == answers[1].content
    cast.ravi.memberships.get().roles.set([])
    sign_in(client, cast.ravi)
    assert client.get(short).status_code == 404
    cast.priya.memberships.update(enabled=False)
    sign_in(client, cast.priya)
    assert client.get(short).status_code == 404


def test_only_the_state_is_spoken(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    html = page(priya, ticket)
    main = html[html.index("<main") : html.index("</main>")]
    assert re.findall(r'<[^>]*role="status"[^>]*>([^<]*)', main) == [f"{ticket} is now Waiting for Support"]
    assert "aria-live" not in main and f'data-title="(Waiting for Support) {ticket} · AMPDR"' in main


def test_an_unchanged_page_costs_three_statements(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:1])
    poll = poll_of(page(priya, ticket))
    with CaptureQueriesContext(connection) as caught:
        assert priya.get(poll, headers={"HX-Request": "true"}).status_code == 204
    assert len(caught) == 3, [query["sql"][:80] for query in caught]
    assert priya.get(poll).status_code == 200  # no script asked for it
    confirm(cast.actor("priya"), ticket)
    assert priya.get(poll, headers={"HX-Request": "true"}).status_code == 200


@pytest.mark.parametrize("version", ["", "x", "1.", ".u5", "1.m", "1.u99999999999999999999", "1.mx", "²"])
def test_a_version_that_means_nothing_gets_the_page(cast: Cast, priya: Client, vms: list[VM], version: str) -> None:
    ticket = request(cast, vms[:1])
    answer = priya.get(f"{LIST}{ticket}/", {"version": version}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    head = Head.objects.get(account=cast.northwind).version
    answer = priya.get(f"{LIST}FO-9/", {"version": f"{head}.m7"}, headers={"HX-Request": "true"})
    assert answer.status_code == 404


def test_the_page_costs_the_same_for_1_50_and_200_vms(cast: Cast, priya: Client) -> None:
    many = make_vms(cast.northwind, cast.sites["DFW01"], [f"app-{n:03}" for n in range(251)])
    protect(cast, many)
    found: dict[str, list[int]] = {}
    for some in (many[:1], many[1:51], many[51:]):
        ticket = request(cast, some, "live", key=f"key-of-{len(some)}")
        found.setdefault("waiting", []).append(statements(priya, f"{LIST}{ticket}/"))
        say_yes(cast, ticket)
        push()
        found.setdefault("running", []).append(statements(priya, f"{LIST}{ticket}/"))
        ending = end(cast, ticket, f"end-of-{len(some)}")
        found.setdefault("ending", []).append(statements(priya, f"{LIST}{ending}/"))
        html = page(priya, ticket)
        assert len(re.findall('id="line-', html)) == min(50, len(some))
    assert all(max(counts) <= 10 and len(set(counts)) == 1 for counts in found.values()), found
    seen = walk(priya, f"{LIST}{ticket}/", r'id="line-([^"]*)"')
    assert len(seen) == len(set(seen)) == 200
    assert Activity.objects.filter(about=ticket.number).count() > 600
    assert words(html).count("Starting") == 1
