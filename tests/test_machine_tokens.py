"""Machine tokens: one purpose, one site or account, made by Operators; no person gets in where they do, nor they
where people do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import include, path
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actions import create_account, issue_machine_token, revoke_machine_token, support_only
from accounts.api import MachineDoor
from accounts.models import Activity, MachineToken, Token
from ampdr import api, clock, urls
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import PORTAL, Actor
from inventory.api.sites import SiteDoor
from inventory.models import Site
from tests.caller import Answer, Caller, alike, by_token, said, signed_in, the_document
from tests.cast import Cast, sign_in

handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500
ADMIN = "/admin/accounts/machinetoken/"


class Reports(SiteDoor):
    """A door for security reports of one site."""

    purposes = frozenset({"security_reports"})

    def get(self, request: Request) -> Response:
        return Response({"site": self.site, "who": self.actor.name})


class Stock(MachineDoor):
    """A door for the inventory of one account."""

    purposes = frozenset({"inventory"})

    def get(self, request: Request) -> Response:
        return Response({"account": self.actor.account_id})


machines = [
    path("api/v1/sites/<str:site>/reports/", Reports.as_view(), name="api-x-reports"),
    path("api/v1/accounts/<str:account>/stock/", Stock.as_view(), name="api-x-stock"),
]
urlpatterns = [*machines, path("api/", include(api)), *urls.urlpatterns]


ANYTHING = {"responses": {str(status): {"description": ""} for status in range(600)}}


@pytest.fixture
def more_doors(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOT_URLCONF = __name__
    monkeypatch.setattr("tests.caller.operation_of", lambda *_: ANYTHING)


def machine(purpose: str = "inventory", **place: Any) -> Caller:
    _, secret = issue_machine_token(PORTAL, "Collector", purpose, **(place or {"site": "DFW01"}))
    return Caller("northwind", {"Authorization": f"Bearer {secret}"})


def at(caller: Caller, site: str) -> Answer:
    return caller.get(f"/api/v1/sites/{site}/")


# ---- Calling ---------------------------------------------------------------------------------------------------------


def test_a_machine_hears_who_it_is(cast: Cast) -> None:
    answer = at(machine(), "DFW01")
    assert answer.status == 200
    assert answer.content == {"site": "DFW01", "name": "Collector", "purpose": "inventory", "expires_at": None}
    assert the_document()["paths"]["/api/v1/sites/{site}/"]["get"]["security"] == [{"machine": []}]


def test_another_site_is_as_one_that_never_was(cast: Cast) -> None:
    caller = machine()
    answers = [at(caller, site) for site in ("PHX01", "XXX99", "dfw01", "DFW01%00", "%F0%9F%92%A3", "x" * 300)]
    assert said(answers[0]) == (404, "not_found")
    assert all(alike(answers[0], answer) for answer in answers)


def test_a_site_that_is_gone_is_checked_at_use(cast: Cast) -> None:
    caller = machine(site="AMS01")
    assert said(at(caller, "AMS01")) == (404, "not_found")
    Site.objects.create(code="AMS01", city="Amsterdam")
    assert at(caller, "AMS01").status == 200


@pytest.mark.usefixtures("more_doors")
def test_one_purpose_and_one_place(cast: Cast) -> None:
    """403 for another purpose, the same at every place; then 404 for another place; 200 only at one's own."""
    reports, inventory = machine("security_reports"), machine("inventory")
    there, elsewhere = "/api/v1/sites/DFW01/reports/", "/api/v1/sites/PHX01/reports/"
    assert reports.get(there).content == {"site": "DFW01", "who": "Collector"}
    assert said(reports.get(elsewhere)) == (404, "not_found")
    assert said(inventory.get(there)) == (403, "wrong_purpose")
    assert alike(inventory.get(there), inventory.get(elsewhere))
    stock = machine("inventory", account=cast.northwind)
    assert stock.get("stock/").content == {"account": cast.northwind.pk}
    stock.slug = "contoso"
    foreign = stock.get("stock/")
    stock.slug = "never-made"
    assert said(foreign) == (404, "not_found") and alike(foreign, stock.get("stock/"))
    assert said(at(stock, "DFW01")) == said(inventory.get("stock/")) == (404, "not_found")


def test_no_person_gets_in_at_a_machines_door(cast: Cast) -> None:
    """Neither a person's token nor a session, Support's included; and what was sent is not told apart."""
    nobody = at(Caller(), "DFW01")
    assert said(nobody) == (401, "not_authenticated")
    assert said(at(by_token(cast), "DFW01")) == (401, "invalid_token")
    cast.mary.is_superuser = True
    cast.mary.save()
    for name in ("priya", "mary"):
        for site in ("DFW01", "XXX99"):
            assert alike(at(signed_in(cast, name), site), nobody)


def test_no_machine_gets_in_at_a_persons_door(cast: Cast) -> None:
    for caller in (machine(), machine(account=cast.northwind), machine("security_reports", account=cast.northwind)):
        for method, paths in the_document()["paths"].items():
            people = [verb for verb in paths if paths[verb].get("security") != [{"machine": []}]]
            if "{account}" in method:
                address = re.sub(r"\{\w+\}", "x", method.replace("{account}", "northwind"))
                for verb in people:
                    assert said(caller.call(verb.upper(), address)) == (401, "invalid_token"), (verb, address)
        page = Client().get("/northwind/vms/", headers=caller.headers)
        assert page.status_code == 302 and page["Location"].startswith("/sign-in/")


