"""The whole road by the API: what it answers, what it lists, what a repeat does, and what it costs."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from openapi_spec_validator import validate

from accounts import activity
from accounts.models import Activity, Receipt, Token
from ampdr import clock, work
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.models import Order, RecoveryPoint, Replication
from tests.caller import Caller, by_token, signed_in, the_document
from tests.cast import Cast, make_cast, make_vms, protect, request, say_yes


def key() -> str:
    return uuid.uuid4().hex


def uuids(vms: list[VM]) -> list[str]:
    return [str(vm.uuid) for vm in vms]


def listed(caller: Caller, query: str = "") -> list[tuple[str, str]]:
    return [(row["display_name"], row["role"]) for row in caller.get(f"vms/{query}").content["results"]]


# ---- The road --------------------------------------------------------------------------------------------------------


def test_the_road_of_a_test_failover(cast: Cast) -> None:
    """Order -> provisioned -> test -> approved by Support -> its row -> terminated -> approved -> gone."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01"])
    token, mary = by_token(cast), signed_in(cast, "mary")

    made = token.post("orders/", {"vms": uuids(vms)}, key())
    assert made.status == 201 and made.content["progress"] == "0 of 2 ready"
    assert token.get(made.headers["Location"]).content["lines"]["results"][0]["state"] == "ordered"
    work.drive()
    order = token.get(made.headers["Location"]).content
    assert order["progress"] == "Ready" and order["counts"] == {"protected": 2}
    assert [line["vm"]["name"] for line in order["lines"]["results"]] == ["db-01", "web-01"]

    asked = token.post("tickets/", {"kind": "test", "vms": uuids(vms[1:]), "reason": "Yearly proof"}, key())
    assert asked.status == 201 and asked.content["word"] == "Waiting for Support"
    here = asked.headers["Location"]
    seen = mary.get(here)
    assert seen.content["requested_by"] == "Priya Raman"
    approved = mary.post(f"{here}approve/", {"reason": "Go on", "version": seen.content["version"]}, key())
    assert approved.content["state"] == "approved" and approved.content["decided_by"] == "Mary Osei"
    work.drive()
    assert listed(token) == [("db-01", "primary"), ("web-01", "primary"), ("web-01 - Test", "test")]
    line = token.get(f"{here}failovers/").content["results"][0]
    assert line["state"] == "running" and line["recovered_to"] and line["stand_in"]
    confirmed = token.post(f"{here}confirm/")
    assert (confirmed.content["word"], confirmed.content["confirmed"]) == ("Running, confirmed", 1)

    end = token.post(f"{here}terminate/", {"reason": "Proved"}, key())
    assert end.status == 201 and end.content["about"] == asked.content["number"]
    assert token.get(f"{end.headers['Location']}failovers/").content["results"] == [
        {**token.get(f"{here}failovers/").content["results"][0]}
    ]
    version = mary.get(end.headers["Location"]).content["version"]
    assert mary.post(f"{end.headers['Location']}approve/", {"version": version, "reason": "Done"}).status == 200
    work.drive()
    assert token.get(here).content["word"] == "Terminated"
    assert listed(token) == [("db-01", "primary"), ("web-01", "primary")]
    assert not list(activity.faults())
    told = set(Activity.objects.filter(kind="ticket").values_list("actor", "staff", "via"))
    assert told == {("Priya Raman", False, "token"), ("Mary Osei", True, "api")}


def test_a_live_failover_by_a_signed_in_person(cast: Cast) -> None:
    """Filed and approved in sessions; the original's address leads to its stand-in, which bears its name."""
    (vm,) = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, [vm])
    priya, mary, token = signed_in(cast), signed_in(cast, "mary"), by_token(cast)
    body = {"kind": "live", "vms": [str(vm.uuid)], "reason": "Dallas is down", "site_code": "phx01"}
    here = priya.post("tickets/", body, key()).headers["Location"]
    assert token.get(f"vms/{vm.uuid}/").content["failover"]["state"] == "requested"
    mary.post(f"{here}approve/", {"version": mary.get(here).content["version"], "reason": "Outage"})
    work.drive()
    moved = token.get(f"vms/{vm.uuid}/")
    assert moved.status == 303
    stand_in = token.get(moved.headers["Location"]).content
    assert (stand_in["display_name"], stand_in["role"], stand_in["failover_kind"]) == ("web-01", "live", "live")
    assert (stand_in["original_id"], stand_in["recovery_environment"]) == (str(vm.uuid), "PHX01-Recovery")
    assert stand_in["failover"] == {"number": here.split("/")[-2], "kind": "live", "state": "running"}
    assert listed(token) == [("web-01", "live")]
    held = token.delete(f"replications/{vm.uuid}/")
    assert (held.status, held.code) == (409, "held_by_failover")
    assert held.content["facts"] == {"tickets": [here.split("/")[-2]]}

    end = priya.post(f"{here}terminate/", {"reason": "Dallas is back", "site_code": "DFW01"}, key()).headers["Location"]
    mary.post(f"{end}approve/", {"version": mary.get(end).content["version"], "reason": "Over"})
    work.drive()
    assert token.get(f"vms/{vm.uuid}/").content["failover"] is None
    assert token.get(f"vms/{stand_in['uuid']}/").status == 404


