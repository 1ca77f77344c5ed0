"""SSL/VPN by the other doors: the API, Support's admin, a world's file."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError
from django.test import Client

from accounts.actions import OPERATOR
from accounts.models import Activity, Membership
from ampdr import work
from inventory.models import VM, VpnClient, VpnGateway, VpnMember
from tests.caller import KEY, by_token, said
from tests.cast import Cast, make_vms, protect, request, say_yes, sign_in
from tests.test_world import SMALL, load


@pytest.fixture
def gateway(cast: Cast) -> VpnGateway:
    """Of PHX01-Recovery; app-01 runs there in a live failover, beside its test's gateway in DFW01."""
    VpnGateway.objects.create(site=cast.sites["DFW01"], host="dfw01.vpn.example")
    made = VpnGateway.objects.create(site=cast.sites["PHX01"], recovery=True, host="phx01-recovery.vpn.example")
    url = "https://downloads.example/connect.zip"
    VpnClient.objects.create(gateway=made, system="windows", name="Connect", version="4.6", download_url=url)
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["app-01"])
    protect(cast, vms)
    say_yes(cast, request(cast, vms, "live"))
    work.drive()
    assert VM.objects.filter(role="live").exists()
    return made


# ---- The API ---------------------------------------------------------------------------------------------------------


def test_profiles_with_their_clients(cast: Cast, gateway: VpnGateway) -> None:
    """Where failover VMs run comes first; how many is for whoever may see VMs."""
    first, second = by_token(cast).get("vpn/").content["results"]
    assert first == {
        "name": "PHX01-Recovery", "site": "PHX01", "recovery": True, "host": "phx01-recovery.vpn.example", "port": 443,
        "yours": False, "outage": False, "failover_vms": {"live": 1, "tests": 0},
        "clients": [
            {"system": "windows", "generation": 4, "name": "Connect", "version": "4.6",
             "download_url": "https://downloads.example/connect.zip"},
        ],
    }  # fmt: skip
    assert (second["name"], second["recovery"], second["clients"]) == ("DFW01", False, [])
    assert "failover_vms" not in second
    blind = by_token(cast, "oscar", ["read_vpn"]).get("vpn/").content["results"]
    assert [one["name"] for one in blind] == ["DFW01", "PHX01-Recovery"]
    assert not any("failover_vms" in one for one in blind)


def test_in_and_out_by_the_api(cast: Cast, gateway: VpnGateway) -> None:
    priya, ravi = by_token(cast), Membership.objects.get(person=cast.ravi)
    there = f"vpn/members/{ravi.uuid}/PHX01-Recovery/"
    for _ in range(2):
        assert priya.post(there).status == 204
    rows = priya.get("vpn/members/").content["results"]
    assert {row["name"]: row["profiles"] for row in rows} == {
        "Ravi Patel": ["PHX01-Recovery"], "Oscar Lind": [], "Priya Raman": [],
    }  # fmt: skip
    looks = by_token(cast, "oscar", ["read_vpn"])
    assert [row["uuid"] for row in looks.get("vpn/members/").content["results"]] == [str(ravi.uuid)]
    refused = looks.delete(there)
    assert said(refused) == (403, "forbidden")
    assert refused.content["facts"]["permission"] == "Write SSL VPN Devices and Users"
    for _ in range(2):
        assert priya.delete(there).status == 204
    assert not VpnMember.objects.exists()
    done = Activity.objects.filter(kind="vpn_member").order_by("pk")
    assert [(one.event, one.via) for one in done] == [("let_in", "token"), ("let_out", "token")]


def test_the_api_refuses_as_the_page_does(cast: Cast, gateway: VpnGateway) -> None:
    priya, oscar = by_token(cast), Membership.objects.get(person=cast.oscar)
    assert said(priya.post(f"vpn/members/{oscar.uuid}/XXX99/")) == (404, "not_found")
    assert said(priya.post(f"vpn/members/{oscar.uuid}/PHX01-Recovery/", {"wish": 1})) == (400, "invalid")
    Membership.objects.filter(pk=oscar.pk).update(enabled=False)
    assert said(priya.post(f"vpn/members/{oscar.uuid}/PHX01-Recovery/", None, KEY)) == (409, "disabled")
    assert priya.delete(f"vpn/members/{oscar.uuid}/PHX01-Recovery/", KEY).status == 204


