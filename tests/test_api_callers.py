"""Who calls the API and what is there for them: another account's is as good as none."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission as StaffPermission

from accounts.models import Membership, Person, Token
from ampdr import clock
from inventory.models import VM, VpnGateway
from replication.models import Order
from tests.caller import KEY, NOBODY, Answer, Caller, alike, by_token, said, signed_in, the_document, three_vms
from tests.cast import Cast, join, make_person, make_vms, protect, request, sign_in


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    return three_vms(cast)


# ---- Who calls -------------------------------------------------------------------------------------------------------


def test_nobody_known(cast: Cast) -> None:
    """401 with what to send, the same for every account and for none; the bearer's word is taken only as a whole."""
    good = by_token(cast).headers["Authorization"]
    sent = {
        "": "not_authenticated", "Basic cHJpeWE6eA==": "not_authenticated", "Bearer": "invalid_token",
        "Bearer ampdr_" + "0" * 40: "invalid_token", good[:-1] + "x": "invalid_token",
        "Bearer \xe9\xe9": "invalid_token",
        good.replace("Bearer ampdr_", "Bearer "): "invalid_token",
    }  # fmt: skip
    for header, code in sent.items():
        headers = {"Authorization": header} if header else {}
        answers = [Caller(slug, headers).get("vms/") for slug in ("northwind", "contoso", "nowhere")]
        assert said(answers[0]) == (401, code), header
        assert answers[0].headers["WWW-Authenticate"] == 'Bearer realm="AMPDR"'
        assert alike(answers[0], answers[1]) and alike(answers[0], answers[2])
    assert said(Caller().post("orders/", {"vms": []}, KEY)) == (401, "not_authenticated")


def test_a_token_that_opens_nothing_any_more(cast: Cast) -> None:
    """Expired, revoked, its owner barred: 401. Its owner out of the account: the account isn't there for it."""
    token = by_token(cast, "oscar")
    assert token.get("vms/").status == 200
    Token.objects.update(expires_at=clock.now() + timedelta(hours=1))
    assert token.get("vms/").status == 200
    with clock.ahead(timedelta(hours=2)):
        assert said(token.get("vms/")) == (401, "invalid_token")
    Person.objects.filter(pk=cast.oscar.pk).update(is_active=False)
    assert said(token.get("vms/")) == (401, "invalid_token")
    Person.objects.filter(pk=cast.oscar.pk).update(is_active=True)
    Membership.objects.filter(person=cast.oscar).update(enabled=False)
    assert said(token.get("vms/")) == (404, "not_found")
    Token.objects.all().delete()
    assert said(token.get("vms/")) == (401, "invalid_token")


def test_a_token_opens_one_account(cast: Cast) -> None:
    """Its owner is a member of two: in the other one the token opens nothing, as in one that was never made."""
    join(cast.priya, cast.contoso, "Admin")
    token = by_token(cast)
    assert token.get("vms/").status == 200
    token.slug = "contoso"
    foreign = token.get("vms/")
    token.slug = "nowhere"
    assert said(foreign) == (404, "not_found") and alike(foreign, token.get("vms/"))
    assert signed_in(cast, "priya", "contoso").get("vms/").status == 200


def test_when_a_token_was_used_is_right_to_the_minute(cast: Cast) -> None:
    token = by_token(cast)
    token.get("vms/")
    used = Token.objects.get().last_used_at
    token.get("vms/")
    assert Token.objects.get().last_used_at == used
    with clock.ahead(timedelta(minutes=2)):
        token.get("vms/")
    later = Token.objects.get().last_used_at
    assert used and later and later > used


def test_a_token_may_what_both_may(cast: Cast, vms: list[VM]) -> None:
    """Never more than its owner, never more than its scopes, and it changes with the owner's roles at once."""
    new = make_vms(cast.northwind, cast.sites["DFW01"], ["new-01"])
    only_vms, looks, all_of_ravi = (
        by_token(cast, "priya", ["read_vms"]), by_token(cast, "priya", ["read_vms", "read_replication"]),
        by_token(cast, "ravi"),
    )  # fmt: skip
    refused = only_vms.get("orders/")
    assert said(refused) == (403, "forbidden")
    assert refused.content["facts"]["permission"] == "Read Server Replication"
    assert refused.content["facts"]["administrators"] == [{"name": "Priya Raman", "email": "priya@example.com"}]
    for caller in (looks, all_of_ravi):
        assert caller.get("orders/").status == 200
        answer = caller.post("orders/", {"vms": [str(new[0].uuid)]}, KEY)
        assert (said(answer), answer.content["facts"]["permission"]) == ((403, "forbidden"), "Write Server Replication")
        assert caller.delete(f"replications/{vms[0].uuid}/").status == 403
    assert (
        looks.post("tickets/", {"kind": "test", "vms": [str(vms[0].uuid)]}, KEY).status == 201
    )  # rule 7: Read, listed
    Membership.objects.get(person=cast.priya).roles.clear()
    assert said(looks.get("orders/")) == (403, "forbidden")


