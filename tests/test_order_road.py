"""Points 15 to 17 of the design in a real browser; 16 with web, worker and driver as processes of their own."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ampdr import clock, work
from replication.providers.simulated import doubled
from tests.cast import Cast, make_vms
from tests.order_road import FAULTS, OrderRoad
from tests.portal import portal
from tests.test_acceptance import Look, enter
from tests.test_orders.asking import simulate
from tests.test_orders.reading import ordered

PACE: dict[str, Any] = {
    "SIMULATION_TIME_SCALE": "14400",  # a first sync takes 5 to 11 s
    "SIMULATION_FAULTS": FAULTS["test"], "SWEEP_SECONDS": "1", "LEASE_SECONDS": "5",
}  # fmt: skip


def look(page: Page, name: str) -> None:
    assert page.locator("h1").count() == 1 and "Traceback" not in page.content(), name
    if name in ("order-1-ordered", "order-2-first-sync", "order-3-needs-you", "order-5-protected"):
        bar_tells_the_truth(page)


def bar_tells_the_truth(page: Page) -> None:
    """Steps, elapsed time, on whom each VM waits, and a bar that equals the words beneath it, in one look."""
    seen = page.evaluate(
        """() => {
            const bar = document.querySelector("progress.big")
            return {
                steps: [...document.querySelectorAll("ol.steps b")].map(one => one.firstChild.textContent),
                bar: [bar.value, bar.max], words: bar.nextElementSibling.textContent,
                waiting: [...document.querySelectorAll("tbody tr")].map(row => row.lastElementChild.textContent.trim()),
            }
        }"""
    )
    assert seen["steps"] == ["Ordered", "Accepted", "Provisioning", "First sync", "Protected"]
    counted = re.match(r"\s*(\d+) of (\d+) ready", seen["words"])
    assert counted and [int(n) for n in counted.groups()] == seen["bar"]
    assert "of up to 48 h" in seen["words"] or seen["bar"][0] == seen["bar"][1]
    assert all(re.fullmatch(r"Automatic|Support( · T-\d+)?|You: answer T-\d+|—", one) for one in seen["waiting"])


def test_an_open_page_follows_the_order_from_ordered_to_protected(browser: Browser) -> None:
    """A VM that was refused waits for Support and another for the customer, who answers on the page."""
    with portal(**PACE) as running:
        OrderRoad(running.address, browser, look).road()
        assert doubled(running.env["SIMULATION_LEDGER"]) == []
        assert "The record holds" in running.manage("verify_activity")


def test_after_48_hours_what_is_not_ready_is_later_than_promised(
    transactional_db: None,
    cast: Cast,
    live_server: Any,
    page: Page,
    context: BrowserContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulate(monkeypatch, time_scale=1)
    order = ordered(cast, *make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"]))
    work.drive()
    enter(context, live_server.url, cast.priya)
    seen = Look(page, live_server.url)
    path = f"northwind/replication/orders/{order.number}/"
    bar_tells_the_truth(seen.at(path))
    assert page.get_by_text("Later than promised").count() == 0
    with clock.ahead(timedelta(hours=48, minutes=1)):
        work.drive()
        seen.at(path)
        for name in ("web-01", "web-02"):
            expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("Later than promised")
        expect(seen.at("northwind/vms/").get_by_role("row").filter(has_text="web-01")).to_contain_text(
            "Later than promised"
        )
