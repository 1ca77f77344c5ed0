"""What happens between the preview and the sent request: named, nothing half-done, and nothing typed is lost."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from ampdr import clock, work
from failover.actions import Wish, request_failover, withdraw
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.actions import stop_replication
from replication.models import RecoveryPoint
from tests.cast import Cast, make_vms, protect, request
from tests.test_request.pages import CONFIRM, NEW, form, link, preview, text

SENT = {"reason": "Clinic sign-in is down", "site_code": "phx01"}
KEPT = "Clinic sign-in is down</textarea>"


def unprotect(cast: Cast, *vms: VM) -> None:
    stop_replication(cast.actor("priya"), [vm.uuid for vm in vms])
    work.drive()


def links(page: Any, words: str) -> list[str]:
    return [unescape(href) for href in re.findall(rf'href="([^"]+)"[^>]*>{words}', page.content.decode())]


# ---- Something changed -----------------------------------------------------------------------------------------------


def test_a_vm_that_lost_its_protection_is_left_out_and_the_rest_is_sent_as_it_was_typed(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    _, sent = preview(priya, vms, kind="live")
    unprotect(cast, vms[1])
    page = priya.post(CONFIRM, sent | SENT)
    shown = text(page)
    assert page.status_code == 409 and not Ticket.objects.exists()
    assert "Not protected yet" in shown and "web-02: replication is not fully provisioned." in shown
    assert "Left out below: web-02. Check this again and send it: nothing was requested." in shown
    assert "Request live failover of 2 VMs to PHX01?" in shown
    assert KEPT in page.content.decode() and 'value="phx01"' in page.content.decode()
    assert priya.post(CONFIRM, form(page) | SENT).status_code == 303
    assert set(Failover.objects.values_list("vm__name", flat=True)) == {"web-01", "web-03"}


def test_a_vm_that_somebody_else_requested_is_left_out_and_he_is_named(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    _, sent = preview(priya, vms[:2], kind="live")
    first = request(cast, vms[:1], "live")
    page = priya.post(CONFIRM, sent | SENT)
    assert page.status_code == 409
    shown = text(page)
    assert f"{first.number} was first Priya Raman was first, at" in shown and f"Open {first.number}" in shown
    assert "Left out below: web-01." in shown and "Request live failover of 1 VM to PHX01?" in shown


def test_where_nothing_is_left_the_way_back_keeps_the_reason(cast: Cast, priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms[:1], kind="live")
    unprotect(cast, vms[0])
    page = priya.post(CONFIRM, sent | SENT)
    assert page.status_code == 409 and "web-01: replication is not fully provisioned." in text(page)
    back = links(page, "Open the request")[0]
    assert "web-01: Replication is not fully provisioned" in text(priya.get(back))
    key = form(priya.get(back))["key"]
    assert key == sent["key"]
    other = priya.get(f"{CONFIRM}?{link(vms[1:2], kind='live', key=key[0])}")
    assert KEPT in other.content.decode()
    assert KEPT not in priya.get(f"{CONFIRM}?{link(vms[1:2], kind='live')}").content.decode()


def test_a_recovery_point_that_was_pruned_meanwhile(cast: Cast, priya: Client, vms: list[VM]) -> None:
    point = RecoveryPoint.objects.filter(replication__vm=vms[0]).latest("at")
    page = priya.get(f"{CONFIRM}?{link(vms[:1], kind='live', point=point.at.isoformat())}")
    sent = form(page)
    RecoveryPoint.objects.filter(replication__vm=vms[0]).delete()
    RecoveryPoint.objects.create(replication_id=point.replication_id, at=clock.now())
    page = priya.post(CONFIRM, sent | SENT)
    assert page.status_code == 409 and not Ticket.objects.exists()
    assert "The recovery point is gone web-01: no recovery point as old as this is kept." in text(page)
    assert KEPT in page.content.decode()
    assert "<button" not in page.content.decode().partition('aria-label="Send"')[2].partition("</section>")[0]
    (change,) = links(page, "Choose another recovery point")
    step_one = priya.get(change)
    assert 'name="kind" value="live" checked' in step_one.content.decode()
    again = priya.get(f"{CONFIRM}?{link(vms[:1], kind='live', key=form(step_one)['key'][0])}")
    assert KEPT in again.content.decode()
    assert priya.post(CONFIRM, form(again) | SENT).status_code == 303


def test_a_site_of_which_nothing_is_free_any_more(cast: Cast, priya: Client, vms: list[VM]) -> None:
    sent = form(priya.get(CONFIRM, {"kind": "live", "site": "DFW01"}))
    request(cast, vms, "live")
    page = priya.post(CONFIRM, sent | SENT)
    assert page.status_code == 409 and "The VMs have changed" in text(page)
    assert Ticket.objects.count() == 1


# ---- The same request twice ------------------------------------------------------------------------------------------


def test_going_back_to_a_request_that_was_sent_leads_to_its_ticket(cast: Cast, priya: Client, vms: list[VM]) -> None:
    key = form(priya.get(f"{NEW}?{link(vms)}"))["key"][0]
    check = f"{CONFIRM}?{link(vms, kind='live', key=key)}"
    sent = form(priya.get(check))
    assert sent["key"] == [key]
    there = priya.post(CONFIRM, sent | SENT)["Location"]
    back = priya.get(check)
    assert (back.status_code, back["Location"]) == (303, there)
    withdraw(cast.actor("priya"), Ticket.objects.get())
    work.drive()
    assert priya.get(check)["Location"] == there
    assert form(priya.get(f"{NEW}?{link(vms)}&key={key}"))["key"] != [key]  # to request again is another request


def test_an_old_step_one_with_other_vms_is_another_request(priya: Client, vms: list[VM]) -> None:
    key = "k" * 32
    sent = form(priya.get(f"{CONFIRM}?{link(vms[:1], kind='live', key=key)}"))
    assert priya.post(CONFIRM, sent | SENT).status_code == 303
    page = priya.get(f"{CONFIRM}?{link(vms[1:], kind='live', key=key)}")
    assert page.status_code == 200 and form(page)["key"] != [key]


@pytest.mark.parametrize("key", ["short", "x" * 121], ids=["short", "long"])
def test_a_key_that_nobody_made_here_is_replaced(priya: Client, vms: list[VM], key: str) -> None:
    assert len(form(priya.get(NEW, {"key": key}))["key"][0]) == 32
    page = priya.get(CONFIRM, {"kind": "test", "vm": str(vms[0].uuid), "key": key})
    assert page.status_code == 200 and len(form(page)["key"][0]) == 32


# ---- What was entered stays ------------------------------------------------------------------------------------------


def test_change_leads_back_with_what_was_entered(priya: Client, vms: list[VM]) -> None:
    old = RecoveryPoint.objects.filter(replication__vm=vms[0]).earliest("at").at
    RecoveryPoint.objects.filter(at=old).update(at=old - timedelta(hours=3))
    moment = (old - timedelta(hours=1)).isoformat()
    page = priya.get(f"{CONFIRM}?{link(vms[:1], kind='test', days=5, point=moment)}")
    html = priya.get(links(page, "Change")[0]).content.decode()
    assert f'name="point" value="{moment}" checked' in html and "The moment chosen before" in html
    assert '<option value="5" selected>' in html and f'value="{vms[0].uuid}" checked' in html


def test_what_is_requested_again_keeps_its_entries(cast: Cast, priya: Client, vms: list[VM]) -> None:
    at = RecoveryPoint.objects.filter(replication__vm=vms[0]).latest("at").at
    end = clock.now() + timedelta(days=5)
    wish = Wish("test", [vm.uuid for vm in vms], SENT["reason"], point_at=at, ends_at=end)
    before = request_failover(cast.actor("priya"), wish, "request-key-1")
    withdraw(cast.actor("priya"), before)
    work.drive()
    unprotect(cast, vms[2])
    page = priya.get(NEW, {"kind": "test", "again": before.number})
    html = page.content.decode()
    assert f'value="{at.isoformat()}" checked' in html and '<option value="5" selected>' in html
    assert "web-03: Replication is not fully provisioned" in text(page)
    fit = f"{CONFIRM}{links(page, 'Leave it out')[0]}"
    check = priya.get(f"{fit}&point={at.isoformat().replace('+', '%2B')}")
    assert "Request test failover of 2 VMs" in text(check) and KEPT in check.content.decode()
    assert priya.post(CONFIRM, form(check) | SENT).status_code == 303


def test_the_vms_of_a_site_or_an_earlier_request_can_be_ticked_one_by_one(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    before = request(cast, vms[:2])
    withdraw(cast.actor("priya"), before)
    work.drive()
    for query, n in (({"site": "DFW01"}, 3), ({"again": before.number}, 2)):
        page = priya.get(NEW, {"kind": "live", **query})
        ticks = priya.get(NEW + links(page, "Choose VMs one by one")[0])
        assert len(re.findall(r'name="vm" value="[^"]+" checked', ticks.content.decode())) == n
        assert form(ticks).get("again", [""]) == [query.get("again", "")]
    named = f"{CONFIRM}?{link(vms[:1], kind='live', again=before.number)}"
    assert KEPT in priya.get(named).content.decode()


def test_one_site_and_two_targets_are_answered_with_a_link_for_each(cast: Cast, priya: Client, vms: list[VM]) -> None:
    VM.objects.filter(pk=vms[2].pk).update(protected_to="LHR01")
    for query in (link(vms, kind="live"), "kind=live&site=DFW01"):
        page = priya.get(f"{CONFIRM}?{query}")
        assert page.status_code == 409 and "VMs of 2 routes" in text(page)
        to = links(page, "Request for 1 VM to LHR01")[0]
        assert "Request live failover of 1 VM to LHR01?" in text(priya.get(CONFIRM + to))
        to = links(page, "Request for 2 VMs to PHX01")[0]
        assert "Request live failover of 2 VMs to PHX01?" in text(priya.get(CONFIRM + to))


def test_vms_of_another_site_stay_out_of_what_a_site_offers(cast: Cast, priya: Client, vms: list[VM]) -> None:
    protect(cast, make_vms(cast.northwind, cast.sites["PHX01"], ["far-01"]), "order-key-2")
    assert "far-01" not in text(priya.get(NEW, {"kind": "live", "site": "DFW01"}))


def test_a_mistake_and_a_vm_that_lost_its_protection_are_told_together(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    _, sent = preview(priya, vms, kind="live")
    unprotect(cast, vms[1])
    page = priya.post(CONFIRM, sent | SENT | {"reason": "x" * 2001})
    assert page.status_code == 409
    assert "Left out below: web-02." in text(page) and "at most 2000" in text(page)
    assert "Request live failover of 2 VMs to PHX01?" in text(page) and 'value="phx01"' in page.content.decode()


def test_a_reason_beside_a_wrong_code_is_there_after_change(priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms, kind="live")
    page = priya.post(CONFIRM, sent | SENT | {"site_code": "DFW01"})
    key = form(priya.get(links(page, "Change")[0]))["key"][0]
    assert KEPT in priya.get(f"{CONFIRM}?{link(vms[:1], kind='live', key=key)}").content.decode()
