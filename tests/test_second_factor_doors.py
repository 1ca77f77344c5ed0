"""The fresh second factor at Support's door and in the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group
from django.test import Client

from accounts.actions import SUPPORT
from accounts.models import Activity, Person
from ampdr import clock
from failover.actions import version_of
from failover.models import Ticket
from inventory.models import VM
from tests.caller import Caller, by_token, said, signed_in
from tests.cast import Cast, make_vms, protect, request, sign_in
from tests.codes import LABEL, code_of, give_factor, recovery_codes, signed_in_long_ago, wrong_code
from tests.test_admin.desk import QUEUE, html, page, press, state, words
from tests.test_request.pages import live_running


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, made)
    return made


@pytest.fixture
def mary(cast: Cast) -> Client:
    """Mary's browser: she has an authenticator app, and proved nothing lately."""
    return signed_in_long_ago(Client(), give_factor(cast.mary))


# ---- Admin -----------------------------------------------------------------------------------------------------------


def test_the_approval_page_asks_for_the_code_beside_its_buttons(cast: Cast, mary: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms, "live")
    shown = html(mary.get(page(ticket)))
    assert (
        shown.index("<textarea") < shown.index(LABEL) < shown.index('value="approve"') < shown.index('value="reject"')
    )
    assert 'autocomplete="one-time-code"' in shown and 'inputmode="numeric"' in shown
    assert shown.index("<button disabled hidden>") < shown.index(LABEL), "Enter in the field decides nothing"


def test_with_a_fresh_proof_an_approval_is_one_click(cast: Cast, vms: list[VM]) -> None:
    """Acceptance point 23. Whoever signed in with his code a moment ago sees no field."""
    ticket = request(cast, vms, "live")
    mary = sign_in(Client(), give_factor(cast.mary))
    assert LABEL not in html(mary.get(page(ticket)))
    assert press(mary, ticket, "approve").status_code == 302 and state(ticket) == "approved"
    assert Activity.objects.get(kind="ticket", event="approve").facts["second_factor"] == "totp"


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_decision_without_a_right_code_is_none(cast: Cast, mary: Client, vms: list[VM], decision: str) -> None:
    ticket = request(cast, vms, "live")
    tries = (("", "Type the code of your authenticator app"), (wrong_code(), "This code isn&#x27;t right"))
    for code, why in tries:
        answer = press(mary, ticket, decision, code=code, reason="Because of the storm")
        assert answer.status_code == 400 and state(ticket) == "waiting"
        shown = html(answer)
        assert shown.count(why) == 1 and "Because of the storm" in shown and 'aria-invalid="true"' in shown
        assert 'value="outage" checked' in shown
    answer = press(mary, ticket, decision, code=code_of(), reason="Because of the storm")
    assert answer.status_code == 302 and state(ticket) == {"approve": "approved", "reject": "rejected"}[decision]


def test_a_right_code_is_kept_when_the_reason_is_missing(cast: Cast, mary: Client, vms: list[VM]) -> None:
    ticket, other = request(cast, vms[:1]), request(cast, vms[1:2], key="another-key")
    answer = press(mary, ticket, "approve", code=next(recovery_codes(cast.mary)), quick="own")
    assert answer.status_code == 400 and "Say why" in html(answer) and LABEL not in html(answer)
    assert press(mary, ticket, "approve", quick="phone").status_code == 302
    assert press(mary, other, "reject").status_code == 400
    with clock.ahead(timedelta(minutes=6)):
        assert LABEL in html(mary.get(page(other)))
        assert press(mary, other, "approve").status_code == 400 and state(other) == "waiting"


def test_staff_without_a_factor_get_no_button(cast: Cast, vms: list[VM]) -> None:
    ticket, mary = request(cast, vms[:1]), signed_in_long_ago(Client(), cast.mary)
    shown = html(mary.get(page(ticket)))
    assert "You have no second factor yet" in shown and 'href="/me/second-factor/"' in shown
    assert LABEL not in shown and 'value="approve"' not in shown and 'value="reject"' not in shown
    assert press(mary, ticket, "approve", code="123456").status_code == 400 and state(ticket) == "waiting"


def test_the_requester_with_staff_rights_is_offered_nothing(cast: Cast, vms: list[VM]) -> None:
    """Acceptance point 24."""
    ticket = request(cast, vms[:1], "live")
    Person.objects.filter(pk=cast.priya.pk).update(is_staff=True)
    cast.priya.groups.add(Group.objects.get(name=SUPPORT))
    priya = signed_in_long_ago(Client(), give_factor(Person.objects.get(pk=cast.priya.pk)))
    shown = html(priya.get(page(ticket)))
    assert 'value="approve"' not in shown and LABEL not in shown
    code = code_of()
    for decision in ("approve", "reject"):
        assert press(priya, ticket, decision, code=code, reason="Mine").status_code == 403
    assert state(ticket) == "waiting" and not Activity.objects.filter(event="wrong_code").exists()