def test_requested_live_beside_a_running_test(cast: Cast) -> None:
    """Each row names its own failover: the stand-in its test, the original the live one that waits."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    say_yes(cast, test := request(cast, vms))
    work.drive()
    live = request(cast, vms, "live")
    rows = by_token(cast).get("vms/").content["results"]
    assert [row["failover"] for row in rows] == [
        {"number": live.number, "kind": "live", "state": "requested"},
        {"number": test.number, "kind": "test", "state": "running"},
    ]


def test_withdraw_reject_and_stop(cast: Cast) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["a", "b", "c"])
    protect(cast, vms)
    token, mary = by_token(cast), signed_in(cast, "mary")
    first = request(cast, vms[:1], key="request-key-a")
    assert token.post(f"tickets/{first.number}/withdraw/", {"reason": "Not now"}).content["state"] == "withdrawn"
    second = request(cast, vms[1:2], key="request-key-b")
    version = mary.get(f"tickets/{second.number}/").content["version"]
    no = mary.post(f"tickets/{second.number}/reject/", {"version": version, "reason": "Not on a Friday"})
    assert (no.content["state"], no.content["decision_reason"]) == ("rejected", "Not on a Friday")
    work.drive()
    assert token.post("replications/stop/", {"vms": uuids(vms[:2])}).content == {"stopped": 2}
    assert token.delete(f"replications/{vms[2].uuid}/").status == 204
    work.drive()
    assert token.get("replications/").content["results"] == []
    assert token.get(f"replications/{vms[2].uuid}/").status == 404


def test_a_named_recovery_point(cast: Cast) -> None:
    """A point is taken from the list as it stands there, to the microsecond, and is the one that is used."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    replication = Replication.objects.get()
    RecoveryPoint.objects.bulk_create(
        RecoveryPoint(replication=replication, at=clock.now() - timedelta(hours=2, minutes=n)) for n in range(5)
    )
    token = by_token(cast)
    points = token.get(f"replications/{vms[0].uuid}/points/?size=2").content
    older = token.get(points["next"].removeprefix("http://testserver")).content
    at = older["results"][-1]["at"]
    ends_at = (clock.now() + timedelta(days=2)).isoformat()
    body = {"kind": "test", "vms": uuids(vms), "point_at": at, "ends_at": ends_at}
    assert token.post("tickets/", body, key()).content["point_at"] == at


# ---- Lists -----------------------------------------------------------------------------------------------------------


def walk(caller: Caller, path: str) -> list[list[Any]]:
    """Every page to the end, and back again: the same pages."""
    pages, here, last = [], f"/api/v1/accounts/northwind/{path}", ""
    while here:
        page = caller.get(here.removeprefix("http://testserver")).content
        pages.append(page["results"])
        here, last = page["next"], here
    back, here = [pages[-1]], caller.get(last.removeprefix("http://testserver")).content["previous"]
    while here:
        page = caller.get(here.removeprefix("http://testserver")).content
        back.insert(0, page["results"])
        here = page["previous"]
    assert back == pages
    return pages


def test_every_list_by_pages(cast: Cast) -> None:
    names = [f"vm-{n:02}" for n in range(7)]
    vms = make_vms(cast.northwind, cast.sites["DFW01"], names)
    for n, vm in enumerate(vms[:5]):
        protect(cast, [vm], f"order-key-{n}")
        request(cast, [vm], key=f"request-key-{n}")
    token = by_token(cast)
    assert [[row["name"] for row in page] for page in walk(token, "vms/?size=3")] == [names[:3], names[3:6], names[6:]]
    orders = walk(token, "orders/?size=2")
    assert [len(page) for page in orders] == [2, 2, 1]
    newest_first = list(Order.objects.order_by("-pk").values_list("number", flat=True))
    assert [row["number"] for page in orders for row in page] == newest_first
    tickets = [row["number"] for page in walk(token, "tickets/?size=2&state=waiting") for row in page]
    assert tickets == list(Ticket.objects.order_by("-pk").values_list("number", flat=True))
    assert [len(page) for page in walk(token, "replications/?size=2&state=protected")] == [2, 2, 1]
    assert listed(token, "?state=unprotected&q=VM-0&site=dfw01") == [("vm-05", "primary"), ("vm-06", "primary")]


