"""What the API refuses, in which order and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError

from accounts.models import AuthorizedUser, Head
from ampdr import work
from failover.models import Ticket
from inventory.models import VM
from replication.models import Order
from tests.caller import KEY, NOBODY, by_token, said, signed_in, the_document, three_vms
from tests.cast import Cast, join, make_vms, request, say_yes


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    return three_vms(cast)


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
    cast.tom.groups.set(cast.mary.groups.all())
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
        def rows(*_: Any, **__: Any) -> None:
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
        for field, facts in schema.get("properties", {}).items():
            assert field not in ("id", "pk"), name
            assert not field.endswith("_id") or facts["format"] == "uuid", (name, field)
