"""`make images`: the pictures of the documentation, taken by clicking through a real portal. `--screens`: only those of
the single screens, which nothing has to happen for. `--order`: only those of an order on its way to Protected."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser import launch_options
from tests.gallery import gallery
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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        if "--order" not in sys.argv:
            with portal() as running:
                if "--screens" not in sys.argv:
                    Walk(running.address, browser, photograph, 1280, 860).road()
                gallery(browser, running.address)
        if "--screens" not in sys.argv:
            with portal(
                SIMULATION_FAULTS=FAULTS["pictures"], SIMULATION_TIME_SCALE="3600", SWEEP_SECONDS="1"
            ) as running:
                OrderRoad(running.address, browser, photograph, 1280, 1120).road()
        browser.close()


if __name__ == "__main__":
    main()
