"""Points 15 to 17 of the design in a real browser; 16 with web, worker and driver as processes of their own."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ampdr import clock, work
from replication.actions import ask
from replication.models import Replication
from replication.providers.simulated import doubled
from tests.cast import Cast, make_vms
from tests.order_road import FAULTS, OrderRoad
from tests.portal import portal
from tests.test_acceptance import Look, enter
from tests.test_orders.asking import simulate
from tests.test_orders.reading import ordered
from tests.test_screens import LOOKS, faults

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


def test_questions_are_accessible_and_fit_in_every_width(
    transactional_db: None,
    cast: Cast,
    live_server: Any,
    page: Page,
    context: BrowserContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One with answers to press, one with a field to write in, late besides; and the pages on which Support asks."""
    simulate(monkeypatch, time_scale=1)
    order = ordered(cast, *make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "n" * 110]))
    work.drive()
    lines, mary = Replication.objects.all(), cast.actor("mary")
    talk = ask(mary, lines.filter(vm__name="web-01"), "Which tier?", "question-key-1", ("Fast", "w" * 120))
    ask(mary, lines.filter(vm__name="web-02"), "l" * 400, "question-key-2")
    with clock.ahead(timedelta(hours=49)):
        work.drive()
        enter(context, live_server.url, cast.priya)
        seen = Look(page, live_server.url)
        found = []
        for path in (f"northwind/replication/orders/{order.number}/", f"northwind/tickets/{talk.number}/"):
            found += [f"{path}: {fault}" for fault in faults(seen.at(path), LOOKS)]
            seen.complaints.clear()  # axe itself writes styles into the page
        enter(context, live_server.url, cast.mary)
        path = f"admin/replication/order/{order.pk}/change/"
        found += [f"{path}: {fault}" for fault in faults(seen.at(path), LOOKS)]
        seen.complaints.clear()
        for action in ("ask", "settle"):
            seen.at(f"admin/replication/replication/?q={order.number}").get_by_role("checkbox").nth(1).check()
            page.locator("select[name=action]").select_option(action)
            page.get_by_role("button", name="Go", exact=True).click()
            expect(page.get_by_role("heading", name="1 VM")).to_be_visible()
            found += [f"{action}: {fault}" for fault in faults(page, LOOKS[::2])]
            seen.complaints.clear()
    assert not found, "\n".join(["", *found])
