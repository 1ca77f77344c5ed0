"""Acceptance points 1, 2 and 6 to 11 of the design, in a real browser, in every state of rule 11's table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page

from ampdr import work
from failover.actions import give_up, request_termination
from failover.models import Failover
from failover.screens.security import PARTS
from inventory.models import VM
from tests.cast import Cast, drive_to, make_vms, protect, refuse, request, say_yes, sign_in

LISTS = ("northwind/vms/", *(f"northwind/security/{part.name}/" for part in PARTS))
BARE = """() => [...document.querySelectorAll("main .pill")].filter(
    one => one.querySelectorAll("svg").length != 1 || !one.innerText.trim()).map(one => one.outerHTML)"""
INLINE = """html => [...new DOMParser().parseFromString(html, "text/html").querySelectorAll("*")].filter(one =>
    one.matches("script:not([src])") || [...one.attributes].some(({name}) => name == "style" || /^on/.test(name))
).map(one => one.outerHTML.slice(0, 200))"""
BESIDE = (
    "northwind/", "northwind/vms/web-01/", "northwind/vms/db-01/", "northwind/failovers/", "northwind/replication/",
    "northwind/tickets/", "northwind/notifications/", "northwind/vpn/", "northwind/account/authorized-users/",
    "northwind/activity/",
)  # fmt: skip
YELLOW = "rgb(255, 212, 59)"  # #ffd43b
PRIMARY, LIVE, TEST = "primary", "live", "test"
SHOWN = ("running", "terminating", "termination_failed")
ADMIN = ("admin/", "admin/failover/ticket/", "admin/accounts/account/", "admin/inventory/site/")


@pytest.fixture
def web(transactional_db: None, cast: Cast) -> VM:
    """web-01, protected, beside db-01."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01"])
    protect(cast, vms)
    return vms[1]


def enter(context: BrowserContext, address: str, person: Any) -> None:
    """Signed in as this person, without the sign-in page."""
    client = Client()
    sign_in(client, person)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": address}])


@pytest.fixture
def look(live_server: Any, page: Page, context: BrowserContext, cast: Cast) -> Look:
    enter(context, live_server.url, cast.priya)
    return Look(page, live_server.url)


class Look:
    """A person who opens pages, and what the browser complained of meanwhile."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} {message.location.get('url')}")

    def at(self, path: str) -> Page:
        """Opens a page and holds it against points 1, 2 and 11."""
        response = self.page.goto(f"{self.address}/{path}")
        assert response is not None and response.status == 200, path
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and not re.search(r"unsafe|data:|nonce", policy)
        assert not self.complaints, f"{path}: {self.complaints}"
        assert self.page.evaluate(INLINE, response.text()) == [], path
        assert self.page.evaluate(BARE) == [], f"{path}: pills without an icon or a word"
        return self.page

    def rows(self, path: str) -> list[tuple[str, str]]:
        """Name and kind of each row, as the eye sees them: by the icon, not by the markup's classes."""
        lines = self.at(path).locator("main table tbody tr").all()
        return [(line.locator(".nm a, .nm b").first.inner_text(), kind_of(line)) for line in lines]

    def words_of(self, name: str) -> str:
        """What the pills of a VM, and of its test, say to whoever sees no colour."""
        self.at("northwind/vms/?q=" + name)
        return " | ".join(self.page.locator("main table tbody .pill").all_inner_texts())

    def count_of_all(self) -> str:
        """On the page that is open."""
        return self.page.locator("nav.tiles a").first.locator("b").inner_text()


def kind_of(line: Locator) -> str:
    if line.get_by_role("img", name="Failover virtual machine", exact=True).count():
        return LIVE
    return TEST if line.locator(".vm.t").count() else PRIMARY


def expected(kind: str, state: str) -> list[tuple[str, str]]:
    """Rule 11."""
    if state not in SHOWN:
        return [("db-01", PRIMARY), ("web-01", PRIMARY)]
    if kind == LIVE:
        return [("web-01", LIVE), ("db-01", PRIMARY)]
    return [("db-01", PRIMARY), ("web-01", PRIMARY), ("web-01 - Test", TEST)]


