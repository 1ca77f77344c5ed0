"""The fresh second factor of live steps and decisions (product rule 10, P7): the verbs, and the pages of customers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal import auth
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.core.cache.backends.db import DatabaseCache
from django.db import connection
from django.test import Client

from accounts.actions.second_factor import prove
from accounts.models import Activity
from ampdr import clock, work
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import Actor
from failover.actions import Wish, approve, reject, request_failover, request_termination, version_of
from failover.actions import requests as requesting
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, sign_in
from tests.codes import LABEL, PERIOD, SECRET, code_of, give_factor, recovery_codes, wrong_code
from tests.test_request.pages import CONFIRM, form, live_running, preview, text
from tests.threads import raised, together


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, made)
    return made


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    """Priya's browser: she has an authenticator app, and proved nothing lately."""
    return sign_in(client, give_factor(cast.priya), factor=False)


# ---- The verbs -------------------------------------------------------------------------------------------------------


def files(actor: Actor, ticket: Ticket, vms: list[VM]) -> None:
    request_failover(actor, Wish("live", [vms[1].uuid], "Down", "PHX01"), "request-key-1")


def ends(actor: Actor, ticket: Ticket, vms: list[VM]) -> None:
    request_termination(actor, Ticket.objects.get(kind="live"), "Over", "DFW01", "end-key-1")


def approves(actor: Actor, ticket: Ticket, vms: list[VM]) -> None:
    approve(actor, ticket, "Agreed", version_of(ticket))


def rejects(actor: Actor, ticket: Ticket, vms: list[VM]) -> None:
    reject(actor, ticket, "No", version_of(ticket))


STEPS = [
    (files, "priya", "request"), (ends, "priya", "request"), (approves, "mary", "approve"), (rejects, "mary", "reject"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "who", "event"), STEPS)
def test_a_step_wants_a_proof_of_the_last_five_minutes(
    cast: Cast, vms: list[VM], step: Callable[..., None], who: str, event: str
) -> None:
    """Else nothing is done; with it, the record says when and by which means."""
    live_running(cast, vms[:1])
    ticket, actor, before = request(cast, vms[2:]), cast.actor(who), Activity.objects.count()
    for proved_at in (None, clock.now() - timedelta(minutes=5, seconds=1)):
        with pytest.raises(Forbidden) as refusal:
            step(replace(actor, proved_at=proved_at), ticket, vms)
        assert refusal.value.code == "second_factor_needed" and Activity.objects.count() == before
    proved_at = clock.now() - timedelta(minutes=4, seconds=50)
    step(replace(actor, proved_at=proved_at, proved_by="recovery_codes"), ticket, vms)
    row = Activity.objects.filter(kind="ticket", event=event).latest("id")
    assert row.facts == {"second_factor": "recovery_codes", "proved_at": proved_at.isoformat(timespec="seconds")}


def test_a_test_needs_none_and_says_none(cast: Cast, vms: list[VM]) -> None:
    priya = replace(cast.actor("priya"), proved_at=None)
    request_failover(priya, Wish("test", [vms[0].uuid]), "request-key-1")
    assert Activity.objects.get(kind="ticket", event="request").facts == {}


def test_who_may_not_do_it_hears_that_first(cast: Cast, vms: list[VM]) -> None:
    oscar = replace(cast.actor("oscar"), proved_at=None)
    with pytest.raises(Forbidden) as refusal:
        request_failover(oscar, Wish("live", [vms[0].uuid]), "request-key-1")
    assert refusal.value.code == "not_authorized"
    ticket = request(cast, vms[:1])
    with pytest.raises(Forbidden) as refusal:
        approve(replace(cast.actor("mary"), person_id=cast.priya.pk, proved_at=None), ticket, "Yes", "")
    assert refusal.value.code == "not_the_approver"


