"""What the API refuses, to whom, in which order and in which words; and that another account's is as good as none."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from accounts.models import AuthorizedUser, Head, Membership, Person, Token
from ampdr import clock, work
from failover.models import Ticket
from inventory.models import VM
from replication.models import Order
from tests.caller import Answer, Caller, by_token, signed_in, the_document
from tests.cast import Cast, join, make_person, make_vms, protect, request, say_yes

NOBODY = "00000000-0000-4000-8000-000000000000"
KEY = "a-key-of-its-own"


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """Two protected VMs in Dallas, and one in London that can't be."""
    here = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01"])
    protect(cast, here)
    return [*here, *make_vms(cast.northwind, cast.sites["LHR01"], ["file-01"])]


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


def alike(one: Answer, other: Answer) -> bool:
    return (one.status, one.raw, one.headers) == (other.status, other.raw, other.headers)


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
    ("GET", "replications/{vm}/points/", None), ("POST", "replications/stop/", {"vms": ["{vm}"]}),
    ("GET", "tickets/", None), ("POST", "tickets/", {"kind": "test", "vms": ["{vm}"]}),
    ("GET", "tickets/{ticket}/", None), ("GET", "tickets/{ticket}/failovers/", None),
    ("POST", "tickets/{ticket}/withdraw/", {}), ("POST", "tickets/{ticket}/confirm/", {}),
    ("POST", "tickets/{ticket}/terminate/", {}),
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
    known = {(method.upper(), path) for path, methods in paths.items() for method in methods if "{account}" in path}
    names = {"{vm}": "{uuid}", "{order}": "{number}", "{ticket}": "{number}"}
    tried = set()
    for method, path, _ in CALLS:
        for ours, theirs in names.items():
            path = path.replace(ours, theirs)  # noqa: PLW2901
        tried.add((method, f"/api/v1/accounts/{{account}}/{path}"))
    assert tried == known


def contosos(cast: Cast) -> dict[str, str]:
    """What Contoso has: a VM, the order of it and a ticket about it."""
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["erp-01"])
    order = protect(cast, [theirs], who="olga", key="olgas-order-key")
    ticket = request(cast, [theirs], who="olga", key="olgas-ticket-key")
    return {"vm": str(theirs.uuid), "order": order.number, "ticket": ticket.number}


@pytest.mark.parametrize("by", ["token", "session"])
def test_another_accounts_is_as_good_as_none(cast: Cast, vms: list[VM], by: str) -> None:
    """Every call: another account's name and one that nobody has; another account's thing and one that never was."""
    theirs = contosos(cast)
    nothing = {"vm": NOBODY, "order": "RO-9999999", "ticket": "FO-9999999"}
    malformed = {"vm": "web-01", "order": "RO-1' OR 1=1", "ticket": "%00"}
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
        if "/approve/" in call[1] or "/reject/" in call[1] or call[1].startswith("vms/"):
            continue
        refused = made(caller, call, **own)
        assert said(refused) == (403, "forbidden"), call
        assert refused.content["facts"]["permission"] == "Read Server Replication"
        for names in others:
            assert alike(refused, made(caller, call, **names)), call
    assert said(caller.post("orders/", b"{nonsense")) == (403, "forbidden")
    row = caller.get("vms/").content["results"][0]
    assert set(row) == {
        "uuid", "name", "display_name", "role", "failover_kind", "original_id", "site", "recovery_environment", "os",
        "address", "generation", "power",
    }  # fmt: skip
    assert caller.get(f"vms/{row['uuid']}/").content == row
    assert said(caller.get("vms/?state=protected")) == (403, "forbidden")


# ---- What is sent ----------------------------------------------------------------------------------------------------

