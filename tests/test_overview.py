"""Overview: what it says calm and in an outage, to whom, and that its numbers are those of the lists."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.actions import list_authorized
from accounts.models import AuthorizedUser, Permission, Person, Role
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from failover.actions import record_result, request_termination
from failover.screens.census import census
from failover.screens.protection import protection_chart
from failover.screens.row import readiness, readiness_name
from inventory import actions
from inventory.actions import affected, at_sites, relist
from inventory.models import VM, Outage
from replication.actions import place_order
from replication.models import Replication
from tests.cast import Cast, join, make_person, make_vms, protect, request, say_yes, sign_in
from tests.test_lists.reading import listing, main

HERE = "/northwind/"


def look(client: Client, query: str = "") -> str:
    response = client.get(HERE + query)
    assert response.status_code == 200
    html = response.content.decode()
    return unescape(html[html.index("<main") : html.index("</main>")])


def words(html: str) -> str:
    """What is read, without markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<(svg|title|desc).*?</\1>", " ", html, flags=re.S)).split())


def sentence(html: str) -> str:
    return words(html[html.index("<h2>") : html.index("</h2>")])


def numbers(html: str) -> dict[str, tuple[str, str]]:
    """Of the four tiles: label -> count and address."""
    part = html[html.index('aria-label="Key numbers"') : html.index("</nav>")]
    found = re.findall(r'<a href="([^"]*)"[^>]*><b>([^<]*)</b><span[^>]*>(?:<svg.*?</svg>)?([^<]*)</span>', part)
    return {label: (count, href) for href, count, label in found}


def wants(html: str) -> list[str]:
    """The titles under Needs you."""
    if 'id="needs"' not in html:
        return []
    part = html[html.index('id="needs"') :]
    return re.findall(r'class="strong" href="[^"]*">([^<]*)<', part[: part.index("</section>")])


def declare(cast: Cast, site: str = "DFW01") -> Outage:
    start = clock.now() - timedelta(minutes=31)
    return actions.declare(cast.actor("mary"), cast.sites[site], "No power", "Hall A.", start, str(uuid.uuid4()))


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    return sign_in(client, cast.priya)


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """Of Northwind in Dallas: three protected, one bare."""
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "db-01", "app-01", "bare-01"])
    protect(cast, found[:3])
    return found


# ---- Calm ------------------------------------------------------------------------------------------------------------


def test_calm(cast: Cast, priya: Client, vms: list[VM]) -> None:
    html = look(priya)
    assert sentence(html) == "All sites are normal. No VM runs in live failover."
    assert "3 of 4 VMs are protected. All 3 replicated VMs have a recovery point within the RPO target." in words(html)
    assert [(label, count) for label, (count, _) in numbers(html).items()] == [
        ("VMs protected", "3 of 4"), ("behind their RPO target", "0"), ("tests overdue", "0"), ("live failovers", "0"),
    ]  # fmt: skip
    assert wants(html) == ["Only one person may request failovers", "3 VMs never tested", "1 VM is not protected"]


def test_the_numbers_are_those_of_the_lists(cast: Cast, priya: Client, vms: list[VM]) -> None:
    more = make_vms(cast.northwind, cast.sites["PHX01"], [f"old-{n}" for n in range(5)])
    protect(cast, more, "order-key-2")
    now = clock.now()
    stood(more[:2], protection="rpo_behind", newest_point_at=now - timedelta(hours=1))
    stood(more[2:], last_test_at=now - timedelta(days=91), last_test_result="passed")
    stood(more[4:], resized_at=now)
    say_yes(cast, request(cast, vms[:1], "live"))
    work.drive()
    shown = numbers(look(priya))
    assert [count for count, _ in shown.values()] == ["5 of 9", "2", "2", "1"]
    for count, href in shown.values():
        assert str(len(listing(main(priya.get(href).content.decode())))) == count.split()[0], href
    assert shown_names(priya, "?only=overdue") == ["old-2", "old-3"]
    assert shown_names(priya, "?only=never") == ["app-01", "db-01", "old-0", "old-1"]


