"""Deciding in a real browser: acceptance points 23, 24, 25, 26, and of 34 and 38 the approval."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from accounts.models import Person
from ampdr import clock, work
from failover.actions import withdraw
from failover.models import Ticket
from inventory.actions import declare
from tests.cast import Cast, make_vms, protect, request, sign_in, states
from tests.stillness import seconds, stand_still_after_a_look
from tests.test_admin.desk import page as page_of
from tests.test_admin.desk import state
from tests.test_request_browser import tab_to

pytestmark = pytest.mark.django_db(transaction=True)
APPROVE = "Approve live failover of 3 VMs"


@pytest.fixture
def live(transactional_db: None, cast: Cast) -> Ticket:
    """Dallas has an outage, and Priya has requested a live failover of three VMs."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "db-01"])
    protect(cast, vms)
    since = clock.now() - timedelta(minutes=35)
    declare(cast.actor("mary"), cast.sites["DFW01"], "No power", "Hall A.", since, str(uuid.uuid4()))
    return request(cast, vms, "live")


def desk(browser: Browser, address: str, person: Person, **device: Any) -> Page:
    """A page of somebody who has just proved his second factor."""
    context = browser.new_context(**device)
    value = sign_in(Client(), person).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": address}])
    return context.new_page()


def test_one_click_approves_and_the_customers_page_follows(
    cast: Cast, live: Ticket, live_server: Any, browser: Browser
) -> None:
    """23; the page of the customer is not loaded again, and says it within five seconds of its own clock."""
    customer = desk(browser, live_server.url, cast.priya)
    customer.clock.install()
    customer.goto(f"{live_server.url}/northwind/failovers/{live.number}/")
    expect(customer.locator("h1")).to_contain_text("Waiting for Support")
    customer.evaluate("window.never_loaded_again = true")
    staff = desk(browser, live_server.url, cast.mary)
    staff.goto(f"{live_server.url}/admin/failover/ticket/")
    staff.get_by_role("link", name=live.number).click()
    stand_still_after_a_look(customer, "ticket")
    staff.get_by_role("button", name=APPROVE).click()
    expect(staff.get_by_text(f"{live.number} is approved")).to_be_visible()
    seconds(customer, 5)
    expect(customer.locator("#approval + .pill")).to_have_text("Approved")
    expect(customer.locator("h1")).not_to_contain_text("Waiting for Support")
    assert customer.evaluate("window.never_loaded_again")
    assert state(live) == "approved" and live.decision_reason.endswith("confirmed")
    for page in (customer, staff):
        page.context.close()


def test_who_requested_it_has_no_button(cast: Cast, live: Ticket, live_server: Any, browser: Browser) -> None:
    """24: somebody of Support who is a customer, too; a request that is sent all the same is refused."""
    Ticket.objects.filter(pk=live.pk).update(requested_by=cast.mary)
    staff = desk(browser, live_server.url, cast.mary)
    staff.goto(live_server.url + page_of(live))
    expect(staff.get_by_text("You requested it yourself").first).to_be_visible()
    assert staff.get_by_role("button", name="Approve").count() == 0
    token = staff.locator("input[name=csrfmiddlewaretoken]").first.get_attribute("value") or ""
    form: dict[str, str | float | bool] = {"csrfmiddlewaretoken": token, "decision": "approve", "reason": "Go"}
    sent = staff.request.post(live_server.url + page_of(live), form=form, headers={"Referer": live_server.url})
    assert sent.status == 403 and state(live) == "waiting"
    staff.context.close()


@pytest.mark.parametrize("script", [True, False])
def test_rejecting_needs_words_that_the_customer_reads(
    cast: Cast, live: Ticket, live_server: Any, browser: Browser, script: bool
) -> None:
    """25, and 38: with and without JavaScript. What is requested again keeps its entries."""
    staff = desk(browser, live_server.url, cast.mary, java_script_enabled=script)
    staff.goto(live_server.url + page_of(live))
    staff.get_by_role("button", name="Reject the request").click()
    expect(staff.get_by_role("alert")).to_contain_text("Say why")
    assert state(live) == "waiting"
    staff.get_by_label("In your own words").fill("Dallas is back in ten minutes")
    staff.get_by_role("button", name="Reject the request").click()
    expect(staff.get_by_text(f"{live.number} is rejected")).to_be_visible()
    work.drive()
    customer = desk(browser, live_server.url, cast.priya)
    customer.goto(f"{live_server.url}/northwind/failovers/{live.number}/")
    expect(customer.get_by_text("Dallas is back in ten minutes").first).to_be_visible()
    customer.get_by_role("link", name="Request again").click()
    expect(customer.get_by_role("radio", name="Live failover")).to_be_checked()
    expect(customer.get_by_text("3 chosen")).to_be_visible()
    customer.get_by_role("button", name="Check the request").click()
    expect(customer.locator("h1")).to_have_text("Request live failover of 3 VMs to PHX01?")
    expect(customer.get_by_label("Why now?")).to_have_value("Clinic sign-in is down")
    for page in (customer, staff):
        page.context.close()


def test_withdrawn_while_the_page_is_open(cast: Cast, live: Ticket, live_server: Any, browser: Browser) -> None:
    """26: the conflict page, and nothing runs."""
    staff = desk(browser, live_server.url, cast.mary)
    staff.goto(live_server.url + page_of(live))
    withdraw(cast.actor("priya"), live, "Dallas is back")
    staff.get_by_role("button", name=APPROVE).click()
    expect(staff.get_by_text("Priya Raman was first").first).to_be_visible()
    work.drive()
    assert state(live) == "withdrawn" and states(live) == ["dropped"] * 3
    staff.context.close()


def test_an_approval_by_keyboard_alone(cast: Cast, live: Ticket, live_server: Any, browser: Browser) -> None:
    """34: from the queue to the button, each step seen and in reading order; Enter in the reason decides nothing."""
    staff = desk(browser, live_server.url, cast.mary)
    staff.goto(f"{live_server.url}/admin/failover/ticket/")
    skip_link_comes_first(staff)
    tab_to(staff, staff.get_by_role("link", name=live.number))
    staff.keyboard.press("Enter")
    staff.wait_for_url("**/change/")
    skip_link_comes_first(staff)
    tab_to(staff, staff.locator("input[name=quick]:checked"))
    staff.keyboard.press("ArrowDown")
    tab_to(staff, staff.get_by_label("In your own words"))
    staff.keyboard.type("Called Priya")
    staff.keyboard.press("Enter")
    assert state(live) == "waiting"
    tab_to(staff, staff.get_by_role("button", name=APPROVE))
    staff.keyboard.press("Enter")
    expect(staff.get_by_text(f"{live.number} is approved")).to_be_visible()
    assert state(live) == "approved" and live.decision_reason.startswith("Agreed by phone: Called Priya")
    staff.context.close()


def skip_link_comes_first(page: Page) -> None:
    page.keyboard.press("Tab")
    assert "skip" in page.evaluate("document.activeElement.className")
