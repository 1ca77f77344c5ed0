"""The whole road, clicked in a real browser: what `make images` photographs and what the browser tests look at."""

from __future__ import annotations

import base64
import hmac
import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Browser, BrowserContext, Page, expect

from ampdr.run import DEMO_WORLD

PRIYA = ("priya.raman@northwind.example", "northwind demo 2026")
MARY = ("mary.osei@support.example", "support demo 2026")
TOM = ("tom.ueda@support.example", "support demo 2026")
PATIENCE = 60_000  # ms: the simulated provider takes its time, and so does a busy machine

expect.set_options(timeout=PATIENCE)
See = Callable[[Page, str], None]


@dataclass
class Walk:
    """A customer and somebody of Support, each with a browser of their own. `see` is called on every screen."""

    address: str
    browser: Browser
    see: See
    width: int = 1440
    height: int = 1000

    def road(self) -> None:
        customer, support = self.person(), self.person()
        page = customer.new_page()
        page.goto(self.address)
        self.see(page, "01-sign-in")
        sign_in(page, *PRIYA)
        staff = support.new_page()
        staff.goto(f"{self.address}/admin/")
        sign_in(staff, *MARY)
        self.order(page, "build-01", "build-02", "build-03")
        self.test(page, staff)
        self.live(page, staff)

    def person(self) -> BrowserContext:
        context = self.browser.new_context(
            viewport={"width": self.width, "height": self.height}, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE)
        return context

    def go(self, page: Page, path: str) -> None:
        page.goto(f"{self.address}/northwind/{path}")

    # ---- Replication ------------------------------------------------------------------------------------------------

    def order(self, page: Page, *names: str) -> None:
        self.go(page, "vms/?q=build")
        for name in names:
            page.get_by_label(f"Select {name}", exact=True).check()
        self.see(page, "02-virtual-machines")
        page.get_by_role("button", name="Order replication of").click()
        self.see(page, "03-order-preview")
        page.get_by_role("button", name=f"Order replication of {len(names)} VMs").click()
        expect(page.locator("table").get_by_text("First sync").first).to_be_visible()
        self.see(page, "04-order")
        expect(page.get_by_text(f"{len(names)} of {len(names)} ready").first).to_be_visible(timeout=3 * PATIENCE)
        self.see(page, "05-order-ready")

    # ---- Failovers --------------------------------------------------------------------------------------------------

    def test(self, page: Page, staff: Page) -> None:
        number = self.request(page, "test", "build-01")
        self.approve(staff, number, "test", "Agreed by phone")
        self.until(page, number, "Running")
        self.see(page, "11-test-running")
        self.go(page, "vms/?q=build")
        self.see(page, "12-virtual-machines-test")

    def live(self, page: Page, staff: Page) -> None:
        number = self.request(page, "live", "build-02", "build-03")
        self.approve(staff, number, "live", "Agreed by phone")
        self.until(page, number, "Running, please confirm")
        self.see(page, "09-live-running")
        self.go(page, "security/fim/?q=build")
        self.see(page, "10-fim-live")
        self.go(page, "vms/?q=build")
        self.see(page, "13-virtual-machines-live")
        self.terminate(page, staff, number)

    def request(self, page: Page, kind: str, *names: str) -> str:
        self.go(page, "vms/?q=build")
        for name in names:
            page.get_by_label(f"Select {name}", exact=True).check()
        page.get_by_role("button", name="Request failover of").click()
        page.get_by_role("radio", name="Live failover" if kind == "live" else "Test failover").check()
        self.see(page, f"14-{kind}-request")
        page.get_by_role("button", name="Check the request").click()
        if kind == "live":
            page.get_by_label("Why now?").fill("The build farm's storage is failing.")
            page.get_by_label("Type the recovery site code").fill("dfw01")
            prove(page, PRIYA[0])
        self.see(page, f"06-{kind}-preview")
        count = "1 VM" if len(names) == 1 else f"{len(names)} VMs"
        page.get_by_role("button", name=f"Request {kind} failover of {count}").click()
        page.wait_for_url("**/failovers/FO-*/")
        self.see(page, f"07-{kind}-waiting")
        return page.url.rstrip("/").split("/")[-1]

    def approve(self, staff: Page, number: str, what: str, reason: str) -> None:
        staff.goto(f"{self.address}/admin/failover/ticket/")
        self.see(staff, "15-queue")
        staff.get_by_role("link", name=number).first.click()
        staff.get_by_text(reason, exact=True).click()
        prove(staff, MARY[0])
        self.see(staff, "08-approval" if what == "live" else f"16-approval-{what}")
        staff.get_by_role("button", name="Approve ").click()

    def until(self, page: Page, number: str, word: str) -> None:
        """The customer's open page follows by itself."""
        if number not in page.url:
            self.go(page, f"failovers/{number}/")
        expect(page.locator("h1").get_by_text(word, exact=True)).to_be_visible(timeout=2 * PATIENCE)

    def terminate(self, page: Page, staff: Page, number: str) -> None:
        self.go(page, f"failovers/{number}/")
        page.get_by_role("link", name="Request termination").first.click()
        page.get_by_label("Why now?").fill("The new storage is in place.")
        page.get_by_label("Type the code of the primary site").fill("phx01")
        prove(page, PRIYA[0])
        self.see(page, "17-termination-preview")
        page.get_by_role("button", name="Request termination of").click()
        page.wait_for_url("**/failovers/FO-*/")
        end = page.url.rstrip("/").split("/")[-1]
        self.approve(staff, end, "termination", "Agreed by phone")
        self.until(page, number, "Terminated")
        self.see(page, "18-live-terminated")
        self.go(page, "vms/?q=build")
        self.see(page, "19-virtual-machines-back")


def sign_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: not url.partition("?")[0].endswith("/sign-in/"))
    if "/sign-in/" in page.url:
        page.locator("input[autocomplete=one-time-code]").fill(APPS[email].code())
        page.locator("main form:has(input[autocomplete=one-time-code]) button").click()
        page.wait_for_url(lambda url: "sign-in" not in url)


# ---- The second factor -----------------------------------------------------------------------------------------------


def prove(page: Page, email: str) -> None:
    """Types the code where the page asks for one: nothing was proved within the last five minutes."""
    field = page.get_by_label("Code from your authenticator app")
    if field.count():
        field.fill(APPS[email].code())


@dataclass
class App:
    """A person's authenticator app, by the demonstration's secret (RFC 6238). It shows no code twice."""

    secret: str
    shown: int = 0

    def code(self) -> str:
        while (period := int(time.time()) // 30) == self.shown or time.time() % 30 > 26:
            time.sleep(0.5)
        self.shown = period
        digest = hmac.digest(base64.b32decode(self.secret), struct.pack(">Q", period), "sha1")
        at = digest[-1] & 15
        return f"{(int.from_bytes(digest[at : at + 4]) & 0x7FFFFFFF) % 1_000_000:06}"


def apps() -> dict[str, App]:
    world = json.loads(DEMO_WORLD.read_text())
    people = world["staff"] + [person for account in world["accounts"] for person in account["people"]]
    return {person["email"]: App(person["totp_secret"]) for person in people if "totp_secret" in person}


APPS = apps()