def shown_names(client: Client, query: str) -> list[str]:
    return [name for name, *_ in listing(main(client.get(f"/northwind/vms/{query}").content.decode()))]


def stood(vms: list[VM], **columns: object) -> None:
    with changes(PORTAL) as change:
        relist(change, VM.objects.filter(pk__in=[vm.pk for vm in vms]), **columns)


def test_all_that_match_are_no_more_than_the_list_shows(cast: Cast, priya: Client, vms: list[VM]) -> None:
    stood(vms[:2], last_test_at=clock.now() - timedelta(days=91))
    answer = priya.post("/northwind/vms/choose/", {"failover": "all", "only": "overdue"})
    html = priya.get(answer["Location"]).content.decode()
    ticked = re.findall(r'name="vm" value="([^"]*)" checked', html)
    assert sorted(ticked) == sorted(str(vm.uuid) for vm in vms[:2])


def test_readiness_in_one_statement_is_that_of_the_row(cast: Cast, vms: list[VM]) -> None:
    now = clock.now()
    for tested, resized in ((None, None), (1, None), (91, None), (5, 9), (9, 5), (95, 92)):
        for result in ("", "passed", "remarks", "failed"):
            days = {"last_test_at": tested, "resized_at": resized}
            then = {name: None if n is None else now - timedelta(days=n) for name, n in days.items()}
            VM.objects.filter(pk=vms[0].pk).update(last_test_result=result, **then)
            vm = VM.objects.annotate(word=readiness_name(now)).get(pk=vms[0].pk)
            assert vm.word == readiness(vm, now).name, (tested, resized, result)


def test_those_that_last_are_the_replications_that_are_complete(cast: Cast, vms: list[VM]) -> None:
    say_yes(cast, request(cast, vms[:1], "live"))
    work.drive()
    place_order(cast.actor("oscar"), [vms[3].uuid], "order-key-3")
    complete = Replication.objects.filter(protected_at__isnull=False, cancelled_at=None)
    assert census(cast.actor("ravi"), Permission.READ_VMS).lasting == complete.count() == 3
    stood(vms[1:2], protection="source_unreachable")
    assert census(cast.actor("ravi"), Permission.READ_VMS).lasting == 3


def test_a_large_account_is_counted_once_for_each_version(
    cast: Cast, priya: Client, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failover.screens.census.MANY", 1)
    assert numbers(look(priya))["behind their RPO target"][0] == "0"
    stood(vms[:1], protection="rpo_behind")
    assert numbers(look(priya))["behind its RPO target"][0] == "1"
    sign_in(priya, member(cast, "read_vms"))
    assert "RPO" not in look(priya)
    protect(cast, make_vms(cast.contoso, cast.sites["DFW01"], ["erp-01"]), "order-key-2", who="olga")
    sign_in(priya, cast.olga)
    shown = numbers(main(priya.get("/contoso/").content.decode()))
    assert [count for count, _ in shown.values()] == ["1 of 1", "0", "0", "0"]


def test_one_that_is_behind_is_named(cast: Cast, priya: Client, vms: list[VM]) -> None:
    stood(vms[:1], protection="rpo_behind", newest_point_at=clock.now() - timedelta(minutes=22))
    html = look(priya)
    one_not = "2 of 3 replicated VMs have a recovery point within the RPO target, web-01 doesn't."
    assert f"2 of 4 VMs are protected. {one_not}" in words(html)
    assert wants(html)[0] == "web-01 is behind its RPO target" and "22 min old" in words(html)
    stood(vms[1:3], protection="source_unreachable", newest_point_at=clock.now() - timedelta(minutes=30))
    html = look(priya)
    assert wants(html)[0] == "3 VMs are behind their RPO target"
    assert "0 of 4 VMs are protected. 0 of 3 replicated VMs have a recovery point within the RPO target." in words(html)


def test_at_most_five_needs_and_the_most_urgent_first(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1], "live")
    say_yes(cast, ticket)
    work.drive()
    order = VM.objects.get(pk=vms[1].pk).order_number
    stood(vms[1:2], protection="needs_input")
    stood(vms[2:3], protection="failed")
    found = wants(look(priya))
    assert found == [
        f"{ticket.number} runs. Does it work?", "db-01 needs your answer", "Replication of app-01 failed",
        "1 VM is not protected",
    ]  # fmt: skip
    assert f"/northwind/replication/orders/{order}/" in look(priya)
    sign_in(priya, cast.ravi)  # he may look: what only an authorized user can do isn't asked of him
    assert f"{ticket.number} runs. Does it work?" not in wants(look(priya))
    request_termination(cast.actor("priya"), ticket, "Back", "DFW01", "end-key-1")
    assert f"{ticket.number} runs. Does it work?" not in wants(look(sign_in(priya, cast.priya))), "it is to end"