def test_a_session_needs_its_csrf_token(cast: Cast, vms: list[VM]) -> None:
    priya = signed_in(cast)
    body = {"kind": "test", "vms": [str(vms[0].uuid)]}
    without = Caller(client=priya.client)
    assert without.get("vms/").status == 200
    assert said(without.post("tickets/", body, KEY)) == (403, "csrf_failed")
    assert priya.post("tickets/", body, KEY).status == 201


# ---- Another account's, and none -------------------------------------------------------------------------------------

CALLS: list[tuple[str, str, Any]] = [
    ("GET", "vms/", None), ("GET", "vms/{vm}/", None),
    ("GET", "orders/", None), ("POST", "orders/", {"vms": ["{vm}"]}), ("GET", "orders/{order}/", None),
    ("GET", "replications/", None), ("GET", "replications/{vm}/", None), ("DELETE", "replications/{vm}/", None),
    ("GET", "replications/{vm}/points/", None), ("GET", "replications/{vm}/rpo/", None),
    ("POST", "replications/stop/", {"vms": ["{vm}"]}), ("GET", "service-levels/", None),
    ("GET", "billable/?month=2026-01", None), ("GET", "outages/", None),
    ("GET", "vpn/", None), ("GET", "vpn/members/", None), ("POST", "vpn/members/{member}/PHX01-Recovery/", {}),
    ("DELETE", "vpn/members/{member}/PHX01-Recovery/", None),
    ("GET", "tickets/", None), ("POST", "tickets/", {"kind": "test", "vms": ["{vm}"]}),
    ("GET", "tickets/{ticket}/", None), ("GET", "tickets/{ticket}/failovers/", None),
    ("POST", "tickets/{ticket}/withdraw/", {}), ("POST", "tickets/{ticket}/confirm/", {}),
    ("POST", "tickets/{ticket}/terminate/", {}), ("POST", "tickets/{ticket}/extend/", {"ends_at": "2030-01-01T00:00Z"}),
    ("POST", "tickets/{ticket}/result/", {"result": "passed"}),
    ("POST", "tickets/{ticket}/approve/", {"version": "x"}), ("POST", "tickets/{ticket}/reject/", {"version": "x"}),
]  # fmt: skip


def made(caller: Caller, call: tuple[str, str, Any], **names: str) -> Answer:
    """Makes the call with these names in its address and body."""
    method, path, body = call
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
        if body and "vms" in body and name == "vm":
            body = {**body, "vms": [value]}
    return caller.call(method, path, body, "" if method == "GET" else uuid.uuid4().hex)


def test_every_call_is_tried() -> None:
    paths = the_document()["paths"]
    known = {
        (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "{account}" in path and operation["security"] != [{"machine": []}]
    }
    names = {
        "{vm}": "{uuid}", "{order}": "{number}", "{ticket}": "{number}", "{member}": "{uuid}",
        "PHX01-Recovery": "{profile}",
    }  # fmt: skip
    tried = set()
    for method, path, _ in CALLS:
        for ours, theirs in names.items():
            path = path.replace(ours, theirs)  # noqa: PLW2901
        tried.add((method, f"/api/v1/accounts/{{account}}/{path.partition('?')[0]}"))
    assert tried == known


def contosos(cast: Cast) -> dict[str, str]:
    """What Contoso has: a VM, the order of it and a ticket about it, and a member."""
    VpnGateway.objects.get_or_create(site=cast.sites["PHX01"], recovery=True, host="phx01.vpn.example")
    member = str(Membership.objects.get(person=cast.olga).uuid)
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["erp-01"])
    order = protect(cast, [theirs], who="olga", key="olgas-order-key")
    ticket = request(cast, [theirs], who="olga", key="olgas-ticket-key")
    return {"vm": str(theirs.uuid), "order": order.number, "ticket": ticket.number, "member": member}


