"""Overview in a real browser, calm and in an outage: accessible, at home in every width, alive without a reload."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ampdr import clock, work
from inventory import actions
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, say_yes
from tests.test_acceptance import Look, enter
from tests.test_screens import LOOKS, faults


@pytest.fixture
def vms(transactional_db: None, cast: Cast) -> list[VM]:
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "db-01", "app-01", "bare-01"])
    protect(cast, found[:3])
    return found


def test_calm_then_an_outage(cast: Cast, vms: list[VM], live_server: Any, page: Page, context: BrowserContext) -> None:
    enter(context, live_server.url, cast.priya)
    look = Look(page, live_server.url)
    look.at("northwind/")
    state = page.get_by_role("region", name="State now")
    expect(state.get_by_role("heading")).to_have_text("All sites are normal. No VM runs in live failover.")
    expect(page.get_by_role("img", name="Protection over 30 days")).to_be_visible()
    found = [f"calm, {fault}" for fault in faults(page, LOOKS)]

    say_yes(cast, request(cast, vms[:1], "live"))
    work.drive()
    waiting = request(cast, vms[1:2], "live", key="second-key")
    began = clock.now()
    actions.declare(cast.actor("mary"), cast.sites["DFW01"], "No power", "Hall A.", began, str(uuid.uuid4()))
    expect(state.get_by_role("heading")).to_have_text("Dallas is down. 1 VM waits for your decision.")
    expect(page.get_by_role("img", name="Of 3 VMs")).to_be_visible()
    expect(page.get_by_role("region", name="Running and waiting").first.get_by_text(waiting.number)).to_be_visible()
    look.complaints.clear()  # axe itself writes styles into the page
    look.at("northwind/")
    found += [f"outage, {fault}" for fault in faults(page, LOOKS)]
    assert not found, "\n".join(["", *found])

    page.get_by_role("link", name="Request live failover of 1 VM").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("failover")
    expect(page.locator("main")).to_contain_text("app-01")
