"""A lost second factor: a Support lead asks after a call-back, a second one of staff approves with a fresh proof."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.test import Client

from accounts import activity
from accounts.actions import LEAD, support
from accounts.actions.resets import approve_factor_reset, ask_factor_reset, refuse_factor_reset
from accounts.models import Activity, FactorReset, Person
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor
from failover.actions import Wish, request_failover
from tests.cast import Cast, join, make_person, make_vms, protect, sign_in
from tests.codes import LABEL, code_of, give_factor, signed_in_long_ago
from tests.test_admin.desk import html, words
from tests.threads import raised, together

SHELF = "/admin/accounts/factorreset/"
WHY = "Called +1 555 0142 back; Priya answered and knew FO-2231"


@pytest.fixture
def tom(cast: Cast) -> Actor:
    """A Support lead. Mary is of Support, as ever."""
    cast.tom.groups.set([Group.objects.get(name=LEAD)])
    return cast.actor("tom")


@pytest.fixture
def reset(cast: Cast, tom: Actor) -> FactorReset:
    return ask_factor_reset(tom, give_factor(cast.priya), WHY)


def browser_of(person: Person) -> Client:
    """A session as the sign-in page makes one: allauth keeps it on its list."""
    client = sign_in(Client(), person)
    UserSession.objects.create(user=person, ip="192.0.2.7", session_key=client.session.session_key)
    return client


def test_the_factor_goes_the_sessions_end_and_it_is_told(cast: Cast, reset: FactorReset) -> None:
    join(cast.priya, cast.contoso, "Billing")
    browser, olga = browser_of(cast.priya), browser_of(cast.olga)
    approve_factor_reset(cast.actor("mary"), reset)
    reset.refresh_from_db()
    assert reset.approved_by == cast.mary and reset.approved_at is not None
    assert not Authenticator.objects.filter(user=cast.priya).exists()
    assert browser.get("/northwind/vms/")["Location"].startswith("/sign-in/")
    assert olga.get("/contoso/vms/").status_code == 200 and Session.objects.count() == 1
    own = Activity.objects.get(account=None, event="factor_reset")
    assert (own.kind, own.subject_id, own.reason) == ("person", cast.priya.pk, WHY)
    assert own.actor == "Mary Osei" and own.staff
    assert own.facts["asked_by"] == "Tom Ueda" and own.facts["second_factor"] == "totp"
    told = Activity.objects.filter(kind="membership", event="factor_reset")
    assert {row.account for row in told} == {cast.northwind, cast.contoso}
    assert {row.facts["person"] for row in told} == {"Priya Raman"} and not list(activity.faults())


def test_until_a_new_factor_is_set_live_requests_are_barred(cast: Cast, reset: FactorReset) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    approve_factor_reset(cast.actor("mary"), reset)
    priya = replace(cast.actor("priya"), proved_at=None)
    with pytest.raises(Forbidden) as refusal:
        request_failover(priya, Wish("live", [vms[0].uuid], "Down", "PHX01"), "request-key-1")
    assert (refusal.value.code, refusal.value.facts["case"]) == ("second_factor_needed", "no_factor")
    assert request_failover(priya, Wish("test", [vms[0].uuid]), "request-key-2").state == "waiting"


# ---- Refusals --------------------------------------------------------------------------------------------------------


def refused(code: str, verb: Any, *args: Any) -> None:
    before = Activity.objects.count()
    with pytest.raises((Forbidden, Conflict, Invalid)) as refusal:
        verb(*args)
    assert refusal.value.code == code and Activity.objects.count() == before


def test_who_may_ask_and_for_whom(cast: Cast, tom: Actor) -> None:
    refused("forbidden", ask_factor_reset, cast.actor("mary"), give_factor(cast.priya), WHY)
    refused("forbidden", ask_factor_reset, cast.actor("priya"), cast.olga, WHY)
    refused("not_your_own", ask_factor_reset, tom, give_factor(cast.tom), WHY)
    refused("invalid", ask_factor_reset, tom, cast.priya, "  ")
    refused("no_factor", ask_factor_reset, tom, cast.olga, WHY)
    ask_factor_reset(tom, cast.priya, WHY)
    refused("already_asked", ask_factor_reset, tom, cast.priya, "Again")


def test_who_may_approve(cast: Cast, tom: Actor, reset: FactorReset) -> None:
    refused("forbidden", approve_factor_reset, cast.actor("olga"), reset)
    refused("not_the_approver", approve_factor_reset, tom, reset)
    refused("second_factor_needed", approve_factor_reset, replace(cast.actor("mary"), proved_at=None), reset)
    Person.objects.filter(pk=cast.priya.pk).update(is_staff=True)
    cast.priya.groups.set([Group.objects.get(name=LEAD)])
    priya = replace(support(Person.objects.get(pk=cast.priya.pk)), proved_at=clock.now())
    refused("not_the_approver", approve_factor_reset, priya, reset)
    refused("invalid", refuse_factor_reset, cast.actor("mary"), reset, " ")
    assert Authenticator.objects.filter(user=cast.priya).exists()
    approve_factor_reset(cast.actor("mary"), reset)
    refused("already_approved", approve_factor_reset, cast.actor("mary"), reset)
    refused("already_approved", refuse_factor_reset, cast.actor("mary"), reset, "Too late")


def test_a_refused_reset_can_be_asked_for_again(cast: Cast, tom: Actor, reset: FactorReset) -> None:
    refuse_factor_reset(cast.actor("mary"), reset, "The number is not on the list")
    row = Activity.objects.get(event="factor_reset_refused")
    assert (row.actor, row.reason, row.facts["person"]) == ("Mary Osei", "The number is not on the list", "Priya Raman")
    refused("refused_meanwhile", approve_factor_reset, cast.actor("mary"), reset)
    assert ask_factor_reset(tom, cast.priya, WHY).pk != reset.pk


@pytest.mark.parametrize("approver", ["tom", "priya"])
def test_the_database_refuses_one_who_may_not(cast: Cast, reset: FactorReset, approver: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        FactorReset.objects.filter(pk=reset.pk).update(approved_by=getattr(cast, approver), approved_at=clock.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        FactorReset.objects.create(person=cast.olga, asked_by=cast.olga, reason="Mine")


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_one_wins(cast: Cast, tom: Actor) -> None:
    otto = make_person("otto@example.com", "Otto Berg", is_staff=True)
    otto.groups.set([Group.objects.get(name=LEAD)])
    second = replace(support(otto), proved_at=clock.now(), proved_by="totp")
    for _ in range(3):
        reset = ask_factor_reset(tom, give_factor(cast.priya), WHY)
        came = together(
            partial(approve_factor_reset, cast.actor("mary"), reset),
            partial(approve_factor_reset, second, reset),
            partial(refuse_factor_reset, second, reset, "No"),
        )
        assert [type(one) for one in raised(came)] == [Conflict] * 2
        Authenticator.objects.all().delete()
        FactorReset.objects.all().delete()
    assert not list(activity.faults())


@pytest.mark.django_db(transaction=True)
def test_of_two_who_ask_at_once_one_wins(cast: Cast, tom: Actor) -> None:
    give_factor(cast.priya)
    came = together(*[lambda: ask_factor_reset(tom, cast.priya, WHY)] * 3)
    assert [getattr(one, "code", "") for one in raised(came)] == ["already_asked"] * 2


# ---- Admin -----------------------------------------------------------------------------------------------------------


def test_the_whole_way_in_admin(cast: Cast, tom: Actor) -> None:
    give_factor(cast.priya)
    lead, mary = sign_in(Client(), cast.tom), signed_in_long_ago(Client(), give_factor(cast.mary))
    assert mary.get(f"{SHELF}add/").status_code == 403
    assert lead.post(f"{SHELF}add/", {"person": "priya@example.com", "reason": WHY}).status_code == 302
    page = f"{SHELF}{FactorReset.objects.get().pk}/change/"
    assert "Waits for a second member of staff" in html(mary.get(SHELF))
    shown = html(lead.get(page))
    assert "You asked for it yourself" in shown and 'value="approve"' not in shown
    assert lead.post(page, {"decision": "approve"}).status_code == 403
    shown = html(mary.get(page))
    assert WHY in shown and LABEL in shown and "Northwind Health" in shown
    answer = mary.post(page, {"decision": "approve", "code": ""})
    assert answer.status_code == 400 and "Type the code" in html(answer)
    assert Authenticator.objects.filter(user=cast.priya).exists()
    answer = mary.post(page, {"decision": "approve", "code": code_of()})
    assert answer.status_code == 302 and "has no second factor any more" in words(answer)
    assert "Approved" in html(mary.get(page)) and mary.post(page, {"decision": "approve"}).status_code == 302
    assert lead.post(f"{SHELF}add/", {"person": "priya@example.com", "reason": WHY}).status_code == 409
