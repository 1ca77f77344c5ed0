"""Overview: what it says calm and in an outage, to whom, and that its numbers are those of the lists."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Permission, Role
from ampdr import clock, work
from failover.screens.census import census
from failover.screens.query import Filters, matching
from failover.screens.row import readiness, readiness_name
from inventory import actions
from inventory.actions import affected
from inventory.models import VM, Outage
from tests.cast import Cast, join, make_person, make_vms, protect, request, say_yes, sign_in

HERE = "/northwind/"


def look(client: Client, query: str = "") -> str:
    response = client.get(HERE + query)
    assert response.status_code == 200
    html = response.content.decode()
    return unescape(html[html.index("<main") : html.index("</main>")])


def words(html: str) -> str:
    """What is read, without markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<(svg|title|desc).*?</\1>", " ", html, flags=re.S)).split())


def sentence(html: str) -> str:
    return words(html[html.index("<h2>") : html.index("</h2>")])


def numbers(html: str) -> dict[str, tuple[str, str]]:
    """Of the four tiles: label -> count and address."""
    part = html[html.index('aria-label="Key numbers"') : html.index("</nav>")]
    found = re.findall(r'<a href="([^"]*)"[^>]*><b>([^<]*)</b><span[^>]*>(?:<svg.*?</svg>)?([^<]*)</span>', part)
    return {label: (count, href) for href, count, label in found}


def wants(html: str) -> list[str]:
    """The titles under Needs you."""
    if 'id="needs"' not in html:
        return []
    part = html[html.index('id="needs"') :]
    return re.findall(r'class="strong" href="[^"]*">([^<]*)<', part[: part.index("</section>")])


def declare(cast: Cast, site: str = "DFW01") -> Outage:
    start = clock.now() - timedelta(minutes=31)
    return actions.declare(cast.actor("mary"), cast.sites[site], "No power", "Hall A.", start, str(uuid.uuid4()))


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    return sign_in(client, cast.priya)


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """Of Northwind in Dallas: three protected, one bare."""
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "db-01", "app-01", "bare-01"])
    protect(cast, found[:3])
    return found


# ---- Calm ------------------------------------------------------------------------------------------------------------


def test_calm(cast: Cast, priya: Client, vms: list[VM]) -> None:
    html = look(priya)
    assert sentence(html) == "All sites are normal. No VM runs in live failover."
    assert "3 of 4 VMs are protected. Every one has a recovery point within its target." in words(html)
    assert [(label, count) for label, (count, _) in numbers(html).items()] == [
        ("VMs protected", "3 of 4"), ("behind their RPO target", "0"), ("tests overdue", "0"), ("live failovers", "0"),
    ]  # fmt: skip
    assert wants(html) == ["Only one person may request failovers", "3 VMs never tested", "1 VM is not protected"]