def test_lines_by_pages(cast: Cast) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], list("edcba"))
    order = protect(cast, vms)
    ticket = request(cast, vms)
    token = by_token(cast)
    assert [len(page) for page in walk(token, f"tickets/{ticket.number}/failovers/?size=2")] == [2, 2, 1]
    lines = token.get(f"orders/{order.number}/?size=3").content["lines"]
    rest = token.get(lines["next"].removeprefix("http://testserver")).content["lines"]
    assert [line["vm"]["name"] for line in lines["results"] + rest["results"]] == list("edcba")


def test_a_place_whose_row_is_gone_still_holds(cast: Cast) -> None:
    """A filter that the row of the mark has left, and the end of a list: never the beginning again."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], list("abc"))
    for n, vm in enumerate(vms):
        protect(cast, [vm], f"order-key-{n}")
        request(cast, [vm], key=f"request-key-{n}")
    token = by_token(cast)
    first = token.get("tickets/?size=1&state=waiting").content
    token.post(f"tickets/{first['results'][0]['number']}/withdraw/")
    assert len(token.get(first["next"].removeprefix("http://testserver")).content["results"]) == 1
    page = token.get("vms/?size=2").content
    VM.objects.filter(name="c").update(shown=False)
    assert token.get(page["next"].removeprefix("http://testserver")).content["results"] == []


def test_a_list_costs_the_same_for_any_number_of_rows(cast: Cast) -> None:
    """Token: token, membership, rows and what they add up to; a session is one more than a token."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n:03}" for n in range(60)])
    protect(cast, vms)
    request(cast, vms[:1])
    token, priya = by_token(cast), signed_in(cast)
    paths = ("vms/", "orders/", "tickets/", "replications/")
    token.get("vms/")  # notes that the token was used, once in a minute
    few = {path: statements(token, path) for path in paths}
    for n, vm in enumerate(vms[1:]):
        request(cast, [vm], key=f"request-key-{n:03}")
    facts = {"account": cast.northwind, "vm_count": 0}
    Order.objects.bulk_create(Order(number=f"RO-{n}", **facts) for n in range(60))
    assert {path: statements(token, path) for path in paths} == few
    assert {path: statements(priya, path) - 1 for path in paths} == few
    assert max(few.values()) <= 4
    assert {len(token.get(path).content["results"]) for path in paths} == {50}


