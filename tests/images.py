"""`make images`: the pictures of the documentation, taken by clicking through a real portal.

    python -m tests.images [road] [screens] [night] [order]

`road`: README's. `screens`: those that nothing has to happen for. `night`: failovers and outages. `order`: an order on
its way to Protected.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import launch_options
from tests.gallery import gallery
from tests.night import Night
from tests.order_road import FAULTS, OrderRoad
from tests.portal import portal
from tests.walk import Walk

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"


def photograph(page: Page, name: str) -> None:
    """The page's first screen: what a reader needs, and small."""
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=str(IMAGES / f"{name}.png"))
    print(name, flush=True)


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    wanted = [part for part in PARTS if part.__name__ in sys.argv[1:] or not sys.argv[1:]]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        for part in wanted:
            part(browser)
        browser.close()


def road(browser: Browser) -> None:
    with portal() as running:
        Walk(running.address, browser, photograph, 1280, 860).road()


def screens(browser: Browser) -> None:
    with portal() as running:
        gallery(browser, running.address)


def night(browser: Browser) -> None:
    with portal(SWEEP_SECONDS="1") as running:
        Night(running.address, browser, lambda page, name: None).road()  # it takes its own


def order(browser: Browser) -> None:
    faults = FAULTS["pictures"]
    with portal(SIMULATION_FAULTS=faults, SIMULATION_TIME_SCALE="3600", SWEEP_SECONDS="1") as running:
        OrderRoad(running.address, browser, photograph, 1280, 1120).road()


PARTS = (road, screens, night, order)


if __name__ == "__main__":
    main()
