"""Who sees what, and what it costs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.actions import enter
from accounts.models import Head, Permission, Role
from ampdr import clock, work
from failover.screens import Filters, rows
from inventory.models import VM
from tests.cast import Cast, join, make_person, make_vms, protect, request, say_yes, sign_in
from tests.test_lists.reading import LIVE, SCREENS, SECURITY, TEST, count, get, listing, main, make_many


def somebody(cast: Cast, *permissions: str) -> Any:
    role = Role.objects.create(account=cast.northwind, name="+".join(permissions) or "Nothing", permissions=permissions)
    person = make_person("nadia@example.com", "Nadia Noor")
    join(person, cast.northwind).roles.set([role])
    return person


def test_without_read_the_rows_and_icons_and_nothing_of_replication(cast: Cast, client: Client, web: VM) -> None:
    say_yes(cast, request(cast, [web], "live"))
    say_yes(cast, request(cast, [VM.objects.get(name="db-01")]))
    work.drive()
    security = (Permission.READ_FIM, Permission.READ_AVAM, Permission.READ_PACKAGES)
    sign_in(client, somebody(cast, Permission.READ_VMS, *security))
    wanted = [("web-01", LIVE), ("db-01", ""), ("db-01 - Test", TEST)]
    for query in ({}, {"state": "protected"}, {"state": "live"}):
        html = main(get(client, "vms", **query))
        assert [(name, icon) for name, icon, _ in listing(html)] == wanted
        assert not re.search(r"protect|RPO|FO-|RO-|replicat|ends in|class=\"pill|data-pick|state=|tested", html, re.I)
        assert "PHX01-Recovery" in html
    actor = enter(cast.northwind.memberships.get(person__email="nadia@example.com").person, "northwind")[0]
    assert len(rows(actor, Permission.READ_VMS, Filters(state="protected")).rows) == 3  # in no door
    for screen in SECURITY:
        html = main(get(client, screen)).replace("Malware Protection", "")
        assert [(name, icon) for name, icon, _ in listing(html)] == wanted
        assert not re.search(r"protect|RPO|FO-\d|RO-\d|replicat|in live failover|In failover", html, re.I)
        assert "in place of its original" in html and ">Failover</th>" not in html


def test_each_screen_by_its_own_permission_alone(cast: Cast, client: Client, web: VM) -> None:
    may = (Permission.READ_VMS, Permission.READ_FIM, Permission.READ_AVAM, Permission.READ_PACKAGES)
    opens = dict(zip(SCREENS, may, strict=True))
    sign_in(client, somebody(cast, Permission.READ_VMS))
    for mine, permission in opens.items():
        Role.objects.filter(name=Permission.READ_VMS).update(permissions=[permission])
        assert [client.get(f"/northwind/{screen}/").status_code for screen in SCREENS if screen != mine] == [403] * 3
        assert len(listing(get(client, mine))) == 2
        assert f'href="/northwind/{mine}/"' in main(client.get("/northwind/").content.decode())
        for page in ("web-01", "nothing"):
            status = client.get(f"/northwind/vms/{page}/").status_code
            assert status == (403 if mine != "vms" else 200 if page == "web-01" else 404)


def test_who_may_only_look_is_told_whom_to_ask_and_offered_nothing(cast: Cast, client: Client, web: VM) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["bare-01"])
    sign_in(client, cast.ravi)
    html = main(get(client))
    assert "Write Server Replication" in html and "priya@example.com" in html
    assert not re.search(r"Order replication|Request failover|data-pick|type=\"checkbox\"", html)
    sign_in(client, cast.oscar)  # may order, isn't listed
    html = main(get(client))
    assert "Order replication of" in html and "Request failover" not in html
    sign_in(client, cast.priya)
    html = main(get(client))
    assert "Order replication of" in html and "Request failover of" in html


def test_stand_ins_have_no_check_box(cast: Cast, client: Client, web: VM) -> None:
    say_yes(cast, request(cast, [web]))
    say_yes(cast, request(cast, [VM.objects.get(name="db-01")], "live"))
    work.drive()
    picks = re.findall(r'name="vm" value="([^"]*)" form="bulk"', get(client))
    assert picks == [str(web.uuid)]


def test_another_account_sees_its_own_alone(cast: Cast, client: Client, web: VM) -> None:
    sign_in(client, cast.olga)
    for screen in SCREENS:
        assert "No virtual machines yet" in client.get(f"/contoso/{screen}/").content.decode()
        assert client.get(f"/northwind/{screen}/").status_code == 404


@pytest.mark.parametrize("screen", SCREENS)
def test_the_same_few_statements_for_1_50_and_200_rows(
    cast: Cast, client: Client, screen: str, django_assert_max_num_queries: Any
) -> None:
    make_many(cast, 1, lambda n: "one")
    sign_in(client, cast.priya)
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
        get(client, screen)  # whether an outage was over lately is looked up once, while something runs live
        counts.append(count(client, screen))
    assert len(set(counts)) == 1, counts
    looks = [one for one in Permission.values if one.startswith("read")]
    Role.objects.filter(name="Viewer").update(permissions=looks)
    for person in (cast.priya, cast.ravi):
        sign_in(client, person)
        get(client, screen)
        with django_assert_max_num_queries(6):
            get(client, screen, size="100")


@pytest.mark.parametrize("screen", SCREENS)
def test_an_unchanged_part_answers_204_at_once(
    cast: Cast, client: Client, web: VM, screen: str, django_assert_max_num_queries: Any
) -> None:
    address, htmx = f"/northwind/{screen}/", {"HX-Request": "true"}
    poll = re.search(r'(?<!"strips" )hx-get="([^"]*)"', client.get(address).content.decode())
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


@pytest.mark.parametrize("screen", SECURITY)
def test_security_looks_again_when_time_alone_has_passed(client: Client, web: VM, screen: str) -> None:
    poll = re.search(r'(?<!"strips" )hx-get="([^"]*)"', get(client, screen))
    assert poll
    with clock.ahead(timedelta(minutes=5)):
        assert client.get(poll[1].replace("&amp;", "&"), headers={"HX-Request": "true"}).status_code == 200
