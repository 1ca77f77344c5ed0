"""Requesting a failover or a termination: the two steps, everything that is refused, and that nothing is sent twice."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connections
from django.test import Client

from accounts.actions import support
from accounts.models import AuthorizedUser, Membership, Permission, Receipt, Role
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Forbidden, Invalid, Refusal
from failover.actions import Wish, confirm, reject, request_failover, request_termination, version_of, withdraw
from failover.actions import requests as requesting
from failover.models import Failover, Named, Ticket
from inventory.models import VM
from replication.actions import stop_replication
from replication.models import PointFeed, RecoveryPoint, Replication
from tests.cast import Cast, join, make_vms, protect, request, say_yes, states

NEW, CONFIRM = "/northwind/failovers/new/", "/northwind/failovers/new/confirm/"


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    client.force_login(cast.priya)
    return client


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, made)
    return made


def text(response: Any) -> str:
    html = response.content.decode()
    main = html[html.index("<main") : html.index("</main>")]
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())
    return re.sub(r" ([,.:])", r"\1", words)


def link(vms: list[VM], **other: Any) -> str:
    return urlencode([*other.items(), *(("vm", str(vm.uuid)) for vm in vms)])


def form(html: Any) -> dict[str, list[str]]:
    """The hidden fields of the form that a preview shows."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html.content.decode()):
        if name != "csrfmiddlewaretoken":
            found.setdefault(name, []).append(unescape(value))
    return found


def preview(client: Client, vms: list[VM], **other: Any) -> tuple[str, dict[str, Any]]:
    response = client.get(f"{CONFIRM}?{link(vms, **other)}")
    assert response.status_code == 200, text(response)
    return text(response), form(response)


# ---- Step 1 ----------------------------------------------------------------------------------------------------------


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
    assert answer.status_code == 409 and "Check them again" in text(answer)
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


# ---- Step 2 ----------------------------------------------------------------------------------------------------------


def test_the_preview_asks_a_question_and_states_six_facts(cast: Cast, priya: Client, vms: list[VM]) -> None:
    Replication.objects.update(newest_point_at=clock.now() - timedelta(minutes=9))
    VM.objects.update(newest_point_at=clock.now() - timedelta(minutes=9))
    shown, sent = preview(priya, vms, kind="live")
    assert "Request live failover of 3 VMs to PHX01?" in shown
    for fact in (
        "Virtual machines web-01, web-02, web-03", "From → to DFW01 → to PHX01 Dallas to Phoenix", "9 min old",
        "Data you may lose Up to 9 min", "Expected time to running No test yet", "Access PHX01-Recovery",
        "While it runs in PHX01 it is not replicated anywhere", "Nothing is copied back",
        "Planned if DFW01 answers at the start, otherwise unplanned", "Type the recovery site code, PHX01",
        "Request live failover of 3 VMs",
    ):  # fmt: skip
        assert fact in shown
    assert len(sent["key"][0]) == 32


def test_a_test_needs_neither_code_nor_reason_and_says_when_it_ends(cast: Cast, priya: Client, vms: list[VM]) -> None:
    shown, sent = preview(priya, vms[:1], kind="test", days=5)
    assert "Type the" not in shown and "Note for Support (optional)" in shown and "web-01 - Test" in shown
    answer = priya.post(CONFIRM, sent)
    ticket = Ticket.objects.get()
    assert answer.status_code == 303 and answer["Location"] == f"/northwind/failovers/{ticket.number}/"
    assert ticket.ends_at is not None
    assert abs(ticket.ends_at - clock.now() - timedelta(days=5)) < timedelta(minutes=1)


def test_the_expected_time_is_the_median_of_earlier_starts(cast: Cast, priya: Client, vms: list[VM]) -> None:
    for minutes in (4, 30, 12):
        ticket = request(cast, vms[:1], key=f"request-{minutes}")
        say_yes(cast, ticket)
        work.drive()
        Ticket.objects.filter(pk=ticket.pk).update(decided_at=clock.now() - timedelta(minutes=minutes))
        Failover.objects.filter(ticket=ticket).update(running_at=clock.now())
        end = request_termination(cast.actor("priya"), ticket, "", "", f"end-key-{minutes}")
        say_yes(cast, end)
        work.drive()
    shown, _ = preview(priya, vms[:2], kind="live")
    assert "about 12 min after approval, 1 of 2 VMs tested" in shown


def warnings(shown: str) -> list[str]:
    return [words for words in ("A test is running.", "Never tested:", "RPO behind:") if words in shown]


