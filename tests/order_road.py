"""An order from Ordered to Protected, clicked in a real browser: one VM waits for the customer, one has failed.

What `make images` photographs and `tests/test_order_road.py` looks at.
"""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, expect

from tests.walk import MARY, PATIENCE, PRIYA, Walk, sign_in

ASKED, FAILED = "build-03", "build-05"
OTHERS = ("build-01", "build-02", "build-04", "build-06")
NAMES = sorted((ASKED, FAILED, *OTHERS))
REFUSED_FIRST = {"fault": "refuse", "kind": "protect", "times": 3}
# In the pictures the VM that is asked about is in its first sync still; in a test, which nothing may hurry, it failed.
FAULTS = {
    "pictures": json.dumps([{"fault": "slow", "kind": "protect", "vm": ASKED}, REFUSED_FIRST | {"vm": FAILED}]),
    "test": json.dumps([REFUSED_FIRST | {"vm": ASKED}, REFUSED_FIRST | {"vm": FAILED}]),
}
ADMIN = "admin/replication/replication/"


class OrderRoad(Walk):
    """Priya's page of the order stays open and is never loaded anew until she answers."""

    def road(self) -> None:
        page, staff = self.person().new_page(), self.person().new_page()
        page.goto(self.address)
        sign_in(page, *PRIYA)
        staff.goto(f"{self.address}/admin/")
        sign_in(staff, *MARY)
        number = self.place(page)
        self.watch(page)
        self.ask(staff, number)
        expect(page.get_by_role("heading", name=f"Support asks about {ASKED}")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("main")).to_contain_text(f"{len(OTHERS)} of {len(NAMES)} ready", timeout=3 * PATIENCE)
        self.see(page, "order-3-needs-you")
        assert page.evaluate("window.opened") == number, "the page was loaded anew"
        self.answer(page)
        self.go_on(staff, number)
        expect(page.locator("main")).to_contain_text(f"{len(NAMES)} of {len(NAMES)} ready", timeout=4 * PATIENCE)
        self.see(page, "order-5-protected")

    def place(self, page: Page) -> str:
        self.go(page, "vms/?q=build")
        for name in NAMES:
            page.get_by_label(f"Select {name}", exact=True).check()
        page.get_by_role("button", name="Order replication of").click()
        page.get_by_role("button", name=f"Order replication of {len(NAMES)} VMs").click()
        page.wait_for_url("**/orders/RO-*/")
        number = page.url.rstrip("/").rpartition("/")[2]
        page.evaluate("number => { window.opened = number }", number)
        self.see(page, "order-1-ordered")
        return number

    def watch(self, page: Page) -> None:
        """What workers do shows on the open page."""
        expect(page.locator("main table")).to_contain_text(re.compile(r"\d+ of \d+ GB"), timeout=PATIENCE)
        self.see(page, "order-2-first-sync")
        row = page.get_by_role("row").filter(has_text=FAILED)
        expect(row).to_contain_text("Failed while provisioning", timeout=2 * PATIENCE)
        row = page.get_by_role("row").filter(has_text=ASKED)
        expect(row).to_contain_text(re.compile("First sync|Failed while provisioning"), timeout=2 * PATIENCE)

    def choose(self, staff: Page, number: str, name: str, action: str) -> None:
        staff.goto(f"{self.address}/{ADMIN}?q={number}")
        staff.get_by_role("row").filter(has_text=name).get_by_role("checkbox").check()
        staff.locator("select[name=action]").select_option(action)
        staff.get_by_role("button", name="Go", exact=True).click()

    def ask(self, staff: Page, number: str) -> None:
        self.choose(staff, number, ASKED, "ask")
        staff.get_by_label("Question").fill("Its 400 GB hardly change. On which disk tier shall the copy lie?")
        staff.get_by_label("Answers to choose from").fill("Standard tier\nFast tier")
        self.see(staff, "order-ask")
        staff.get_by_role("button", name="Ask", exact=True).click()
        expect(staff.locator(".messagelist")).to_contain_text("is sent to Northwind Health")

    def answer(self, page: Page) -> None:
        page.get_by_role("button", name="Fast tier", exact=True).click()
        expect(page.get_by_text("Your answer was sent to Support")).to_be_visible()
        self.see(page, "order-4-answered")
        expect(page.get_by_role("row").filter(has_text=ASKED)).to_contain_text("Support · T-")

    def go_on(self, staff: Page, number: str) -> None:
        for name, action, said in ((ASKED, "set_going", "set going again"), (FAILED, "retry", "tried again")):
            self.choose(staff, number, name, action)
            expect(staff.locator(".messagelist")).to_contain_text(f"1 replication is {said}.")