def test_of_more_than_five_it_says_how_many(cast: Cast, priya: Client, vms: list[VM]) -> None:
    for n, vm in enumerate(vms[:3]):
        say_yes(cast, request(cast, [vm], "live", key=f"request-{n}"))
    more = make_vms(cast.northwind, cast.sites["PHX01"], ["old-1", "old-2", "old-3"])
    protect(cast, more, "order-key-2")
    work.drive()
    html = look(priya)
    assert len(wants(html)) == 5 and "Needs you 5 of 6" in words(html)
    assert "Both" not in words(html) and "All 3 replicated VMs" in words(html)
    stood(more[:1], protection="needs_input")
    html = look(priya)
    assert "Needs you 5 of 7" in words(html) and "Both replicated VMs have a recovery point" in words(html)


def test_in_an_outage_needs_stand_once(cast: Cast, priya: Client, vms: list[VM]) -> None:
    declare(cast)
    assert look(priya).count('id="needs"') == 1


def test_a_test_that_is_over_wants_its_result(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    say_yes(cast, ticket)
    work.drive()
    html = look(priya)
    assert "web-01 - Test" in words(html) and "ends by itself" in words(html) and ticket.number in words(html)
    say_yes(cast, request_termination(cast.actor("priya"), ticket, "Done", "", "end-key-1"))
    work.drive()
    assert f"How did {ticket.number} go?" in wants(look(priya))
    ticket.refresh_from_db()
    record_result(cast.actor("priya"), ticket, "passed")
    assert f"How did {ticket.number} go?" not in wants(look(priya))


def test_two_on_the_list_are_enough(cast: Cast, priya: Client, vms: list[VM]) -> None:
    assert "Only one person may request failovers" in wants(look(priya))
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar)
    assert "Only one person may request failovers" not in wants(look(priya))
    AuthorizedUser.objects.filter(account=cast.northwind).delete()
    assert "Nobody may request failovers" in wants(look(priya))


def test_first_time(cast: Cast, priya: Client) -> None:
    assert sentence(look(priya)) == "No virtual machines yet"
    (bare,) = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    html = look(priya)
    assert sentence(html) == "All sites are normal. No VM is protected yet."
    assert re.findall(r'class="btn p" href="([^"]*)"', html) == ["/northwind/replication/orders/new/"]
    place_order(cast.actor("priya"), [bare.uuid], "order-key-1")
    assert sentence(look(priya)) == "Your first 1 VM is being set up."


def test_an_open_page_asks_again(cast: Cast, priya: Client, vms: list[VM]) -> None:
    html = look(priya)
    poll = re.search(r'id="overview"[^>]*hx-get="([^"]*)"', html)
    assert poll and priya.get(poll[1], headers={"HX-Request": "true"}).status_code == 204
    request(cast, vms[1:2])
    part = priya.get(poll[1], headers={"HX-Request": "true"})
    assert part.status_code == 200 and b"<html" not in part.content and b"Running and waiting" in part.content