def test_a_repeat_gets_its_ticket_when_the_proof_is_old(cast: Cast, vms: list[VM]) -> None:
    first = request(cast, vms[:1], "live")
    with clock.ahead(timedelta(minutes=6)):
        old = replace(cast.actor("priya"), proved_at=clock.now() - timedelta(minutes=6))
        wish = Wish("live", [vms[0].uuid], reason="Clinic sign-in is down", site_code="phx01")
        assert request_failover(old, wish, "request-key-live") == first


# ---- The customer's pages --------------------------------------------------------------------------------------------


def field(page: Any) -> str:
    """The code's field as the page shows it; empty if there is none."""
    html = page.content.decode()
    return next((part for part in html.split("<input")[1:] if 'name="code"' in part.split(">")[0]), "").split(">")[0]


def test_a_fresh_proof_is_not_asked_for_again(cast: Cast, client: Client, vms: list[VM]) -> None:
    sign_in(client, give_factor(cast.priya))
    shown, sent = preview(client, vms[:1], kind="live")
    assert LABEL not in shown
    assert client.post(CONFIRM, {**sent, "reason": "Down", "site_code": "PHX01"}).status_code == 303


def test_the_field_is_beside_the_button_of_a_live_request_alone(priya: Client, vms: list[VM]) -> None:
    page = priya.get(f"{CONFIRM}?kind=live&vm={vms[0].uuid}")
    assert 'autocomplete="one-time-code"' in field(page) and 'inputmode="numeric"' in field(page)
    shown = text(page)
    assert shown.index("Why now?") < shown.index("Type the recovery site code") < shown.index(LABEL)
    assert LABEL not in preview(priya, vms[:1], kind="test")[0]


def test_a_wrong_code_stands_beside_its_field_and_all_that_was_typed_is_kept(priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms[:1], kind="live")
    said = {**sent, "reason": "Clinic is down", "site_code": "phx01"}
    for code, words in (("", "Type the code of your authenticator app"), (wrong_code(), "This code isn't right")):
        answer = priya.post(CONFIRM, {**said, "code": code})
        assert answer.status_code in (400, 403) and not Ticket.objects.exists()
        shown = text(answer)
        assert shown.count(words) == 2 and "One thing needs a look" in shown  # above the form and beside the field
        assert (
            "Type the recovery site code, PHX01" in shown
            and "Clinic is down" in shown
            and 'value="phx01"' in answer.content.decode()
        )
        assert form(answer)["key"] == sent["key"] and 'aria-invalid="true"' in field(answer)
    assert priya.post(CONFIRM, {**said, "code": code_of()}).status_code == 303
    assert Ticket.objects.get().kind == "live"


def test_a_right_code_is_not_lost_with_a_refused_form(priya: Client, vms: list[VM]) -> None:
    _, sent = preview(priya, vms[:1], kind="live")
    answer = priya.post(CONFIRM, {**sent, "reason": "Down", "site_code": "DFW01", "code": code_of()})
    assert answer.status_code == 400 and "DFW01 is where they run now" in text(answer)
    assert not field(answer) and not Ticket.objects.exists()
    assert priya.post(CONFIRM, {**sent, "reason": "Down", "site_code": "PHX01"}).status_code == 303
    assert Activity.objects.get(kind="ticket", event="request").facts["second_factor"] == "totp"


def test_a_wrong_code_and_a_wrong_site_are_said_together(cast: Cast, priya: Client, vms: list[VM]) -> None:
    """A wrong code counts as a try whatever else is wrong; what else is wrong is said without looking at a code."""
    _, sent = preview(priya, vms[:1], kind="live")
    for code, why, status in ((wrong_code(), "This code isn't right", 400), ("", "Type the code of", 403)):
        answer = priya.post(CONFIRM, {**sent, "reason": "", "site_code": "DFW01", "code": code})
        said = text(answer)
        assert answer.status_code == status and why in said and "Say why now" in said
        assert "DFW01 is where they run now" in said
    assert Activity.objects.filter(event="wrong_code").count() == 1 and not Ticket.objects.exists()
    running = live_running(cast, vms[:1])
    end = f"/northwind/failovers/{running.number}/terminate/"
    answer = priya.post(end, {"key": "end-key-1", "reason": "", "site_code": "PHX01", "code": wrong_code()})
    said = text(answer)
    assert answer.status_code == 400 and "This code isn't right" in said
    assert "Say why now" in said and "PHX01 is where they run now" in said


