"""FIM, Malware Protection, Patching: what the last report says (rule 15), on screens, on a VM's page, in the API."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.actions import enter
from accounts.models import Permission
from ampdr import clock, work
from failover.screens import Filters, rows
from failover.screens.security import FIM, MALWARE, PARTS, PATCHING, Part
from inventory.models import VM
from tests.caller import by_token
from tests.cast import Cast, make_vms, request, say_yes, sign_in
from tests.test_lists.reading import get, listing, main
from tests.test_lists.test_viewers import somebody

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Case = tuple[timedelta | None, dict[str, Any], str]

# Age of the last report, what else is so, and the status. Each becomes a VM.
BY_AGE: list[Case] = [
    (23 * HOUR, {}, "Secured"), (24 * HOUR, {}, "Warning"), (47 * HOUR, {}, "Warning"), (49 * HOUR, {}, "Critical"),
    (None, {"made": 23 * HOUR}, "No report"), (None, {"made": 25 * HOUR}, "Warning"),
    (99 * HOUR, {"power": "off"}, "No report"), (HOUR, {"power": "off"}, "No report"),
]  # fmt: skip
CASES: dict[Part, list[Case]] = {
    FIM: [*BY_AGE, (HOUR, {"fim_changes": 10_000}, "Secured")],
    MALWARE: [
        *BY_AGE, (HOUR, {"scanned": 6 * DAY}, "Secured"), (HOUR, {"scanned": 7 * DAY}, "Warning"),
        (HOUR, {"scanned": 13 * DAY}, "Warning"), (HOUR, {"scanned": 14 * DAY}, "Critical"),
        (HOUR, {"scanned": None}, "Warning"), (30 * HOUR, {"scanned": 14 * DAY}, "Critical"),
        (HOUR, {"malware_findings": 3}, "Secured"),
    ],
    PATCHING: [
        *BY_AGE, (HOUR, {"patches_missing": 40}, "Secured"),
        (HOUR, {"patches_missing": 40, "patches_critical": 1}, "Warning"),
        (49 * HOUR, {"patches_missing": 1, "patches_critical": 1}, "Critical"),
        (HOUR, {"patches_critical": 1, "power": "off"}, "No report"),
    ],
}  # fmt: skip


def become(part: Part, vm: VM, age: timedelta | None, facts: dict[str, Any]) -> None:
    now, columns = clock.now(), dict(facts)
    if "made" in columns:
        columns["made_at"] = now - columns.pop("made")
    scanned = columns.pop("scanned", HOUR)
    if age is not None and part is MALWARE:
        columns |= {"malware_scan_at": now - scanned if scanned else None, "malware_agent": "Sentry <4.2>"}
    VM.objects.filter(pk=vm.pk).update(**{part.reported: age and now - age}, **columns)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_last_report_is_judged_and_the_numbers_are_the_rows(cast: Cast, client: Client, part: Part) -> None:
    cases = CASES[part]
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n:02}" for n in range(len(cases))])
    for vm, (age, facts, _) in zip(vms, cases, strict=True):
        become(part, vm, age, facts)
    sign_in(client, cast.priya)
    html = get(client, f"security/{part.name}")
    statuses = [pills[0] for _, _, pills in listing(html)]
    assert statuses == [status for _, _, status in cases]
    tiles = re.findall(r'<a href="(\?[^"]*)"[^>]*><b>(\d+)</b>', html)
    words = ("Secured", "Warning", "Critical", "No report")
    assert [int(number) for _, number in tiles] == [len(cases), *(statuses.count(word) for word in words)]
    for link, number in tiles:
        assert len(listing(client.get(f"/northwind/security/{part.name}/{link}").content.decode())) == int(number)
    assert all(f">{column.head}</th>" in html for column in part.columns)
    assert ("Sentry &lt;4.2&gt;" in html) == (part is MALWARE) and "<4.2>" not in html


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_new_test_is_counted_and_live_failovers_are_told(cast: Cast, client: Client, web: VM, part: Part) -> None:
    VM.objects.update(**{part.reported: clock.now()}, malware_scan_at=clock.now())
    test = request(cast, [VM.objects.get(name="db-01")])
    live = request(cast, [web], "live")
    for ticket in (test, live):
        say_yes(cast, ticket)
    work.drive()
    screen = f"security/{part.name}"
    html = main(get(client, screen))
    assert [(name, pills) for name, _, pills in listing(html)] == [
        ("web-01", ["No report", "Live failover"]), ("db-01", ["Secured"]),
        ("db-01 - Test", ["No report", "Test failover"]),
    ]  # fmt: skip
    assert "2 VMs and 1 test" in html
    assert "1 VM is in live failover.</b> Its original isn't listed until the failover is terminated." in html
    assert f'<a class="id" href="/northwind/failovers/{live.number}/">{live.number}</a></p>' in html
    html = main(get(client, screen, failover="yes"))
    assert [name for name, *_ in listing(html)] == ["web-01", "db-01 - Test"]
    assert "In failover" in re.findall(r'class="chip"[^>]*>.*?</a>|class="chip".*?</span>', html, re.S)[0]
    assert [name for name, *_ in listing(get(client, screen, failover="no"))] == ["web-01", "db-01", "db-01 - Test"]


def test_without_read_no_screen_filters_by_failover(cast: Cast, client: Client, web: VM) -> None:
    say_yes(cast, request(cast, [web]))
    work.drive()
    person = somebody(cast, *(part.permission for part in PARTS))
    sign_in(client, person)
    for part in PARTS:
        actor = enter(person, "northwind")[0]
        assert len(rows(actor, part.permission, Filters(failover="yes")).rows) == 3, "in no door"
        html = main(get(client, f"security/{part.name}", failover="yes"))
        assert [name for name, *_ in listing(html)] == ["db-01", "web-01", "web-01 - Test"]
        assert 'name="failover"' not in html and "In failover" not in html and "failover=" not in html


def security(client: Client) -> str:
    html = client.get("/northwind/vms/web-01/").content.decode()
    found = re.search(r'<section class="card" aria-labelledby="security">.*?</section>', html, re.S)
    return found[0] if found else ""


def pills(html: str) -> list[str]:
    return re.findall(r'class="pill \w+">.*?</svg>([^<]*)', html)


def test_a_vms_status_is_the_worst_of_what_its_reader_may_read(cast: Cast, client: Client, web: VM) -> None:
    become(FIM, web, HOUR, {"fim_changes": 7})
    become(MALWARE, web, 30 * HOUR, {"malware_findings": 2})
    become(PATCHING, web, 50 * HOUR, {})
    html = security(client)
    assert pills(html) == ["Critical", "Secured", "Warning", "Critical"]
    assert "Changes&nbsp;7" in html and "Findings&nbsp;2" in html and 'href="/northwind/security/patching/"' in html
    seen = by_token(cast).get(f"vms/{web.uuid}/").content["security"]
    assert [seen["status"], *(seen[part.name]["status"] for part in PARTS)] == [
        "critical", "secured", "warning", "critical",
    ]  # fmt: skip
    assert (seen["fim"]["fim_changes"], seen["malware"]["malware_findings"]) == (7, 2)

    person = somebody(cast, Permission.READ_VMS, Permission.READ_FIM, Permission.READ_AVAM)
    sign_in(client, person)
    html = security(client)
    assert pills(html) == ["Warning", "Secured", "Warning"] and "Patching" not in html
    role = person.memberships.get().roles.get()
    for permissions, parts in (([Permission.READ_FIM], {"status", "fim"}), ([], None)):
        role.permissions = [Permission.READ_VMS, *permissions]
        role.save()
        assert pills(security(client)) == (["Secured", "Secured"] if parts else [])
    by_fim = by_token(cast, scopes=["read_vms", "read_fim"]).get("vms/?q=web").content["results"][0]["security"]
    assert by_fim.keys() == {"status", "fim"} and by_fim["status"] == "secured"
    assert by_token(cast, scopes=["read_vms"]).get("vms/").content["results"][0]["security"] is None


def test_no_report_is_worse_than_secured(cast: Cast, client: Client, web: VM) -> None:
    become(FIM, web, HOUR, {})
    assert pills(security(client)) == ["No report", "Secured", "No report", "No report"]
    assert security(client).count("Never reported") == 2


def test_an_open_page_of_a_vm_looks_again_when_time_alone_has_passed(client: Client, web: VM) -> None:
    html, htmx = client.get("/northwind/vms/web-01/").content.decode(), {"HX-Request": "true"}
    poll = re.search(r'id="vm" hx-get="([^"]*)"', html)
    assert poll
    address = poll[1].replace("&amp;", "&")
    assert client.get(address, headers=htmx).status_code == 204
    with clock.ahead(timedelta(minutes=5)):
        assert client.get(address, headers=htmx).status_code == 200
