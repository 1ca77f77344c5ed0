"""A request for more VMs than a page can name: the choice stays on the server, in every link and form."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from failover.models import Failover, Ticket
from inventory.actions import keep
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request
from tests.test_request.pages import CONFIRM, NEW, form, text

MANY = 101


@pytest.fixture
def many(cast: Cast) -> list[VM]:
    found = make_vms(cast.northwind, cast.sites["DFW01"], [f"app-{n:03}" for n in range(MANY)])
    protect(cast, found)
    return found


def choose(cast: Cast, vms: list[VM]) -> str:
    return str(keep(cast.actor("priya"), VM.objects.filter(pk__in=[vm.pk for vm in vms])).uuid)


def bulk(client: Client, **form: Any) -> Any:
    return client.get(client.post("/northwind/vms/choose/", form)["Location"])


def test_all_that_match_are_requested_without_naming_them(cast: Cast, priya: Client, many: list[VM]) -> None:
    page = bulk(priya, failover="all", state="protected", q="app")
    assert f"{MANY} chosen" in text(page) and "The VMs that you chose: app-000" in text(page)
    key = form(page)["choice"][0]
    sent = form(priya.get(CONFIRM, {"kind": "test", "choice": key}))
    assert "vm" not in sent and sent["choice"] == [key]
    answers = [priya.post(CONFIRM, sent | {"reason": "Drill", "days": "3"}) for _ in range(2)]  # pressed twice
    number = Ticket.objects.get().number
    assert {(one.status_code, one["Location"]) for one in answers} == {(303, f"/northwind/failovers/{number}/")}
    assert Failover.objects.count() == MANY


def test_a_choice_that_a_page_can_name_is_as_if_it_were_named(cast: Cast, priya: Client, many: list[VM]) -> None:
    page = bulk(priya, failover="chosen", vm=[str(vm.uuid) for vm in many[:2]])
    assert "2 chosen" in text(page) and page.content.decode().count('name="vm"') > 2  # and others can be added
    assert "choice" not in form(page)


def test_those_that_don_t_fit_are_left_out_by_a_link(cast: Cast, priya: Client, many: list[VM]) -> None:
    key = choose(cast, many + make_vms(cast.northwind, cast.sites["DFW01"], ["bare"]))
    page = priya.get(NEW, {"kind": "test", "choice": key})
    assert "1 VM can't be in this request" in text(page)
    link = re.findall(r'href="(\?[^"]+)">Leave it out', page.content.decode())
    page = priya.get(NEW + unescape(link[0]))
    assert f"{MANY} chosen" in text(page) and "can't be in this request" not in text(page)
    sent = form(priya.get(f"{CONFIRM}{unescape(link[0])}"))
    assert (sent["choice"], sent["fit"]) == ([key], ["1"])
    request(cast, many[:1])  # meanwhile: one fewer fits
    answer = priya.post(CONFIRM, sent | {"reason": "Drill", "days": "3"})
    assert answer.status_code == 409 and "Of your choice other VMs are free now" in text(answer)
    assert Ticket.objects.count() == 1


def test_two_sites_are_two_requests(cast: Cast, priya: Client, many: list[VM]) -> None:
    there = make_vms(cast.northwind, cast.sites["PHX01"], ["far-01"])
    protect(cast, there, "order-key-2")
    key = choose(cast, many + there)
    html = unescape(priya.get(NEW, {"kind": "test", "choice": key}).content.decode())
    links = re.findall(r'href="\?([^"]+)">Request for', html)
    assert links == [f"kind=test&choice={key}&site={code}" for code in ("DFW01", "PHX01")]
    assert f"{MANY} chosen" in text(priya.get(f"{NEW}?{links[0]}")) and "1 chosen" in text(
        priya.get(f"{NEW}?{links[1]}")
    )


def test_another_s_choice_is_absent(cast: Cast, priya: Client, many: list[VM]) -> None:
    theirs = keep(cast.actor("oscar"), VM.objects.all())
    for key in (str(theirs.uuid), "nonsense"):
        assert priya.get(NEW, {"choice": key}).status_code == 404
        assert priya.post(CONFIRM, {"kind": "test", "choice": key}).status_code == 404