NOT_WELL_FORMED: list[tuple[str, Any, str, str]] = [
    ("orders/", b"{nonsense", "malformed", ""),
    ("orders/", b"\xff\xfe", "malformed", ""),
    ("orders/", b"[" * 100_000, "malformed", ""),
    ("orders/", b'{"vms": NaN}', "malformed", ""),
    ("orders/", b"9" * 5_000, "malformed", ""),
    ("orders/", [], "invalid", "body"),
    ("orders/", "text", "invalid", "body"),
    ("orders/", {}, "invalid", "vms"),
    ("orders/", {"vms": []}, "invalid", "vms"),
    ("orders/", {"vms": "{vm}"}, "invalid", "vms"),
    ("orders/", {"vms": {"0": "{vm}"}}, "invalid", "vms"),
    ("orders/", {"vms": [1]}, "invalid", "vms.0"),
    ("orders/", {"vms": ["{vm}", "web-01"]}, "invalid", "vms.1"),
    ("orders/", {"vms": [None]}, "invalid", "vms.0"),
    ("orders/", {"vms": [NOBODY.replace("-", "")]}, "invalid", "vms.0"),
    ("orders/", {"vms": [NOBODY] * 10_001}, "invalid", "vms"),
    ("orders/", {"vms": [], "vm": [], "\ud800": 1}, "invalid", "vm"),
    ("replications/stop/", {"vms": [], "why": "x"}, "invalid", "why"),
    ("tickets/", {"vms": ["{vm}"]}, "invalid", "kind"),
    ("tickets/", {"kind": "terminate", "vms": ["{vm}"]}, "invalid", "kind"),
    ("tickets/", {"kind": "test", "vms": []}, "invalid", "vms"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "reason": 5}, "invalid", "reason"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "reason": "a\0b"}, "invalid", "reason"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "reason": "\ud800"}, "invalid", "reason"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "reason": "x" * 4_001}, "invalid", "reason"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "end_at": None}, "invalid", "end_at"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "ends_at": "tomorrow"}, "invalid", "ends_at"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "ends_at": "2031-01-01T00:00:00"}, "invalid", "ends_at"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "ends_at": "0001-01-01T00:00:00+23:00"}, "invalid", "ends_at"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "ends_at": "2020-01-01T00:00:00Z"}, "invalid", "ends_at"),
    ("tickets/", {"kind": "test", "vms": ["{vm}"], "ends_at": 5}, "invalid", "ends_at"),
    ("tickets/", {"kind": "live", "vms": ["{vm}"], "site_code": "PHX01"}, "invalid", "reason"),
    (
        "tickets/",
        {"kind": "live", "vms": ["{vm}"], "reason": "x", "site_code": "DFW01"},
        "invalid",
        "site_code",
    ),
    ("tickets/{ticket}/withdraw/", {"reason": []}, "invalid", "reason"),
    ("tickets/{ticket}/withdraw/", {"because": "x"}, "invalid", "because"),
    ("tickets/{ticket}/confirm/", {"reason": "x"}, "invalid", "reason"),
    ("tickets/{ticket}/terminate/", {"site": "x"}, "invalid", "site"),
]


def test_not_well_formed(cast: Cast, vms: list[VM]) -> None:
    """Each is 400, names its field, and does nothing."""
    ticket = request(cast, vms[:1])
    before = Head.objects.get(account=cast.northwind).version
    priya = signed_in(cast)
    for path, body, code, name in NOT_WELL_FORMED:
        sent = body if isinstance(body, bytes) else json.dumps(body).replace("{vm}", str(vms[1].uuid))
        answer = priya.post(path.replace("{ticket}", ticket.number), sent, KEY)
        assert said(answer) == (400, code), (path, str(body)[:80], answer)
        assert not name or name in answer.content["fields"], (path, str(body)[:80], answer.content)
    assert Head.objects.get(account=cast.northwind).version == before


def test_the_key(cast: Cast, vms: list[VM]) -> None:
    """Required for what makes an order or a ticket, checked where it is sent, and asked for after the permission."""
    new = make_vms(cast.northwind, cast.sites["DFW01"], ["new-01"])
    order, test = {"vms": [str(new[0].uuid)]}, {"kind": "test", "vms": [str(vms[0].uuid)]}
    token, ravi = by_token(cast), by_token(cast, "ravi")
    say_yes(cast, ticket := request(cast, vms[1:2]))
    work.drive()
    for path, body in (("orders/", order), ("tickets/", test), (f"tickets/{ticket.number}/terminate/", {})):
        assert said(token.post(path, body)) == (400, "idempotency_key_missing")
        for key in ("short", "x" * 121, "with a blank", "grüße-und-mehr"):
            assert said(token.post(path, body, key)) == (400, "idempotency_key_invalid")
        assert ravi.post(path, body).status == 403
    assert said(token.post(f"tickets/{ticket.number}/confirm/", None, "short")) == (400, "idempotency_key_invalid")
    assert Ticket.objects.count() == Order.objects.count() == 1


