"""A request in a real browser: acceptance points 14, 18 to 22, 34 and 38 of the design, from the banner to FO-n."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from ampdr import clock
from failover.models import Failover, Ticket
from inventory.actions import close, declare
from inventory.models import VM
from replication.actions import stop_replication
from replication.models import RecoveryPoint
from tests.cast import Cast, make_vms, protect
from tests.codes import LABEL, give_factor, recovery_codes, signed_in_long_ago
from tests.test_acceptance import enter
from tests.test_request.pages import link

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 60_000  # ms
SITE = "Type the recovery site code, PHX01"
TICKET = re.compile(r"/northwind/failovers/FO-\d+/$")
SEND = re.compile("^Request live failover of")
RINGED = """() => { const ring = one => { const s = getComputedStyle(one);
    return s.outlineStyle != "none" && parseFloat(s.outlineWidth) > 0 || s.boxShadow != "none" };
    const here = document.activeElement, seen = here.closest(".radio") || here, box = here.getBoundingClientRect();
    // the parts of a field for a moment are the browser's own, and so are their rings
    return (ring(here) || ring(seen) || here.type == "datetime-local") && box.bottom > 0 && box.top < innerHeight }"""
FOLLOWS = """() => { const before = window.before, here = document.activeElement; window.before = here;
    return !before || before == here || !!(before.compareDocumentPosition(here) & Node.DOCUMENT_POSITION_FOLLOWING) }"""


@pytest.fixture
def web(transactional_db: None, cast: Cast) -> list[VM]:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, vms)
    return vms


@pytest.fixture
def page(live_server: Any, context: BrowserContext, cast: Cast) -> Iterator[Page]:
    """Of Priya, whose second factor is fresh."""
    context.set_default_timeout(PATIENCE)
    enter(context, live_server.url, cast.priya)
    yield context.new_page()


def outage(cast: Cast, site: str = "DFW01") -> Any:
    return declare(cast.actor("mary"), cast.sites[site], "Power feed lost", "We look.", clock.now(), str(uuid.uuid4()))


def check(live_server: Any, vms: list[VM], **other: Any) -> str:
    return f"{live_server.url}/northwind/failovers/new/confirm/?{link(vms, **other)}"


# ---- At 3 a.m. -------------------------------------------------------------------------------------------------------


class Thumb:
    """Taps, and counts them; what is typed goes where the last tap led."""

    def __init__(self, page: Page) -> None:
        self.page, self.taps = page, 0

    def on(self, target: Locator) -> None:
        target.tap()
        self.taps += 1

    def types(self, text: str) -> None:
        self.page.keyboard.type(text)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_point_21_from_the_banner_to_a_sent_request_in_six_taps(
    cast: Cast, web: list[VM], live_server: Any, browser: Browser, script: bool
) -> None:
    outage(cast)
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, java_script_enabled=script)
    context.set_default_timeout(PATIENCE)
    signed_in = signed_in_long_ago(Client(), give_factor(cast.priya)).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": signed_in, "url": live_server.url}])
    page = context.new_page()
    page.goto(f"{live_server.url}/northwind/vms/")
    thumb = Thumb(page)
    banner = page.get_by_role("region", name="Outage in Dallas (DFW01)")
    thumb.on(banner.get_by_role("link", name="Request live failover"))
    expect(page.get_by_text("3 chosen")).to_be_visible()
    expect(page.get_by_label("Live failover")).to_be_checked()
    thumb.on(page.get_by_role("button", name="Check the request"))
    expect(page.locator("h1")).to_have_text("Request live failover of 3 VMs to PHX01?")
    thumb.on(page.get_by_label("Why now?"))
    thumb.types("Clinic sign-in is down")
    thumb.on(page.get_by_label(SITE))
    thumb.types("phx01")
    thumb.on(page.get_by_label(LABEL))
    thumb.types(next(recovery_codes(cast.priya)))
    thumb.on(page.get_by_role("button", name="Request live failover of 3 VMs"))
    page.wait_for_url(TICKET)
    assert thumb.taps <= 6
    expect(page.locator("h1")).to_contain_text("Waiting for Support")
    expect(page.get_by_text("+1 555 0100").first).to_be_visible()
    assert Ticket.objects.get().vm_count == 3
    context.close()


def tab_to(page: Page, target: Locator) -> None:
    """By Tab alone; on the way every focus is seen, and follows the reading order."""
    page.evaluate("window.before = null")
    for _ in range(90):
        page.keyboard.press("Tab")
        assert page.evaluate(RINGED), page.evaluate("document.activeElement.outerHTML")
        assert page.evaluate(FOLLOWS), page.evaluate("document.activeElement.outerHTML")
        if target.evaluate("one => one == document.activeElement"):
            return
    raise AssertionError(f"Tab never comes to {target}")


def test_point_34_the_whole_live_request_by_keyboard(cast: Cast, web: list[VM], live_server: Any, page: Page) -> None:
    page.goto(f"{live_server.url}/northwind/failovers/")
    page.keyboard.press("Tab")
    assert "skip" in page.evaluate("document.activeElement.className"), "the skip link comes first"
    tab_to(page, page.locator("main").get_by_role("link", name="Request failover").first)
    page.keyboard.press("Enter")
    page.wait_for_url("**/failovers/new/")
    tab_to(page, page.get_by_label("Test failover"))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Live failover")).to_be_checked()
    tab_to(page, page.get_by_label("web-02"))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name="Check the request"))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Request live failover of 1 VM to PHX01?")
    tab_to(page, page.get_by_label("Why now?"))
    page.keyboard.type("Clinic sign-in is down")
    tab_to(page, page.get_by_label(SITE))
    page.keyboard.type("dfw01")
    tab_to(page, page.get_by_role("button", name=SEND))
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_focused()  # what is wrong is heard first, then Tab goes on from there
    tab_to(page, page.get_by_label(SITE))
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("phx01")
    page.keyboard.press("Enter")
    page.wait_for_url(TICKET)
    assert Failover.objects.get().vm.name == "web-02"


# ---- The preview -----------------------------------------------------------------------------------------------------


def test_points_18_to_20_the_facts_follow_the_choice(cast: Cast, web: list[VM], live_server: Any, page: Page) -> None:
    point = RecoveryPoint.objects.filter(replication__vm=web[0]).latest("at")
    old = clock.now() - timedelta(hours=2, minutes=5)
    RecoveryPoint.objects.create(replication_id=point.replication_id, at=old)
    VM.objects.update(newest_point_at=clock.now() - timedelta(minutes=7))
    page.goto(check(live_server, web[:1], kind="live"))
    facts = page.get_by_label("Summary")
    assert facts.locator("dt").all_inner_texts() == [
        "Virtual machines", "From → to", "Recovery point", "Data you may lose", "Expected time to running", "Access",
    ]  # fmt: skip
    expect(facts).to_contain_text(re.compile("Up to [78] min"))
    expect(page.get_by_text("Dallas (DFW01) reports normal.")).to_be_visible()
    facts.get_by_role("link", name="Change").last.click()
    page.get_by_text("Choose another point").click()
    page.locator(f'input[value="{old.isoformat()}"]').check()
    found = outage(cast)
    page.get_by_role("button", name="Check the request").click()
    expect(facts).to_contain_text(re.compile("Up to 2 h [5-9] min"))
    expect(page.get_by_text("Dallas (DFW01) reports normal.")).to_be_hidden()
    close(cast.actor("mary"), found, "It is over.", clock.now(), str(uuid.uuid4()))
    page.goto(check(live_server, web[:1], kind="test"))
    expect(page.get_by_role("button", name="Request test failover of 1 VM")).to_be_visible()
    assert not page.get_by_label(SITE).count()


# ---- Twice, and too late ---------------------------------------------------------------------------------------------


def test_points_14_and_22_a_double_click_reload_and_back(
    cast: Cast, web: list[VM], live_server: Any, page: Page
) -> None:
    page.goto(f"{live_server.url}/northwind/failovers/new/?{link(web[:2], kind='live')}")
    page.get_by_role("button", name="Check the request").click()
    page.get_by_label("Why now?").fill("Clinic sign-in is down")
    page.get_by_label(SITE).fill("PHX01")
    page.get_by_role("button", name=SEND).dblclick()
    page.wait_for_url(TICKET)
    there = page.url
    page.reload()
    assert page.url == there
    page.go_back()
    page.wait_for_url(TICKET)
    assert page.url == there and Ticket.objects.count() == 1


def test_an_answer_that_is_lost_on_its_way_leads_to_the_same_ticket(
    cast: Cast, web: list[VM], live_server: Any, page: Page
) -> None:
    page.goto(f"{live_server.url}/northwind/failovers/new/?{link(web[:2], kind='live')}")
    page.get_by_role("button", name="Check the request").click()
    page.get_by_label("Why now?").fill("Clinic sign-in is down")
    page.get_by_label(SITE).fill("PHX01")
    asked = page.url

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch(max_redirects=0)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/confirm/", lose)
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name=SEND).click(no_wait_after=True)
    page.unroute("**/confirm/")
    page.goto(asked)
    page.wait_for_url(TICKET)
    assert Ticket.objects.count() == 1


def test_a_vm_that_lost_its_protection_meanwhile_is_told_and_the_words_are_kept(
    cast: Cast, web: list[VM], live_server: Any, page: Page
) -> None:
    page.goto(check(live_server, web, kind="live"))
    page.get_by_label("Why now?").fill("Clinic sign-in is down")
    page.get_by_label(SITE).fill("phx01")
    stop_replication(cast.actor("priya"), [web[1].uuid])
    page.get_by_role("button", name=SEND).click()
    expect(page.get_by_role("alert")).to_contain_text("Left out below: web-02.")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Why now?")).to_have_value("Clinic sign-in is down")
    expect(page.get_by_label(SITE)).to_have_value("phx01")
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Request live failover of 2 VMs").click()
    page.wait_for_url(TICKET)
    assert set(Failover.objects.values_list("vm__name", flat=True)) == {"web-01", "web-03"}
