"""The doors of machines with a token for the inventory, of a site and of an account."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.actions import issue_machine_token
from accounts.models import Activity
from ampdr.lifecycle import PORTAL
from inventory.models import VM, Round
from tests.caller import Answer, Caller, alike, by_token, said, signed_in
from tests.cast import Cast, make_vms, sign_in
from tests.test_inventory.telling import identity, row, vm

SITE = "/api/v1/sites/DFW01/inventory/"


def machine(purpose: str = "inventory", **place: Any) -> Caller:
    _, secret = issue_machine_token(PORTAL, "Collector", purpose, **(place or {"site": "DFW01"}))
    return Caller("northwind", {"Authorization": f"Bearer {secret}"})


def body(*rows: Any, **more: Any) -> dict[str, Any]:
    return {"round": str(uuid.uuid4()), "vms": list(rows), **more}


def counts(answer: Answer) -> tuple[int, ...]:
    assert answer.status == 200, answer.content
    return tuple(answer.content[name] for name in ("made", "changed", "same", "vanished", "found"))


def test_a_site_tells_its_vms(cast: Cast) -> None:
    """In several calls, repeated after a time-out with the same key or without; the last one marks what is gone."""
    caller = machine()
    assert counts(caller.post(SITE, body(row(1), row(2, account="contoso"), row(3)), key="first-of-all")) == (
        3,
        0,
        0,
        0,
        0,
    )
    call = body(row(1, power="off"))
    assert counts(caller.post(SITE, call, key="the-same-key")) == (0, 1, 0, 0, 0)
    assert counts(caller.post(SITE, call, key="the-same-key")) == (0, 0, 1, 0, 0)
    last = {**call, "vms": [row(2, account="contoso")], "complete": True}
    assert counts(caller.post(SITE, last)) == (0, 0, 1, 1, 0)
    assert vm(3).vanished_at and vm(1).vanished_at is None
    assert counts(caller.post(SITE, body(row(3)))) == (0, 1, 0, 0, 1)
    assert (vm(1).account, vm(2).account) == (cast.northwind, cast.contoso)


def test_an_account_tells_its_vms(cast: Cast) -> None:
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    caller = machine(account=cast.northwind)
    rows = [{"uuid": identity(n), "name": f"vm-{n}", "site": ("DFW01", "PHX01", "DFW01")[n]} for n in range(3)]
    assert counts(caller.post("inventory/", body(*rows))) == (3, 0, 0, 0, 0)
    complete = {"complete": True, "sites": ["DFW01"]}
    assert counts(caller.post("inventory/", body(rows[0], **complete))) == (0, 0, 1, 1, 0)
    theirs.refresh_from_db()
    assert vm(2).vanished_at and not vm(1).vanished_at and not theirs.vanished_at
    nowhere = caller.post("inventory/", body(rows[0], complete=True))
    assert said(nowhere) == (400, "invalid") and nowhere.content["fields"] == {"sites": ["Needed with complete."]}
    taken = caller.post("inventory/", body({"uuid": str(theirs.uuid), "name": "x", "site": "DFW01"}))
    assert said(taken) == (409, "rows_refused") and "ontoso" not in taken.raw.decode()
    there, nobodys = (caller.post("inventory/", body({"uuid": one})) for one in (str(theirs.uuid), identity(9)))
    assert said(there) == said(nobodys) == (400, "invalid")
    assert there.content["fields"] == nobodys.content["fields"]


def test_only_the_place_and_the_purpose_of_the_token(cast: Cast) -> None:
    call, here, there = body(row(1)), machine(), machine(account=cast.northwind)
    assert said(machine("security_reports").post(SITE, call)) == (403, "wrong_purpose")
    foreign = here.post("/api/v1/sites/PHX01/inventory/", call)
    assert said(foreign) == (404, "not_found")
    assert alike(foreign, here.post("/api/v1/sites/XXX99/inventory/", call))
    assert alike(foreign, here.post("inventory/", call)) and alike(foreign, there.post(SITE, call))
    there.slug = "contoso"
    theirs = there.post("inventory/", call)
    there.slug = "never-made"
    assert said(theirs) == (404, "not_found") and alike(theirs, there.post("inventory/", call))
    for person in (by_token(cast), signed_in(cast), signed_in(cast, "mary"), Caller()):
        assert person.post(SITE, call).status == person.post("inventory/", call).status == 401
    assert said(here.get(SITE)) == (405, "method_not_allowed")
    assert not VM.objects.exists() and not Round.objects.exists()


WRONG: list[tuple[Any, str]] = [
    ({}, "round"),
    ({"round": "x", "vms": []}, "round"),
    ({"round": identity(1)}, "vms"),
    ({"round": identity(1), "vms": {}}, "vms"),
    ({"round": identity(1), "vms": [], "complete": "true"}, "complete"),
    ({"round": identity(1), "vms": [], "allow_many": 1}, "allow_many"),
    ({"round": identity(1), "vms": [], "sites": ["DFW01"]}, "sites"),
    ({"round": identity(1), "vms": [7]}, "vms.0"),
    ({"round": identity(1), "vms": [row(1, name="\0")]}, "vms.0.name"),
    ({"round": identity(1), "vms": [row(1), row(1)]}, "vms.1.uuid"),
    ({"round": identity(1), "vms": [row(1, account="never-made")]}, "vms.0.account"),
    ({"round": identity(1), "vms": [row(1, failover_address="10.0.0.1")]}, "vms.0.failover_address"),
    ({"round": identity(1), "vms": [row(n) for n in range(1001)]}, "vms"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: ascii(wrong[1]))
def test_what_is_wrong_is_named(cast: Cast, wrong: tuple[Any, str]) -> None:
    answer = machine().post(SITE, wrong[0])
    assert said(answer) == (400, "invalid") and wrong[1] in answer.content["fields"]
    assert not VM.objects.exists()


def test_every_bad_row_of_a_call_is_named(cast: Cast) -> None:
    answer = machine().post(SITE, body(*[row(n, power="?") for n in range(1000)]))
    assert len(answer.content["fields"]) == 1000
    assert answer.content["facts"]["reasons"][999] == {
        "row": 999, "vm": identity(999), "field": "power", "reason": "Give on or off."
    }  # fmt: skip


def test_a_thousand_rows_fit_in_a_call(cast: Cast) -> None:
    """As feeds send them; a megabyte is the end, in words."""
    full = {"addresses": ["10.10.10.10", "10.10.10.11"], "os": "Windows Server 2022", "generation": 4, "power": "on"}
    call = body(*[row(n, "a-rather-long-name-of-a-vm.dfw01.northwind.example", **full) for n in range(1000)])
    assert len(json.dumps(call)) < 500_000
    assert counts(machine().post(SITE, call)) == (1000, 0, 0, 0, 0)
    assert said(machine().post(SITE, body(*[row(n, "x" * 2000) for n in range(1000)]))) == (413, "too_large")


def test_a_broken_feed_is_told(cast: Cast) -> None:
    caller = machine()
    caller.post(SITE, body(*[row(n) for n in range(30)]))
    answer = caller.post(SITE, body(row(1), complete=True))
    assert said(answer) == (409, "too_many_vanished") and "29 of the 30 VMs of DFW01" in answer.content["detail"]
    assert counts(caller.post(SITE, body(row(1), complete=True, allow_many=True))) == (0, 0, 1, 29, 0)


HOSTILE = "<script>alert(1)</script>'\"{{7*7}}"


def test_hostile_words_are_only_words(cast: Cast) -> None:
    """Names, systems and reasons of a machine's telling, and what Activity keeps of them."""
    caller = machine()
    caller.post(SITE, body(row(1, HOSTILE, os=HOSTILE, unsupported=HOSTILE), row(2, "db")))
    caller.post(SITE, body(row(1, f"{HOSTILE}2", disks_gb=[5]), row(2, "db"), complete=True))
    caller.post(SITE, body(row(2, "db"), complete=True, allow_many=True))
    client = sign_in(Client(), cast.priya)
    pages = ["vms/", f"vms/{vm(1).slug}/", "fim/", "activity/", f"replication/order/?vm={identity(1)}"]
    for page in pages:
        text = client.get(f"/northwind/{page}").content.decode()
        assert "<script>alert" not in text and "'\"{{7*7}}" not in text, page
    assert "&lt;script&gt;alert" in client.get("/northwind/vms/").content.decode()
    assert Activity.objects.filter(event="renamed", facts__was=HOSTILE).exists()
