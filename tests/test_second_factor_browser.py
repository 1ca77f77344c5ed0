"""The fresh second factor in a real browser: acceptance points 18, 21 (but for the outage's banner), 23 and 38."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from accounts.models import Person
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request
from tests.codes import LABEL, give_factor, recovery_codes, signed_in_long_ago

pytestmark = pytest.mark.django_db(transaction=True)
SITE = "Type the recovery site code, PHX01"


@pytest.fixture
def web(transactional_db: None, cast: Cast) -> VM:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    return vms[0]


def page_of(browser: Browser, address: str, person: Person, **device: Any) -> Page:
    """A page of somebody who signed in a while ago."""
    context = browser.new_context(**device)
    value = signed_in_long_ago(Client(), give_factor(person)).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": address}])
    return context.new_page()


@pytest.mark.parametrize("script", [True, False])
def test_a_live_request_on_a_phone(cast: Cast, web: VM, live_server: Any, browser: Browser, script: bool) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "java_script_enabled": script}
    page = page_of(browser, live_server.url, cast.priya, **phone)
    code = next(recovery_codes(cast.priya))
    page.goto(f"{live_server.url}/northwind/failovers/new/confirm/?kind=live&vm={web.uuid}")
    send = page.get_by_role("button", name="Request live failover of 1 VM")
    page.get_by_label("Why now?").fill("Down")
    page.get_by_label(SITE).fill("DFW01")
    page.get_by_label(LABEL).fill("000000")
    send.click()
    expect(page.get_by_label(LABEL)).to_have_value("000000")
    expect(page.get_by_label(LABEL)).to_have_attribute("aria-invalid", "true")
    page.get_by_label(LABEL).fill(code)
    send.click()
    expect(page.get_by_text("DFW01 is where they run now").first).to_be_visible()
    assert not Ticket.objects.exists() and not page.get_by_label(LABEL).count(), "the right code is not lost"
    page.get_by_label(SITE).fill(" phx01 ")  # pasted, in small letters
    send.click()
    page.wait_for_url("**/failovers/FO-*/")
    expect(page.locator("h1")).to_contain_text("Waiting for Support")
    assert Ticket.objects.get().kind == "live"
    page.context.close()


def test_support_approves_and_the_open_page_follows(cast: Cast, web: VM, live_server: Any, browser: Browser) -> None:
    ticket = request(cast, [web], "live")
    customer = page_of(browser, live_server.url, cast.priya)
    customer.goto(f"{live_server.url}/northwind/failovers/{ticket.number}/")
    staff = page_of(browser, live_server.url, cast.mary)
    staff.goto(f"{live_server.url}/admin/failover/ticket/{ticket.pk}/change/")
    staff.get_by_text("Outage confirmed", exact=True).click()
    staff.get_by_label(LABEL).fill(next(recovery_codes(cast.mary)))
    staff.get_by_label(LABEL).press("Enter")
    staff.wait_for_timeout(500)
    ticket.refresh_from_db()
    assert ticket.state == "waiting", "Enter decides nothing"
    staff.get_by_role("button", name="Approve live failover of 1 VM").click()
    expect(customer.get_by_text("Approver's second factor")).to_be_visible(timeout=30_000)
    ticket.refresh_from_db()
    assert ticket.state == "approved"
    for page in (customer, staff):
        page.context.close()