# ---- Protection over time --------------------------------------------------------------------------------------------


def test_protection_over_time(cast: Cast, vms: list[VM]) -> None:
    now, mine = clock.now(), Replication.objects.filter(vm__account=cast.northwind)
    VM.objects.update(made_at=now - timedelta(days=100))
    VM.objects.filter(name="bare-01").update(made_at=now - timedelta(days=2, hours=1))
    days = dict(zip(mine.order_by("pk").values_list("pk", flat=True), (40, 10, 5), strict=True))
    for pk, ago in days.items():
        mine.filter(pk=pk).update(protected_at=now - timedelta(days=ago, hours=1))
    mine.filter(pk=max(days)).update(cancelled_at=now - timedelta(days=1, hours=1))
    chart = protection_chart(cast.actor("ravi"), "30d", 2, 4)
    assert {day: chart.rows[day][1] for day in (29, 11, 10, 5, 2, 1, 0)} == {
        29: (1, 2), 11: (1, 2), 10: (2, 1), 5: (3, 0), 2: (3, 1), 1: (2, 2), 0: (2, 2),
    }  # fmt: skip
    assert "from 1 at first to 2 now, of 4" in chart.description
    assert len(protection_chart(cast.actor("ravi"), "24h", 2, 4).rows) == 48


# ---- To whom ---------------------------------------------------------------------------------------------------------


def member(cast: Cast, *permissions: str) -> Person:
    role = Role.objects.create(account=cast.northwind, name="Some", slug="some", permissions=list(permissions))
    person = make_person("nadia@example.com", "Nadia Noor")
    join(person, cast.northwind).roles.set([role])
    return person


OF_REPLICATION = r"are protected(?! isn't)|RPO|(FO|RO|N)-\d|replicated|copied|failover|overdue|Needs you"


@pytest.mark.parametrize("calm", [True, False], ids=["calm", "outage"])
def test_without_read_nothing_of_replication(cast: Cast, client: Client, vms: list[VM], calm: bool) -> None:
    say_yes(cast, request(cast, vms[:1], "live"))
    request(cast, vms[1:2])
    work.drive()
    if not calm:
        declare(cast)
    sign_in(client, member(cast, Permission.READ_VMS, Permission.READ_FIM, Permission.VIEW_ACTIVITY))
    html = look(client)
    assert not re.search(OF_REPLICATION, words(html), re.I), re.search(OF_REPLICATION, words(html), re.I)
    assert not re.search(r"state=|only=|/failovers/|/replication/|Key numbers|chart", html)
    assert sentence(html) == ("All sites are normal." if calm else "Dallas is down.")
    assert "Read Server Replication" in html and "priya@example.com" in html
    assert f"{4 if calm else 3} VMs" in words(html)  # one runs elsewhere, as the list of VMs shows
    assert "Security" in words(html) and "/northwind/security/fim/" in html


def test_a_member_without_any_role(cast: Cast, client: Client, vms: list[VM]) -> None:
    declare(cast)
    sign_in(client, member(cast))
    html = look(client)
    assert sentence(html) == "Nothing of this account's servers is shown to you."
    assert "priya@example.com" in html and not re.search(r"DFW01|Dallas|web-01|4 VMs|Last events", html)


def test_who_may_read_replication_alone_is_led_nowhere_else(cast: Cast, client: Client, vms: list[VM]) -> None:
    sign_in(client, member(cast, Permission.READ_REPLICATION))
    html = look(client)
    assert "3 of 4 VMs are protected" in words(html)
    for href in set(re.findall(r'href="(/northwind/[^"#?]*)', html)):
        assert client.get(href).status_code == 200, href


