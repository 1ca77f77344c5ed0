"""Step 1: kind, VMs, recovery point, end, and everything that is refused there."""

from __future__ import annotations

import re
import uuid
from html import unescape
from typing import Any

import pytest
from django.test import Client

from ampdr import work
from failover.actions import reject, version_of
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request
from tests.test_request.pages import CONFIRM, NEW, form, link, text


def test_without_a_vm_protected_free_ones_can_be_picked_by_the_beginning_of_their_name(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["web-09-bare"])
    request(cast, vms[2:])
    shown = text(priya.get(NEW))
    assert "web-01" in shown and "web-02" in shown
    assert "web-03" not in shown and "web-09" not in shown
    shown = text(priya.get(NEW, {"q": "WEB-01"}))
    assert "web-01" in shown and "web-02" not in shown
    assert "No VM can be added" in text(priya.get(NEW, {"q": "nothing"}))


def test_test_stands_first_and_live_first_when_it_is_asked_for(priya: Client, vms: list[VM]) -> None:
    for query, first in (("", "test"), ("?kind=live", "live")):
        html = priya.get(NEW + query).content.decode()
        assert re.findall(r'name="kind" value="(\w+)"( checked)?', html)[0] == (first, " checked")


def test_vms_of_two_sites_are_answered_with_a_link_for_each(cast: Cast, priya: Client, vms: list[VM]) -> None:
    there = make_vms(cast.northwind, cast.sites["PHX01"], ["far-01"])
    protect(cast, there, "order-key-2")
    query = link([vms[0], vms[1], there[0]], kind="live", days=5)
    html = unescape(priya.get(f"{NEW}?{query}").content.decode())
    assert "Request for 2 VMs in DFW01" in html and "Request for 1 VM in PHX01" in html
    links = re.findall(r'href="\?([^"]+)">Request for', html)
    assert links[0] == link(sorted(vms[:2], key=lambda vm: vm.name), kind="live", days=5)
    assert links[1] == link(there, kind="live", days=5)
    response = priya.get(f"{CONFIRM}?{query}")
    assert response.status_code == 409 and "VMs of 2 sites" in text(response)


def test_all_of_a_site_can_be_chosen_without_naming_them(cast: Cast, priya: Client, vms: list[VM]) -> None:
    shown = text(priya.get(NEW, {"kind": "live", "site": "dfw01"}))
    assert "3 chosen" in shown and "web-01, web-02, web-03" in shown
    response = priya.get(CONFIRM, {"kind": "live", "site": "DFW01"})
    assert "Request live failover of 3 VMs to PHX01?" in text(response)
    sent = form(response)
    assert "vm" not in sent and sent["site"] == ["DFW01"]
    request(cast, vms[:1])  # meanwhile
    answer = priya.post(CONFIRM, {**sent, "reason": "Down", "site_code": "PHX01"})
    assert answer.status_code == 409 and "In DFW01 other VMs are free now than those you checked" in text(answer)
    assert "Request live failover of 2 VMs to PHX01?" in text(answer) and "Down</textarea>" in answer.content.decode()
    assert Ticket.objects.count() == 1


def test_a_form_for_a_whole_site_that_is_sent_twice_makes_one_ticket(cast: Cast, priya: Client, vms: list[VM]) -> None:
    sent = form(priya.get(CONFIRM, {"kind": "test", "site": "DFW01"}))
    first, second = priya.post(CONFIRM, sent), priya.post(CONFIRM, sent)
    assert first.status_code == second.status_code == 303 and first["Location"] == second["Location"]
    assert Ticket.objects.get().vm_count == 3


def test_what_was_rejected_can_be_requested_again_with_its_vms(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:2])
    reject(cast.actor("mary"), ticket, "Not today", version_of(ticket))
    work.drive()
    shown = text(priya.get(NEW, {"kind": "test", "again": ticket.number}))
    assert f"The VMs of {ticket.number}: web-01, web-02." in shown
    response = priya.get(CONFIRM, {"kind": "test", "again": ticket.number})
    assert "Clinic sign-in is down</textarea>" in response.content.decode()
    assert priya.post(CONFIRM, form(response)).status_code == 303
    assert Ticket.objects.count() == 2


def test_a_vm_that_cannot_be_in_it_is_named_with_the_reason_and_can_be_left_out(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    bare = make_vms(cast.northwind, cast.sites["DFW01"], ["bare-01"])
    first = request(cast, vms[:1])
    query = link([vms[0], vms[1], bare[0]], kind="live")
    shown = priya.get(f"{CONFIRM}?{query}")
    assert shown.status_code == 409
    assert "bare-01: Replication is not fully provisioned" in text(shown)
    assert f"web-01: In {first.number} already" in text(shown)
    assert f'href="?kind=live&amp;vm={vms[1].uuid}">Leave them out' in shown.content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"kind": "sideways"}, "Choose a test or a live failover."),
        ({"days": 9}, "A test ends within 7 days."),
        ({"days": "soon"}, "A test ends within 7 days."),
        ({"point": "own"}, "Say which moment"),
        ({"point": "own", "moment": "yesterday"}, "Write a day and a time"),
        ({"point": "own", "moment": "2099-01-01T00:00"}, "This moment has not come yet"),
        ({"point": "own", "moment": "2001-01-01T00:00"}, "No point as old as this is kept"),
        ({"point": "2001-01-01T00:00:00+00:00"}, "No point as old as this is kept"),
        ({"point": "2026-13-45T00:00:00+00:00"}, "This is not a time that was offered"),
        ({"point": "2026-11-22T00:00:00"}, "This is not a time that was offered"),
    ],
)
def test_bad_input_of_step_one(priya: Client, vms: list[VM], query: dict[str, Any], words: str) -> None:
    response = priya.get(f"{CONFIRM}?{link(vms[:1], **query)}")
    assert response.status_code == 400
    assert words in text(response)


def test_no_vm_is_no_request(priya: Client, vms: list[VM]) -> None:
    response = priya.get(CONFIRM, {"kind": "test"})
    assert response.status_code == 400 and "Choose at least one VM." in text(response)


@pytest.mark.parametrize("address", [NEW, CONFIRM])
def test_foreign_and_made_up_vms_do_not_exist(cast: Cast, priya: Client, vms: list[VM], address: str) -> None:
    foreign = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])[0]
    answers = [priya.get(address, {"vm": value}) for value in (str(foreign.uuid), str(uuid.uuid4()), "web-01", "")]
    assert [answer.status_code for answer in answers[:3]] == [404, 404, 404]
    assert answers[0].content == answers[1].content == answers[2].content
    theirs = request(cast, protected_elsewhere(cast), who="olga")
    again = [priya.get(address, {"again": number}) for number in (theirs.number, "FO-999999")]
    assert [answer.status_code for answer in again] == [404, 404] and again[0].content == again[1].content
    body = {"kind": "test", "vm": [str(foreign.uuid)], "key": "a" * 32}
    assert priya.post(CONFIRM, body).status_code == 404


def protected_elsewhere(cast: Cast) -> list[VM]:
    vms = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs-02"])
    protect(cast, vms, "order-key-9", who="olga")
    return vms
