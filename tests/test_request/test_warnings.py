"""What a preview warns of, each exactly when it is true (acceptance point 20), and who has access."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from accounts.models import Membership, Person
from ampdr import clock
from inventory.actions import close, declare
from inventory.models import VM, Outage, VpnGateway, VpnMember
from tests.cast import Cast
from tests.test_request.pages import preview

NORMAL = "Dallas (DFW01) reports normal. Still go on?"
DOWN_THERE = "Phoenix (PHX01) has an outage itself since"
NOBODY = "No SSL/VPN profile: nobody of your account has PHX01-Recovery"
NOT_YOU = "You don't have the SSL/VPN profile PHX01-Recovery."
ALL = (NORMAL, DOWN_THERE, NOBODY, NOT_YOU, "Never tested:", "RPO behind:", "A test is running.")


@pytest.fixture
def gateway(cast: Cast) -> VpnGateway:
    return VpnGateway.objects.create(site=cast.sites["PHX01"], recovery=True, host="phx01-recovery.vpn.example")


@pytest.fixture
def calm(cast: Cast, vms: list[VM], gateway: VpnGateway) -> list[VM]:
    """Nothing to warn of, but that Dallas reports normal."""
    VM.objects.update(newest_point_at=clock.now(), last_test_at=clock.now())
    let_in(gateway, cast.priya)
    return vms


def let_in(gateway: VpnGateway, *people: Person) -> None:
    for person in people:
        VpnMember.objects.create(membership=Membership.objects.get(person=person), gateway=gateway)


def outage(cast: Cast, site: str) -> Outage:
    return declare(cast.actor("mary"), cast.sites[site], "Power", "We look.", clock.now(), str(uuid.uuid4()))


def warned(client: Client, vms: list[VM], kind: str = "live") -> set[str]:
    shown, _ = preview(client, vms, kind=kind)
    return {words for words in ALL if words in shown}


def test_the_source_reports_normal_until_an_outage_is_declared_and_again_when_it_is_over(
    cast: Cast, priya: Client, calm: list[VM]
) -> None:
    assert warned(priya, calm) == {NORMAL}
    assert warned(priya, calm, "test") == set()
    found = outage(cast, "DFW01")
    assert warned(priya, calm) == set()
    close(cast.actor("mary"), found, "It is over.", clock.now(), str(uuid.uuid4()))
    assert warned(priya, calm) == {NORMAL}


@pytest.mark.parametrize("kind", ["live", "test"])
def test_an_outage_at_the_recovery_site(cast: Cast, priya: Client, calm: list[VM], kind: str) -> None:
    outage(cast, "PHX01")
    assert DOWN_THERE in warned(priya, calm, kind)
    outage(cast, "LHR01")
    assert warned(priya, calm, kind) == {DOWN_THERE} | ({NORMAL} if kind == "live" else set())


@pytest.mark.parametrize("kind", ["live", "test"])
def test_nobody_has_the_profile_or_only_the_requester_lacks_it(
    cast: Cast, priya: Client, vms: list[VM], gateway: VpnGateway, kind: str
) -> None:
    let_in(gateway, cast.olga)  # of another account
    assert NOBODY in warned(priya, vms, kind) and NOT_YOU not in warned(priya, vms, kind)
    let_in(gateway, cast.ravi)
    assert NOT_YOU in warned(priya, vms, kind) and NOBODY not in warned(priya, vms, kind)
    assert "1 other has it." in preview(priya, vms, kind=kind)[0]
    let_in(gateway, cast.priya)
    assert not {NOBODY, NOT_YOU} & warned(priya, vms, kind)


def test_the_sixth_fact_counts_who_has_the_profile(
    cast: Cast, priya: Client, vms: list[VM], gateway: VpnGateway
) -> None:
    assert "Access PHX01-Recovery no SSL/VPN user has it" in preview(priya, vms, kind="live")[0]
    other = VpnGateway.objects.create(site=cast.sites["DFW01"], host="dfw01.vpn.example")
    let_in(other, cast.oscar, cast.ravi)
    assert "PHX01-Recovery 0 of 2 SSL/VPN users have it" in preview(priya, vms, kind="live")[0]
    let_in(gateway, cast.priya, cast.ravi)
    assert "PHX01-Recovery 2 of 3 SSL/VPN users have it" in preview(priya, vms, kind="live")[0]
    assert "2 of 3 SSL/VPN users have it, isolated network" in preview(priya, vms, kind="test")[0]


def test_addresses_are_shown_where_they_are_known(priya: Client, vms: list[VM]) -> None:
    VM.objects.update(failover_address=None)
    assert "They run in PHX01. Their addresses are given at the start." in preview(priya, vms, kind="live")[0]
    assert "It runs in PHX01. Its address is given at the start." in preview(priya, vms[:1], kind="live")[0]
    VM.objects.filter(pk=vms[0].pk).update(failover_address="10.40.1.31")
    VM.objects.filter(pk=vms[1].pk).update(failover_address="10.40.1.32")
    shown, _ = preview(priya, vms, kind="live")
    assert "web-01 will be 10.40.1.31, web-02 will be 10.40.1.32. 1 address is given at the start." in shown
    assert "It runs in PHX01. Its address will be 10.40.1.31. While" in preview(priya, vms[:1], kind="live")[0].replace(
        " Planned if DFW01", " While"
    )
    assert "10.40" not in preview(priya, vms, kind="test")[0]  # a test VM gets another one