# ---- Support ---------------------------------------------------------------------------------------------------------


def test_an_operator_keeps_gateways_and_clients(cast: Cast) -> None:
    """By the verbs, in the installation's log; what is no host or no https stands beside its field, and isn't kept."""
    cast.tom.groups.set([Group.objects.get(name=OPERATOR)])
    tom = sign_in(Client(), cast.tom)
    new = {"site": cast.sites["DFW01"].pk, "host": "dfw01.vpn.example", "port": "443"}
    for wrong in ({"host": "https://x.example"}, {"host": "dfw01"}, {"port": "0"}, {"port": "65536"}):
        assert tom.post("/admin/inventory/vpngateway/add/", new | wrong).status_code == 200
    assert not VpnGateway.objects.exists()
    assert tom.post("/admin/inventory/vpngateway/add/", new).status_code == 302
    made = VpnGateway.objects.get()
    assert tom.post("/admin/inventory/vpngateway/add/", new).status_code == 200, "one of a kind"
    change = f"/admin/inventory/vpngateway/{made.pk}/change/"
    assert tom.post(change, new | {"site": cast.sites["PHX01"].pk, "port": "8443"}).status_code == 302
    made.refresh_from_db()
    assert (made.name, made.port) == ("DFW01", 8443), "of which site it is stays"
    client: dict[str, Any] = {"gateway": made.pk, "system": "macos", "generation": "4", "name": "Connect"}
    add = "/admin/inventory/vpnclient/add/"
    for wrong in (
        {"download_url": "http://downloads.example/x"},
        {"download_url": "javascript:alert(1)"},
        {"name": ""},
    ):
        assert tom.post(add, client | wrong).status_code == 200
    assert tom.post(add, client | {"download_url": "https://downloads.example/x"}).status_code == 302
    assert VpnClient.objects.get().download_url == "https://downloads.example/x"
    log = Activity.objects.filter(account=None, kind__startswith="vpn").order_by("pk")
    assert [(one.kind, one.event, one.actor, one.staff) for one in log] == [
        ("vpn_gateway", "added", "Tom Ueda", True), ("vpn_gateway", "changed", "Tom Ueda", True),
        ("vpn_client", "added", "Tom Ueda", True),
    ]  # fmt: skip


# ---- A world's file --------------------------------------------------------------------------------------------------

VPN: dict[str, Any] = copy.deepcopy(SMALL) | {
    "gateways": [
        {"site": "PHX01", "recovery": True, "host": "phx01-recovery.vpn.example",
         "clients": [{"system": "windows", "name": "Connect", "version": "4.6"}]},
    ],
}  # fmt: skip
VPN["accounts"][0] |= {
    "history": [], "vpn": [{"email": "priya@northwind.example", "profiles": {"PHX01-Recovery": 2.5}}],
}  # fmt: skip


@pytest.mark.django_db
def test_gateways_and_profiles_of_a_world_are_loaded_once(tmp_path: Path) -> None:
    load(tmp_path, VPN)
    used = VpnMember.objects.get().last_used_at
    load(tmp_path, VPN)
    member = VpnMember.objects.get()
    assert str(member) == "Priya Raman at PHX01-Recovery" and member.last_used_at == used
    assert VpnGateway.objects.count() == VpnClient.objects.count() == 1


@pytest.mark.django_db
def test_every_fault_of_a_worlds_vpn_is_named(tmp_path: Path) -> None:
    wrong = copy.deepcopy(VPN)
    wrong["gateways"][0] |= {"host": "no host", "way": 1}
    wrong["gateways"].append({"site": "XXX99", "host": "x.example", "clients": [
        {"system": "amiga", "name": "Connect", "download_url": "http://downloads.example/"},
    ]})  # fmt: skip
    wrong["accounts"][0]["vpn"] += [{"email": "nobody@northwind.example", "profiles": {"LHR01": None}}]
    with pytest.raises(CommandError) as refused:
        load(tmp_path, wrong)
    told = str(refused.value)
    for fault in ("“no host”", "“way” is not known", "no such site", "“system” is one of", "begins with https://",
                  "nobody@northwind.example is not one of its people", "there is no gateway LHR01"):  # fmt: skip
        assert fault in told, told
    assert not VpnGateway.objects.exists()
