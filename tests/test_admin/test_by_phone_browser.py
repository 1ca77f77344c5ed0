"""Filing by phone in a real browser, on a phone and on a screen, light and dark, without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group
from playwright.sync_api import Browser

from accounts.actions import LEAD
from failover.models import Ticket
from tests.cast import Cast, make_vms, protect
from tests.test_admin.test_deciding_browser import desk

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1440, "light")])
def test_a_call_becomes_a_ticket(
    transactional_db: None, cast: Cast, live_server: Any, browser: Browser, width: int, theme: Any
) -> None:
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "db-01"]))
    cast.tom.groups.add(Group.objects.get(name=LEAD))
    page = desk(browser, live_server.url, cast.tom, viewport={"width": width, "height": 900}, color_scheme=theme)
    page.goto(f"{live_server.url}/admin/failover/ticket/phone/?account=northwind")
    page.get_by_label("Priya Raman").check()
    page.get_by_label("Called back at").fill("+1 555 0142")
    page.get_by_label("Live failover").check()
    page.get_by_label("All of this site").check()
    page.get_by_label("Why, in the caller's words").fill("The clinic can't sign in")
    for button in ("Check the request", "File live failover of 3 VMs for Priya Raman"):
        assert Axe().run(page).violations_count == 0, button
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if button.startswith("File"):
            page.get_by_label("Site code").fill("phx01")
        page.get_by_role("button", name=button).click()
    assert "is filed for Priya Raman" in page.inner_text("body")
    assert Ticket.objects.get().filed_by == cast.tom
    page.context.close()