def test_each_warning_exactly_when_it_is_true(cast: Cast, priya: Client, vms: list[VM]) -> None:
    VM.objects.update(newest_point_at=clock.now(), last_test_at=clock.now())
    assert warnings(preview(priya, vms, kind="live")[0]) == []
    VM.objects.filter(pk=vms[0].pk).update(last_test_at=None)
    assert warnings(preview(priya, vms, kind="live")[0]) == ["Never tested:"]
    assert warnings(preview(priya, vms, kind="test")[0]) == []
    assert warnings(preview(priya, vms[1:], kind="live")[0]) == []
    VM.objects.filter(pk=vms[1].pk).update(newest_point_at=clock.now() - timedelta(minutes=16))
    assert warnings(preview(priya, vms[1:], kind="live")[0]) == ["RPO behind:"]
    say_yes(cast, request(cast, vms[2:]))
    work.drive()
    shown, _ = preview(priya, vms[2:], kind="live")
    assert warnings(shown) == ["A test is running."] and "The test of web-03 is terminated first" in shown


def test_data_that_may_be_lost_is_red_above_the_target_and_follows_the_chosen_point(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    old = clock.now() - timedelta(hours=2)
    replication = Replication.objects.get(vm=vms[0])
    RecoveryPoint.objects.filter(replication=replication).delete()
    RecoveryPoint.objects.create(replication=replication, at=old)
    VM.objects.update(newest_point_at=clock.now() - timedelta(minutes=3))
    page = priya.get(f"{CONFIRM}?{link(vms[:1], kind='live')}")
    assert "Up to 3 min" in text(page) and 'class="num txt-bad"' not in page.content.decode()
    moment = (old + timedelta(minutes=1)).isoformat()
    page = priya.get(f"{CONFIRM}?{link(vms[:1], kind='live', point=moment)}")
    assert "Up to 2 h" in text(page) and 'class="num txt-bad"' in page.content.decode()
    sent = form(page)
    assert priya.post(CONFIRM, {**sent, "reason": "A mistake", "site_code": "phx01"}).status_code == 303
    assert Failover.objects.get().point_at == old  # each line carries the point of its VM that the moment means


def test_errors_are_said_beside_the_fields_and_the_text_is_kept(priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms, kind="live")
    answer = priya.post(CONFIRM, {**sent, "reason": "", "site_code": ""})
    assert answer.status_code == 400
    assert "2 things need a look" in text(answer)
    assert "Say why now" in text(answer) and "Type PHX01" in text(answer)
    answer = priya.post(CONFIRM, {**sent, "reason": "Clinic sign-in is down", "site_code": "DFW01"})
    assert "DFW01 is where they run now. Type the site they are to start in: PHX01." in text(answer)
    assert "Clinic sign-in is down" in answer.content.decode() and 'value="DFW01"' in answer.content.decode()
    answer = priya.post(CONFIRM, {**sent, "reason": "Clinic", "site_code": "<b>ams"})
    assert "“<b>ams” was typed. PHX01 is meant." in text(answer)
    assert form(answer)["key"] == sent["key"]
    answer = priya.post(CONFIRM, {**sent, "reason": "x" * 2001, "site_code": "PHX01"})
    assert answer.status_code == 400 and "at most 2000" in text(answer)
    assert not Ticket.objects.exists() and not Receipt.objects.filter(key=sent["key"][0]).exists()


def test_the_code_is_case_blind_and_the_way_leads_to_the_ticket(cast: Cast, priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms, kind="live")
    answer = priya.post(CONFIRM, {**sent, "reason": " Down ", "site_code": " phx01 "})
    ticket = Ticket.objects.get()
    assert answer.status_code == 303 and answer["Location"].endswith(f"/{ticket.number}/")
    assert (ticket.kind, ticket.vm_count, ticket.reason, ticket.requested_by) == ("live", 3, "Down", cast.priya)


def test_sent_twice_is_one_ticket_and_sent_again_with_other_words_is_told(priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms, kind="live")
    body = {**sent, "reason": "Down", "site_code": "PHX01"}
    answers = [priya.post(CONFIRM, body) for _ in range(3)]
    assert len({answer["Location"] for answer in answers}) == 1
    answer = priya.post(CONFIRM, {**body, "reason": "Down, really"})
    number = Ticket.objects.get().number
    assert answer.status_code == 409
    assert "This form was sent already" in text(answer) and f"Open {number}" in text(answer)


def test_a_repeat_gets_its_ticket_even_when_its_vm_is_no_longer_protected(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    withdraw(cast.actor("priya"), ticket)
    work.drive()
    stop_replication(cast.actor("priya"), [vms[0].uuid])
    work.drive()
    assert request(cast, vms[:1]) == ticket


def test_who_was_first_is_named(cast: Cast, priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms, kind="live")
    first = request(cast, vms[:1], "live")
    answer = priya.post(CONFIRM, {**sent, "reason": "Down", "site_code": "PHX01"})
    assert answer.status_code == 409
    shown = text(answer)
    assert f"{first.number} was first" in shown and "Priya Raman was first, at" in shown
    assert "web-01 is in" in shown and "Waiting for Support" in shown
    assert f'href="/northwind/failovers/{first.number}/"' in answer.content.decode()


@pytest.mark.parametrize(
    ("change", "status"),
    [({"kind": "sideways"}, 400), ({"vm": []}, 400), ({"ends_at": "never"}, 400), ({"point_at": "now"}, 400)],
)
def test_a_form_that_was_tampered_with(priya: Client, vms: list[VM], change: dict[str, Any], status: int) -> None:
    _, sent = preview(priya, vms[:1], kind="test")
    assert priya.post(CONFIRM, {**sent, **change}).status_code == status
    assert not Ticket.objects.exists()


def test_an_end_beyond_seven_days_or_in_the_past_is_refused(priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms[:1], kind="test")
    for days in (8, -1):
        answer = priya.post(CONFIRM, {**sent, "ends_at": (clock.now() + timedelta(days=days)).isoformat()})
        assert answer.status_code == 400 and "A test ends within 7 days" in text(answer)
    assert not Ticket.objects.exists()


# ---- Who may ---------------------------------------------------------------------------------------------------------


def test_four_refusals_have_four_texts(cast: Cast, client: Client, vms: list[VM]) -> None:
    join(cast.mary, cast.northwind, "Billing")
    join(cast.tom, cast.northwind, "Billing")
    AuthorizedUser.objects.create(account=cast.northwind, person=cast.tom)
    pages = {}
    for name in ("mary", "tom", "oscar"):
        client.force_login(getattr(cast, name))
        answer = client.get(f"{NEW}?{link(vms)}")
        assert answer.status_code == 403
        pages[name] = text(answer)
    assert "Billing" in pages["mary"] and "Read Server Replication" in pages["mary"]
    assert "priya@example.com" in pages["mary"] and "priya@example.com" in pages["tom"]
    assert "You are on Support's list" in pages["tom"] and "+1 555 0100" in pages["tom"]
    assert "You are not on the list of authorized users" in pages["oscar"] and "Priya Raman" in pages["oscar"]
    assert "read_replication" not in "".join(pages.values())


def test_write_is_not_needed_and_does_not_authorize(cast: Cast, vms: list[VM]) -> None:
    reader = Role.objects.create(account=cast.northwind, name="Reader", permissions=[Permission.READ_REPLICATION])
    Membership.objects.get(person=cast.priya, account=cast.northwind).roles.set([reader])
    assert request(cast, vms[:1]).state == "waiting"
    with pytest.raises(Forbidden) as refusal:
        request(cast, vms[1:2], who="oscar", key="request-of-oscar")
    assert refusal.value.code == "not_authorized"


# ---- The verbs, as an adversary --------------------------------------------------------------------------------------


def wish(vms: list[VM], **other: Any) -> Wish:
    return Wish(**{"kind": "test", "vms": [vm.uuid for vm in vms], **other})


def refused(cast: Cast, wanted: Wish, kind: type[Refusal]) -> Any:
    with pytest.raises(kind) as refusal:
        request_failover(cast.actor("priya"), wanted, "a-key-of-its-own")
    assert not Failover.objects.filter(ticket__reason="adversary").exists()
    return refusal.value


def test_what_is_no_uuid_names_no_vm(cast: Cast, vms: list[VM]) -> None:
    refused(cast, Wish("test", ["web-01"]), Absent)


def test_the_same_vm_twice_is_one_vm(cast: Cast, vms: list[VM]) -> None:
    once = request_failover(cast.actor("priya"), wish([vms[0], vms[0]]), "request-key-1")
    again = request_failover(cast.actor("priya"), Wish("test", [str(vms[0].uuid)] * 2), "request-key-1")
    assert once == again and once.vm_count == 1


def test_a_moment_that_has_not_come_is_no_recovery_point(cast: Cast, vms: list[VM]) -> None:
    refusal = refused(cast, wish(vms, point_at=clock.now() + timedelta(hours=1)), Invalid)
    assert list(refusal.fields) == ["point_at"]


def test_all_that_is_malformed_is_said_at_once_and_before_what_conflicts(cast: Cast, vms: list[VM]) -> None:
    there = make_vms(cast.northwind, cast.sites["PHX01"], ["far-01"])
    refusal = refused(cast, wish(vms[:1], kind="live"), Invalid)
    assert sorted(refusal.fields) == ["reason", "site_code"]
    refusal = refused(cast, wish([vms[0], there[0]], kind="live"), Invalid)
    assert sorted(refusal.fields) == ["reason"]
    assert refused(cast, wish([vms[0], there[0]], kind="live", reason="adversary"), Conflict).code == "two_sites"


def test_two_targets_of_one_site_are_two_routes(cast: Cast, vms: list[VM]) -> None:
    VM.objects.filter(pk=vms[1].pk).update(protected_to="LHR01")
    assert refused(cast, wish(vms[:2], reason="adversary"), Conflict).title == "VMs of two routes"


def test_another_end_under_the_same_key_is_another_request(cast: Cast, vms: list[VM]) -> None:
    priya, soon = cast.actor("priya"), clock.now() + timedelta(days=1)
    request_failover(priya, wish(vms[:1], ends_at=soon), "request-key-1")
    with pytest.raises(Conflict) as refusal:
        request_failover(priya, wish(vms[:1], ends_at=soon + timedelta(days=5)), "request-key-1")
    assert refusal.value.code == "idempotency_key_reused"


def test_live_beside_a_running_test_is_allowed_and_the_test_is_terminated_first(cast: Cast, vms: list[VM]) -> None:
    test = request(cast, vms[:1])
    assert (
        refused(cast, wish(vms[:1], kind="live", reason="x", site_code="PHX01"), Conflict).facts["ticket"]
        == test.number
    )
    say_yes(cast, test)
    work.drive()
    live = request(cast, vms[:1], "live")
    assert states(test) == ["running"] and states(live) == ["requested"]
    for kind in ("test", "live"):
        assert (
            refused(cast, wish(vms[:1], kind=kind, reason="x", site_code="PHX01"), Conflict).code
            == "already_in_failover"
        )
    say_yes(cast, live)
    work.drive()
    Ticket.objects.update(next_step_at="2020-01-01T00:00Z")
    work.drive()
    assert states(test) == ["terminated"] and states(live) == ["running"]


def test_another_accounts_ticket_is_absent_for_every_verb(cast: Cast, vms: list[VM]) -> None:
    ticket, olga = request(cast, vms[:1]), cast.actor("olga")
    verbs: tuple[Callable[[], Any], ...] = (
        lambda: withdraw(olga, ticket),
        lambda: confirm(olga, ticket),
        lambda: request_termination(olga, ticket, "", "", "end-key-1"),
    )
    for verb in verbs:
        with pytest.raises(Absent):
            verb()
    ticket.refresh_from_db()
    assert ticket.state == "waiting"


def test_the_requester_cannot_reject_his_own_request(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    cast.priya.is_staff = True
    cast.priya.save()
    with pytest.raises(Forbidden):
        reject(support(cast.priya), ticket, "Changed my mind", version_of(ticket))


def test_a_test_whose_end_has_passed_is_not_approved(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    with clock.ahead(timedelta(days=4)), pytest.raises(Conflict) as refusal:
        say_yes(cast, ticket)
    assert refusal.value.code == "end_passed"


def test_a_requester_who_may_no_longer_sign_in_is_not_approved(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    cast.priya.is_active = False
    cast.priya.save()
    with pytest.raises(Conflict) as refusal:
        say_yes(cast, ticket)
    assert refusal.value.code == "requester_not_listed"


def live_running(cast: Cast, vms: list[VM]) -> Ticket:
    ticket = request(cast, vms, "live")
    say_yes(cast, ticket)
    work.drive()
    assert set(states(ticket)) == {"running"}
    return ticket


def test_a_withdrawn_termination_can_be_requested_again_at_once(cast: Cast, vms: list[VM]) -> None:
    live, priya = live_running(cast, vms[:1]), cast.actor("priya")
    first = request_termination(priya, live, "Dallas is back", "DFW01", "end-key-1")
    with pytest.raises(Conflict) as refusal:
        request_termination(priya, live, "Dallas is back", "DFW01", "end-key-2")
    assert (refusal.value.facts["ticket"], refusal.value.facts["who"]) == (first.number, "Priya Raman")
    withdraw(priya, first)
    assert request_termination(priya, live, "Dallas is back", "DFW01", "end-key-3").state == "waiting"


def test_terminating_live_wants_a_reason_and_the_primary_sites_code(cast: Cast, vms: list[VM]) -> None:
    live, priya = live_running(cast, vms[:1]), cast.actor("priya")
    with pytest.raises(Invalid) as refusal:
        request_termination(priya, live, " ", "PHX01", "end-key-1")
    assert sorted(refusal.value.fields) == ["reason", "site_code"]
    assert "Type the site they go back to: DFW01" in refusal.value.fields["site_code"][0]
    assert not Named.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_stopping_a_replication_waits_for_a_request_of_it(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look at the same row. Without the request's lock the stop slips in between, and an open failover stands
    on a replication that is being removed."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    priya, outcome = cast.actor("priya"), list[Any]()

    def stop() -> None:
        try:
            outcome.append(stop_replication(priya, [vms[0].uuid]))
        except Conflict as refusal:
            outcome.append(refusal.code)
        finally:
            connections.close_all()

    stopper = threading.Thread(target=stop)
    look = requesting.refuse_unfit

    def look_and_let_the_other_in(*args: Any) -> None:
        look(*args)
        stopper.start()
        stopper.join(0.7)

    monkeypatch.setattr(requesting, "refuse_unfit", look_and_let_the_other_in)
    ticket = request(cast, vms)
    stopper.join()
    assert outcome == ["held_by_failover"]
    assert states(ticket) == ["requested"] and Replication.objects.get().state == "protected"


# ---- Termination -----------------------------------------------------------------------------------------------------


def test_the_preview_of_a_termination_says_first_that_nothing_is_copied_back(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    live = live_running(cast, vms)
    page = priya.get(f"/northwind/failovers/{live.number}/terminate/")
    shown = text(page)
    assert page.status_code == 200
    assert shown.index("not copied back") < shown.index("Virtual machines")
    assert "PHX01 → to DFW01" in shown and "Type the code of the primary site, DFW01" in shown
    assert "Primary site Not known nothing else of yours is protected in DFW01" in shown
    answer = priya.post(page.request["PATH_INFO"], {**form(page), "reason": "Back", "site_code": "PHX01"})
    assert answer.status_code == 400
    assert "PHX01 is where they run now. Type the site they go back to: DFW01." in text(answer)
    body = {**form(page), "reason": "Back", "site_code": "dfw01"}
    first, second = (priya.post(page.request["PATH_INFO"], body) for _ in range(2))
    assert first.status_code == second.status_code == 303 and first["Location"] == second["Location"]
    ending = Ticket.objects.get(kind="terminate")
    assert first["Location"] == f"/northwind/failovers/{ending.number}/" and ending.vm_count == 3
    answer = priya.get(page.request["PATH_INFO"])
    assert answer.status_code == 409 and f"{ending.number} was first" in text(answer)


def test_a_test_is_terminated_without_a_code(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    address = f"/northwind/failovers/{ticket.number}/terminate/"
    assert priya.get(address).status_code == 409  # nothing runs yet
    say_yes(cast, ticket)
    work.drive()
    page = priya.get(address)
    assert "Type the code" not in text(page) and "The originals are untouched" in text(page)
    assert priya.post(address, form(page)).status_code == 303


def test_a_primary_site_that_does_not_answer_is_said(cast: Cast, priya: Client, vms: list[VM]) -> None:
    live = live_running(cast, vms[:1])
    PointFeed.objects.filter(site="DFW01").update(attempts=3)
    assert "DFW01 doesn't seem to answer now." in text(priya.get(f"/northwind/failovers/{live.number}/terminate/"))


def test_no_statement_is_needed_per_vm(cast: Cast, priya: Client, django_assert_max_num_queries: Any) -> None:
    many = make_vms(cast.northwind, cast.sites["DFW01"], [f"app-{n:03}" for n in range(60)])
    protect(cast, many, "order-key-3")
    with django_assert_max_num_queries(10):
        assert priya.get(NEW, {"site": "DFW01", "kind": "live"}).status_code == 200
    with django_assert_max_num_queries(10):
        assert priya.get(CONFIRM, {"site": "DFW01", "kind": "live"}).status_code == 200
