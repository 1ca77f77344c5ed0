"""A page whose own clock stands still until a test lets it go on: what it does within so many seconds is counted by
this clock, however slow the machine is."""

from __future__ import annotations

from playwright.sync_api import Page

LISTEN = """part => document.body.addEventListener("htmx:beforeRequest", event => {
    if (event.detail.elt.id === part) window.looks = (window.looks ?? 0) + 1 })"""
AHEAD = 120  # s; further than the slowest machine gets between two of these lines


def stand_still_after_a_look(page: Page, part: str) -> None:
    """Leaves the page (opened after `page.clock.install()`) right after this part has looked for news: the worst
    moment for news to come."""
    page.evaluate(LISTEN, part)
    page.clock.pause_at(page.evaluate("Date.now() / 1000") + AHEAD)
    page.evaluate("window.looks = 0")
    for _ in range(400):
        page.clock.run_for(100)
        if page.evaluate("window.looks"):
            return
    raise AssertionError(f"{part} doesn't look for news in 40 s")


def seconds(page: Page, number: int) -> None:
    """Lets so many seconds of the page's clock go by."""
    page.clock.run_for(number * 1000)