def test_every_way_on_opens(cast: Cast, client: Client, vms: list[VM]) -> None:
    say_yes(cast, request(cast, vms[:1], "live"))
    work.drive()
    stood(vms[1:2], protection="rpo_behind", newest_point_at=clock.now())
    declare(cast)
    for person in (cast.priya, cast.oscar, cast.ravi):
        sign_in(client, person)
        for href in set(re.findall(r'href="(/northwind/[^"#]*|\?[^"#]*)', look(client))):
            assert client.get(href if href[0] == "/" else HERE + href).status_code == 200, href


# ---- In an outage ----------------------------------------------------------------------------------------------------


def test_an_outage(cast: Cast, priya: Client, vms: list[VM]) -> None:
    first = request(cast, vms[:1], "live")
    say_yes(cast, first)
    work.drive()
    second = request(cast, vms[1:2], "live", key="second-key")
    declare(cast)
    html = look(priya)
    assert sentence(html) == "Dallas is down. 1 VM waits for your decision."
    assert "Nothing fails over by itself" in words(html)
    split = words(html[html.index('class="split"') : html.index('aria-label="Key numbers"')])
    assert f"1 runs in Phoenix web-01 · {first.number}" in split
    assert f"1 waits for Support db-01 · {second.number}" in split and "1 has no request" in split
    href = re.search(r'class="btn d" href="([^"]*)">Request live failover of 1 VM<', html)
    assert href and "app-01" in main(priya.get(href[1]).content.decode())
    assert "Running and waiting" in words(html) and "Outage" in words(html[html.index('id="sites"') :])
    assert html.index('id="running"') < html.index('id="sites"') < html.index('id="needs"')


def test_who_may_not_request_learns_who_may(cast: Cast, client: Client, vms: list[VM]) -> None:
    declare(cast)
    sign_in(client, cast.ravi)
    html = look(client)
    assert sentence(html) == "Dallas is down. 3 VMs there have no request."
    assert "1 person may request failovers: Priya Raman." in words(html) and "btn d" not in html


def test_an_outage_where_copies_are(cast: Cast, priya: Client, vms: list[VM]) -> None:
    declare(cast, "PHX01")
    html = look(priya)
    assert sentence(html) == "Phoenix is down. 3 VMs are copied there: the copies can't grow."
    assert "no longer copied to PHX01" in words(html) and 'class="split"' not in html


def test_the_numbers_of_an_outage_are_those_of_the_inventory(cast: Cast, vms: list[VM]) -> None:
    there = make_vms(cast.northwind, cast.sites["PHX01"], ["erp-01", "erp-02"])
    protect(cast, there, "order-key-2")
    for vm, kind in ((vms[0], "live"), (vms[1], "test"), (there[0], "test")):
        say_yes(cast, request(cast, [vm], kind, key=f"key-of-{vm.name}"))
    work.drive()
    counted = census(cast.actor("ravi"), Permission.READ_VMS)
    codes = ("DFW01", "PHX01")
    assert counted.numbers(0, codes) == at_sites(cast.northwind.pk, codes)
    for code in codes:
        assert counted.affected(code) == affected(cast.sites[code], [cast.northwind.pk])[cast.northwind.pk]


def test_ten_statements_whatever_there_is_of_everything(
    cast: Cast, priya: Client, vms: list[VM], django_assert_max_num_queries: Any
) -> None:
    say_yes(cast, request(cast, vms[:1], "live"))
    say_yes(cast, request(cast, vms[1:2]))
    work.drive()
    stood(vms[2:3], protection="rpo_behind", newest_point_at=clock.now())
    look(priya)
    declare(cast)
    declare(cast, "PHX01")
    with django_assert_max_num_queries(10):
        assert sentence(look(priya)).startswith("Phoenix and Dallas are down.")
    sign_in(priya, member(cast, *(one for one in Permission.values if one != Permission.READ_REPLICATION)))
    with django_assert_max_num_queries(10):
        assert "Security" in look(priya)
