"""Security reports over HTTP: by machines with a token for it, of the VMs within its reach and no others."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.actions import issue_machine_token
from accounts.models import Account
from ampdr import clock
from ampdr.lifecycle import PORTAL
from inventory.models import VM
from tests.caller import Answer, Caller, alike, said, the_document
from tests.cast import Cast, make_vms

SITE = "/api/v1/sites/DFW01/security-reports/"
ACCOUNT = "/api/v1/accounts/northwind/security-reports/"


def machine(purpose: str = "security_reports", **place: Any) -> Caller:
    _, secret = issue_machine_token(PORTAL, "Collector", purpose, **(place or {"site": "DFW01"}))
    return Caller("northwind", {"Authorization": f"Bearer {secret}"})


def fim(vm: object, **facts: Any) -> dict[str, Any]:
    return {"vm": str(vm), "kind": "fim", "at": clock.now().isoformat(), "changes": 3} | facts


def post(caller: Caller, *rows: Any, address: str = SITE, key: str = "") -> Answer:
    return caller.post(address, {"reports": list(rows)}, key)


@pytest.fixture
def vms(cast: Cast) -> dict[str, VM]:
    """web-01 in Dallas and lon-01 in London are Northwind's; other-01 in Dallas is Contoso's."""

    def make(account: Account, site: str, name: str) -> VM:
        return make_vms(account, cast.sites[site], [name])[0]

    return {
        "web": make(cast.northwind, "DFW01", "web-01"), "lon": make(cast.northwind, "LHR01", "lon-01"),
        "other": make(cast.contoso, "DFW01", "other-01"),
    }  # fmt: skip


def test_a_site_s_machine_reports_of_every_account_there(vms: dict[str, VM]) -> None:
    answer = post(machine(), fim(vms["web"].uuid), fim(vms["other"].uuid), fim(vms["web"].uuid, at="2026-01-01T00:00Z"))
    assert (answer.status, answer.content) == (200, {"taken": 2, "stale": 1})
    assert set(VM.objects.exclude(fim_report_at=None).values_list("name", flat=True)) == {"web-01", "other-01"}


def test_an_account_s_machine_reports_of_its_vms_everywhere(cast: Cast, vms: dict[str, VM]) -> None:
    caller = machine(account=cast.northwind)
    answer = post(caller, fim(vms["web"].uuid), fim(vms["lon"].uuid), address=ACCOUNT)
    assert (answer.status, answer.content) == (200, {"taken": 2, "stale": 0})


def test_a_vm_out_of_reach_is_as_one_that_never_was(cast: Cast, vms: dict[str, VM]) -> None:
    """Another site's, another account's, and a uuid of nobody's: the same to the byte."""
    at, good = clock.now().isoformat(), fim(vms["web"].uuid)
    of_site, of_account = machine(), machine(account=cast.northwind)
    for caller, address, foreign in ((of_site, SITE, vms["lon"]), (of_account, ACCOUNT, vms["other"])):
        answers = [post(caller, good, fim(one, at=at), address=address) for one in (foreign.uuid, uuid.uuid4())]
        assert said(answers[0]) == (400, "invalid") and alike(*answers)
        assert answers[0].content["fields"] == {"reports.1.vm": ["There is no such VM here."]}
    assert not VM.objects.exclude(fim_report_at=None).exists(), "all or none"


def test_a_repeat_is_harmless(vms: dict[str, VM]) -> None:
    caller, row = machine(), fim(vms["web"].uuid)
    first, second = post(caller, row, key="report-key-1"), post(caller, row, key="report-key-1")
    assert [first.content, second.content] == [{"taken": 1, "stale": 0}, {"taken": 0, "stale": 1}]
    assert said(post(caller, row, key="short")) == (400, "idempotency_key_invalid")


def test_every_bad_row_of_a_full_call_is_named(vms: dict[str, VM]) -> None:
    answer = post(machine(), *[fim(vms["web"].uuid, changes=-1) for _ in range(1000)])
    assert said(answer) == (400, "invalid") and len(answer.content["fields"]) == 1000
    assert answer.content["fields"]["reports.999.changes"] == ["Give a whole number from 0 to 1,000,000,000."]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"reports": {}},
        {"reports": "x"},
        {"report": []},
        {"reports": [], "more": 1},
        {"reports": [1] * 1001},
    ],
)
def test_what_is_no_batch_is_refused(vms: dict[str, VM], body: Any) -> None:
    assert said(machine().post(SITE, body)) == (400, "invalid")


@pytest.mark.parametrize("row", [None, 1, "x", [], {}, {"vm": "\0", "kind": "fim", "at": "\ud800", "changes": 1e400}])
def test_odd_rows_are_refused(vms: dict[str, VM], row: Any) -> None:
    assert post(machine(), row).status == 400


def test_another_purpose_or_place(cast: Cast, vms: dict[str, VM]) -> None:
    row = fim(vms["web"].uuid)
    assert said(post(machine("inventory"), row)) == (403, "wrong_purpose")
    elsewhere = [post(machine(), row, address=SITE.replace("DFW01", site)) for site in ("PHX01", "XXX99")]
    assert said(elsewhere[0]) == (404, "not_found") and alike(*elsewhere)
    assert said(post(machine(account=cast.contoso), row, address=ACCOUNT)) == (404, "not_found")
    assert said(post(machine(account=cast.northwind), row)) == (404, "not_found")


def test_the_document_tells_the_three_kinds() -> None:
    kinds = the_document()["components"]["schemas"]["SecurityReport"]
    assert set(kinds["discriminator"]["mapping"]) == {"fim", "malware", "patch"}
