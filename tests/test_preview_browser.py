"""The preview of a request in a real browser, clause by clause: acceptance points 18 to 20 of the design."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from accounts.models import Membership
from ampdr import clock, work
from failover.actions import Wish, request_failover
from failover.models import Ticket
from inventory.actions import close, declare
from inventory.models import VM, Outage, VpnGateway, VpnMember
from replication.models import RecoveryPoint
from tests.cast import Cast, make_vms, protect, say_yes
from tests.test_acceptance import enter
from tests.test_request.pages import link

pytestmark = pytest.mark.django_db(transaction=True)
SITE = "Type the recovery site code, PHX01"
TICKET = re.compile(r"/northwind/failovers/FO-\d+/$")
FACTS = ["Virtual machines", "From → to", "Recovery point", "Data you may lose", "Expected time to running", "Access"]
NORMAL, THERE, TEST, NEVER, BEHIND, PROFILE = WARNINGS = (
    "Dallas (DFW01) reports normal.", "Phoenix (PHX01) has an outage itself", "A test is running.", "Never tested:",
    "RPO behind:", "No SSL/VPN profile:",
)  # fmt: skip


@pytest.fixture
def web(transactional_db: None, cast: Cast) -> list[VM]:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, vms)
    return vms


@pytest.fixture
def page(live_server: Any, context: BrowserContext, cast: Cast) -> Iterator[Page]:
    """Of Priya, whose second factor is fresh."""
    context.set_default_timeout(60_000)
    enter(context, live_server.url, cast.priya)
    yield context.new_page()


class Preview:
    """The second step of a request of these VMs."""

    def __init__(self, page: Page, url: str, vms: list[VM]) -> None:
        self.page, self.url, self.vms = page, url, vms

    def open(self, kind: str = "live", **other: Any) -> None:
        self.page.goto(f"{self.url}/northwind/failovers/new/confirm/?{link(self.vms, kind=kind, **other)}")

    def send(self, words: str = "Request live failover of") -> None:
        self.page.get_by_role("button", name=words).click()

    def fact(self, name: str) -> Locator:
        lines = self.page.get_by_label("Summary").locator("dl > div")
        return lines.filter(has=self.page.locator("dt", has_text=name)).locator("dd")

    def warned(self, kind: str = "live") -> set[str]:
        """What it warns of before a request of this kind is sent, by the words in bold."""
        self.open(kind)
        notes = self.page.locator("main .cols > .stack .note.warn b")
        return {words for words in WARNINGS if notes.filter(has_text=words).count()}


# ---- Point 18 --------------------------------------------------------------------------------------------------------


def test_point_18_the_button_only_says_what_is_wrong_until_the_code_is_right(
    web: list[VM], live_server: Any, page: Page
) -> None:
    preview = Preview(page, live_server.url, web[:1])
    preview.open()
    field = page.get_by_label(SITE)
    for typed in ("", "PHX0", "PHX011", "DFW01"):
        field.fill(typed)
        page.get_by_label("Why now?").fill("phx01")
        preview.send()
        expect(field).to_have_attribute("aria-invalid", "true")
        beside = page.locator(".field", has=field).locator(".err")
        expect(beside).to_contain_text("PHX01")
        assert (beside.get_attribute("id") or "-") in (field.get_attribute("aria-describedby") or "")
        expect(field).to_have_value(typed)
        assert not Ticket.objects.exists(), typed
    page.get_by_label("Why now?").press("ControlOrMeta+A")
    page.keyboard.press("ControlOrMeta+C")
    field.press("ControlOrMeta+A")
    page.keyboard.press("ControlOrMeta+V")
    expect(field).to_have_value("phx01")
    preview.send()
    page.wait_for_url(TICKET)
    assert Ticket.objects.get().kind == "live"


def test_point_18_a_test_has_no_code(web: list[VM], live_server: Any, page: Page) -> None:
    preview = Preview(page, live_server.url, web[:1])
    preview.open("test")
    expect(page.get_by_role("button", name="Request test failover of 1 VM")).to_be_visible()
    assert page.get_by_label(re.compile("site code|Code from")).count() == 0
    preview.send("Request test failover of")
    page.wait_for_url(TICKET)
    assert Ticket.objects.get().kind == "test"


# ---- Point 19 --------------------------------------------------------------------------------------------------------


def minutes(words: str) -> int:
    """Of "Up to 2 h 5 min"."""
    found = re.match(r"Up to (?:(\d+) d ?)?(?:(\d+) h ?)?(?:(\d+) min)?", words)
    assert found and any(found.groups()), words
    days, hours, rest = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + rest


def loss_is_the_points_age(preview: Preview) -> int:
    """All six facts say something; the minutes that may be lost are the age of the point that is named, +-1."""
    assert preview.page.get_by_label("Summary").locator("dt").all_inner_texts() == FACTS
    for name in FACTS:
        expect(preview.fact(name)).to_contain_text(re.compile(r"\w"))
    named = preview.fact("Recovery point").locator("time[datetime]").first.get_attribute("datetime")
    age = (clock.now() - datetime.fromisoformat(named or "")) / timedelta(minutes=1)
    lost = minutes(preview.fact("Data you may lose").inner_text())
    assert abs(lost - age) <= 1, (lost, age)
    return lost


def test_point_19_six_facts_and_the_loss_is_the_age_of_the_chosen_point(
    web: list[VM], live_server: Any, page: Page
) -> None:
    point = RecoveryPoint.objects.filter(replication__vm=web[0]).latest("at")
    old, older = (clock.now() - timedelta(minutes=age) for age in (125, 400))
    for at in (old, older):
        RecoveryPoint.objects.create(replication_id=point.replication_id, at=at)
    VM.objects.update(newest_point_at=clock.now() - timedelta(minutes=7, seconds=20))
    preview = Preview(page, live_server.url, web[:1])
    preview.open()
    assert loss_is_the_points_age(preview) in (7, 8)
    for at, age in ((old, 125), (older, 400)):
        preview.fact("Recovery point").get_by_role("link", name="Change").click()
        choice = page.locator(f'input[value="{at.isoformat()}"]')
        if not choice.is_visible():
            page.get_by_text("Choose another point").click()
        choice.check()
        page.get_by_role("button", name="Check the request").click()
        page.wait_for_url("**/confirm/**")
        assert age <= loss_is_the_points_age(preview) <= age + 5


# ---- Point 20 --------------------------------------------------------------------------------------------------------


def outage(cast: Cast, site: str) -> Outage:
    return declare(cast.actor("mary"), cast.sites[site], "Power feed lost", "We look.", clock.now(), str(uuid.uuid4()))


def over(cast: Cast, found: Outage) -> None:
    close(cast.actor("mary"), found, "It is over.", clock.now(), str(uuid.uuid4()))


def test_point_20_each_of_the_six_warnings_exactly_when_it_is_true(
    cast: Cast, web: list[VM], live_server: Any, page: Page
) -> None:
    """Each comes with its cause and goes with it; all six at once in the end."""
    gateway = VpnGateway.objects.create(site=cast.sites["PHX01"], recovery=True, host="phx01-recovery.vpn.example")
    mine = {"membership": Membership.objects.get(person=cast.priya), "gateway": gateway}
    VpnMember.objects.create(**mine)
    fine = {"newest_point_at": clock.now() + timedelta(minutes=5), "last_test_at": clock.now()}
    VM.objects.update(**fine)
    preview, first = Preview(page, live_server.url, web), VM.objects.filter(pk=web[0].pk)

    assert preview.warned() == {NORMAL} and preview.warned("test") == set()
    here = outage(cast, "DFW01")
    assert preview.warned() == set()
    first.update(last_test_at=None)
    assert preview.warned() == {NEVER}
    first.update(last_test_at=clock.now(), newest_point_at=clock.now() - timedelta(minutes=17))
    assert preview.warned() == {BEHIND}
    first.update(**fine)
    VpnMember.objects.all().delete()
    assert preview.warned() == {PROFILE}
    VpnMember.objects.create(**mine)
    there = outage(cast, "PHX01")
    assert preview.warned() == {THERE}
    over(cast, there)
    assert preview.warned() == set()
    say_yes(cast, request_failover(cast.actor("priya"), Wish("test", [web[2].uuid]), "a-test-of-web-03"))
    work.drive()
    VM.objects.update(**fine)
    assert preview.warned() == {TEST}

    over(cast, here)
    outage(cast, "PHX01")
    VpnMember.objects.all().delete()
    first.update(last_test_at=None, newest_point_at=clock.now() - timedelta(minutes=17))
    assert preview.warned() == set(WARNINGS)
