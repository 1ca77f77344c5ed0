"""The list of tickets: rows, filters, pages, cost."""

from __future__ import annotations

import re

from django.test import Client

from failover.actions import (
    lines_of,
    ticket_word,
)
from failover.models import Ticket
from failover.views.tickets import STATES
from tests.cast import Cast, make_vms, protect, request, sign_in
from tests.test_ticket_page.seen import (
    LIST,
    statements,
    walk,
    words,
)


def listed(client: Client, **query: str) -> list[str]:
    html = client.get(LIST, query).content.decode()
    return re.findall(r'<tr role="row" id="(FO-\d+)"', html)


def test_the_list_shows_kind_state_vms_and_people_newest_first(
    cast: Cast, priya: Client, seven: dict[str, Ticket]
) -> None:
    html = priya.get(LIST).content.decode()
    assert listed(priya) == [ticket.number for ticket in reversed(seven.values())]
    rows = dict(re.findall(r'<tr role="row" id="(FO-\d+)"(.*?)</tr>', html, re.S))
    told = {name: words(rows[ticket.number]) for name, ticket in seven.items()}
    assert "Live failover · 1 VM Waiting for Support waiting-01 DFW01 → to PHX01" in told["waiting"]
    assert "Test failover · 1 VM Rejected" in told["rejected"]
    assert "Running, please confirm" in told["running"] and "Running, confirmed" in told["confirmed"]
    assert "Failed failed-01" in told["failed"] and "Terminated terminated-01" in told["terminated"]
    assert f"Termination of {seven['terminated']} · 1 VM Terminated terminated-01 PHX01 → to DFW01" in told["ending"]
    assert "Priya Raman" in told["waiting"]
    yellow = {name for name, ticket in seven.items() if 'class="fo"' in rows[ticket.number]}
    assert yellow == {"running", "confirmed"}
    assert 'class="vm t"' in rows[seven["testing"].number]


QUERIES: list[tuple[dict[str, str], list[str]]] = [
    ({"kind": "test"}, ["testing", "rejected"]),
    ({"kind": "terminate"}, ["ending"]),
    ({"state": "waiting"}, ["waiting"]),
    ({"state": "rejected"}, ["rejected"]),
    ({"state": "running"}, ["testing", "confirmed", "running"]),
    ({"state": "failed"}, ["failed"]),
    ({"state": "terminated"}, ["ending", "terminated"]),
    ({"state": "given_up"}, []),
    ({"state": "terminating"}, []),
    ({"state": "running", "kind": "test"}, ["testing"]),
    ({"q": "TERMINATED"}, ["ending", "terminated"]),
    ({"q": "nobody"}, []),
]


def test_filters_live_in_the_address(priya: Client, seven: dict[str, Ticket]) -> None:
    for query, names in QUERIES:
        assert listed(priya, **query) == [seven[name].number for name in names], query


def test_every_filter_by_state_agrees_with_the_word(priya: Client, seven: dict[str, Ticket]) -> None:
    tickets = list(Ticket.objects.all())
    counted = lines_of([ticket.pk for ticket in tickets])
    shown = {ticket.number: ticket_word(ticket, counted[ticket.pk]).name for ticket in tickets}
    shown = {number: "running" if name == "confirmed" else name for number, name in shown.items()}
    for state in STATES:
        assert set(listed(priya, state=state)) == {number for number, name in shown.items() if name == state}, state


def test_a_number_finds_its_ticket_and_nonsense_finds_all(priya: Client, seven: dict[str, Ticket]) -> None:
    number = seven["running"].number
    assert listed(priya, q=number.lower()) == [number]
    assert len(listed(priya, kind="sideways", state="²", after="nonsense")) == 8
    assert "No request matches" in words(priya.get(LIST, {"q": "nobody"}).content.decode())


def test_the_empty_list_says_what_will_be_here(cast: Cast, priya: Client, client: Client) -> None:
    shown = words(priya.get(LIST).content.decode())
    assert "No failover was requested yet" in shown and "Request failover" in shown


def test_the_list_costs_the_same_for_1_50_and_200_lines_and_pages_by_keyset(cast: Cast, priya: Client) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"app-{n:03}" for n in range(200)])
    protect(cast, vms)
    counts, made = [], 0
    for upto in (1, 50, 120):
        for vm in vms[made:upto]:
            request(cast, [vm], key=f"key-of-{vm.name}")
        made = upto
        counts.append(statements(priya, LIST))
    assert counts[0] == counts[1] == counts[2] <= 6, counts
    request(cast, vms[120:], "live", key="key-of-many")
    assert statements(priya, LIST) == counts[0]
    seen = walk(priya, LIST, r'<tr role="row" id="(FO-\d+)"')
    assert len(seen) == len(set(seen)) == 121


def test_another_accounts_tickets_are_in_no_list(cast: Cast, client: Client, seven: dict[str, Ticket]) -> None:
    sign_in(client, cast.olga)
    assert re.findall(r"FO-\d+", words(client.get("/contoso/failovers/").content.decode())) == []
    assert re.findall(r"FO-\d+", words(client.get("/contoso/failovers/", {"q": "running"}).content.decode())) == []
