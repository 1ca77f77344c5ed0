"""Who may connect where over SSL/VPN: letting people in and out, counting them; what Support keeps."""

from __future__ import annotations

from functools import partial

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from accounts.actions import change_member, remove_member
from accounts.models import Activity, Membership, Person
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from inventory.actions import keepers, let_in, let_out, profile_count, save_client, save_gateway
from inventory.models import VpnClient, VpnGateway, VpnMember
from tests.cast import Cast, join
from tests.threads import raised, together


@pytest.fixture
def gateway(cast: Cast) -> VpnGateway:
    return VpnGateway.objects.create(site=cast.sites["PHX01"], recovery=True, host="phx01-recovery.vpn.example")


def membership(person: Person) -> Membership:
    return Membership.objects.get(person=person)


def give(gateway: VpnGateway, *people: Person) -> None:
    for person in people:
        VpnMember.objects.create(membership=membership(person), gateway=gateway)


def told() -> list[tuple[str, str, dict[str, str]]]:
    found = Activity.objects.filter(kind="vpn_member").order_by("pk")
    return [(one.actor, one.event, one.facts) for one in found]


# ---- In and out ------------------------------------------------------------------------------------------------------


def test_in_and_out_once_each(cast: Cast, gateway: VpnGateway) -> None:
    priya, oscar = cast.actor("priya"), membership(cast.oscar)
    assert let_in(priya, oscar, gateway) and not let_in(priya, oscar, gateway)
    assert VpnMember.objects.get().added_by == cast.priya
    assert let_out(priya, oscar, gateway) and not let_out(priya, oscar, gateway)
    facts = {"person": "Oscar Lind", "gateway": "PHX01-Recovery"}
    assert told() == [("Priya Raman", "let_in", facts), ("Priya Raman", "let_out", facts)]
    assert set(Activity.objects.filter(kind="vpn_member").values_list("account", flat=True)) == {cast.northwind.pk}


@pytest.mark.parametrize("verb", [let_in, let_out])
def test_only_who_may_and_only_in_his_account(cast: Cast, gateway: VpnGateway, verb: object) -> None:
    assert callable(verb)
    with pytest.raises(Forbidden) as refused:
        verb(cast.actor("ravi"), membership(cast.oscar), gateway)
    assert refused.value.facts["permission"] == "write_vpn"
    with pytest.raises(Absent):
        verb(cast.actor("priya"), membership(cast.olga), gateway)
    assert not VpnMember.objects.exists() and not told()


def test_who_is_disabled_or_gone_gets_no_profile(cast: Cast, gateway: VpnGateway) -> None:
    priya, oscar, ravi = cast.actor("priya"), membership(cast.oscar), membership(cast.ravi)
    change_member(priya, oscar, enabled=False)
    with pytest.raises(Conflict) as refused:
        let_in(priya, oscar, gateway)
    assert refused.value.code == "disabled"
    stale = Membership.objects.get(pk=ravi.pk)
    remove_member(priya, ravi)
    with pytest.raises(Conflict) as refused:
        let_in(priya, stale, gateway)
    assert refused.value.code == "not_a_member"
    assert not let_out(priya, stale, gateway)
    assert not VpnMember.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_racing_for_the_same_profile_writes_it_once(cast: Cast, gateway: VpnGateway) -> None:
    """Two let him in at the same moment, then two let him out: one row, one entry for each, no error."""
    priya, oscar = cast.actor("priya"), membership(cast.oscar)
    for verb in (let_in, let_out):
        deed = partial(verb, priya, oscar, gateway)
        assert sorted(together(deed, deed)) == [False, True]
    assert [event for _, event, _ in told()] == ["let_in", "let_out"]


@pytest.mark.django_db(transaction=True)
def test_who_is_removed_while_he_is_let_in_has_nothing(cast: Cast, gateway: VpnGateway) -> None:
    priya, oscar = cast.actor("priya"), membership(cast.oscar)
    came = together(lambda: let_in(priya, oscar, gateway), lambda: remove_member(priya, oscar))
    assert [type(one) for one in raised(came)] in ([], [Conflict])
    assert not VpnMember.objects.exists()


def test_the_database_knows_one_profile_once(cast: Cast, gateway: VpnGateway) -> None:
    give(gateway, cast.oscar)
    with pytest.raises(IntegrityError):
        give(gateway, cast.oscar)


# ---- Who has it ------------------------------------------------------------------------------------------------------