@pytest.mark.parametrize(
    "query",
    ["vms/?stat=live", "vms/?state=no", "vms/?size=0", "vms/?size=201", "vms/?size=x", "vms/?after=x", "vms/?q=%00",
     "vms/?before=e30.x", "orders/?after=x", "orders/?after=RO-1%00", "tickets/?state=no", "tickets/?kind=no",
     "tickets/?page=2", "replications/?after=5", "replications/?state=stopped"],
)  # fmt: skip
def test_queries_that_mean_nothing(cast: Cast, query: str) -> None:
    """A typo in a filter must not list everything."""
    answer = by_token(cast).get(query)
    assert said(answer) == (400, "invalid") and answer.content["fields"]


def test_the_frame_of_a_call(cast: Cast, vms: list[VM], settings: Any) -> None:
    """Method, type, size, address."""
    token = by_token(cast)
    wrong = token.call("PUT", "vms/", {})
    assert said(wrong) == (405, "method_not_allowed") and wrong.headers["Allow"] == "GET, HEAD"
    assert said(token.call("OPTIONS", "vms/")) == (405, "method_not_allowed")
    assert token.call("HEAD", "vms/").status == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert said(token.post("orders/", "vms=1", KEY, **form)) == (415, "unsupported_media_type")
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert said(token.post("orders/", {"vms": [NOBODY] * 10}, KEY)) == (413, "too_large")
    assert said(token.post("orders/", "x" * 101, KEY, **form)) in ((413, "too_large"), (415, "unsupported_media_type"))
    for nowhere in ("/api/", "/api/v1/", "/api/v1/accounts/northwind/", "/api/v2/schema/", "/api/v1/accounts/x/y/z/w/"):
        for method in ("GET", "POST"):
            assert said(token.call(method, nowhere)) == (404, "not_found")
    there = token.post("/api/v1/accounts/northwind/orders?a=%2Fb", {})
    assert (there.status, there.headers["Location"]) == (308, "/api/v1/accounts/northwind/orders/?a=%2Fb")
    assert said(token.get("//evil.example")) == (404, "not_found")


# ---- May, and as things stand ----------------------------------------------------------------------------------------


def test_what_is_never_for_a_token(cast: Cast, vms: list[VM]) -> None:
    """Filing, withdrawing and ending a live failover, and every decision."""
    token, priya = by_token(cast), signed_in(cast)
    body = {"kind": "live", "vms": [str(vms[0].uuid)], "reason": "Dallas is down", "site_code": "PHX01"}
    assert said(token.post("tickets/", body, KEY)) == (403, "not_by_token")
    ticket = priya.post("tickets/", body, KEY).content
    here = f"tickets/{ticket['number']}/"
    decision = {"version": ticket["version"], "reason": "x"}
    assert said(token.post(f"{here}withdraw/")) == (403, "not_by_token")
    assert said(token.post(f"{here}approve/", decision)) == (403, "not_by_token")
    assert said(token.post(f"{here}reject/", decision)) == (403, "not_by_token")
    say_yes(cast, Ticket.objects.get())
    work.drive()
    end = {"reason": "Over", "site_code": "DFW01"}
    assert said(token.post(f"{here}terminate/", end, KEY)) == (403, "not_by_token")
    assert priya.post(f"{here}terminate/", end, "another-key").status == 201


