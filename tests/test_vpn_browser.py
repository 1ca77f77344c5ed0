"""SSL/VPN in a real browser: the site, the computer and the files in a few taps on a phone, with script and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.models import Membership
from inventory.models import VpnClient, VpnGateway, VpnMember
from tests.cast import Cast, make_vms
from tests.test_acceptance import Look, enter

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def gateway(transactional_db: None, cast: Cast) -> VpnGateway:
    """Of PHX01-Recovery, with clients; app-01 is in Dallas."""
    make_vms(cast.northwind, cast.sites["DFW01"], ["app-01"])
    made: dict[bool, VpnGateway] = {}
    for recovery, site in ((False, "DFW01"), (True, "PHX01")):
        made[recovery] = VpnGateway.objects.create(
            site=cast.sites[site], recovery=recovery, host=f"{site.lower()}.vpn.example"
        )
        for system in VpnClient.System.values:
            url = f"https://downloads.example/{site}/{system}.zip"
            VpnClient.objects.create(gateway=made[recovery], system=system, name="Connect", download_url=url)
    return made[True]


def take(page: Page, folder: Path) -> str:
    """What the profile file holds, as the browser saves it."""
    with page.expect_download(timeout=60_000) as saved:
        page.get_by_role("link", name="Profile file").click()
    assert saved.value.suggested_filename == "northwind-PHX01-Recovery.conf"
    saved.value.save_as(folder / "profile")
    return (folder / "profile").read_text()


def choose(page: Page, address: str) -> None:
    page.goto(f"{address}/northwind/vpn/")
    page.get_by_role("link", name="PHX01-Recovery").first.click()
    expect(page.get_by_text("You don't have the profile PHX01-Recovery.")).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="macOS").click()
    download = page.get_by_role("link", name="Download PHX01-Recovery for macOS")
    expect(download).to_have_attribute("href", "https://downloads.example/PHX01/macos.zip", timeout=60_000)
    assert "site=PHX01-Recovery" in page.url and "os=macos" in page.url


def test_from_the_site_to_the_profile_on_a_phone(
    gateway: VpnGateway, cast: Cast, live_server: Any, page: Page, context: BrowserContext, tmp_path: Path
) -> None:
    """Two taps choose; the page stays where it is; a third lets oneself in, a fourth takes the file."""
    enter(context, live_server.url, cast.oscar)
    look = Look(page, live_server.url)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    choose(page, live_server.url)
    page.evaluate("window.same = true")
    page.get_by_role("link", name="Windows").click()
    expect(page.get_by_role("link", name="Download PHX01-Recovery for Windows")).to_be_visible(timeout=60_000)
    assert page.evaluate("window.same")
    page.get_by_role("button", name="Give me PHX01-Recovery").click()
    expect(page.get_by_text("You have the profile PHX01-Recovery.")).to_be_visible(timeout=60_000)
    assert "host = phx01.vpn.example" in take(page, tmp_path)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert not look.complaints


def test_without_script(gateway: VpnGateway, cast: Cast, live_server: Any, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)  # type: ignore[arg-type]
    try:
        enter(context, live_server.url, cast.oscar)
        page = context.new_page()
        choose(page, live_server.url)
        VpnMember.objects.create(membership=Membership.objects.get(person=cast.oscar), gateway=gateway)
        page.reload()
        assert "user = oscar@example.com" in take(page, tmp_path)
    finally:
        context.close()
