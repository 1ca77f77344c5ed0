"""What the tests of the ticket page say often: what stands there, and how a ticket gets on."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ampdr import work
from failover.actions import (
    request_termination,
)
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.providers.sites import provider_of
from tests.cast import Cast, request, say_yes

LIST = "/northwind/failovers/"


def page(client: Client, ticket: Ticket | str, **headers: Any) -> str:
    response = client.get(f"{LIST}{ticket}/", **headers)
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    """What stands in the main part, without the markup."""
    start = html.index("<main") if "<main" in html else 0
    end = html.index("</main>") if "<main" in html else len(html)
    plain = " ".join(unescape(re.sub(r"<[^>]+>", " ", html[start:end])).split())
    return re.sub(r" ([,.:])", r"\1", plain)


def heading(html: str) -> tuple[str, str]:
    """The page's icon ("" for the plain square) and its pill."""
    found = re.search(r"<h1>(.*?)</h1>", html, re.S)
    assert found
    icon = "live" if 'class="fo"' in found[1] else "test" if 'class="vm t"' in found[1] else ""
    return icon, words(re.findall(r'<span class="pill.*', found[1], re.S)[0])


def poll_of(html: str) -> str:
    """The address at which the page's part looks again."""
    return unescape(re.findall(r'id="ticket"[^>]* hx-get="([^"]+)"', html)[0])


def buttons(html: str) -> set[str]:
    main = html[html.index("<main") :]
    names = (
        "Withdraw the request", "Confirm that it works", "Request termination", "Request again",
    )  # fmt: skip
    return {name for name in names if re.search(rf">{name}</(a|button)>", main)}


def run(cast: Cast, vms: list[VM], kind: str = "live", key: str = "request-key") -> Ticket:
    ticket = request(cast, vms, kind, key=key)
    say_yes(cast, ticket)
    push()
    return ticket


def push() -> None:
    """Drives without waiting for the pauses between tries."""
    for _ in range(8):
        work.drive()
        Failover.objects.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
        Ticket.objects.exclude(next_step_at=None).update(next_step_at="2020-01-01T00:00Z")


def fault(monkeypatch: pytest.MonkeyPatch, *rules: dict[str, Any]) -> None:
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
    provider_of.cache_clear()


def end(cast: Cast, ticket: Ticket, key: str = "end-key-1") -> Ticket:
    return request_termination(cast.actor("priya"), ticket, "Dallas is back", ticket.source, key)


def statements(client: Client, address: str) -> int:
    """Without the strips of outages, which every page bears while something runs."""
    with CaptureQueriesContext(connection) as caught:
        assert client.get(address).status_code == 200
    return sum("inventory_outagetold" not in query["sql"] for query in caught)


def walk(client: Client, address: str, pattern: str) -> list[str]:
    """Every page to the last one, and back to the first."""
    seen, forth = [], []
    html = client.get(address).content.decode()
    while True:
        seen += re.findall(pattern, html)
        forth.append(re.findall(pattern, html))
        onward = re.search(r'href="([^"]+)" rel="next"', html)
        if not onward:
            break
        html = client.get(next_address(address, onward[1])).content.decode()
    for expected in reversed(forth[:-1]):
        back = re.search(r'href="([^"]+)" rel="prev"', html)
        assert back
        html = client.get(next_address(address, back[1])).content.decode()
        assert re.findall(pattern, html) == expected
    assert 'rel="prev"' not in html
    return seen


def next_address(address: str, link: str) -> str:
    link = unescape(link)
    return link if link.startswith("/") else address.split("?", maxsplit=1)[0] + link


def look_again(client: Client, ticket: Ticket) -> str:
    response = client.get(f"{LIST}{ticket}/", headers={"HX-Request": "true"})
    assert "<html" not in response.content.decode()
    assert "HX-Request" in response["Vary"]
    return response.content.decode()
