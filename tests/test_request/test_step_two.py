"""Step 2: the preview, the form that sends it, who may, and that nothing is sent twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuthorizedUser, Membership, Permission, Receipt, Role
from ampdr import clock, work
from ampdr.errors import Forbidden
from failover.actions import request_termination, withdraw
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.actions import stop_replication
from replication.models import RecoveryPoint, Replication
from tests.cast import Cast, join, request, say_yes, sign_in
from tests.test_request.pages import CONFIRM, NEW, form, link, preview, text


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
    _, sent = preview(priya, vms[:1], kind="live")
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


def test_four_refusals_have_four_texts(cast: Cast, client: Client, vms: list[VM]) -> None:
    join(cast.mary, cast.northwind, "Billing")
    join(cast.tom, cast.northwind, "Billing")
    AuthorizedUser.objects.create(account=cast.northwind, person=cast.tom)
    pages = {}
    for name in ("mary", "tom", "oscar"):
        sign_in(client, getattr(cast, name))
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
