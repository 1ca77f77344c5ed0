"""The page of one VM: what it says in each state, what it offers to whom, and what it keeps from whom."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client

from accounts.models import Permission, Role
from ampdr import clock, work
from failover.actions import request_termination
from failover.models import Failover
from inventory.models import VM
from replication.actions import place_order
from replication.models import RecoveryPoint, Replication
from tests.cast import Cast, join, make_person, make_vms, protect, request, say_yes, sign_in

WEB, TEST = "/northwind/vms/web-01/", "/northwind/vms/web-01/test/"
OFFERS = ("Order replication", "Request test failover", "Request live failover", "Stop replication")


@pytest.fixture
def web(cast: Cast, client: Client) -> VM:
    """web-01, not protected yet; Priya looks."""
    sign_in(client, cast.priya)
    return make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"], address="10.20.1.31")[0]


def look(client: Client, address: str = WEB) -> str:
    response = client.get(address)
    assert response.status_code == 200
    html = response.content.decode()
    return unescape(html[html.index("<main") : html.index("</main>")])


def offered(html: str) -> list[str]:
    buttons = re.findall(r'<a class="btn[^"]*" href="[^"]*">(?:<svg.*?</svg>)?([^<]*)', html)
    return [words for words in OFFERS if words in buttons]


def pills(html: str) -> list[str]:
    """Those beside the name."""
    return re.findall(r'class="pill \w+">.*?</svg>([^<]+)', html[html.index("<h1>") : html.index("</h1>")])


def test_from_not_protected_to_protected(cast: Cast, client: Client, web: VM) -> None:
    html = look(client)
    assert (pills(html), offered(html)) == (["Not protected"], ["Order replication"])
    assert f"/northwind/replication/orders/new/?vm={web.uuid}" in html and "No recovery points" in html

    order = place_order(cast.actor("priya"), [web.uuid], "order-key-1")
    html = look(client)
    assert (pills(html), offered(html)) == (["Ordered"], ["Stop replication"])
    assert f"/northwind/replication/orders/{order.number}/" in html

    work.drive()
    html = look(client)
    assert (pills(html), offered(html)) == (["Protected"], list(OFFERS[1:]))
    for kind in ("live", "test"):
        assert f"/northwind/failovers/new/?vm={web.uuid}&kind={kind}" in html
    assert "target 15 min" in html and "Never tested, never failed over" in html
    assert re.search(r"Priya Raman</b> · Replication was ordered", html)
    assert "AMPDR</b> · Replication: Protected" in html


def test_the_ten_newest_recovery_points(cast: Cast, client: Client, web: VM) -> None:
    protect(cast, [web])
    RecoveryPoint.objects.all().delete()
    of, now = Replication.objects.get(), clock.now()
    kinds = ["application" if n == 3 else "crash" for n in range(12)]
    RecoveryPoint.objects.bulk_create(
        [RecoveryPoint(replication=of, at=now - timedelta(hours=n), consistent=kind) for n, kind in enumerate(kinds)]
    )
    html = look(client)
    table = html[html.index("The newest recovery points") : html.index("Tests and failovers</h2>")]
    ages = re.findall(r"data-age>([^<]*)", table)
    assert len(ages) == 10 and ages[1:] == [f"{n} h" for n in range(1, 10)]
    assert table.count("Application-consistent") == 1


def test_a_test_has_a_page_of_its_own_and_the_original_tells_of_it(cast: Cast, client: Client, web: VM) -> None:
    protect(cast, [web])
    assert client.get(TEST).status_code == 404
    test = request(cast, [web])
    html = look(client)
    assert pills(html) == ["Protected", "Requested"]
    assert offered(html) == []  # held: neither another request nor stopping
    assert test.number in html
    say_yes(cast, test)
    work.drive()
    html = look(client)
    assert pills(html) == ["Protected"] and offered(html) == ["Request live failover"]  # rule 8's only pair
    assert "A test failover of this VM is running" in html and f'href="{TEST}"' in html
    html = look(client, TEST)
    assert pills(html) == ["Test failover"] and "web-01 - Test" in html and offered(html) == []
    assert "isolated in PHX01-Recovery" in html and "ends by itself" in html and 'class="fo"' not in html
    say_yes(cast, request_termination(cast.actor("priya"), test, "Done", "", "end-key-1"))
    work.drive()
    assert client.get(TEST).status_code == 404
    html = look(client)
    assert "Terminated" in html and offered(html) == list(OFFERS[1:])


def test_while_a_live_failover_runs_the_address_shows_the_stand_in(cast: Cast, client: Client, web: VM) -> None:
    protect(cast, [web])
    live = request(cast, [web], "live")
    assert 'class="pill live"' not in look(client)  # yellow: only once it runs
    say_yes(cast, live)
    work.drive()
    html = look(client)
    assert pills(html) == ["Live failover"] and 'class="fo"' in html and offered(html) == []
    assert "web-01 - " not in html and "in Phoenix (PHX01-Recovery)" in html
    assert "not copied back" in html and f"Open {live.number}" in html
    assert "Planned" in html and "the source is barred from starting" in html
    Failover.objects.update(fenced="pending")
    assert "Source not fenced" in look(client)
    say_yes(cast, request_termination(cast.actor("priya"), live, "Dallas is back", "DFW01", "end-key-1"))
    work.drive()
    html = look(client)
    assert pills(html) == ["Resynchronising"] and 'class="fo"' not in html and "in Dallas (DFW01)" in html
    assert re.search(r"Priya Raman</b> · Failover was requested.*FO-", html, re.S)


def somebody(cast: Cast, *permissions: str) -> None:
    role = Role.objects.create(account=cast.northwind, name="Some", permissions=permissions)
    join(make_person("nadia@example.com", "Nadia Noor"), cast.northwind).roles.set([role])


@pytest.mark.parametrize("kind", ["live", "test"])
def test_without_read_nothing_of_replication(cast: Cast, client: Client, web: VM, kind: str) -> None:
    protect(cast, [web])
    say_yes(cast, request(cast, [web], kind))
    work.drive()
    somebody(cast, Permission.READ_VMS, Permission.VIEW_ACTIVITY)
    sign_in(client, cast.northwind.memberships.get(person__email="nadia@example.com").person)
    html = look(client)
    assert ('class="fo"' in html) == (kind == "live")
    assert ("PHX01-Recovery" in html) == (kind == "live")
    for page in [html, *([look(client, TEST)] if kind == "test" else [])]:
        assert not re.search(r"protect|RPO|FO-\d|RO-\d|replicat|recovery point|class=\"pill|requested|FIM", page, re.I)


def test_each_is_offered_what_he_may_and_told_whom_to_ask(cast: Cast, client: Client, web: VM) -> None:
    sign_in(client, cast.ravi)
    html = look(client)
    assert offered(html) == [] and "you need Write Server Replication" in html and "priya@example.com" in html
    protect(cast, [web])
    html = look(client)
    assert offered(html) == [] and "Support keeps the list" in html and "+1 555 0100" in html
    sign_in(client, cast.oscar)
    html = look(client)
    assert offered(html) == ["Stop replication"] and "Support keeps the list" in html


def test_a_vm_that_cant_be_ordered_says_why(cast: Cast, client: Client, web: VM) -> None:
    make_vms(cast.northwind, cast.sites["LHR01"], ["lon-01"])
    html = look(client, "/northwind/vms/lon-01/")
    assert offered(html) == [] and "London (LHR01) has no failover site." in html


def test_another_accounts_vm_is_as_absent_as_a_made_up_one(cast: Cast, client: Client, web: VM) -> None:
    make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    sign_in(client, cast.olga)
    assert client.get("/contoso/vms/theirs/").status_code == 200
    answers = [client.get(f"/contoso/vms/{slug}/") for slug in ("web-01", "never-was", "web-01/test", "never-was/test")]
    assert {response.status_code for response in answers} == {404}
    assert len({response.content for response in answers}) == 1


def test_an_unchanged_page_answers_204(cast: Cast, client: Client, web: VM) -> None:
    poll = re.search(r'(?<!"strips" )hx-get="([^"]*)"', look(client))
    assert poll
    assert client.get(poll[1], headers={"HX-Request": "true"}).status_code == 204
    protect(cast, [web])
    response = client.get(poll[1], headers={"HX-Request": "true"})
    assert response.status_code == 200 and response.content.decode().lstrip().startswith('<div id="vm"')
