"""`make images` also takes the screens of failovers and outages, each in four looks (docs/screens-of-failovers.md).

One night, clicked through: a running test, an outage that Support declares, a live failover, its end, the outage's end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from playwright.sync_api import Page, expect

from tests.gallery import montage
from tests.walk import MARY, PRIYA, TOM, Walk, prove, sign_in

OURS = ("app-01", "app-02", "web-03")
SITE, BACK = "DFW01", "PHX01"
TALL = 1500  # px of each screen: the six facts, the timeline and the first lines


@dataclass
class Night(Walk):
    """Priya's browser, and two of Support's."""

    pages: dict[str, Page] = field(default_factory=dict)

    def road(self) -> None:
        for name, start, person in (("priya", "", PRIYA), ("mary", "admin/", MARY), ("tom", "admin/", TOM)):
            self.pages[name] = page = self.person().new_page()
            page.goto(f"{self.address}/{start}")
            sign_in(page, *person)
        self.calm()
        self.declared()
        number = self.asked()
        self.running(number)
        self.over(number)

    @property
    def priya(self) -> Page:
        return self.pages["priya"]

    @property
    def mary(self) -> Page:
        return self.pages["mary"]

    def shoot(self, name: str, path: str = "", again: bool = True) -> None:
        montage(self.priya, f"{self.address}/northwind/{path}" if again else "", name, TALL)

    def desk(self, name: str, path: str = "") -> None:
        montage(self.mary, f"{self.address}/admin/{path}" if path else self.mary.url, name, TALL)

    def number_of(self, path: str) -> str:
        """The failover of the first row there."""
        self.go(self.priya, path)
        found = re.search(r"FO-\d+", self.priya.locator("main tbody").inner_text())
        assert found, path
        return found[0]

    def calm(self) -> None:
        test, ended = (
            self.number_of("failovers/?state=running"),
            self.number_of("failovers/?state=terminated&kind=live"),
        )
        for name, path in {
            "overview": "", "vms": "vms/", "vm": "vms/app-01/", "vm-test": "vms/billing-01/test/",
            "failovers": "failovers/", "failover-test": f"failovers/{test}/", "failover-ended": f"failovers/{ended}/",
            "failover-extend": f"failovers/{test}/extend/", "terminate-test": f"failovers/{test}/terminate/",
            "failover-test-new": "failovers/new/?kind=test&vm=app-01",
        }.items():  # fmt: skip
            self.shoot(name, path)

    def declared(self) -> None:
        page = self.mary
        page.goto(f"{self.address}/admin/inventory/outage/add/")
        page.get_by_label("Site").select_option(label=page.locator("select option", has_text=SITE).first.inner_text())
        page.get_by_label("Title").fill("Hall A has no power")
        page.get_by_label("What is known").fill("Compute in DFW01 is down. Electricians are on site.")
        montage(page, "", "admin-outage-new", TALL)
        page.get_by_role("button", name="Declare").click()
        expect(page.get_by_text("is declared")).to_be_visible()
        self.desk("admin-outage")
        self.shoot("overview-outage")
        self.shoot("fim-outage", "security/fim/")
        with self.priya.expect_navigation():
            self.priya.get_by_role("link", name="What we know").click()
        self.shoot("outage", self.priya.url.partition("/northwind/")[2])
        self.shoot("failover-live-new", f"failovers/new/?kind=live&site={SITE}")
        self.shoot("failover-live-confirm", f"failovers/new/confirm/?kind=live&site={SITE}")

    def asked(self) -> str:
        page = self.priya
        self.go(page, f"vms/?site={SITE}&sort=name")
        for name in OURS:
            page.get_by_label(f"Select {name}", exact=True).check()
        page.get_by_role("button", name="Request failover of").click()
        page.get_by_role("radio", name="Live failover").check()
        page.get_by_role("button", name="Check the request").click()
        page.get_by_label("Type the recovery site code").fill("PHX")
        page.get_by_role("button", name="Request live failover of 3 VMs").click()
        self.shoot("failover-refused", again=False)
        page.get_by_label("Why now?").fill("Hall A in Dallas has no power.")
        page.get_by_label("Type the recovery site code").fill(BACK)
        prove(page, PRIYA[0])
        page.get_by_role("button", name="Request live failover of 3 VMs").click()
        page.wait_for_url("**/failovers/FO-*/")
        number = page.url.rstrip("/").rpartition("/")[2]
        self.shoot("failover-waiting", f"failovers/{number}/")
        self.desk("admin-queue", "failover/ticket/")
        self.mary.get_by_role("link", name=number).first.click()
        prove(self.mary, MARY[0])
        montage(self.mary, "", "admin-approve", TALL)
        return number

    def running(self, number: str) -> None:
        self.mary.get_by_role("button", name="Approve ").click()
        self.until(self.priya, number, "Running, please confirm")
        for name, path in {
            "failover-live": f"failovers/{number}/", "vms-live": "vms/", "fim-live": "security/fim/",
            "malware-live": "security/malware/", "patching-live": "security/patching/", "vm-live": "vms/app-01/",
            "vpn-live": "vpn/", "overview-live": "", "terminate-live": f"failovers/{number}/terminate/",
        }.items():  # fmt: skip
            self.shoot(name, path)
        self.by_phone()

    def by_phone(self) -> None:
        """A Support lead files what somebody on the list asks for on the phone."""
        page = self.pages["tom"]
        page.goto(f"{self.address}/admin/failover/ticket/phone/")
        account = page.get_by_role("link", name="Northwind Health")
        if account.count():
            account.first.click()
        montage(page, "", "admin-phone", TALL)

    def over(self, number: str) -> None:
        page = self.mary
        page.goto(f"{self.address}/admin/inventory/outage/")
        page.locator("#result_list tbody a").first.click()
        page.get_by_label("Last words").fill("Hall A has power again.")
        page.get_by_role("button", name="Close N-").click()
        expect(page.get_by_text("Over", exact=True).first).to_be_visible()
        self.shoot("overview-over")
        self.terminate(self.priya, page, number)
        self.shoot("failover-terminated", f"failovers/{number}/")
        self.shoot("vms-back", "vms/")

    def terminate(self, page: Page, staff: Page, number: str) -> None:
        self.go(page, f"failovers/{number}/terminate/")
        page.get_by_label("Why now?").fill("Hall A has power again.")
        page.get_by_label("Type the code of the primary site").fill(SITE)
        prove(page, PRIYA[0])
        page.get_by_role("button", name="Request termination of").click()
        page.wait_for_url("**/failovers/FO-*/")
        end = page.url.rstrip("/").rpartition("/")[2]
        self.shoot("termination-waiting", f"failovers/{end}/")
        self.approve(staff, end, "termination", "Agreed by phone")
        self.until(page, number, "Terminated")