def test_profiles_are_counted_of_whoever_has_any(cast: Cast, gateway: VpnGateway) -> None:
    primary = VpnGateway.objects.create(site=cast.sites["PHX01"], host="phx01.vpn.example")
    assert profile_count(cast.northwind.pk, "PHX01") == (0, 0)
    give(gateway, cast.priya, cast.olga)
    give(primary, cast.priya, cast.oscar, cast.ravi)
    assert profile_count(cast.northwind.pk, "PHX01") == (1, 3)
    assert profile_count(cast.northwind.pk, "PHX01", recovery=False) == (3, 3)
    assert profile_count(cast.northwind.pk, "DFW01") == (0, 3)
    Membership.objects.filter(person=cast.ravi).update(enabled=False)
    Person.objects.filter(pk=cast.priya.pk).update(is_active=False)
    assert profile_count(cast.northwind.pk, "PHX01") == (0, 1)


def test_profiles_go_with_the_membership_and_dont_come_back(cast: Cast, gateway: VpnGateway) -> None:
    give(gateway, cast.oscar, cast.olga)
    remove_member(cast.actor("priya"), membership(cast.oscar))
    join(cast.oscar, cast.northwind, "Technical")
    assert [one.membership.person for one in VpnMember.objects.all()] == [cast.olga]


def test_who_can_give_profiles(cast: Cast) -> None:
    """Whose roles grant it and who gets in: Priya as administrator, Oscar by Technical, not Ravi."""
    assert keepers(cast.northwind.pk) == ["Oscar Lind", "Priya Raman"]
    Membership.objects.filter(person=cast.oscar).update(enabled=False)
    assert keepers(cast.northwind.pk) == ["Priya Raman"]
    assert keepers(cast.contoso.pk) == ["Olga Berg"]


# ---- What Support keeps ----------------------------------------------------------------------------------------------


def test_gateways_and_clients_stand_in_the_installations_log(cast: Cast) -> None:
    mary = cast.actor("mary")
    made = save_gateway(mary, VpnGateway(site=cast.sites["DFW01"], host="dfw01.vpn.example"))
    made.port = 8443
    save_gateway(mary, made)
    client = VpnClient(gateway=made, system="windows", name="AMPDR Connect", version="4.2")
    client.download_url = "https://downloads.example/connect.exe"
    save_client(mary, client)
    log = Activity.objects.filter(account=None, kind__in=["vpn_gateway", "vpn_client"]).order_by("pk")
    assert [(one.kind, one.event, one.facts["code"]) for one in log] == [
        ("vpn_gateway", "added", "DFW01"), ("vpn_gateway", "changed", "DFW01"),
        ("vpn_client", "added", "DFW01, Windows"),
    ]  # fmt: skip
    for actor in (cast.actor("priya"), cast.actor("olga")):
        with pytest.raises(Forbidden):
            save_gateway(actor, made)
        with pytest.raises(Forbidden):
            save_client(actor, client)


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "https://vpn.example", "vpn.example/x", "vpn example.com", "-a.example", "a-.example",
     "VPN.example", "a..example", "vpn.example\n", "x" * 64 + ".example", "a.b.example:443", "пример.example"],
)  # fmt: skip
def test_what_is_no_host(cast: Cast, host: str) -> None:
    with pytest.raises(Invalid) as refused:
        save_gateway(cast.actor("mary"), VpnGateway(site=cast.sites["DFW01"], host=host))
    assert set(refused.value.fields) == {"host"}


def test_what_is_no_client(cast: Cast, gateway: VpnGateway) -> None:
    """Downloaded over https alone, a name of one line, and no Generation 3 client of a recovery environment."""
    facts = {"gateway": gateway, "system": "windows", "name": "Connect"}
    for wrong in ("http://downloads.example/x", "javascript:alert(1)", "ftp://a.example/x", "downloads.example/x"):
        with pytest.raises(Invalid) as refused:
            save_client(cast.actor("mary"), VpnClient(download_url=wrong, **facts))
        assert set(refused.value.fields) == {"download_url"}
    with pytest.raises(Invalid) as refused:
        save_client(cast.actor("mary"), VpnClient(**facts | {"name": "a\nb"}))
    assert set(refused.value.fields) == {"name"}
    with pytest.raises(ValidationError):
        VpnClient(generation=3, **facts).full_clean()
    save_client(cast.actor("mary"), VpnClient(**facts))
