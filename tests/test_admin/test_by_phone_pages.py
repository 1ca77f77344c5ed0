"""The pages of filing by phone: the call, then what it comes to, and only then the request."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.actions import update_listing
from accounts.models import AuthorizedUser
from ampdr import clock, work
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.models import RecoveryPoint, Replication
from tests.cast import Cast, say_yes
from tests.test_admin.desk import QUEUE, html, page, vms

PHONE = "+1 (555) 0142"  # as somebody writes it who reads +1 555 0142 from the list
ADD = "/admin/failover/ticket/phone/"


def said(cast: Cast, **other: object) -> dict[str, Any]:
    return {
        "account": "northwind", "person": AuthorizedUser.objects.get(person=cast.priya).pk, "called_back": PHONE,
        "kind": "live", "site": "DFW01", "names": "web-01\nWEB-02", "about": "", "point": "", "moment": "", "days": "3",
        "site_code": "PHX01", "reason": "Down", "key": "phone-key-1", "step": "file",
    } | other  # fmt: skip


def plain(response: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html(response))).split())


def file(client: Client, call: dict[str, Any]) -> Any:
    """Both steps: nothing is made by the first one, whose page sends along what was looked at."""
    before = Ticket.objects.count()
    looked = client.post(ADD, {**call, "step": "check"})
    assert looked.status_code == 200 and Ticket.objects.count() == before, plain(looked)
    found = re.search(r'name="digest" value="(\w+)"', html(looked))
    return client.post(ADD, {**call, "digest": found[1] if found else ""})


def test_the_form_leads_from_the_account_to_the_ticket(cast: Cast, lead: Client) -> None:
    vms(cast)
    assert "File by phone" in html(lead.get(QUEUE)) and "Whose call is it?" in html(lead.get(ADD))
    assert "There is no account" in html(lead.get(f"{ADD}?account=nobody"))
    shown = html(lead.get(f"{ADD}?account=northwind"))
    assert "Priya Raman, +1 555 0142" in shown and "DFW01, 3 protected VMs" in shown and "Oscar" not in shown
    sent = file(lead, said(cast))
    ticket = Ticket.objects.get()
    assert sent.status_code == 302 and f"/{ticket.pk}/change/" in sent["Location"]
    assert (ticket.vm_count, ticket.filed_by, ticket.requested_by) == (2, cast.tom, cast.priya)
    shown = html(lead.get(sent["Location"]))
    assert "You filed it by phone" in shown and 'value="approve"' not in shown and 'value="reject"' not in shown
    assert "Tom Ueda called back at +1 555 0142" in shown
    again = lead.post(ADD, said(cast, digest="whatever"))
    assert (again.status_code, again["Location"]) == (302, sent["Location"]) and Ticket.objects.count() == 1


def test_nothing_is_made_before_what_it_comes_to_was_looked_at(cast: Cast, lead: Client) -> None:
    vms(cast)
    VM.objects.update(newest_point_at=clock.now() - timedelta(minutes=9))
    shown = plain(lead.post(ADD, said(cast, step="check")))
    for told in (
        "File live failover of 2 VMs?", "Virtual machines 2 VMs web-01, web-02", "Dallas to Phoenix", "9 min old",
        "Data you may lose Up to 9 min", "Expected time to running No test yet after approval",
        "Access PHX01-Recovery no SSL/VPN user has it", "Dallas (DFW01) reports normal. Still go on?",
        "Never tested: web-01, web-02", "nobody of Northwind Health has PHX01-Recovery",
        "File live failover of 2 VMs for Priya Raman",
    ):  # fmt: skip
        assert told in shown, told
    for digest in ("", "0" * 16):
        unseen = lead.post(ADD, said(cast, digest=digest))
        assert unseen.status_code == 409 and "Nothing was filed" in plain(unseen) and not Ticket.objects.exists()
    changed = html(lead.post(ADD, said(cast, step="change")))
    assert "Check the request" in changed and "WEB-02</textarea>" in changed and 'value="phone-key-1"' in changed


def test_a_moment_is_chosen_as_on_the_customer_s_page(cast: Cast, lead: Client) -> None:
    vms(cast)
    at = clock.now() - timedelta(hours=2)
    for replication in Replication.objects.all():
        RecoveryPoint.objects.create(replication=replication, at=at)
    late = {"point": "own", "moment": (at + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M")}
    for wrong, words in (
        ({"point": "own"}, "Say which moment"), ({"point": "proved"}, "No point that a test has proved"),
        ({"point": "own", "moment": "2099-01-01T00:00"}, "has not come yet"),
    ):  # fmt: skip
        refused = lead.post(ADD, said(cast, step="check", **wrong))
        assert refused.status_code == 400 and words in html(refused)
    gone = lead.post(ADD, said(cast, step="check", point="own", moment="2001-01-01T00:00"))
    assert gone.status_code == 409 and "no recovery point as old as this" in html(gone)
    assert file(lead, said(cast, **late)).status_code == 302
    assert Ticket.objects.get().point_at is not None
    assert set(Failover.objects.values_list("point_at", flat=True)) == {at}


def test_a_test_says_when_it_ends_and_wants_no_code(cast: Cast, lead: Client) -> None:
    vms(cast)
    call = said(cast, kind="test", days="5", site_code="", reason="")
    shown = html(lead.post(ADD, {**call, "step": "check"}))
    assert 'name="site_code"' not in shown and "File test failover of 2 VMs for Priya Raman" in shown
    file(lead, call)
    ends = Ticket.objects.get().ends_at
    assert ends is not None and abs(ends - clock.now() - timedelta(days=5)) < timedelta(minutes=10)


def test_all_of_a_site_and_the_end_of_it(cast: Cast, lead: Client) -> None:
    vms(cast)
    file(lead, said(cast, names="", everything="on"))
    live = Ticket.objects.get()
    assert live.vm_count == 3
    say_yes(cast, live)
    work.drive()
    assert f"{live.number}, live failover" in html(lead.get(f"{ADD}?account=northwind"))
    call = said(cast, kind="terminate", about=live.number, site="", site_code="DFW01", key="phone-key-2")
    shown = plain(lead.post(ADD, {**call, "step": "check"}))
    for told in ("Back to", "Running since", "All changes since then", "No outage", "File termination of 3 VMs for"):
        assert told in shown, told
    file(lead, call)
    assert Ticket.objects.get(kind="terminate").filed_by == cast.tom
    assert lead.post(ADD, {**call, "key": "phone-key-3", "step": "check"}).status_code == 409


def test_a_number_that_is_new_is_marked(cast: Cast, lead: Client, mary: Client) -> None:
    vms(cast)
    new, mine = "this number is new", AuthorizedUser.objects.filter(person=cast.priya)
    mine.update(added_at=clock.now() - timedelta(days=60))
    assert new not in html(lead.get(f"{ADD}?account=northwind"))
    update_listing(cast.actor("mary"), mine.get(), "+1 555 0142", clock.now().date())
    assert new not in html(lead.get(f"{ADD}?account=northwind")), "the same number, confirmed"
    update_listing(cast.actor("mary"), mine.get(), "+1 555 0177", None)
    assert new in html(lead.get(f"{ADD}?account=northwind"))
    file(lead, said(cast, called_back="+1 555 0177"))
    assert "The number on the list is new" in html(mary.get(page(Ticket.objects.get())))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("names", "", "Name the VMs"), ("names", "web-99, web-01", "No VM of this name in DFW01: web-99"),
        ("called_back", "+1 555 0199", "not the number on the list"), ("person", "", "required"),
        ("reason", " ", "Say why now"), ("kind", "terminate", "Choose what is to be terminated"),
        ("kind", "extend", "valid choice"), ("days", "9", "valid choice"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field(cast: Cast, lead: Client, field: str, value: str, words: str) -> None:
    vms(cast)
    refused = lead.post(ADD, said(cast, **{field: value}))
    assert refused.status_code == 400 and words in html(refused) and not Ticket.objects.exists()


def test_a_wrong_code_of_the_site_is_said_on_the_second_page(cast: Cast, lead: Client) -> None:
    vms(cast)
    refused = file(lead, said(cast, site_code="LHR01"))
    assert refused.status_code == 400 and "PHX01 is meant" in html(refused) and "Check and file" in html(refused)
    assert not Ticket.objects.exists()


def test_a_wrong_number_and_a_wrong_name_are_said_together(cast: Cast, lead: Client) -> None:
    vms(cast)
    shown = html(lead.post(ADD, said(cast, called_back="+1 555 0199", names="nosuch")))
    assert "not the number on the list" in shown and "No VM of this name in DFW01: nosuch<" in shown


def test_the_account_by_its_name(cast: Cast, lead: Client) -> None:
    assert "File by phone for Northwind Health" in html(lead.get(ADD, {"account": "northwind health"}))


def test_a_vm_that_is_taken_and_an_account_without_anybody(cast: Cast, lead: Client) -> None:
    vms(cast)
    file(lead, said(cast))
    taken = lead.post(ADD, said(cast, key="phone-key-2"))
    assert taken.status_code == 409 and "is in FO-" in html(taken)
    AuthorizedUser.objects.all().delete()
    assert "may request a failover" in html(lead.get(f"{ADD}?account=northwind"))


def test_others_of_staff_don_t_see_the_form(cast: Cast, mary: Client) -> None:
    refused = mary.get(ADD)
    assert refused.status_code == 403 and "Support leads" in html(refused)
    assert "File by phone" not in html(mary.get(QUEUE))
