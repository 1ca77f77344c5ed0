"""Who may connect where over SSL/VPN: letting people in and out, counting them."""

from __future__ import annotations

import pytest

from accounts.actions import remove_member
from accounts.models import Membership, Person
from inventory.actions import profile_count
from inventory.models import VpnGateway, VpnMember
from tests.cast import Cast


@pytest.fixture
def gateway(cast: Cast) -> VpnGateway:
    return VpnGateway.objects.create(site=cast.sites["PHX01"], recovery=True, host="phx01-recovery.vpn.example")


def give(cast: Cast, gateway: VpnGateway, *people: Person) -> None:
    for person in people:
        VpnMember.objects.create(membership=Membership.objects.get(person=person), gateway=gateway)


def test_profiles_are_counted_of_whoever_has_any(cast: Cast, gateway: VpnGateway) -> None:
    primary = VpnGateway.objects.create(site=cast.sites["PHX01"], host="phx01.vpn.example")
    assert profile_count(cast.northwind.pk, "PHX01") == (0, 0)
    give(cast, gateway, cast.priya, cast.olga)
    give(cast, primary, cast.priya, cast.oscar, cast.ravi)
    assert profile_count(cast.northwind.pk, "PHX01") == (1, 3)
    assert profile_count(cast.northwind.pk, "DFW01") == (0, 3)
    Membership.objects.filter(person=cast.ravi).update(enabled=False)
    Person.objects.filter(pk=cast.priya.pk).update(is_active=False)
    assert profile_count(cast.northwind.pk, "PHX01") == (0, 1)


def test_profiles_go_with_the_membership(cast: Cast, gateway: VpnGateway) -> None:
    give(cast, gateway, cast.oscar, cast.olga)
    remove_member(cast.actor("priya"), Membership.objects.get(person=cast.oscar))
    assert [one.membership.person for one in VpnMember.objects.all()] == [cast.olga]
