"""The SSL/VPN page: which client it offers for what, to whom, and what it keeps from whom (rule 18)."""

from __future__ import annotations

import re
import uuid
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership, Permission, Person, Role
from ampdr import clock, work
from failover.models import Failover
from inventory.actions import declare
from inventory.models import VM, VpnClient, VpnGateway, VpnMember
from tests.cast import Cast, join, make_person, make_vms, protect, request, say_yes, sign_in

Gateways = dict[str, VpnGateway]
PAGE = "/northwind/vpn/"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15"
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"


@pytest.fixture
def gateways(cast: Cast) -> Gateways:
    """Of every site, and of the recovery environments of DFW01 and PHX01, with a client for Windows and macOS."""
    made = {}
    for code, recovery in (("DFW01", False), ("PHX01", False), ("LHR01", False), ("DFW01", True), ("PHX01", True)):
        gateway = VpnGateway(site=cast.sites[code], recovery=recovery)
        gateway.host = f"{gateway.name.lower()}.vpn.example"
        gateway.save()
        made[gateway.name] = gateway
        for system in ("windows", "macos"):
            url = f"https://downloads.example/{gateway.name}/{system}.zip"
            VpnClient.objects.create(gateway=gateway, system=system, name="Connect", version="4.6", download_url=url)
    VpnClient.objects.create(gateway=made["DFW01"], system="windows", generation=3, name="Connect", version="3.9")
    return made


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """app-01 and app-02 in Dallas, protected."""
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["app-01", "app-02"], address="10.20.1.31")
    protect(cast, found)
    return found


def down(cast: Cast, code: str) -> None:
    declare(cast.actor("mary"), cast.sites[code], "No power", "Hall A.", clock.now(), str(uuid.uuid4()))


def give(gateway: VpnGateway, person: Person) -> None:
    VpnMember.objects.create(membership=Membership.objects.get(person=person), gateway=gateway)


def start(cast: Cast, vms: list[VM], kind: str = "live") -> str:
    ticket = request(cast, vms, kind)
    say_yes(cast, ticket)
    work.drive()
    return ticket.number


def look(client: Client, query: str = "", agent: str = WINDOWS, status: int = 200) -> str:
    response = client.get(PAGE + query, headers={"User-Agent": agent})
    assert response.status_code == status
    html = response.content.decode()
    html = re.sub(r"<svg.*?</svg>", "", html[html.index("<main") : html.index("</main>")], flags=re.S)
    return unescape(html)


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


def offered(html: str) -> list[str]:
    """The names of the gateways to choose from; the chosen one is marked."""
    part = html[html.index('aria-label="Site"') : html.index('id="computer"')]
    found = re.findall(r'<a class="radio"[^>]*?(aria-current="true")?><span><b>([^<]+)', part)
    return [name + ("*" if chosen else "") for chosen, name in found]


def downloads(html: str) -> list[str]:
    return re.findall(r'href="https://downloads\.example/([^"]+)"', html)


# ---- The site first --------------------------------------------------------------------------------------------------


