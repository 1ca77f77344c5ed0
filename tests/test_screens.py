"""Every page of the permission table in a real browser: accessible, at home in every width, quiet under the policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.contrib.auth.models import Group
from playwright.sync_api import BrowserContext, Page

from accounts.actions import SUPPORT
from tests.cast import Cast
from tests.test_acceptance import Look, enter
from tests.test_permissions import ROWS, Row, address
from tests.things import Things, furnish

WIDTHS = (320, 390, 768, 820, 1100, 1440)
LOOKS = [(1440, "light"), (1440, "dark"), (390, "dark"), (390, "light")]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
# No pages for people.
PLAIN = (
    "api", "healthz", "readyz", "activity-csv", "failover-csv", "failover-json", "vpn-profile", "admin:jsi18n",
    "admin:autocomplete",
)  # fmt: skip


@pytest.fixture
def things(transactional_db: None, cast: Cast) -> Things:
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    return furnish(cast, cast.northwind, "priya")


def pages(who: str) -> list[Row]:
    """The lines of the table that show this person a page of his own."""
    return [
        row for row in ROWS
        if row.method == "GET" and row.cells[who].startswith("200") and not row.route.startswith(PLAIN)
    ]  # fmt: skip


def path_of(row: Row, things: Things) -> str:
    said = "" if row.sent == "-" else row.sent.format(**asdict(things))
    place, mark, query = said.partition("?")
    return address(row, place, "northwind").lstrip("/") + mark + query


def faults(page: Page, looks: Sequence[tuple[int, str]]) -> Iterator[str]:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
            yield f"{width} px: the page is {wide} px wide"
    page.evaluate(AXE_SCRIPT)
    for width, theme in looks:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        for found in page.evaluate("options => axe.run(document, options)", WCAG)["violations"]:
            where = "; ".join(node["html"][:120] for node in found["nodes"][:3])
            yield f"{width} px, {theme}: {found['id']}: {where}"


@pytest.mark.parametrize("who", ["priya", "mary"])
def test_every_page_is_accessible_and_fits(
    things: Things, cast: Cast, live_server: Any, page: Page, context: BrowserContext, who: str
) -> None:
    """Acceptance points 1 to 4, in light and dark, on a screen and on a phone."""
    enter(context, live_server.url, getattr(cast, who))
    look = Look(page, live_server.url)
    found, looks = [], LOOKS if who == "priya" else LOOKS[::2]  # of admin's, one of each
    for path in paths(who, things):
        found += [f"{path}: {fault}" for fault in faults(look.at(path), looks)]
        look.complaints.clear()  # axe itself writes styles into the page
    assert not found, "\n".join(["", *found])


def paths(who: str, things: Things) -> list[str]:
    return list(dict.fromkeys(path_of(row, things) for row in pages(who)))
