"""Acceptance points 29 and 30 in a real browser: an outage comes to open pages by itself, and so does its end."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from ampdr import work
from failover.models import Failover
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, say_yes
from tests.stillness import seconds, stand_still_after_a_look
from tests.test_acceptance import Look, enter
from tests.test_outages_strips import declare, over

PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture
def vms(transactional_db: None, cast: Cast) -> list[VM]:
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    make_vms(cast.contoso, cast.sites["PHX01"], ["theirs-01"])
    protect(cast, found)
    return found


@pytest.fixture
def look(live_server: Any, page: Page, context: BrowserContext, cast: Cast) -> Look:
    enter(context, live_server.url, cast.priya)
    page.set_viewport_size(PHONE)
    return Look(page, live_server.url)


def test_an_outage_comes_to_an_open_page_within_ten_seconds(cast: Cast, vms: list[VM], look: Look) -> None:
    """Point 29, by the page's own clock."""
    look.page.clock.install()
    page = look.at("northwind/vms/")
    banner = page.get_by_role("region", name="Outage in Dallas (DFW01)")
    expect(page.locator("#strips")).to_be_attached()
    assert banner.count() == 0
    page.evaluate("window.opened = 'before'")
    stand_still_after_a_look(page, "strips")
    declare(cast)
    seconds(page, 10)
    expect(banner).to_contain_text("3 of your VMs are affected")  # by its own looking again
    assert page.evaluate("window.opened") == "before", "the page was not loaded anew"
    expect(page.locator("#strips").get_by_role("status")).to_have_text("Outage in Dallas (DFW01).")


def test_an_outage_stands_on_every_page_of_the_menu_and_leads_to_a_request(
    cast: Cast, vms: list[VM], look: Look
) -> None:
    """Point 29."""
    declare(cast)
    page = look.at("northwind/vms/")
    banner = page.get_by_role("region", name="Outage in Dallas (DFW01)")
    menu = page.locator("#side a.nav").evaluate_all("all => all.map(one => one.pathname)")
    assert len(menu) > 12, menu
    for path in (*menu, "/northwind/tickets/new/", "/northwind/vms/web-01/"):
        look.at(path[1:])
        expect(banner).to_contain_text("Outage in Dallas (DFW01) since")
        expect(banner.locator("time[data-age]")).to_have_text(re.compile(r"^3\d min$"))
        assert banner.get_by_role("button").count() == 0, "nothing closes it"
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        if path not in ("/northwind/", "/northwind/failovers/"):  # there it is one line: the page itself tells more
            expect(banner).to_contain_text("3 of your VMs are affected")
            expect(banner).to_contain_text("Nothing fails over by itself.")
    banner.get_by_role("link", name="What we know").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("in Dallas (DFW01)")
    expect(banner.get_by_role("link", name="Request live failover")).to_have_count(0)
    page.get_by_role("link", name="Request live failover of 3 VMs").click()
    expect(page.get_by_role("radio", name="Live failover")).to_be_checked()
    for vm in vms:
        expect(page.get_by_text(vm.name, exact=True).first).to_be_visible()


def test_an_account_without_vms_there_sees_none(
    cast: Cast, vms: list[VM], live_server: Any, page: Page, context: BrowserContext
) -> None:
    declare(cast)
    enter(context, live_server.url, cast.olga)
    Look(page, live_server.url).at("contoso/vms/")
    assert page.locator(".banner").count() == 0


def test_its_end_says_what_still_runs_elsewhere_and_ends_nothing(cast: Cast, vms: list[VM], look: Look) -> None:
    """Point 30."""
    outage, ticket = declare(cast), request(cast, vms, "live")
    say_yes(cast, ticket)
    work.drive()
    page = look.at("northwind/vms/")
    expect(page.get_by_role("region", name="Outage in Dallas (DFW01)")).to_contain_text("3 run in PHX01 already")
    over(cast, outage)
    work.drive()
    back = page.get_by_role("region", name="Dallas (DFW01) is back")
    expect(back).to_contain_text("Nothing ends by itself: your 3 VMs still run in PHX01.")
    assert set(Failover.objects.values_list("state", flat=True)) == {"running"}
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    back.get_by_role("link", name="Request termination").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Request termination of live failover {ticket.number}?")