def statements(caller: Caller, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert caller.get(path).status == 200
    return len(seen)


# ---- Twice -----------------------------------------------------------------------------------------------------------


def test_a_repeat_does_nothing_more(cast: Cast) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"])
    token, mary = by_token(cast), signed_in(cast, "mary")
    body = {"vms": uuids(vms)}
    first, again = token.post("orders/", body, "one-order-key"), token.post("orders/", body, "one-order-key")
    assert (first.status, first.content) == (again.status, again.content) and first.headers == again.headers
    other = token.post("orders/", {"vms": uuids(vms[:1])}, "one-order-key")
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    work.drive()

    test = {"kind": "test", "vms": uuids(vms)}
    first, again = token.post("tickets/", test, "one-ticket-key"), token.post("tickets/", test, "one-ticket-key")
    assert first.content == again.content and Ticket.objects.count() == 1
    here = f"tickets/{first.content['number']}/"
    yes = {"version": first.content["version"], "reason": "Go on"}
    assert mary.post(f"{here}approve/", yes, "one-yes-key").status == 200
    assert mary.post(f"{here}approve/", yes, "one-yes-key").content["state"] == "approved"
    assert mary.post(f"{here}approve/", yes).code == "changed_meanwhile"
    assert mary.post(f"{here}reject/", {**yes, "reason": "no"}, "one-yes-key").code == "idempotency_key_reused"
    work.drive()
    for verb, asked in (("confirm", None), ("terminate", {"reason": "Proved"})):
        answers = [token.post(f"{here}{verb}/", asked, f"one-{verb}-key") for _ in range(2)]
        assert answers[0].content == answers[1].content and answers[0].status == answers[1].status
    end = f"tickets/{Ticket.objects.get(kind='terminate').number}/"
    assert [token.post(f"{end}withdraw/", None, "one-withdraw").status for _ in range(2)] == [200, 200]
    assert token.post(f"{end}withdraw/", None, "another-withdraw").code == "illegal_transition"
    assert Activity.objects.filter(event="withdraw").count() == 1


def test_stopping_twice(cast: Cast) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"])
    protect(cast, vms)
    token = by_token(cast)
    assert [token.delete(f"replications/{vms[0].uuid}/", "one-delete-key").status for _ in range(2)] == [204, 204]
    body = {"vms": uuids(vms[1:])}
    assert [token.post("replications/stop/", body, "one-stop-key").status for _ in range(2)] == [200, 200]
    assert token.post("replications/stop/", body, "a-new-stop-key").status == 409
    assert Activity.objects.filter(event="stop").count() == 2


def test_a_refused_call_keeps_no_receipt(cast: Cast) -> None:
    """What was refused may be tried again with the same key once it holds."""
    (vm,) = make_vms(cast.northwind, cast.sites["LHR01"], ["web-01"])
    token = by_token(cast)
    refused = token.post("orders/", {"vms": [str(vm.uuid)]}, "one-order-key")
    assert refused.code == "cannot_replicate"
    assert refused.content["facts"]["reasons"][0]["vm"] == str(vm.uuid)
    assert not Receipt.objects.exists()
    VM.objects.update(site=cast.sites["DFW01"])
    assert token.post("orders/", {"vms": [str(vm.uuid)]}, "one-order-key").status == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("same_key", [True, False])
def test_posts_at_one_moment(same_key: bool) -> None:
    """One order, whoever posts at once. With one key all get it; with several one gets it, the others hear why not."""
    cast = make_cast()
    (vm,) = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    caller = by_token(cast)
    start, answers = threading.Barrier(6), []

    def post(n: int) -> None:
        mine = Caller(headers=caller.headers)
        start.wait()
        answers.append(mine.post("orders/", {"vms": [str(vm.uuid)]}, "the-same-key" if same_key else f"key-no-{n}-x"))
        connections.close_all()

    threads = [threading.Thread(target=post, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    number = Order.objects.get().number
    made = [answer for answer in answers if answer.status == 201]
    refused = [(answer.status, answer.code) for answer in answers if answer.status != 201]
    assert [answer.content["number"] for answer in made] == [number] * (6 if same_key else 1)
    assert refused == [(409, "cannot_replicate")] * (0 if same_key else 5)


# ---- The document ----------------------------------------------------------------------------------------------------


def routes(resolver: Any, before: str = "") -> set[str]:
    """Every address of the URLconf below the API, as the document writes them."""
    found: set[str] = set()
    for pattern in resolver.url_patterns:
        here = before + str(pattern.pattern).replace("<str:", "{").replace(">", "}")
        found |= routes(pattern, here) if hasattr(pattern, "url_patterns") else {f"/{here}"}
    return {route for route in found if route.startswith("/api/v1/")}


def test_the_document(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Valid OpenAPI 3.1, made without a warning, and it names exactly the addresses that there are."""
    answer = Client().get("/api/v1/schema/")
    assert answer["Content-Type"] == "application/json"
    schema = json.loads(answer.content)
    validate(schema)
    assert schema["openapi"] == "3.1.0"
    assert set(schema["paths"]) == routes(get_resolver())
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")
    assert "arning" not in capsys.readouterr().err


def test_the_document_says_what_every_call_may_answer(db: None) -> None:
    schema = the_document()
    assert set(schema["components"]["securitySchemes"]) == {"token", "session", "machine"}
    for address, methods in schema["paths"].items():
        for method, operation in methods.items():
            if "{account}" not in address:
                continue
            assert {"401", "403", "404", "503"} <= set(operation["responses"])
            assert operation["security"] in ([{"token": []}, {"session": []}], [{"session": []}], [{"machine": []}])
            keys = [one for one in operation["parameters"] if one["name"] == "Idempotency-Key"]
            assert bool(keys) == (method != "get"), address
            if keys and operation["operationId"] in ("place_order", "request_failover", "request_termination"):
                assert keys[0]["required"]


def test_a_token_from_the_shell(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_token", "priya@example.com", "northwind", "nightly", "read_vms", "read_replication")
    secret = capsys.readouterr().out.strip()
    assert Caller(headers={"Authorization": f"Bearer {secret}"}).get("vms/").status == 200
    assert Token.objects.get().scopes == ["read_replication", "read_vms"]
    assert secret not in str(Token.objects.values().get())
    assert Failover.objects.count() == 0
