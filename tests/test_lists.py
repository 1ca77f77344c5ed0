"""Virtual Machines and FIM: which rows they list in every state of a failover, to whom, and at what cost."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.actions import enter
from accounts.models import Head, Permission, Role
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from failover.actions import give_up, request_termination
from failover.models import Failover, Ticket
from failover.screens import Filters, rows
from inventory.actions import count_new, relist
from inventory.models import VM
from replication.providers.sites import provider_of
from tests.cast import Cast, join, make_person, make_vms, protect, request, say_yes, states

SCREENS = ("vms", "security/fim")
Row = tuple[str, str, list[str]]
LIVE, TEST = "live", "test"


def get(client: Client, address: str = "vms", **query: str) -> str:
    response = client.get(f"/northwind/{address}/", query)
    assert response.status_code == 200
    return response.content.decode()


def main(html: str) -> str:
    return unescape(html[html.index("<main") : html.index("</main>")])


def listing(html: str) -> list[Row]:
    """Name, icon ("" for an ordinary VM) and pills of each row."""
    found = []
    for part in re.findall(r'<tr role="row" id="vm-.*?</tr>', html, re.S):
        icon = LIVE if 'class="fo"' in part else TEST if 'class="vm t"' in part else ""
        name = re.search(r'<a href="[^"]*"><span class="\w+">([^<]*)', part)
        assert name
        found.append((name[1], icon, re.findall(r'class="pill \w+">.*?</svg>([^<]*)', part)))
    return found


def fault(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    """From now on the provider refuses these kinds of request, always."""
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps([{"fault": "refuse", "kind": kind} for kind in kinds]))
    provider_of.cache_clear()


def drive(until: str, ticket: Ticket) -> None:
    """Drives, without waiting for the pauses between tries, until the lines of the ticket are in this state."""
    for _ in range(8):
        work.drive()
        if set(states(ticket)) == {until}:
            return
        Failover.objects.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
    raise AssertionError(f"{states(ticket)}, never {until}")


def count(client: Client, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as caught:
        get(client, address)
    return len(caught)


@pytest.fixture
def web(cast: Cast, client: Client) -> VM:
    """web-01, protected, beside db-01; Priya looks."""
    _, web = vms = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01"])
    protect(cast, vms)
    client.force_login(cast.priya)
    return web


def expect(client: Client, *wanted: Row) -> None:
    """Both lists have these rows; the pills are those of Virtual Machines."""
    assert listing(get(client)) == [*wanted]
    assert [row[:2] for row in listing(get(client, "security/fim"))] == [row[:2] for row in wanted]


DB: Row = ("db-01", "", ["Protected"])


# ---- Rule 11, state by state -----------------------------------------------------------------------------------------


def test_rows_of_a_live_failover_in_every_state(
    cast: Cast, client: Client, web: VM, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = request(cast, [web], "live")
    expect(client, DB, ("web-01", "", ["Protected", "Requested"]))
    say_yes(cast, live)
    work.drive(limit=1)
    expect(client, DB, ("web-01", "", ["Protected", "Starting"]))
    fault(monkeypatch, "start_live")
    drive("start_failed", live)
    expect(client, DB, ("web-01", "", ["Protected", "Start failed"]))
    give_up(cast.actor("mary"), Failover.objects.get(), "The site has no room")
    expect(client, DB, ("web-01", "", ["Protected", "Undoing"]))
    drive("dropped", live)
    expect(client, DB, ("web-01", "", ["Protected"]))

    fault(monkeypatch, "stop")
    live = request(cast, [web], "live", key="second-key")
    say_yes(cast, live)
    drive("running", live)
    expect(client, ("web-01", LIVE, ["Live failover"]), DB)
    end = request_termination(cast.actor("priya"), live, "Dallas is back", "DFW01", "end-key-1")
    say_yes(cast, end)
    work.drive(limit=1)
    expect(client, ("web-01", LIVE, ["Live failover", "Terminating"]), DB)
    drive("termination_failed", live)
    expect(client, ("web-01", LIVE, ["Live failover", "Termination failed"]), DB)
    fault(monkeypatch)
    again = request_termination(cast.actor("priya"), live, "Again", "DFW01", "end-key-2")
    say_yes(cast, again)
    drive("terminated", live)
    expect(client, DB, ("web-01", "", ["Resynchronising"]))


def test_rows_of_a_test_failover_in_every_state(
    cast: Cast, client: Client, web: VM, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Row = ("web-01", "", ["Protected"])
    fault(monkeypatch, "start_test")
    test = request(cast, [web])
    expect(client, DB, ("web-01", "", ["Protected", "Requested"]))
    say_yes(cast, test)
    work.drive(limit=1)
    expect(client, DB, ("web-01", "", ["Protected", "Starting"]))
    drive("start_failed", test)
    expect(client, DB, ("web-01", "", ["Protected", "Start failed"]))
    give_up(cast.actor("mary"), Failover.objects.get(), "The site has no room")
    expect(client, DB, ("web-01", "", ["Protected", "Undoing"]))
    drive("dropped", test)
    expect(client, DB, original)

    fault(monkeypatch, "stop")
    test = request(cast, [web], key="second-key")
    say_yes(cast, test)
    drive("running", test)
    expect(client, DB, original, ("web-01 - Test", TEST, ["Test failover"]))
    end = request_termination(cast.actor("priya"), test, "Done", "", "end-key-1")
    say_yes(cast, end)
    work.drive(limit=1)
    expect(client, DB, original, ("web-01 - Test", TEST, ["Test failover", "Terminating"]))
    assert main(get(client)).count("Request failover<") == 1  # of db-01: the verb refuses it for web-01 now
    drive("termination_failed", test)
    expect(client, DB, original, ("web-01 - Test", TEST, ["Test failover", "Termination failed"]))
    fault(monkeypatch)
    say_yes(cast, request_termination(cast.actor("priya"), test, "Again", "", "end-key-2"))
    drive("terminated", test)
    expect(client, DB, original)


def test_a_live_failover_requested_beside_a_running_test(cast: Cast, client: Client, web: VM) -> None:
    say_yes(cast, request(cast, [web]))
    work.drive()
    assert "Request failover" in main(get(client))
    request(cast, [web], "live")
    wanted: list[Row] = [("web-01", "", ["Protected", "Requested"]), ("web-01 - Test", TEST, ["Test failover"])]
    expect(client, DB, *wanted)


def test_the_numbers_of_the_tiles_add_up_and_lead_to_as_many_rows(cast: Cast, client: Client, web: VM) -> None:
    make_vms(cast.northwind, cast.sites["LHR01"], ["lon-01", "lon-02"])
    say_yes(cast, request(cast, [web]))
    work.drive()
    Failover.objects.filter(kind="test").update(ends_at=clock.now() + timedelta(days=3, hours=4, minutes=1))
    say_yes(cast, request(cast, [VM.objects.get(name="db-01")], "live"))
    work.drive()
    html = get(client)
    tiles = re.findall(r'<a href="(\?[^"]*)"[^>]*><b>(\d+)</b>', html)
    numbers = [int(number) for _, number in tiles]
    assert numbers[0] == sum(numbers[1:-1]) == 4 and numbers == [4, 1, 0, 1, 0, 2, 1]
    for link, number in tiles[1:]:
        assert len(listing(client.get("/northwind/vms/" + link).content.decode())) == int(number)
    assert ">in 3 d 4 h</time>" in html and "running now" in html
    assert "London (LHR01) has no failover site." in html  # why it can't be ordered, in the order's own words
    assert re.search(r"DFW01 .*PHX01-Recovery", html)


# ---- Pages by keyset -------------------------------------------------------------------------------------------------


def make_many(cast: Cast, number: int, name: Callable[[int], str]) -> list[VM]:
    with changes(PORTAL) as change:
        site = cast.sites["DFW01"]
        vms = [VM(account=cast.northwind, site=site, name=name(n), slug=f"vm-{n}") for n in range(number)]
        made = VM.objects.bulk_create(vms)
        count_new(change, VM.objects.filter(pk__in=[vm.pk for vm in made]))
    return made


def walk(client: Client, start: str, rel: str) -> list[list[str]]:
    """The rows of each page, from the address on, by the links of its Previous or Next button."""
    pages, address = [], start
    while address:
        html = client.get(f"/northwind/vms/{address}").content.decode()
        pages.append(re.findall(r'<tr role="row" id="vm-([0-9a-f-]+)"', html))
        link = re.search(rf'href="([^"]*)" rel="{rel}"', html)
        address = link[1].replace("&amp;", "&") if link else ""
        assert len(pages) < 12
    return pages


def test_120_equal_names_forward_and_back_without_gap_or_repeat(cast: Cast, client: Client) -> None:
    made = make_many(cast, 120, lambda n: ("same", "Same", "SAME")[n % 3])
    client.force_login(cast.priya)
    forward = walk(client, "?size=25", "next")
    assert [len(page) for page in forward] == [25, 25, 25, 25, 20]
    assert [uuid for page in forward for uuid in page] == [str(vm.uuid) for vm in made]
    page = rows(cast.actor("priya"), Permission.READ_VMS, Filters(size=25))
    for _ in range(4):
        page = rows(cast.actor("priya"), Permission.READ_VMS, Filters(size=25, after=page.next))
    assert not page.next
    back = walk(client, f"?size=25&before={page.previous}", "prev")
    assert [*reversed(back)] == forward[:4]


def test_paging_holds_while_rows_come_and_go(cast: Cast, client: Client) -> None:
    made = make_many(cast, 60, lambda n: f"vm-{n:02}")
    actor = cast.actor("priya")
    first = rows(actor, Permission.READ_VMS, Filters(size=25))
    with changes(PORTAL) as change:
        relist(change, VM.objects.filter(pk__in=[vm.pk for vm in made[20:30]]), shown=False)
    second = rows(actor, Permission.READ_VMS, Filters(size=25, after=first.next))
    assert [vm.name for vm in second.rows] == [f"vm-{n:02}" for n in range(30, 55)]
    with changes(PORTAL) as change:
        relist(change, VM.objects.filter(pk__in=[vm.pk for vm in made[55:]]), shown=False)
    assert second.next  # what was there is gone: the list begins anew
    assert (
        rows(actor, Permission.READ_VMS, Filters(size=25, after=second.next)).rows == first.rows[:20] + second.rows[:5]
    )


# ---- Filters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"q": "WEB"}, ["web-01", "web-01 - Test"]),
        ({"q": "web-01 - test"}, ["web-01 - Test"]),
        ({"q": "eb"}, []),
        ({"q": "%"}, []),
        ({"q": "10.20.1.7"}, ["db-01"]),
        ({"q": "10.20.1."}, []),
        ({"q": "Öl"}, ["ölpumpe"]),
        ({"site": "phx01"}, ["web-01 - Test"]),
        ({"site": "LHR01", "q": "ö"}, ["ölpumpe"]),
        ({"state": "protected", "q": "d"}, ["db-01"]),
        ({"state": "tests"}, ["web-01 - Test"]),
    ],
)
def test_filters(cast: Cast, client: Client, web: VM, query: dict[str, str], wanted: list[str]) -> None:
    make_vms(cast.northwind, cast.sites["LHR01"], ["oil"])
    VM.objects.filter(name="oil").update(name="ölpumpe")
    VM.objects.filter(name="db-01").update(address="10.20.1.7")
    say_yes(cast, request(cast, [web]))
    work.drive()
    html = get(client, **query)
    assert [name for name, *_ in listing(html)] == wanted
    if not wanted:
        assert f"No VM matches “{query['q']}”" in html and "Clear filters" in html


@pytest.mark.parametrize(
    "query",
    [
        {"state": "hidden"}, {"status": "none"}, {"size": "7"}, {"size": "x"}, {"after": "x.y"}, {"before": "\0"},
        {"after": "x", "before": "y"}, {"q": "\0"}, {"sort": "-rpo"}, {"version": "-1"},
    ],
)  # fmt: skip
def test_a_value_that_means_nothing_is_as_if_not_sent(client: Client, web: VM, query: dict[str, str]) -> None:
    assert [name for name, *_ in listing(get(client, **query))] == ["db-01", "web-01"]


def test_a_forged_place_is_no_place(cast: Cast, client: Client, web: VM) -> None:
    forged = "WzAsImEiLDEsImxpdmUiXQ." + "A" * 43
    assert len(listing(get(client, after=forged))) == 2
    assert len(listing(get(client, "security/fim", before=forged))) == 2


def test_an_account_without_vms_says_what_will_be_here(cast: Cast, client: Client) -> None:
    client.force_login(cast.priya)
    for screen in SCREENS:
        assert "No virtual machines yet" in get(client, screen)


# ---- Who sees what ---------------------------------------------------------------------------------------------------


def somebody(cast: Cast, *permissions: str) -> Any:
    role = Role.objects.create(account=cast.northwind, name="+".join(permissions) or "Nothing", permissions=permissions)
    person = make_person("nadia@example.com", "Nadia Noor")
    join(person, cast.northwind).roles.set([role])
    return person


def test_without_read_the_rows_and_icons_and_nothing_of_replication(cast: Cast, client: Client, web: VM) -> None:
    say_yes(cast, request(cast, [web], "live"))
    say_yes(cast, request(cast, [VM.objects.get(name="db-01")]))
    work.drive()
    client.force_login(somebody(cast, Permission.READ_VMS, Permission.READ_FIM))
    wanted = [("web-01", LIVE), ("db-01", ""), ("db-01 - Test", TEST)]
    for query in ({}, {"state": "protected"}, {"state": "live"}):
        html = main(get(client, "vms", **query))
        assert [(name, icon) for name, icon, _ in listing(html)] == wanted
        assert not re.search(r"protect|RPO|FO-|RO-|replicat|ends in|class=\"pill|data-pick|state=|tested", html, re.I)
        assert "PHX01-Recovery" in html
    actor = enter(cast.northwind.memberships.get(person__email="nadia@example.com").person, "northwind")[0]
    assert len(rows(actor, Permission.READ_VMS, Filters(state="protected")).rows) == 3  # in no door
    html = main(get(client, "security/fim"))
    assert [(name, icon) for name, icon, _ in listing(html)] == wanted
    assert not re.search(r"protect|RPO|FO-\d|RO-\d|replicat|in live failover", html, re.I)
    assert "in place of its original" in html and ">Failover</th>" not in html


def test_fim_alone_and_vms_alone(cast: Cast, client: Client, web: VM) -> None:
    client.force_login(somebody(cast, Permission.READ_FIM))
    assert client.get("/northwind/vms/").status_code == 403
    assert client.get("/northwind/vms/web-01/").status_code == client.get("/northwind/vms/nothing/").status_code == 403
    assert len(listing(get(client, "security/fim"))) == 2
    client.logout()
    Role.objects.filter(name=Permission.READ_FIM).update(permissions=[Permission.READ_VMS])
    client.force_login(cast.northwind.memberships.get(person__email="nadia@example.com").person)
    assert client.get("/northwind/security/fim/").status_code == 403
    assert len(listing(get(client))) == 2


def test_who_may_only_look_is_told_whom_to_ask_and_offered_nothing(cast: Cast, client: Client, web: VM) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["bare-01"])
    client.force_login(cast.ravi)
    html = main(get(client))
    assert "Write Server Replication" in html and "priya@example.com" in html
    assert not re.search(r"Order replication|Request failover|data-pick|type=\"checkbox\"", html)
    client.force_login(cast.oscar)  # may order, isn't listed
    html = main(get(client))
    assert "Order replication of" in html and "Request failover" not in html
    client.force_login(cast.priya)
    html = main(get(client))
    assert "Order replication of" in html and "Request failover of" in html


def test_stand_ins_have_no_check_box(cast: Cast, client: Client, web: VM) -> None:
    say_yes(cast, request(cast, [web]))
    say_yes(cast, request(cast, [VM.objects.get(name="db-01")], "live"))
    work.drive()
    picks = re.findall(r'name="vm" value="([^"]*)" form="bulk"', get(client))
    assert picks == [str(web.uuid)]


def test_another_account_sees_its_own_alone(cast: Cast, client: Client, web: VM) -> None:
    client.force_login(cast.olga)
    for screen in SCREENS:
        assert "No virtual machines yet" in client.get(f"/contoso/{screen}/").content.decode()
        assert client.get(f"/northwind/{screen}/").status_code == 404


def test_an_account_begins_with_its_vms(cast: Cast, client: Client) -> None:
    client.force_login(cast.priya)
    response = client.get("/northwind/")
    assert (response.status_code, response["Location"]) == (302, "/northwind/vms/")


# ---- What it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("screen", SCREENS)
def test_the_same_few_statements_for_1_50_and_200_rows(
    cast: Cast, client: Client, screen: str, django_assert_max_num_queries: Any
) -> None:
    make_many(cast, 1, lambda n: "one")
    client.force_login(cast.priya)
    get(client, screen)
    counts = [count(client, screen)]
    for number in (50, 200):
        VM.objects.all().delete()
        made = make_many(cast, number, lambda n: f"vm-{n:03}")
        if number == 200:
            protect(cast, made)
            say_yes(cast, request(cast, made[:30], "live"))
            say_yes(cast, request(cast, made[30:60]))
            work.drive()
        counts.append(count(client, screen))
    assert len(set(counts)) == 1, counts
    for person in (cast.priya, cast.ravi):
        client.force_login(person)
        get(client, screen)
        with django_assert_max_num_queries(6):
            get(client, screen, size="100")


@pytest.mark.parametrize("screen", SCREENS)
def test_an_unchanged_part_answers_204_at_once(
    cast: Cast, client: Client, web: VM, screen: str, django_assert_max_num_queries: Any
) -> None:
    address, htmx = f"/northwind/{screen}/", {"HX-Request": "true"}
    poll = re.search(r'hx-get="([^"]*)"', client.get(address).content.decode())
    assert poll
    polled = poll[1].replace("&amp;", "&")
    with django_assert_max_num_queries(3):  # session, person, membership with head
        response = client.get(polled, headers=htmx)
    assert (response.status_code, response.content) == (204, b"")
    assert client.get(polled).status_code == 200  # a reader who opens the address gets the page
    request(cast, [web])
    response = client.get(polled, headers=htmx)
    assert response.status_code == 200 and "HX-Request" in response["Vary"]
    assert "<html" not in response.content.decode() and len(listing(response.content.decode())) == 2
    version = Head.objects.get(account=cast.northwind).version
    assert client.get(address, {"version": version}, headers=htmx).status_code == 204


def test_fim_looks_again_when_time_alone_has_passed(client: Client, web: VM) -> None:
    poll = re.search(r'hx-get="([^"]*)"', get(client, "security/fim"))
    assert poll
    with clock.ahead(timedelta(minutes=5)):
        assert client.get(poll[1].replace("&amp;", "&"), headers={"HX-Request": "true"}).status_code == 200


# ---- FIM -------------------------------------------------------------------------------------------------------------


def test_fim_judges_by_the_last_report_and_its_numbers_are_its_rows(cast: Cast, client: Client) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["a", "b", "c", "d", "e", "f", "g"])
    now, hour = clock.now(), timedelta(hours=1)
    reports: dict[str, dict[str, Any]] = {
        "a": {"fim_report_at": now - 23 * hour}, "b": {"fim_report_at": now - 24 * hour},
        "c": {"fim_report_at": now - 47 * hour}, "d": {"fim_report_at": now - 49 * hour},
        "e": {"made_at": now - 23 * hour}, "f": {"made_at": now - 25 * hour},
        "g": {"fim_report_at": now - 99 * hour, "power": "off"},
    }  # fmt: skip
    for name, facts in reports.items():
        VM.objects.filter(name=name).update(**facts)
    client.force_login(cast.priya)
    html = get(client, "security/fim")
    assert [pills[0] for _, _, pills in listing(html)] == [
        "Secured", "Warning", "Warning", "Critical", "No report", "Warning", "No report",
    ]  # fmt: skip
    tiles = re.findall(r'<a href="(\?[^"]*)"[^>]*><b>(\d+)</b>', html)
    assert [int(number) for _, number in tiles] == [7, 1, 3, 1, 2]
    for link, number in tiles:
        assert len(listing(client.get("/northwind/security/fim/" + link).content.decode())) == int(number)


def test_fim_counts_a_new_test_and_tells_of_live_failovers(cast: Cast, client: Client, web: VM) -> None:
    VM.objects.update(fim_report_at=clock.now())
    test = request(cast, [VM.objects.get(name="db-01")])
    live = request(cast, [web], "live")
    for ticket in (test, live):
        say_yes(cast, ticket)
    work.drive()
    html = main(get(client, "security/fim"))
    assert [(name, pills) for name, _, pills in listing(html)] == [
        ("web-01", ["No report", "Live failover"]), ("db-01", ["Secured"]),
        ("db-01 - Test", ["No report", "Test failover"]),
    ]  # fmt: skip
    assert "2 VMs and 1 test" in html
    assert "1 VM is in live failover.</b> Its original isn't listed until the failover is terminated." in html
    assert f'<a class="id" href="/northwind/failovers/{live.number}/">{live.number}</a></p>' in html
