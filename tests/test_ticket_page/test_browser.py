"""The ticket's page in a real browser: it goes on by itself, says when it doesn't, keeps what is typed, and prints."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from failover.actions import record_result, request_extension
from failover.models import Ticket
from inventory.models import VM
from notices.actions import write
from notices.models import Conversation
from tests.cast import Cast, make_vms, protect, request, say_yes
from tests.test_acceptance import enter
from tests.test_ticket_page.seen import run

PRINTED = "main h1, main .facts, main table[role=table] thead, main .tl"
HIDDEN = ".side, .top, main form, main button, main .btn, .foot"


@pytest.fixture
def three(transactional_db: None, cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "cache-01"])
    protect(cast, made)
    return made


def opened(page: Page, context: BrowserContext, cast: Cast, url: str, ticket: Ticket) -> None:
    enter(context, url, cast.priya)
    page.goto(f"{url}/northwind/failovers/{ticket}/")


def test_an_open_page_says_approved_without_a_reload(
    three: list[VM], cast: Cast, live_server: Any, page: Page, context: BrowserContext
) -> None:
    """Points 23 and 36: it looks every 3 s; the state is spoken once, and not by each look."""
    ticket = request(cast, three, "live")
    opened(page, context, cast, live_server.url, ticket)
    expect(page.locator("h1 .pill")).to_have_text("Waiting for Support")
    page.evaluate("""() => {
        window.same = true; window.spoken = [];
        const say = document.querySelector("#ticket [role=status]");
        new MutationObserver(() => window.spoken.push(say.textContent))
            .observe(say, {childList: true, characterData: true, subtree: true});
    }""")
    assert page.locator("#ticket").get_attribute("hx-trigger") == "tick from:body throttle:2s"
    for _ in range(2):
        with page.expect_response(re.compile(rf"/failovers/{ticket}/\?"), timeout=60_000):
            pass
    assert page.evaluate("window.spoken") == []
    say_yes(cast, ticket)
    expect(page.locator("h1 .pill")).to_have_text("Failing over")
    expect(page.locator("#approval + .pill")).to_have_text("Approved")
    assert page.evaluate("window.same") is True
    assert page.evaluate("window.spoken") == [f"{ticket} is now Failing over"]
    expect(page).to_have_title(re.compile(r"^\(Failing over\) "))


def test_it_says_that_it_is_not_updating_and_comes_back(
    three: list[VM], cast: Cast, live_server: Any, page: Page, context: BrowserContext
) -> None:
    """Point 37: the server doesn't answer; then it does."""
    ticket = request(cast, three[:1], "live")
    opened(page, context, cast, live_server.url, ticket)
    label = page.locator("#ticket [data-live]")
    expect(label).to_contain_text("Live · updated")
    page.route("**/*", lambda route: route.abort())
    expect(label).to_contain_text("Not updating since")
    expect(label.locator("a")).to_be_visible()
    page.unroute("**/*")
    expect(label).to_contain_text("Live · updated")


def test_a_half_told_result_survives_other_peoples_news(
    three: list[VM], cast: Cast, live_server: Any, page: Page, context: BrowserContext
) -> None:
    ticket = run(cast, three[:1], "test")
    opened(page, context, cast, live_server.url, ticket)
    page.get_by_label("Passed with remarks").check()
    page.get_by_label("What was checked").press_sequentially("Sign-in is sl")
    write(cast.actor("mary"), Conversation.objects.get(number=ticket.number), "How does it go?", "news-of-mary")
    expect(page.get_by_text("How does it go?")).to_be_visible()
    expect(page.get_by_label("Passed with remarks")).to_be_checked()
    expect(page.get_by_label("What was checked")).to_have_value("Sign-in is sl")
    page.get_by_role("button", name="Confirm the result").click()
    expect(page.get_by_role("heading", name="How the test went")).to_be_visible()


@pytest.mark.parametrize("kind", ["live", "test"])
def test_it_prints_on_three_pages_without_menu_forms_or_buttons(
    three: list[VM], cast: Cast, live_server: Any, page: Page, context: BrowserContext, kind: str
) -> None:
    """Point 41, from a dark screen; of a test with all that can be on its page."""
    ticket = run(cast, three, kind)
    if kind == "test":
        later = (ticket.ends_at or ticket.requested_at) + timedelta(days=1)
        request_extension(cast.actor("priya"), ticket, later, "One more clinic", "extend-key-1")
        ticket.refresh_from_db()
        record_result(cast.actor("priya"), ticket, "remarks", "Sign-in is slow. " * 10)
    page.emulate_media(color_scheme="dark")
    opened(page, context, cast, live_server.url, ticket)
    sheet = page.pdf(format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", sheet)) <= 3
    page.emulate_media(media="print", color_scheme="dark")
    for shown in page.locator(PRINTED).all():
        expect(shown).to_be_visible()
    assert [one for one in page.locator(HIDDEN).all() if one.is_visible()] == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('main td')).color") == "rgb(17, 25, 39)"
    assert page.evaluate("getComputedStyle(document.querySelector('main thead')).display") == "table-header-group"
