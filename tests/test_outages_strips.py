"""The strips on an account's pages while a site is down, and after it: words, numbers, who is offered what, cost."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from accounts.actions import list_authorized
from accounts.models import Head
from ampdr import clock, work
from failover.actions import request_termination
from inventory import actions
from inventory.models import VM, Outage
from tests.cast import Cast, make_vms, protect, refuse, request, say_yes, sign_in

PAGES = ("vms/", "security/fim/", "notifications/", "replication/", "activity/", "tickets/", "account/users/")
FAILOVER_PAGES = ("failovers/", "failovers/new/?kind=live&site=DFW01")


def key() -> str:
    return str(uuid.uuid4())


def declare(cast: Cast, site: str = "DFW01", since: timedelta = timedelta(minutes=31)) -> Outage:
    start = clock.now() - since
    return actions.declare(cast.actor("mary"), cast.sites[site], "Hall A has no power", "No power.", start, key())


def over(cast: Cast, outage: Outage) -> None:
    actions.close(cast.actor("mary"), outage, "Power is back.", clock.now(), key())


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """Of Northwind in Dallas three protected and one bare; one in Phoenix is protected towards Dallas."""
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03", "bare-01"])
    there = make_vms(cast.northwind, cast.sites["PHX01"], ["there-01"])
    protect(cast, found[:3])
    protect(cast, there, "order-of-phoenix")
    return found


def strips(client: Client, path: str = "vms/", account: str = "northwind") -> list[str]:
    """The words of each strip of this page."""
    answer = client.get(f"/{account}/{path}")
    assert answer.status_code == 200, path
    return banners(answer.content.decode())


def banners(page: str) -> list[str]:
    found = re.findall(r'<div class="banner.*?</div>', page, re.DOTALL)
    return [" ".join(strip_tags(one).split()) for one in found]


def links(client: Client, path: str = "vms/") -> list[str]:
    page = client.get(f"/northwind/{path}").content.decode()
    return re.findall(r'<a[^>]* href="([^"]+)"', "".join(re.findall(r'<div class="banner.*?</div>', page, re.DOTALL)))


# ---- While it lasts --------------------------------------------------------------------------------------------------


def test_every_page_says_what_is_down_and_whom_it_is_about(cast: Cast, vms: list[VM], client: Client) -> None:
    sign_in(client, cast.priya)
    assert [strips(client, path) for path in PAGES] == [[]] * len(PAGES)
    outage = declare(cast)
    for path in PAGES:
        (said,) = strips(client, path)
        assert said.startswith("Outage in Dallas (DFW01) since ") and "· 31 min." in said, path
        assert "5 of your VMs are affected: 4 on it and 1 protected towards it." in said, path
        assert "Nothing fails over by itself." in said and said.endswith("Request live failover of VMs in DFW01"), path
    assert links(client) == [
        f"/northwind/outages/{outage.number}/", "/northwind/failovers/new/?kind=live&amp;site=DFW01",
    ]  # fmt: skip
    sign_in(client, cast.olga)
    assert strips(client, account="contoso") == [], "it is about none of theirs"


def test_on_failover_pages_it_is_one_line_without_a_button(cast: Cast, vms: list[VM], client: Client) -> None:
    outage, ticket = declare(cast), request(cast, vms[:1], "live")
    sign_in(client, cast.priya)
    for path in (*FAILOVER_PAGES, f"failovers/{ticket.number}/", f"outages/{outage.number}/"):
        (said,) = strips(client, path)
        assert said.endswith("31 min. What we know") and "VMs" not in said, path


def test_who_may_not_request_hears_who_may(cast: Cast, vms: list[VM], client: Client) -> None:
    declare(cast)
    sign_in(client, cast.ravi)
    (said,) = strips(client)
    assert "1 person may request it: Priya Raman." in said and "Request live failover" not in said
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar)
    (said,) = strips(client)
    assert "2 people may request it: Oscar Lind and Priya Raman." in said
    cast.northwind.authorized_users.all().delete()
    assert "Nobody may request it yet" in strips(client)[0]


def test_the_button_goes_when_all_are_in_a_request(cast: Cast, vms: list[VM], client: Client) -> None:
    declare(cast)
    sign_in(client, cast.priya)
    first = request(cast, vms[:1], "live")
    (said,) = strips(client)
    assert f"1 in {first.number}." in said and said.endswith("Request live failover of VMs in DFW01")
    second = request(cast, vms[1:3], "live", key="another-key")
    (said,) = strips(client)
    assert "3 in 2 requests." in said and "Request live failover" not in said
    say_yes(cast, first)
    say_yes(cast, second)
    work.drive()
    (said,) = strips(client)
    assert "3 run in PHX01 already." in said and "2 of your VMs are affected" in said
    assert second.number not in said and "request" not in said


def test_a_failed_start_is_still_in_its_request(
    cast: Cast, vms: list[VM], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(cast)
    refuse(monkeypatch, "start_live")
    ticket = request(cast, vms[:3], "live")
    say_yes(cast, ticket)
    work.drive()
    sign_in(client, cast.priya)
    assert f"3 in {ticket.number}." in strips(client)[0]


def test_without_read_a_strip_tells_nothing_of_replication(cast: Cast, vms: list[VM], client: Client) -> None:
    role = cast.northwind.roles.create(name="Watcher", permissions=["read_vms"])
    cast.ravi.memberships.get().roles.set([role])
    declare(cast)
    declare(cast, "PHX01")
    sign_in(client, cast.ravi)
    said = strips(client)
    assert [re.sub(r" since .*min\.", "", one) for one in said] == [
        "Outage in Phoenix (PHX01) What we know", "Outage in Dallas (DFW01) What we know",
    ]  # fmt: skip
    list_authorized(cast.actor("mary"), cast.northwind, cast.ravi)
    assert "You are an authorized user and need Read Server Replication" in strips(client)[0]
    role.permissions = ["read_fim"]
    role.save()
    assert strips(client, "security/fim/") == [], "who may not see VMs isn't told where they are"


def test_two_sites_at_once_in_two_statements(cast: Cast, vms: list[VM], client: Client) -> None:
    sign_in(client, cast.ravi)

    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/northwind/security/fim/").status_code == 200
        return len(asked)

    cost()
    calm = cost()
    outage = declare(cast)
    assert len(strips(client)) == 1 and cost() <= calm + 2
    other = declare(cast, "PHX01")
    assert len(strips(client)) == 2 and cost() <= calm + 2
    over(cast, outage)
    over(cast, other)
    assert strips(client) == [] and cost() == calm


def test_an_account_whose_last_vm_left_sees_none(cast: Cast, vms: list[VM], client: Client) -> None:
    declare(cast)
    VM.objects.filter(account=cast.northwind).update(site=cast.sites["LHR01"], protected_to="")
    sign_in(client, cast.priya)
    assert strips(client) == []


# ---- After it --------------------------------------------------------------------------------------------------------


def test_over_with_vms_elsewhere_says_so_until_they_are_back(cast: Cast, vms: list[VM], client: Client) -> None:
    outage, ticket = declare(cast), request(cast, vms[:3], "live")
    say_yes(cast, ticket)
    work.drive()
    sign_in(client, cast.priya)
    over(cast, outage)
    (said,) = strips(client)
    assert said.startswith("Dallas (DFW01) is back since ") and "your 3 VMs still run in PHX01." in said
    assert links(client) == [f"/northwind/failovers/{ticket.number}/terminate/"]
    assert f"Outage {outage.number}" in strips(client, f"failovers/{ticket.number}/")[0]
    sign_in(client, cast.ravi)
    assert links(client) == [f"/northwind/failovers/{ticket.number}/"], "he may not end it"
    cast.ravi.memberships.get().roles.set([cast.northwind.roles.create(name="Watcher", permissions=["read_vms"])])
    assert strips(client) == []
    end = request_termination(cast.actor("priya"), ticket, "Back", "DFW01", "end-key-1")
    sign_in(client, cast.priya)
    assert strips(client)[0].endswith(f"still run in PHX01. Termination is requested: {end.number}.")
    assert links(client) == [f"/northwind/failovers/{end.number}/"], "it is requested already"
    say_yes(cast, end)
    work.drive()
    assert strips(client) == []


def test_over_with_one_of_two_terminations_requested(cast: Cast, vms: list[VM], client: Client) -> None:
    outage, first, second = (
        declare(cast),
        request(cast, vms[:1], "live"),
        request(cast, vms[1:2], "live", key="other-key"),
    )
    say_yes(cast, first)
    say_yes(cast, second)
    work.drive()
    over(cast, outage)
    end = request_termination(cast.actor("priya"), first, "Back", "DFW01", "end-key-1")
    sign_in(client, cast.priya)
    (said,) = strips(client)
    assert f"your 2 VMs still run in PHX01. Termination is requested: {end.number}. Request termination" in said
    assert links(client) == [
        f"/northwind/failovers/{end.number}/", f"/northwind/failovers/{second.number}/terminate/",
    ]  # fmt: skip
    page = client.get(f"/northwind/outages/{outage.number}/").content.decode()
    assert f"Termination is requested: {end.number}. Request termination: {second.number}." in " ".join(
        strip_tags(page).split()
    )


def test_what_was_requested_after_it_is_not_of_it(cast: Cast, vms: list[VM], client: Client) -> None:
    with clock.ahead(-timedelta(hours=2)):
        over(cast, declare(cast))
    ticket = request(cast, vms[:1], "live")
    say_yes(cast, ticket)
    work.drive()
    sign_in(client, cast.priya)
    assert Head.objects.get(account=cast.northwind).live == 1 and strips(client) == []


def test_down_again_is_one_strip(cast: Cast, vms: list[VM], client: Client) -> None:
    outage, ticket = declare(cast), request(cast, vms[:1], "live")
    say_yes(cast, ticket)
    work.drive()
    over(cast, outage)
    declare(cast)
    sign_in(client, cast.priya)
    (said,) = strips(client)
    assert said.startswith("Outage in Dallas (DFW01)") and "1 runs in PHX01 already." in said


# ---- Looking again ---------------------------------------------------------------------------------------------------


def poll(client: Client, address: str) -> tuple[int, str]:
    answer = client.get(address, headers={"HX-Request": "true"})
    return answer.status_code, answer.content.decode()


def address_of(page: str) -> str:
    found = re.search(r'id="strips" hx-get="([^"]+)"', page)
    assert found
    return found[1].replace("&amp;", "&")


def test_an_open_page_looks_again_for_nothing_while_it_is_calm(cast: Cast, vms: list[VM], client: Client) -> None:
    sign_in(client, cast.priya)
    calm = address_of(client.get("/northwind/vms/").content.decode())
    assert poll(client, calm)[0] == 204
    Head.objects.filter(account=cast.northwind).update(version=7_000)
    with CaptureQueriesContext(connection) as asked:
        assert poll(client, calm)[0] == 204
    assert len(asked) == 3, "session, person, membership with the head"
    outage = declare(cast)
    status, part = poll(client, calm)
    assert status == 200 and "Request live failover" in part
    assert poll(client, address_of(part))[0] == 204
    over(cast, outage)
    status, part = poll(client, address_of(part))
    assert status == 200 and banners(part) == [] and address_of(part) == calm
    mini = address_of(client.get("/northwind/failovers/").content.decode())
    declare(cast)
    assert "Request live failover" not in poll(client, mini)[1]
    assert client.get(mini).status_code == 302, "without the script it is no page"


def test_it_is_read_aloud_once(cast: Cast, vms: list[VM], client: Client) -> None:
    """The status line names the outage; what ticks and what is counted stands outside of it."""
    declare(cast)
    sign_in(client, cast.priya)
    page = client.get("/northwind/vms/").content.decode()
    said = re.search(r'<div id="strips".*?<p class="vh" role="status">(.*?)</p>', page, re.DOTALL)
    assert said and said[1].strip() == "Outage in Dallas (DFW01)."
