"""The whole road through the real doors: a customer's and a supporter's browser, real web, worker and driver.

Sign in, order, Protected, a test, a live failover, its end, back. Before the live one is approved the broker is
killed: from then on the driver alone carries it.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from replication.providers.simulated import doubled
from tests.portal import Portal, portal
from tests.test_acceptance import LIVE, PRIMARY, TEST, kind_of
from tests.walk import Walk

PACE: dict[str, Any] = {
    "SIMULATION_TIME_SCALE": "14400",  # a first sync takes 5 to 11 s
    "SIMULATION_FAILOVER_TIME_SCALE": "240",  # a start 2 to 3 s
    "SWEEP_SECONDS": "1", "LEASE_SECONDS": "5",
}  # fmt: skip
OURS = ("build-01", "build-02", "build-03")
TESTED = [("build-01", PRIMARY), ("build-01 - Test", TEST)]
ROWS = {
    "02-virtual-machines": [("build-01", PRIMARY), ("build-02", PRIMARY), ("build-03", PRIMARY)],
    "12-virtual-machines-test": [*TESTED, ("build-02", PRIMARY), ("build-03", PRIMARY)],
    "10-fim-live": [("build-02", LIVE), ("build-03", LIVE), *TESTED],
    "13-virtual-machines-live": [("build-02", LIVE), ("build-03", LIVE), *TESTED],
    "19-virtual-machines-back": [*TESTED, ("build-02", PRIMARY), ("build-03", PRIMARY)],
}


class Witness:
    """Looks at every screen of the walk: the rows of the lists, and how long the road took."""

    def __init__(self, running: Portal) -> None:
        self.running, self.seen, self.begun = running, dict[str, float](), time.monotonic()

    def see(self, page: Page, name: str) -> None:
        self.seen[name] = time.monotonic() - self.begun
        assert page.locator("h1").count() == 1 and "Traceback" not in page.content(), name
        if name in ROWS:
            lines = page.locator("main table tbody tr").all()
            shown = [(line.locator(".nm a, .nm b").first.inner_text(), kind_of(line)) for line in lines]
            assert [row for row in shown if row[0].startswith(OURS)] == ROWS[name]
        if name == "08-approval":
            self.running.valkey.kill()


def test_the_whole_road(browser: Browser, capsys: pytest.CaptureFixture[str]) -> None:
    with portal(**PACE) as running:
        witness = Witness(running)
        Walk(running.address, browser, witness.see).road()
        assert set(ROWS) <= set(witness.seen) and witness.seen.keys() >= {"05-order-ready", "18-live-terminated"}
        assert {name for name, process in running.processes.items() if process.poll() is not None} == set()
        assert doubled(running.env["SIMULATION_LEDGER"]) == []
        assert "The record holds" in running.manage("verify_activity")
        with capsys.disabled():
            ready, back = witness.seen["05-order-ready"], witness.seen["18-live-terminated"]
            print(f"\nThe whole road: protected after {ready:.0f} s, and back, without a broker, after {back:.0f} s")