def test_several_tests_at_once_want_it_too(cast: Cast, mary: Client, vms: list[VM]) -> None:
    tests = [request(cast, [vm], key=f"key-of-{vm.name}") for vm in vms[:2]]
    body = {"action": "approve_tests", "_selected_action": [ticket.pk for ticket in tests], "reason": "Planned"}
    assert 'name="code"' in html(mary.get(QUEUE))
    assert "Type the code" in words(mary.post(QUEUE, body))
    assert "This code isn't right" in words(mary.post(QUEUE, body | {"code": wrong_code()}))
    assert [state(ticket) for ticket in tests] == ["waiting"] * 2
    mary.post(QUEUE, body | {"code": code_of()})
    assert [state(ticket) for ticket in tests] == ["approved"] * 2
    assert 'name="code"' not in html(mary.get(QUEUE))


def test_setting_failed_lines_going_needs_no_code(cast: Cast, mary: Client, vms: list[VM]) -> None:
    ticket = live_running(cast, vms[:1])
    assert press(mary, ticket, "retry", line=ticket.lines.get().pk).status_code == 409  # "It doesn't wait for Support"


# ---- The API ---------------------------------------------------------------------------------------------------------


def caller(cast: Cast, name: str) -> Caller:
    """Signed in a while ago, with an authenticator app."""
    found = signed_in(cast, name)
    signed_in_long_ago(found.client, give_factor(getattr(cast, name)))
    return found


def live(vms: list[VM], **other: Any) -> dict[str, Any]:
    return {"kind": "live", "vms": [str(vms[0].uuid)], "reason": "Down", "site_code": "PHX01", **other}


NEEDED = (403, "second_factor_needed")


def test_a_live_request_by_the_api(cast: Cast, vms: list[VM]) -> None:
    priya = caller(cast, "priya")
    assert said(priya.post("tickets/", live(vms), "key-of-request")) == NEEDED
    wrong = priya.post("tickets/", live(vms, code=wrong_code()), "key-of-request")
    assert said(wrong) == (400, "second_factor_wrong") and list(wrong.content["fields"]) == ["code"]
    assert not Ticket.objects.exists()
    code = code_of()
    assert priya.post("tickets/", live(vms, code=code), "key-of-request").status == 201
    again = priya.post("tickets/", live(vms, code=code), "key-of-request")
    assert again.status == 201 and Ticket.objects.count() == 1
    assert priya.post("tickets/", live(vms[1:]), "another-key").status == 201, "the proof is kept in the session"


def test_who_has_no_factor_is_told_by_the_api(cast: Cast, vms: list[VM]) -> None:
    priya = caller(cast, "priya")
    Authenticator.objects.filter(user=cast.priya).delete()
    answer = priya.post("tickets/", live(vms), "key-of-request")
    assert said(answer) == NEEDED and answer.content["facts"]["case"] == "no_factor"


def test_a_code_is_not_spent_on_what_is_refused_anyway(cast: Cast, vms: list[VM]) -> None:
    """The order of refusals: absent and not authorized come before the code is looked at."""
    priya, oscar, code = caller(cast, "priya"), caller(cast, "oscar"), code_of()
    nowhere = live(vms, code=code) | {"vms": ["00000000-0000-4000-8000-000000000000"]}
    assert priya.post("tickets/", nowhere, "key-of-request").status == 404
    assert said(oscar.post("tickets/", live(vms, code=code), "key-of-request")) == (403, "not_authorized")
    assert priya.post("tickets/", live(vms, code=code), "key-of-request").status == 201


def test_a_termination_by_the_api(cast: Cast, vms: list[VM]) -> None:
    running, priya = live_running(cast, vms[:1]), caller(cast, "priya")
    where, body = f"tickets/{running.number}/terminate/", {"reason": "Over", "site_code": "DFW01"}
    assert said(priya.post(where, body, "key-of-the-end")) == NEEDED
    assert priya.post(where, body | {"code": code_of()}, "key-of-the-end").status == 201


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_a_decision_by_the_api(cast: Cast, vms: list[VM], what: str) -> None:
    ticket, mary = request(cast, vms[:1]), caller(cast, "mary")
    where, body = f"tickets/{ticket.number}/{what}/", {"version": version_of(ticket), "reason": "Agreed"}
    assert said(mary.post(where, body, "key-of-decision")) == NEEDED and state(ticket) == "waiting"
    code = code_of()
    assert mary.post(where, body | {"code": code}, "key-of-decision").status == 200
    assert mary.post(where, body, "key-of-decision").status == 200, "a repeat asks for nothing and does nothing"
    assert Activity.objects.get(kind="ticket", event=what).facts["second_factor"] == "totp"


def test_tokens_are_refused_as_ever_and_tests_need_no_code(cast: Cast, vms: list[VM]) -> None:
    token, priya = by_token(cast), caller(cast, "priya")
    assert said(token.post("tickets/", live(vms, code=code_of()), "key-of-request")) == (403, "not_by_token")
    assert priya.post("tickets/", {"kind": "test", "vms": [str(vms[0].uuid)]}, "key-of-test").status == 201