def test_the_proof_ends_after_five_minutes_and_another_session_has_none(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    _, sent = preview(priya, vms[:1], kind="live")
    said = {**sent, "reason": "Down", "site_code": "PHX01", "code": code_of()}
    assert priya.post(CONFIRM, said).status_code == 303
    assert LABEL not in preview(priya, vms[1:2], kind="live")[0]
    assert LABEL in preview(sign_in(Client(), cast.priya, factor=False), vms[1:2], kind="live")[0]
    with clock.ahead(timedelta(minutes=5, seconds=5)):
        assert LABEL in preview(priya, vms[1:2], kind="live")[0]


def test_pressed_twice_the_second_leads_to_what_the_first_made(
    cast: Cast, priya: Client, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it came while the first was at work: the code is used up, and the ticket not yet seen by the verb."""
    _, sent = preview(priya, vms[:1], kind="live")
    said = {**sent, "reason": "Down", "site_code": "PHX01", "code": code_of()}
    first = priya.post(CONFIRM, said)
    monkeypatch.setattr(requesting, "made_with", lambda *args: "")
    second = sign_in(Client(), cast.priya, factor=False).post(CONFIRM, said)
    assert (second.status_code, second["Location"]) == (303, first["Location"]) and Ticket.objects.count() == 1


def test_a_recovery_code_does_too_and_once(cast: Cast, priya: Client, vms: list[VM]) -> None:
    code = next(recovery_codes(cast.priya))
    _, sent = preview(priya, vms[:1], kind="live")
    assert priya.post(CONFIRM, {**sent, "reason": "Down", "site_code": "PHX01", "code": code}).status_code == 303
    assert Activity.objects.get(kind="ticket", event="request").facts["second_factor"] == "recovery_codes"
    other = sign_in(Client(), cast.priya, factor=False)
    _, sent = preview(other, vms[1:2], kind="live")
    assert other.post(CONFIRM, {**sent, "reason": "Down", "site_code": "PHX01", "code": code}).status_code == 400


@pytest.mark.parametrize("what", ["request", "termination"])
def test_who_has_no_factor_is_told_and_offered_no_button(cast: Cast, client: Client, vms: list[VM], what: str) -> None:
    sign_in(client, cast.priya, factor=False)
    address = f"{CONFIRM}?kind=live&vm={vms[0].uuid}"
    if what == "termination":
        address = f"/northwind/failovers/{live_running(cast, vms[:1]).number}/terminate/"
    shown = client.get(address)
    assert "You have no second factor yet." in text(shown) and "+1 555 0100" in text(shown)
    assert not field(shown) and 'href="/me/second-factor/"' in shown.content.decode()
    assert f"Request {'live failover' if what == 'request' else 'termination'} of 1 VM<" not in shown.content.decode()
    said = {**form(shown), "reason": "Clinic is down", "site_code": "PHX01", "code": "123456"}
    answer = client.post(address.partition("?")[0], said)
    assert answer.status_code in (400, 403) and "You have no second factor yet." in text(answer)
    assert "Clinic is down" in text(answer) and not Ticket.objects.filter(state="waiting").exists()


def test_a_termination_of_a_live_failover_asks_likewise(cast: Cast, priya: Client, vms: list[VM]) -> None:
    """Acceptance point 31: nothing is copied back, the primary's code, and a fresh second factor."""
    address = f"/northwind/failovers/{live_running(cast, vms[:1]).number}/terminate/"
    page = priya.get(address)
    assert field(page) and "not copied back" in text(page)
    said = {**form(page), "reason": "Dallas is back", "site_code": "DFW01"}
    answer = priya.post(address, {**said, "code": wrong_code()})
    assert answer.status_code == 400 and "This code isn't right" in text(answer) and "Dallas is back" in text(answer)
    answer = priya.post(address, {**said, "site_code": "PHX01", "code": code_of()})
    assert answer.status_code == 400 and "PHX01 is where they run now" in text(answer) and not field(answer)
    assert priya.post(address, said).status_code == 303
    ticket = Ticket.objects.get(kind="terminate")
    assert Activity.objects.get(kind="ticket", event="request", about=ticket.number).facts["second_factor"] == "totp"


def test_a_termination_of_a_test_asks_for_none(cast: Cast, priya: Client, vms: list[VM]) -> None:
    test = request(cast, vms[:1])
    approves(cast.actor("mary"), test, vms)
    work.drive()
    assert not field(priya.get(f"/northwind/failovers/{test.number}/terminate/"))


def test_the_tickets_page_says_when_and_by_which_means(cast: Cast, client: Client, vms: list[VM]) -> None:
    live = request(cast, vms[:1], "live")
    sign_in(client, cast.priya)
    shown = text(client.get(f"/northwind/failovers/{live.number}/"))
    assert re.search(r"Second factor Authenticator app, \d\d:\d\d", shown)
    approves(cast.actor("mary"), live, vms)
    shown = text(client.get(f"/northwind/failovers/{live.number}/"))
    assert "Requester's second factor Authenticator app" in shown and "Approver's second factor Authenticator" in shown


# ---- One code counts once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("periods", [-1, 1])
def test_a_clock_that_is_a_period_off_is_right_and_its_code_counts_once(
    cast: Cast, periods: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A used code is remembered for as long as it would be taken, three periods."""
    cache.clear()  # of what other tests left: no transaction of theirs held it
    give_factor(cast.priya)
    at = time.time()
    monkeypatch.setattr(auth.time, "time", lambda: at)
    code = str(format_hotp_value(hotp_value(SECRET, int(at) // PERIOD + periods)))
    assert prove(cast.actor("priya"), code).fresh
    with pytest.raises(Invalid):
        prove(cast.actor("priya"), code)
    with connection.cursor() as cursor:
        cursor.execute("SELECT expires - now() FROM cache WHERE cache_key LIKE '%%totp.used%%'")
        assert cursor.fetchone()[0] > timedelta(seconds=2 * PERIOD)


def test_after_ten_wrong_codes_a_right_one_waits(cast: Cast) -> None:
    give_factor(cast.priya)
    priya = cast.actor("priya")
    for _ in range(10):
        with pytest.raises(Invalid):
            prove(priya, wrong_code())
    with pytest.raises(Invalid) as refusal:
        prove(priya, code_of())
    assert "Wait five minutes" in refusal.value.fields["code"][0]
    with clock.ahead(timedelta(minutes=6)):
        assert prove(priya, code_of()).fresh


@pytest.mark.parametrize("code", ["", " ", "\0", "１２３４５６", "x" * 400, "-1", "000 000 000"])
def test_what_is_no_code_is_no_error(cast: Cast, code: str) -> None:
    give_factor(cast.priya)
    with pytest.raises(Invalid) as refusal:
        prove(cast.actor("priya"), code)
    assert list(refusal.value.fields) == ["code"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["totp", "recovery_codes"])
def test_of_two_steps_with_one_code_at_once_one_wins(cast: Cast, kind: str) -> None:
    give_factor(cast.priya)
    priya = cast.actor("priya")
    code = code_of() if kind == "totp" else next(recovery_codes(cast.priya))
    came = together(*[lambda: prove(priya, code)] * 4)
    assert [type(one) for one in raised(came)] == [Invalid] * 3
    assert [one.proved_by for one in came if isinstance(one, Actor)] == [kind]


@pytest.mark.django_db(transaction=True)
def test_without_the_mark_of_used_codes_both_would_win(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    give_factor(cast.priya)
    priya = cast.actor("priya")
    monkeypatch.setattr(DatabaseCache, "add", lambda *args, **kwargs: True)
    code = code_of()
    assert not raised(together(*[lambda: prove(priya, code)] * 2))
