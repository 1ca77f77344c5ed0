"""Acceptance points 12 to 14 and 38 of the design for orders, in a real browser: from a list to a sent order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from inventory.models import VM
from replication.actions import place_order
from replication.models import Order, Replication
from tests.cast import Cast, make_vms, protect, sign_in
from tests.test_acceptance import Look, enter
from tests.test_orders.reading import sent

PATIENCE = 60_000  # ms
ORDERED = re.compile(r"/northwind/replication/orders/RO-\d+/$")


@pytest.fixture
def five_hundred(transactional_db: None, cast: Cast) -> Cast:
    """Of the 500 whose names begin with app, 12 are protected, 5 in Oscar's order and 2 not fit; others beside them."""
    here = cast.northwind, cast.sites["DFW01"]
    protect(cast, make_vms(*here, [f"app-{n:03}" for n in range(12)]))
    make_vms(*here, [f"app-{n:03}" for n in range(12, 493)])
    queued = make_vms(*here, [f"app-queue-{n}" for n in range(5)])
    place_order(cast.actor("oscar"), [vm.uuid for vm in queued], "oscars-order")
    make_vms(*here, ["app-vault-1", "app-vault-2"], cannot_replicate="Shared cluster disk of 8 TB.")
    make_vms(*here, ["db-01", "db-02"])
    return cast


@pytest.fixture
def look(live_server: Any, page: Page, context: BrowserContext, cast: Cast) -> Look:
    context.set_default_timeout(PATIENCE)
    context.set_default_navigation_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    enter(context, live_server.url, cast.priya)
    return Look(page, live_server.url)


def test_point_12_one_vm_is_two_clicks_from_its_row(cast: Cast, transactional_db: None, look: Look) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["build-07", "build-08"])
    page = look.at("northwind/vms/")
    page.get_by_role("link", name="Order replication build-07").click()
    page.get_by_role("button", name="Order replication of 1 VM").click()
    page.wait_for_url(ORDERED)
    assert Order.objects.get().lines.get().vm.name == "build-07"


def test_point_13_five_hundred_in_three_clicks_from_the_filtered_list(five_hundred: Cast, look: Look) -> None:
    page = look.at("northwind/vms/?q=app")
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("50 on this page chosen")).to_be_visible()
    page.get_by_role("button", name="Order replication for all that match").click()
    for said in ("481 can be ordered", "12 are already protected", "5 are in order RO-", "2 can't be ordered"):
        expect(page.locator("summary", has_text=said)).to_be_visible()
    page.get_by_role("button", name="Leave these 19 out and order 481").click()
    page.wait_for_url(ORDERED)
    order = Order.objects.get(number=page.url.rstrip("/").rpartition("/")[2])
    assert order.vm_count == order.lines.count() == 481
    assert not look.complaints


def test_each_group_opens_and_says_how_many_more(five_hundred: Cast, look: Look) -> None:
    page = look.at("northwind/vms/")
    page.get_by_label("Select app-000", exact=True).check()
    page.get_by_role("button", name="Order replication for all 502 that match").click()
    group = page.locator("details", has=page.locator("summary", has_text="483 can be ordered"))
    expect(group.get_by_text("and 433 more")).to_be_hidden()
    group.locator("summary").click()
    expect(group.get_by_text("and 433 more")).to_be_visible()
    assert group.locator("ul.rows > li").count() == 51
    link = page.get_by_role("link", name=re.compile("Open RO-"))
    page.locator("summary", has_text="5 are in order").click()
    link.click()
    page.wait_for_url(ORDERED)


def test_point_14_a_double_click_and_back_make_one_order(cast: Cast, transactional_db: None, look: Look) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"])
    page = look.at("northwind/vms/")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Order replication of 2 VMs").click()
    button, check = page.get_by_role("button", name="Order replication of 2 VMs"), page.url
    form = page.locator("form.cols").evaluate("form => Object.fromEntries(new FormData(form))")
    button.dblclick()
    page.wait_for_url(ORDERED)
    number = page.url.rstrip("/").rpartition("/")[2]
    page.go_back()  # the browser keeps no page of ours: it asks again, and there is nothing left to order
    expect(page.get_by_role("heading", name="None of these 2 VMs can be ordered")).to_be_visible()
    expect(page.locator("summary", has_text=f"2 are in order {number}")).to_be_visible()
    again = page.request.post(check.partition("?")[0], form=form, max_redirects=0)  # one that kept it sends it again
    assert (again.status, again.headers["location"].rstrip("/").rpartition("/")[2]) == (303, number)
    assert Order.objects.count() == 1 and Replication.objects.count() == 2


def test_a_choice_that_changed_meanwhile_is_shown_again(five_hundred: Cast, look: Look) -> None:
    page = look.at("northwind/vms/?q=app")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Order replication for all that match").click()
    VM.objects.filter(name__startswith="app-10").update(cannot_replicate="Powered off: start it first.")
    page.get_by_role("button", name="Leave these 19 out and order 481").click()
    expect(page.get_by_role("alert")).to_contain_text("471 VMs can be ordered now, 481 when you looked.")
    expect(page.locator("summary", has_text="Powered off: start it first.")).to_be_visible()
    assert Order.objects.exclude(ordered_by=five_hundred.oscar).count() == 1  # of the protected ones
    page.get_by_role("button", name="Leave these 29 out and order 471").click()
    page.wait_for_url(ORDERED)
    assert Order.objects.latest("pk").lines.count() == 471


def test_two_people_order_the_same_at_one_instant(five_hundred: Cast, look: Look) -> None:
    """Oscar's form is sent in the moment in which Priya's button is pressed: her page says who was first."""
    oscar = sign_in(Client(), five_hundred.oscar)
    answer = oscar.post("/northwind/vms/choose/", {"order": "all", "q": "app-4"})
    form = sent(oscar.get(answer["Location"]))
    page = look.at("northwind/vms/?q=app-4")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Order replication for all that match").click()
    button = page.get_by_role("button", name="Order replication of 93 VMs")
    expect(button).to_be_visible()
    number = oscar.post("/northwind/replication/orders/new/", form)["Location"].rstrip("/").rpartition("/")[2]
    button.click()
    expect(page.get_by_text("Oscar Lind was first")).to_be_visible()
    page.get_by_role("link", name=f"Open {number}").click()
    page.wait_for_url(ORDERED)
    assert Order.objects.latest("pk").number == number and Order.objects.latest("pk").lines.count() == 93


def test_point_38_without_javascript(five_hundred: Cast, live_server: Any, browser: Browser) -> None:
    """The bar of the list is simply there, and its button knows the filters."""
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    enter(context, live_server.url, five_hundred.priya)
    page = context.new_page()
    page.goto(f"{live_server.url}/northwind/vms/?q=app&site=DFW01")
    page.get_by_role("button", name="Order replication for all that match").click()
    page.get_by_role("button", name="Leave these 19 out and order 481").click()
    page.wait_for_url(ORDERED)
    assert Order.objects.latest("pk").lines.count() == 481
    page.goto(f"{live_server.url}/northwind/replication/not-protected/")
    page.get_by_label("Select db-01").check()
    page.get_by_role("button", name="Order replication of the chosen VMs").click()
    page.get_by_role("button", name="Order replication of 1 VM").click()
    page.wait_for_url(ORDERED)
    context.close()
