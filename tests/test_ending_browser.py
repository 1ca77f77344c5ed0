"""How a failover ends, in a real browser: acceptance points 31 and 32 of the design."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ampdr import clock, work
from failover.actions import Wish, request_failover
from failover.models import Failover, Ticket
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, say_yes, states
from tests.test_acceptance import LIVE, PRIMARY, TEST, Look, enter
from tests.test_admin.test_deciding_browser import desk

pytestmark = pytest.mark.django_db(transaction=True)
CODE = "Type the code of the primary site"


@pytest.fixture
def web(transactional_db: None, cast: Cast) -> list[VM]:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"])
    protect(cast, vms)
    return vms


@pytest.fixture
def look(live_server: Any, context: BrowserContext, cast: Cast) -> Iterator[Look]:
    context.set_default_timeout(60_000)
    enter(context, live_server.url, cast.priya)
    yield Look(context.new_page(), live_server.url)


def approved(staff: Page, address: str, number: str) -> None:
    """By Support, in admin."""
    staff.goto(f"{address}/admin/failover/ticket/")
    staff.get_by_role("link", name=number).first.click()
    staff.get_by_text("Agreed by phone", exact=True).click()
    staff.get_by_role("button", name="Approve termination").click()
    expect(staff.get_by_text(f"{number} is approved")).to_be_visible()


def test_point_31_a_live_failover_is_terminated_by_code_and_approval(
    cast: Cast, web: list[VM], look: Look, browser: Browser
) -> None:
    live = request(cast, web, LIVE)
    say_yes(cast, live)
    work.drive()
    page = look.at(f"northwind/failovers/{live.number}/")
    page.get_by_role("link", name="Request termination").first.click()
    warning = page.get_by_role("region", name=re.compile("will be deleted"))
    expect(warning).to_contain_text("not copied back to DFW01")
    for typed in ("", "PHX01"):
        page.get_by_label("Why now?").fill("Dallas is back")
        page.get_by_label(CODE).fill(typed)
        page.get_by_role("button", name="Request termination of 2 VMs").click()
        expect(page.get_by_label(CODE)).to_have_attribute("aria-invalid", "true")
        assert not Ticket.objects.filter(kind="terminate").exists(), typed
    look.complaints.clear()  # of the two answers of 400
    page.get_by_label(CODE).fill("dfw01")
    page.get_by_role("button", name="Request termination of 2 VMs").click()
    page.wait_for_url(re.compile(r"/failovers/FO-\d+/"))
    end = Ticket.objects.get(kind="terminate")
    work.drive()
    assert (end.state, states(live)) == ("waiting", ["running"] * 2), "not before Support's approval"
    assert look.rows("northwind/vms/") == [("web-01", LIVE), ("web-02", LIVE)]
    staff = desk(browser, look.address, cast.mary)
    approved(staff, look.address, end.number)
    staff.context.close()
    work.drive()
    assert states(live) == ["terminated"] * 2
    assert look.rows("northwind/vms/") == [("web-01", PRIMARY), ("web-02", PRIMARY)]
    expect(page.get_by_text("Back in DFW01 since").first).to_be_visible()


def test_point_32_a_test_ends_on_its_end_date_and_is_reminded_of(cast: Cast, web: list[VM], look: Look) -> None:
    """By a set clock: time left in the row, the reminder a day before among the Notifications, and its end."""
    ends_at = clock.now() + timedelta(days=3)
    ticket = request_failover(cast.actor("priya"), Wish("test", [web[0].uuid], ends_at=ends_at), "a-test-of-web-01")
    say_yes(cast, ticket)
    work.drive()
    both = [("web-01", PRIMARY), ("web-01 - Test", TEST), ("web-02", PRIMARY)]
    reminder = look.page.locator("main").get_by_text(re.compile(f"The test {ticket.number} in PHX01 ends on"))
    assert look.rows("northwind/vms/") == both
    left(look.page, "2 d 23 h")
    with clock.ahead(ends_at - timedelta(hours=24, minutes=2) - clock.now()):
        work.drive()
        look.at("northwind/notifications/")
        assert reminder.count() == 0
    with clock.ahead(ends_at - timedelta(hours=23, minutes=50) - clock.now()):
        work.drive()
        look.at("northwind/notifications/")
        expect(reminder.first).to_be_visible()
        assert look.rows("northwind/vms/") == both
        left(look.page, "23 h")
    assert states(ticket) == ["running"]
    with clock.ahead(ends_at + timedelta(seconds=1) - clock.now()):
        work.drive()
        assert look.rows("northwind/vms/") == [("web-01", PRIMARY), ("web-02", PRIMARY)]
        expect(look.at(f"northwind/failovers/{ticket.number}/").locator("h1")).to_contain_text("Terminated")
    assert set(Failover.objects.values_list("state", flat=True)) == {"terminated"}
    assert not Ticket.objects.filter(kind="terminate").exists(), "nobody requested it"


def left(page: Page, words: str) -> None:
    row = page.locator("main table tbody tr").filter(has_text="web-01 - Test")
    expect(row).to_contain_text(re.compile(f"ends in {words}"))