@pytest.mark.parametrize("by", ["token", "session"])
def test_another_accounts_is_as_good_as_none(cast: Cast, vms: list[VM], by: str) -> None:
    """Every call: another account's name and one that nobody has; another account's thing and one that never was."""
    theirs = contosos(cast)
    nothing = {"vm": NOBODY, "order": "RO-9999999", "ticket": "FO-9999999", "member": NOBODY}
    malformed = {"vm": "web-01", "order": "RO-1' OR 1=1", "ticket": "%00", "member": "olga"}
    enter = by_token if by == "token" else signed_in
    mine = enter(cast, "priya")
    for call in CALLS:
        answers = []
        for slug in ("contoso", "nowhere", "no%20where"):
            mine.slug = slug
            answers.append(made(mine, call, **theirs))
        assert said(answers[0]) == (404, "not_found"), call
        assert alike(answers[0], answers[1]) and alike(answers[0], answers[2]), call
        mine.slug = "northwind"
        if "{" in f"{call[1]}{call[2]}":
            foreign, absent = made(mine, call, **theirs), made(mine, call, **nothing)
            assert said(foreign) == (404, "not_found") and alike(foreign, absent), call
        if "{" in call[1]:
            assert alike(made(mine, call, **malformed), absent), call
    assert by_token(cast, "olga").get(f"tickets/{theirs['ticket']}/").content["state"] == "waiting"


def test_without_read_every_number_is_refused_alike(cast: Cast, vms: list[VM]) -> None:
    """Rule 4 and 17: who may not read the kind hears so, own, foreign, absent and malformed alike, the body unread."""
    bill = make_person("bill@example.com", "Bill Ho")
    join(bill, cast.northwind, "Billing")
    order = Order.objects.get()
    ticket = request(cast, vms[:1])
    own = {"vm": str(vms[0].uuid), "order": order.number, "ticket": ticket.number}
    others = (
        contosos(cast),
        {"vm": NOBODY, "order": "RO-9", "ticket": "FO-9"},
        {"vm": "x", "order": "x", "ticket": "x"},
    )
    cast.oscar = bill
    caller = by_token(cast, "oscar")
    for call in CALLS:
        if "/approve/" in call[1] or "/reject/" in call[1] or call[1].startswith(("vms/", "outages/", "vpn/")):
            continue
        refused = made(caller, call, **own)
        assert said(refused) == (403, "forbidden"), call
        assert refused.content["facts"]["permission"] == "Read Server Replication"
        for names in others:
            assert alike(refused, made(caller, call, **names)), call
    assert said(caller.post("orders/", b"{nonsense")) == (403, "forbidden")
    assert caller.get("outages/").content["results"] == []
    row = caller.get("vms/").content["results"][0]
    assert set(row) == {
        "uuid", "name", "display_name", "role", "failover_kind", "original_id", "site", "recovery_environment", "os",
        "address", "addresses", "disk_gb", "disks_gb", "generation", "power", "security", "vanished_at",
    }  # fmt: skip
    assert caller.get(f"vms/{row['uuid']}/").content == row
    assert said(caller.get("vms/?state=protected")) == (403, "forbidden")


def test_staff_may_here_what_they_may_in_admin(cast: Cast, vms: list[VM]) -> None:
    """Who is staff, but not of Support, neither reads an account's tickets nor decides on them: there is none."""
    here = f"tickets/{request(cast, vms[:1]).number}/"
    make_person("clerk@example.com", "Clerk", is_staff=True)
    clerk = Caller()
    sign_in(clerk.client, Person.objects.get(email="clerk@example.com"))
    clerk.client.cookies["csrf"] = clerk.headers["X-CSRFToken"] = "c" * 32
    version = signed_in(cast, "mary").get(here).content["version"]
    yes = {"version": version, "reason": "Go on"}
    assert said(clerk.get(here)) == said(clerk.post(f"{here}approve/", yes)) == (404, "not_found")
    may = StaffPermission.objects.get(content_type__app_label="failover", codename="view_ticket")
    Person.objects.get(email="clerk@example.com").user_permissions.add(may)
    assert clerk.get(here).status == 200
    assert said(clerk.post(f"{here}approve/", yes)) == said(clerk.post(f"{here}reject/", yes)) == (404, "not_found")
    assert signed_in(cast, "mary").post(f"{here}approve/", yes).status == 200