def test_a_machines_token_ends(cast: Cast) -> None:
    caller = machine(site="DFW01", days=30)
    token = MachineToken.objects.get()
    assert token.last_used_at is None and at(caller, "DFW01").status == 200
    with clock.ahead(timedelta(days=31)):
        assert said(at(caller, "DFW01")) == (401, "invalid_token")
    revoke_machine_token(PORTAL, token)
    assert said(at(caller, "DFW01")) == (401, "invalid_token")
    token.refresh_from_db()
    assert token.last_used_at and token.revoked_at
    told = Activity.objects.filter(kind="machine_token").order_by("pk")
    assert [(row.event, row.account, row.facts["prefix"]) for row in told] == [
        ("issued", None, token.prefix), ("revoked", None, token.prefix)
    ]  # fmt: skip


def test_a_machine_uses_no_verb_of_support(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        support_only(Actor("Collector", via="machine"))
    with pytest.raises(Forbidden):
        create_account(Actor("Collector", via="machine"), "acme", "Acme", 4200)


# ---- Making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{}, {"site": ""}, {"site": "no site"}, {"site": "TOOLONG01"}, {"site": "D\0"}])
def test_a_token_is_for_exactly_one_place(cast: Cast, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        issue_machine_token(PORTAL, "x", "inventory", **wrong)
    with pytest.raises(Invalid):
        issue_machine_token(PORTAL, "x", "inventory", site="DFW01", account=cast.northwind)
    with pytest.raises(Invalid):
        issue_machine_token(PORTAL, "x", "everything", site="DFW01")
    assert not MachineToken.objects.exists()


def test_no_customer_makes_one(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        issue_machine_token(cast.actor("priya"), "x", "inventory", site="DFW01")


@pytest.fixture
def operator(cast: Cast) -> Client:
    """Tom's browser; he is in the staff group Operator."""
    group, _ = Group.objects.get_or_create(name="Operator")
    names = ("view_machinetoken", "add_machinetoken", "change_machinetoken")
    group.permissions.add(*Permission.objects.filter(codename__in=names))
    cast.tom.groups.add(group)
    return sign_in(Client(), cast.tom)


def test_an_operator_makes_one_in_admin_and_sees_it_once(cast: Cast, operator: Client) -> None:
    wish = {"name": "Collector", "purpose": "inventory", "site": "dfw01", "account": "", "days": "365"}
    answer = operator.post(f"{ADMIN}add/", wish)
    (secret,) = re.findall(r">(ampdr_[0-9a-f]{40})<", answer.content.decode())
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    token = MachineToken.objects.get()
    assert (token.site, token.made_by, token.digest) == ("DFW01", cast.tom, Token.digest_of(secret))
    for page in (ADMIN, f"{ADMIN}{token.pk}/change/", f"{ADMIN}{token.pk}/history/"):
        body = operator.get(page).content.decode()
        assert (secret not in body and token.digest not in body and token.prefix in body) or "history" in page
    assert secret not in json.dumps(dict(operator.session)) and not answer.cookies.get("messages")
    assert at(Caller("", {"Authorization": f"Bearer {secret}"}), "DFW01").status == 200
    chosen = {"action": "revoke", "_selected_action": str(token.pk)}
    assert operator.post(ADMIN, chosen).status_code == 302
    assert at(Caller("", {"Authorization": f"Bearer {secret}"}), "DFW01").status == 401
    assert "Revoked" in operator.get(ADMIN).content.decode()


WRONG: list[Callable[[Cast], dict[str, str]]] = [
    lambda _: {"site": "", "account": ""},
    lambda _: {"site": "DFW01", "account": "northwind"},
    lambda _: {"account": "never-made", "site": ""},
    lambda _: {"site": "not a site"},
    lambda _: {"purpose": "everything"},
    lambda _: {"name": ""},
    lambda _: {"days": "12345"},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_admin_says_what_is_wrong(cast: Cast, operator: Client, wrong: Callable[[Cast], dict[str, str]]) -> None:
    wish = {"name": "Collector", "purpose": "inventory", "site": "DFW01", "account": "", "days": "30"}
    answer = operator.post(f"{ADMIN}add/", wish | wrong(cast))
    assert (answer.status_code in (200, 400) and b"errorlist" in answer.content) or answer.status_code == 400
    assert not MachineToken.objects.exists()


def test_who_is_no_operator_sees_none(cast: Cast) -> None:
    machine()
    mary, token = sign_in(Client(), cast.mary), MachineToken.objects.get()
    for page in (ADMIN, f"{ADMIN}add/", f"{ADMIN}{token.pk}/change/"):
        assert mary.get(page).status_code == 403
    mary.post(ADMIN, {"action": "revoke", "_selected_action": str(token.pk)})
    assert MachineToken.objects.filter(revoked_at=None).exists()