def test_who_requests_and_who_decides(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    here, decision = f"tickets/{ticket.number}/", {"version": "waiting:1", "reason": "x"}
    body = {"kind": "test", "vms": [str(vms[1].uuid)]}
    for name in ("oscar", "ravi"):
        refused = signed_in(cast, name).post("tickets/", body, KEY)
        assert said(refused) == (403, "not_authorized") and refused.content["facts"]["listed"] == ["Priya Raman"]
        assert said(signed_in(cast, name).post(f"{here}withdraw/", b"{")) == (403, "not_authorized")
    assert said(signed_in(cast).post(f"{here}approve/", decision)) == (403, "forbidden")
    assert said(signed_in(cast, "olga").post(f"{here}approve/", decision)) == (404, "not_found")
    mary = signed_in(cast, "mary")
    assert said(mary.post(f"{here}approve/", decision)) == (409, "changed_meanwhile")
    assert said(mary.post(f"{here}approve/", {"reason": "x"})) == (400, "invalid")
    assert said(mary.post(f"{here}reject/", {**decision, "reason": " "})) == (400, "invalid")
    for path in ("vms/", "orders/", "replications/", "tickets/"):
        assert said(mary.get(path)) == (404, "not_found")
    mary.slug = "nowhere"
    assert said(mary.get(here)) == (404, "not_found")
    join(cast.tom, cast.northwind, "Technical")
    version = signed_in(cast, "tom").get(here).content["version"]
    assert said(signed_in(cast, "tom").post(f"{here}approve/", {"version": version, "reason": "x"})) == (
        403, "not_the_approver",
    )  # fmt: skip


def test_as_things_stand(cast: Cast, vms: list[VM]) -> None:
    """409, naming who or what was first."""
    token, priya, mary = by_token(cast), signed_in(cast), signed_in(cast, "mary")
    ordered = token.post("orders/", {"vms": [str(vm.uuid) for vm in vms]}, KEY)
    assert said(ordered) == (409, "cannot_replicate")
    assert {one["name"] for one in ordered.content["facts"]["reasons"]} == {"db-01", "web-01", "file-01"}
    assert token.get(f"vms/{vms[2].uuid}/").content["cannot_replicate"] == "London (LHR01) has no failover site."
    bare = token.post("tickets/", {"kind": "test", "vms": [str(vms[2].uuid)]}, KEY)
    assert said(bare) == (409, "not_protected")
    assert said(token.delete(f"replications/{vms[2].uuid}/")) == (409, "not_replicated")
    gone = {"kind": "test", "vms": [str(vms[0].uuid)], "point_at": "2020-01-01T00:00:00Z"}
    assert said(token.post("tickets/", gone, KEY)) == (409, "point_gone")
    ticket = request(cast, vms[:1])
    again = token.post("tickets/", {"kind": "test", "vms": [str(vms[0].uuid)]}, KEY)
    assert said(again) == (409, "already_in_failover") and again.content["facts"]["ticket"] == ticket.number
    here = f"tickets/{ticket.number}/"
    assert said(token.post(f"{here}confirm/")) == (409, "nothing_to_confirm")
    assert said(token.post(f"{here}terminate/", {}, KEY)) == (409, "nothing_runs")
    version = mary.get(here).content["version"]
    AuthorizedUser.objects.all().delete()
    decision = {"version": version, "reason": "x"}
    assert said(mary.post(f"{here}approve/", decision)) == (409, "requester_not_listed")
    assert mary.post(f"{here}reject/", decision).status == 200
    assert said(mary.post(f"{here}reject/", decision)) == (409, "changed_meanwhile")
    assert said(priya.post(f"{here}withdraw/")) == (403, "not_authorized")


def test_on_our_side(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken call tells nothing of its insides; with the database away it says when to come again."""
    token = by_token(cast)
    token.client.raise_request_exception = False

    def raising(error: Exception) -> Any:
        def rows(*_: Any) -> None:
            raise error

        return rows

    monkeypatch.setattr("failover.api.vms.rows", raising(OperationalError("secret host")))
    away = token.get("vms/")
    assert said(away) == (503, "unavailable") and away.headers["Retry-After"] == "5"
    assert b"secret" not in away.raw
    monkeypatch.setattr("failover.api.vms.rows", raising(KeyError("secret")))
    monkeypatch.setattr("tests.caller.operation_of", lambda *_: {"responses": {"500": {"description": ""}}})
    broken = token.get("vms/")
    assert said(broken) == (500, "internal_error") and b"secret" not in broken.raw


def test_no_primary_key_is_shown() -> None:
    """No field of any shape is a key; what bears the word id is a uuid."""
    for name, schema in the_document()["components"]["schemas"].items():
        for field, facts in schema["properties"].items():
            assert field not in ("id", "pk"), name
            assert not field.endswith("_id") or facts["format"] == "uuid", (name, field)