def every_state(cast: Cast, vm: VM, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Leads a failover of this VM through every state; yields in each."""
    refuse(monkeypatch, f"start_{kind}", "stop")
    first = request(cast, [vm], kind)
    yield "requested"
    say_yes(cast, first)
    work.drive(limit=1)
    yield "starting"
    yield drive_to(first, "start_failed")
    give_up(cast.actor("mary"), Failover.objects.get(ticket=first), "No room there")
    yield "undoing"
    refuse(monkeypatch)
    yield drive_to(first, "dropped")
    second = request(cast, [vm], kind, key="second-key")
    say_yes(cast, second)
    yield drive_to(second, "running")
    refuse(monkeypatch, "stop")
    say_yes(cast, request_termination(cast.actor("priya"), second, "Dallas is back", "DFW01", "end-key-1"))
    work.drive(limit=1)
    yield "terminating"
    yield drive_to(second, "termination_failed")
    refuse(monkeypatch)
    say_yes(cast, request_termination(cast.actor("priya"), second, "Once more", "DFW01", "end-key-2"))
    yield drive_to(second, "terminated")


@pytest.mark.parametrize("kind", [LIVE, TEST])
def test_every_list_follows_in_every_state(
    cast: Cast, web: VM, look: Look, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points 6, 8, 9 and 10, and 1, 2 and 11 on the way."""
    seen, words = [], list[str]()
    assert look.rows(LISTS[0]) == expected(kind, "") and look.count_of_all() == "2"
    for state in every_state(cast, web, kind, monkeypatch):
        assert Failover.objects.latest("pk").state == state
        for path in LISTS:
            assert look.rows(path) == expected(kind, state), f"{path} while {state}"
            total = "2" if path == LISTS[0] else str(len(expected(kind, state)))  # security counts tests too
            assert look.count_of_all() == total, f"{path} while {state}"
        words.append(look.words_of("web-01"))
        seen.append(state)
    assert seen == [
        "requested", "starting", "start_failed", "undoing", "dropped",
        "running", "terminating", "termination_failed", "terminated",
    ]  # fmt: skip
    open_ones = [said for said, state in zip(words, seen, strict=True) if state not in ("dropped", "terminated")]
    assert all(open_ones) and len(set(open_ones)) == len(open_ones), f"without colour these are alike: {words}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_yellow_means_one_thing(cast: Cast, web: VM, look: Look, theme: str) -> None:
    """Point 7: the icon's fill in both themes, and nothing else but failover's own bears it, on pages of every kind."""
    look.page.context.add_cookies([{"name": "theme", "value": theme, "url": look.address}])
    test = request(cast, [VM.objects.get(name="db-01")], TEST)
    say_yes(cast, test)
    work.drive()
    look.at(f"northwind/failovers/new/confirm/?kind=live&vm={web.uuid}")
    assert set(yellow(look.page)) <= {"fo"}, "the preview shows the icon that will be"
    ticket = request(cast, [web], LIVE)
    places = (*LISTS, *BESIDE, f"northwind/failovers/{ticket.number}/", f"northwind/failovers/{test.number}/")
    for path in places:
        assert not yellow(look.at(path)), f"{path}, {theme}: no live failover runs"
    say_yes(cast, ticket)
    work.drive()
    for path in places:
        found = yellow(look.at(path))
        assert set(found) <= {"fo", "live", "hot"}, f"{path}, {theme}: {found}"
        if path in LISTS:
            icons = look.page.get_by_role("img", name="Failover virtual machine", exact=True)
            filled = icons.evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
            assert set(filled) == {YELLOW}, f"{path}, {theme}"


def yellow(page: Page) -> list[str]:
    """The last class of every element that is filled, drawn, edged or written in the failover yellow."""
    found: list[str] = page.evaluate(
        """yellow => [...document.querySelectorAll("body *")].filter(one => {
            const look = getComputedStyle(one), edge = ["Top", "Right", "Bottom", "Left"].some(
                side => parseFloat(look[`border${side}Width`]) > 0 && look[`border${side}Color`] === yellow)
            return edge || [look.backgroundColor, look.color, look.fill, look.stroke].includes(yellow)
                || [look.backgroundImage, look.boxShadow].some(value => value.includes(yellow))
        }).map(one => [...(one.closest(".fo, .pill") ?? one).classList].pop() || one.tagName)""",
        YELLOW,
    )
    return found


def test_no_page_breaks_the_policy(cast: Cast, web: VM, look: Look) -> None:
    """Points 1 and 2 on every kind of page there is, admin among them."""
    ticket = request(cast, [web], LIVE)
    order = VM.objects.get(pk=web.pk).order_number
    for path in (
        *LISTS, "northwind/vms/web-01/", "northwind/replication/", "northwind/replication/orders/",
        f"northwind/replication/orders/{order}/", "northwind/replication/not-protected/",
        "northwind/replication/orders/new/", "northwind/failovers/", f"northwind/failovers/{ticket.number}/",
        "northwind/failovers/new/",
    ):  # fmt: skip
        look.at(path)
    cast.mary.is_superuser = True
    cast.mary.save()
    enter(look.page.context, look.address, cast.mary)
    for path in (*ADMIN, f"admin/failover/ticket/{ticket.pk}/change/"):
        look.at(path)