def test_in_calm_the_sites_where_it_has_vms_and_where_these_fail_over(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    sign_in(client, cast.priya)
    html = look(client)
    assert offered(html) == ["DFW01*", "PHX01-Recovery"]
    assert "Dallas, primary VMs" in html and "For VMs of Dallas that run in Phoenix" in html
    assert downloads(html) == ["DFW01/windows.zip"] and "Download DFW01 for Windows" in html
    assert "now" not in words(html[html.index('id="vpn"') : html.index("1. Site")])
    html = look(client, "?site=PHX01-Recovery")
    assert offered(html) == ["DFW01", "PHX01-Recovery*"]
    assert downloads(html) == ["PHX01-Recovery/windows.zip"]
    assert "No failover VM of yours runs in Phoenix now." in html


def test_an_outage_is_told_beside_the_site(cast: Cast, client: Client, gateways: Gateways, vms: list[VM]) -> None:
    sign_in(client, cast.priya)
    assert words(look(client)).count("Normal") == 2
    down(cast, "DFW01")
    html = words(look(client))
    assert "DFW01Dallas, primary VMsOutage" in html and html.count("Normal") == 1


def test_an_outage_of_which_the_account_was_not_told_is_not_told_here(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    for name in ("LHR01", "PHX01-Recovery"):
        give(gateways[name], cast.priya)
    down(cast, "LHR01")
    sign_in(client, cast.priya)
    html = words(look(client))
    assert "LHR01" in html and html.count("Normal") == 3 and "Outage" not in html


def test_an_outage_about_copies_alone_is_for_readers_of_replication(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    down(cast, "PHX01")
    sign_in(client, cast.priya)
    assert "run in PhoenixOutage" in words(look(client))
    sign_in(client, viewer(cast, Permission.READ_VPN, Permission.READ_VMS))
    for codes in (["read_vpn", "read_vms"], ["read_vpn"]):
        Role.objects.filter(name="Own").update(permissions=codes)
        html = words(look(client))
        assert "PHX01-Recovery" in html and "Outage" not in html, codes


@pytest.mark.parametrize(
    ("agent", "query", "system"),
    [(WINDOWS, "", "Windows"), (MAC, "", "macOS"), (LINUX, "", "Linux"), (PHONE, "", "Windows"), ("", "", "Windows"),
     (WINDOWS, "?os=macos", "macOS"), (MAC, "?os=amiga", "macOS"), (LINUX, "?os=windows", "Windows")],
    ids=["windows", "macos", "linux", "phone", "nothing", "chosen", "unknown", "other"],
)  # fmt: skip
def test_the_computer_is_guessed_and_can_be_chosen(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM], agent: str, query: str, system: str
) -> None:
    sign_in(client, cast.priya)
    html = look(client, query, agent)
    part = html[html.index('aria-label="Operating system"') :]
    assert re.findall(r'aria-current="true"><span><b>([^<]+)', part) == [system]
    if system == "Linux":
        assert not downloads(html) and "Support has no client of DFW01 for Linux yet" in html
    else:
        assert downloads(html) == [f"DFW01/{system.lower()}.zip"]


def test_a_client_without_an_address_comes_from_the_systems_packages(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    VpnClient.objects.create(gateway=gateways["DFW01"], system="linux", name="OpenConnect")
    sign_in(client, cast.priya)
    assert "Install OpenConnect from your system's own packages" in look(client, "?os=linux")


def test_what_nobody_keeps_is_said_to_be_missing(cast: Cast, client: Client, gateways: Gateways, vms: list[VM]) -> None:
    """Never another site's client in its place."""
    sign_in(client, cast.priya)
    for name in ("SIN01-Recovery", "LHR01"):
        html = look(client, f"?site={name}")
        assert f"There is no profile {name}" in html and not downloads(html)
    VpnGateway.objects.all().delete()
    assert "No site yet" in look(client)


# ---- Rule 18 ---------------------------------------------------------------------------------------------------------


def test_while_a_live_failover_runs_its_recovery_environment_comes_first(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    number = start(cast, vms)
    VM.objects.filter(role="live", name="app-01").update(address="10.40.2.11")
    sign_in(client, cast.priya)
    html = look(client)
    assert offered(html) == ["PHX01-Recovery*", "DFW01"]
    said = words(html)
    assert "2 VMs run in Phoenix now. Use PHX01-Recovery now." in said
    assert "app-01 and app-02 are reached only through PHX01-Recovery" in said
    assert "a Generation 3 client can't reach them" in said
    assert f"/northwind/failovers/{number}/" in html and "app-01 is 10.40.2.11" in said
    assert downloads(html) == ["PHX01-Recovery/windows.zip"] and "Use this now2 VMs" in said


def test_a_test_is_told_without_yellow(cast: Cast, client: Client, gateways: Gateways, vms: list[VM]) -> None:
    start(cast, vms[:1], "test")
    sign_in(client, cast.priya)
    html = look(client)
    assert "1 test runs in Phoenix." in words(html) and "app-01 - Test is reached only" in words(html)
    assert "note test" in html and "note live" not in html and "Use this now" not in html


@pytest.mark.parametrize("by", ["slug", "own", "original"])
def test_asked_for_a_vm_in_a_live_failover(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM], by: str
) -> None:
    """Its recovery environment's client alone, whatever else is asked for, and why no other one reaches it."""
    start(cast, vms[:1])
    live = VM.objects.get(role="live")
    name = {"slug": "app-01", "own": str(live.uuid), "original": str(vms[0].uuid)}[by]
    sign_in(client, cast.priya)
    for also in ("", "&site=DFW01", "&os=macos", "&site=PHX01"):
        html = look(client, f"?vm={name}{also}")
        assert offered(html) == ["PHX01-Recovery*"]
        assert all(one.startswith("PHX01-Recovery/") for one in downloads(html)) and downloads(html)
    said = words(html)
    assert "app-01 runs in Phoenix now. It is reached only through PHX01-Recovery." in said
    assert "The profile of DFW01 leads to Dallas, where it doesn't run now" in said
    assert "a Generation 3 client reaches no recovery environment" in said and "all sites" in said
    assert "Still on Generation 3?" not in said


def test_asked_for_others_the_other_clients_stay(cast: Cast, client: Client, gateways: Gateways, vms: list[VM]) -> None:
    """A VM beside it runs in Dallas: its site's client, an older one too; and the test of it, in Phoenix, not."""
    start(cast, vms[:1])
    start(cast, vms[1:], "test")
    sign_in(client, cast.priya)
    html = look(client, "?vm=app-02")
    assert offered(html) == ["PHX01-Recovery", "DFW01*"] and downloads(html) == ["DFW01/windows.zip"]
    assert "app-02 runs in Dallas. It is reached through DFW01." in words(html) and "Still on Generation 3?" in html
    test = VM.objects.get(role="test")
    html = look(client, f"?vm={test.uuid}")
    assert offered(html) == ["PHX01-Recovery*"]
    assert "app-02 - Test is a test failover, isolated in Phoenix." in words(html)


def test_without_its_gateway_no_other_client_is_offered(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    start(cast, vms[:1])
    gateways["PHX01-Recovery"].delete()
    sign_in(client, cast.priya)
    html = look(client, "?vm=app-01")
    assert "There is no profile PHX01-Recovery" in html and not downloads(html)


def test_after_the_termination_all_is_as_before(cast: Cast, client: Client, gateways: Gateways, vms: list[VM]) -> None:
    start(cast, vms[:1], "test")
    Failover.objects.update(ends_at="2020-01-01T00:00Z", next_step_at="2020-01-01T00:00Z")
    for _ in range(4):
        work.drive()
    sign_in(client, cast.priya)
    assert not VM.objects.filter(role="test").exists()
    assert offered(look(client)) == ["DFW01*", "PHX01-Recovery"]


# ---- For whom --------------------------------------------------------------------------------------------------------


def viewer(cast: Cast, *permissions: str) -> Person:
    person = make_person("kim@example.com", "Kim Sato")
    join(person, cast.northwind).roles.set([Role.objects.create(account=cast.northwind, name="Own")])
    Role.objects.filter(name="Own").update(permissions=list(permissions))
    return person


def test_without_read_replication_no_ticket_is_named(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    number = start(cast, vms)
    sign_in(client, viewer(cast, Permission.READ_VPN, Permission.READ_VMS))
    html = look(client)
    assert "2 VMs run in Phoenix now." in words(html) and number not in html and "FO-" not in html
    assert "Give it" not in html and "Ask Oscar Lind or Priya Raman to give it to you." in words(html)


def test_without_read_vms_nothing_tells_where_they_are(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    sign_in(client, viewer(cast, Permission.READ_VPN))
    calm = words(look(client))
    start(cast, vms)
    assert words(look(client)) == calm
    assert "app-01" not in calm and "LHR01" in calm
    for name in ("app-01", str(vms[0].uuid), "never-there"):
        assert "Read Virtual Machine(s)" in look(client, f"?vm={name}", status=403)


def test_who_may_not_read_it_hears_what_he_needs(cast: Cast, client: Client, gateways: Gateways) -> None:
    sign_in(client, cast.ravi)
    assert "Read SSL VPN Devices and Users" in look(client, status=403)


def test_another_accounts_failover_is_not_counted(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    theirs = make_vms(cast.contoso, cast.sites["DFW01"], ["erp-01"])
    protect(cast, theirs, key="olgas-order", who="olga")
    say_yes(cast, request(cast, theirs, "live", "olga", "olgas"))
    work.drive()
    sign_in(client, cast.priya)
    assert "in Phoenix now" not in words(look(client))
    look(client, f"?vm={theirs[0].uuid}", status=404)
    look(client, "?vm=erp-01", status=404)


# ---- The profile -----------------------------------------------------------------------------------------------------


def test_a_profile_of_ones_own(cast: Cast, client: Client, gateways: Gateways, vms: list[VM]) -> None:
    sign_in(client, cast.oscar)
    html = look(client, "?site=PHX01-Recovery")
    assert "You don't have the profile PHX01-Recovery." in words(html) and "Give me PHX01-Recovery" in html
    refused = client.get("/northwind/vpn/PHX01-Recovery/profile/")
    assert refused.status_code == 403 and b"You don&#x27;t have the profile PHX01-Recovery" in refused.content
    give(gateways["PHX01-Recovery"], cast.oscar)
    assert "You have the profile PHX01-Recovery." in words(look(client, "?site=PHX01-Recovery"))
    got = client.get("/northwind/vpn/PHX01-Recovery/profile/")
    assert got["Content-Disposition"] == 'attachment; filename="northwind-PHX01-Recovery.conf"'
    assert got["Content-Type"] == "text/plain; charset=utf-8" and got["Cache-Control"] == "private, no-store"
    lines = got.content.decode().splitlines()
    assert lines[2:] == [
        "[PHX01-Recovery]", "host = phx01-recovery.vpn.example", "port = 443", "user = oscar@example.com",
    ]  # fmt: skip


def test_a_profile_is_a_line_each_whatever_names_hold(
    cast: Cast, client: Client, gateways: Gateways, vms: list[VM]
) -> None:
    give(gateways["DFW01"], cast.priya)
    type(cast.northwind).objects.update(name="North\nhost = evil.example\r\nwind")
    sign_in(client, cast.priya)
    lines = client.get("/northwind/vpn/DFW01/profile/").content.decode().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["#", "#", "[DFW01]", "host", "port", "user"]


# ---- At what cost ----------------------------------------------------------------------------------------------------


def test_what_a_page_costs_is_the_same_for_many(cast: Cast, client: Client, gateways: Gateways, vms: list[VM]) -> None:
    """At most ten statements, for a reader who must be told whom to ask, while a failover runs."""
    start(cast, vms)
    sign_in(client, viewer(cast, Permission.READ_VPN, Permission.READ_VMS, Permission.READ_REPLICATION))
    live = VM.objects.filter(role="live").first()
    assert live
    for query in ("", f"?vm={live.uuid}", "?site=DFW01"):
        client.get(PAGE + query)
        with CaptureQueriesContext(connection) as few:
            client.get(PAGE + query)
        assert len(few) <= 10, "\n".join(one["sql"][:200] for one in few)
    for n in range(30):
        join(make_person(f"p{n}@example.com", f"Person {n}"), cast.northwind, "Technical")
        give(gateways["DFW01"], Person.objects.get(email=f"p{n}@example.com"))
    make_vms(cast.northwind, cast.sites["PHX01"], [f"more-{n}" for n in range(30)])
    client.get(PAGE + query)  # what is asked once for a version of the account's head is asked
    with CaptureQueriesContext(connection) as many:
        client.get(PAGE + query)
    assert len(many) == len(few)


def test_hostile_names_are_only_words(cast: Cast, client: Client, gateways: Gateways, vms: list[VM]) -> None:
    bad = '<img src=x onerror="window.hit=1">'
    VpnClient.objects.update(name=bad, version=bad)
    VpnGateway.objects.update(host=bad)
    Person.objects.update(name=bad)
    VM.objects.update(name=bad)
    start(cast, vms)
    for person in (cast.priya, viewer(cast, Permission.READ_VPN, Permission.READ_VMS)):
        sign_in(client, person)
        for query in ("", "?os=windows&site=DFW01", f"?q={bad}", f"?site={bad}", f"?vm={vms[0].uuid}"):
            response = client.get(PAGE, dict(part.split("=", 1) for part in query.lstrip("?").split("&") if part))
            assert response.status_code == 200 and b"<img" not in response.content
