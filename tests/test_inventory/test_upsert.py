"""The verb of the inventory: new VMs, what differs of known ones, and every bad row named."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.activity import faults
from accounts.models import Activity, Head
from ampdr.errors import Conflict, Forbidden, Invalid, Refusal
from inventory.actions import Feed, Outcome, upsert
from inventory.models import VM, Round
from replication.models import Replication
from tests.cast import Cast, drive_to, make_vms, protect, request, rows, say_yes
from tests.test_counters import check_heads
from tests.test_inventory.telling import MACHINE, events, identity, row, site, tell, vm


def test_new_vms(cast: Cast) -> None:
    """With everything told, and with as little as may be; counted, and each in Activity."""
    full = row(
        1, "web-01", power="off", addresses=["10.1.0.5", "2001:db8::5", "10.1.0.5"], os="Debian 12", generation=3,
        unsupported="It has a raw disk.", failover_address="10.9.0.5",
    )  # fmt: skip
    assert tell(site(cast), [full, {"uuid": identity(2), "account": "contoso", "name": "erp"}]) == Outcome(made=2)
    web, erp = vm(1), vm(2)
    assert (web.account, web.site.code, web.slug, web.role) == (cast.northwind, "DFW01", "web-01", "primary")
    assert (web.disks_gb, web.disk_gb, web.size) == ([40, 60], 100, "2 disks, 100 GB")
    assert (web.address, web.other_addresses, web.power) == ("10.1.0.5", ["2001:db8::5"], "off")
    assert (web.os, web.generation, web.failover_address) == ("Debian 12", 3, "10.9.0.5")
    assert web.why_not_orderable == "It has a raw disk."
    assert (erp.account, erp.disk_gb, erp.generation, erp.power, erp.size) == (cast.contoso, 0, 4, "on", "0 GB")
    assert events() == [("added", "web-01"), ("added", "erp")]
    assert set(Activity.objects.filter(kind="vm").values_list("actor", "via", "facts__site")) == {
        ("Collector", "machine", "DFW01")
    }
    check_heads()
    assert not list(faults())


def test_what_is_known_costs_and_changes_nothing(cast: Cast) -> None:
    told = [row(n, power="on", addresses=["10.0.0.1"], os="Debian 12", generation=4) for n in range(3)]
    tell(site(cast), told)
    before = list(VM.objects.order_by("pk").values()), list(Head.objects.order_by("pk").values())
    assert tell(site(cast), told) == Outcome(same=3)
    assert tell(site(cast), [{"uuid": identity(n)} for n in range(3)]) == Outcome(same=3)
    assert (list(VM.objects.order_by("pk").values()), list(Head.objects.order_by("pk").values())) == before


def test_only_what_differs_is_written(cast: Cast) -> None:
    """Power and addresses raise the account's version and are no news; a name, disks and a site are."""
    tell(site(cast), [row(n, addresses=["10.0.0.1"]) for n in range(4)])
    version, seen = Head.objects.get(account=cast.northwind).version, VM.objects.get(uuid=identity(3))
    assert tell(site(cast), [row(0, power="off", addresses=["10.0.0.2", "10.0.0.3"]), row(3)]) == Outcome(0, 1, 1)
    assert Head.objects.get(account=cast.northwind).version > version
    assert (vm(0).power, vm(0).address, vm(0).other_addresses) == ("off", "10.0.0.2", ["10.0.0.3"])
    assert [event for event, _ in events()] == ["added"] * 4
    assert tell(site(cast), [row(0, "db-01", disks_gb=[40]), row(1, disks_gb=[90, 10])]).changed == 2
    assert events(event="renamed") == [("renamed", "db-01")]
    assert list(Activity.objects.filter(event="resized").order_by("pk").values_list("facts", flat=True)) == [
        {"was": "2 disks, 100 GB", "now": "1 disk, 40 GB"}, {"was": "2 disks, 100 GB", "now": "2 disks, 100 GB"}
    ]  # fmt: skip
    assert Activity.objects.get(event="renamed").facts == {"was": "vm-0000", "now": "db-01"}
    assert VM.objects.get(uuid=identity(3)).__dict__.items() >= {"name": seen.name, "power": seen.power}.items()
    assert tell(site(cast, "PHX01"), [row(1, disks_gb=[90, 10])]) == Outcome(changed=1)
    assert Activity.objects.get(event="moved").facts == {"was": "DFW01", "now": "PHX01"}
    check_heads()
    assert not list(faults())


def test_sizes_told_in_either_way(cast: Cast) -> None:
    """Of one who knows the sum alone the disks are kept while it is theirs."""
    tell(site(cast), [row(1)])
    assert tell(site(cast), [{"uuid": identity(1), "disk_gb": 100}]) == Outcome(same=1)
    assert tell(site(cast), [{"uuid": identity(1), "disk_gb": 150}]) == Outcome(changed=1)
    assert (vm(1).disks_gb, vm(1).disk_gb) == ([], 150)
    assert tell(site(cast), [{"uuid": identity(1), "disk_gb": 150}]) == Outcome(same=1)
    tell(site(cast), [row(1, disks_gb=[150])])
    assert [event for event, _ in events()] == ["added", "resized"]  # which disks these are is no resize


def test_slugs(cast: Cast) -> None:
    """Free for each account, also where names are equal or say nothing; a rename keeps the address of the page."""
    make_vms(cast.northwind, cast.sites["DFW01"], ["web"])
    names = ["web", "Web", "web 2", "測試", "—", "web"]
    tell(site(cast), [row(n, name) for n, name in enumerate(names)] + [row(9, "web", account="contoso")])
    assert [vm(n).slug for n in range(6)] == ["web-2", "web-3", "web-2-2", "vm", "vm-2", "web-4"]
    assert vm(9).slug == "web"
    tell(site(cast), [row(0, "proxy")])
    assert (vm(0).name, vm(0).slug) == ("proxy", "web-2")
    tell(site(cast), [row(7, "x" * 120), row(8, "x" * 120)])
    assert len(vm(8).slug) <= 120


def test_a_rename_is_borne_by_the_stand_ins(cast: Cast) -> None:
    tell(site(cast), [row(1, "web-01"), row(2, "db-01")])
    protect(cast, [vm(1), vm(2)])
    test = request(cast, [vm(1)])
    say_yes(cast, test)
    drive_to(test, "running")
    live = request(cast, [vm(2)], "live")
    say_yes(cast, live)
    drive_to(live, "running")
    tell(site(cast), [row(1, "front"), row(2, "back", power="off")])
    assert rows(cast) == [("back", "live"), ("front", "primary"), ("front - Test", "test")]
    assert events(event="renamed") == [("renamed", "front"), ("renamed", "back")]
    stand_in = VM.objects.get(role="live")
    assert stand_in.power == "on"
    check_heads()


# ---- Refused ---------------------------------------------------------------------------------------------------------


def refused(feed: Feed, *told: Any, kind: type[Refusal] = Invalid) -> list[tuple[int, str, str]]:
    """Row, field and words of what is refused; and nothing is taken."""
    before = VM.objects.count(), Round.objects.count(), Activity.objects.count()
    with pytest.raises(kind) as refusal:
        tell(feed, told)
    assert (VM.objects.count(), Round.objects.count(), Activity.objects.count()) == before
    reasons = refusal.value.facts["reasons"]
    if isinstance(refusal.value, Invalid):
        assert {name.split(".")[1] for name in refusal.value.fields} == {str(one["row"]) for one in reasons}
    return [(one["row"], one["field"], one["reason"]) for one in reasons]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"uuid": "web-01"}, "uuid"),
    ({"uuid": 7}, "uuid"),
    ({"uuid": None}, "uuid"),
    ({"name": "two\nlines"}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"name": "\ud800"}, "name"),
    ({"name": " "}, "name"),
    ({"name": "x" * 121}, "name"),
    ({"name": None}, "name"),
    ({"power": "standby"}, "power"),
    ({"power": True}, "power"),
    ({"disks_gb": 40}, "disks_gb"),
    ({"disks_gb": [-1]}, "disks_gb"),
    ({"disks_gb": [True]}, "disks_gb"),
    ({"disks_gb": [1e3]}, "disks_gb"),
    ({"disks_gb": [2_000_000]}, "disks_gb"),
    ({"disks_gb": [1] * 65}, "disks_gb"),
    ({"disk_gb": 99}, "disk_gb"),
    ({"addresses": "10.0.0.1"}, "addresses"),
    ({"addresses": ["10.0.0.256"]}, "addresses"),
    ({"addresses": ["fe80::1%eth0"]}, "addresses"),
    ({"addresses": [167772161]}, "addresses"),
    ({"os": "x" * 61}, "os"),
    ({"os": "\0"}, "os"),
    ({"generation": 5}, "generation"),
    ({"generation": "4"}, "generation"),
    ({"generation": 4.0}, "generation"),
    ({"unsupported": "x" * 201}, "unsupported"),
    ({"failover_address": "somewhere"}, "failover_address"),
    ({"account": "never-made"}, "account"),
    ({"account": ""}, "account"),
    ({"account": 3}, "account"),
    ({"site": "DFW01"}, "site"),
    ({"nmae": "typo"}, "nmae"),
]


@pytest.mark.parametrize("wrong", BAD, ids=lambda wrong: ascii(wrong[0])[:30])
def test_each_fault_is_named(cast: Cast, wrong: tuple[dict[str, Any], str]) -> None:
    facts, field = wrong
    ((place, name, words),) = refused(site(cast), row(1), row(2) | facts)
    assert (place, name) == (1, field) and words[0].isupper() and words.endswith(".")


def test_all_faults_of_a_call_are_named(cast: Cast) -> None:
    """More of them than anybody reads, too, and each with the uuid that was sent."""
    told = [row(n) | facts for n, (facts, _) in enumerate(BAD) if facts.keys() != {"account"}]
    assert len({place for place, *_ in refused(site(cast), *told)}) == len(told)
    assert [(place, field) for place, field, _ in refused(site(cast), row(1), row(2), row(1), 7, row(2))] == [
        (2, "uuid"), (3, ""), (4, "uuid")
    ]  # fmt: skip
    assert [field for _, field, _ in refused(site(cast), {"uuid": identity(1)})] == ["account", "name"]
    with pytest.raises(Invalid, match="at most 1,000"):
        tell(site(cast), [row(n) for n in range(1001)])


def test_no_account_is_changed(cast: Cast) -> None:
    tell(site(cast), [row(1)])
    told = row(1, account="contoso")
    ((_, field, words),) = refused(site(cast), told, kind=Conflict)
    assert (field, words) == ("account", "It is another account's. A VM can't change its account.")
    assert vm(1).account == cast.northwind


def test_an_accounts_feed_hears_nothing_of_others(cast: Cast) -> None:
    """Another account's VM, its stand-in and its account: the same words, which name nobody."""
    tell(site(cast), [row(1, account="contoso"), row(2)])
    (erp,) = make_vms(cast.contoso, cast.sites["DFW01"], ["erp-01"])
    stand_in = VM.objects.create(
        account=cast.contoso, site=cast.sites["PHX01"], name="erp-01", slug="erp-01", role="test", original=erp,
        made_by=uuid.uuid4(),
    )  # fmt: skip
    mine = Feed(account=cast.northwind)
    for taken in (identity(1), str(stand_in.uuid)):
        told = {"uuid": taken, "site": "DFW01", "name": "mine"}
        assert refused(mine, told, kind=Conflict) == [(0, "uuid", "This uuid is taken and can't be used here.")]
    assert refused(mine, {"uuid": identity(3), "account": "contoso"})[0][1] == "account"  # not a field of this feed
    assert tell(
        mine, [{"uuid": identity(2), "name": "db"}, {"uuid": identity(4), "site": "LHR01", "name": "n"}]
    ) == Outcome(made=1, changed=1)
    assert (vm(4).account, vm(4).site.code, vm(2).site.code) == (cast.northwind, "LHR01", "DFW01")
    assert [field for _, field, _ in refused(mine, {"uuid": identity(5), "name": "x"})] == ["site"]
    assert [field for _, field, _ in refused(mine, {"uuid": identity(5), "name": "x", "site": "XXX99"})] == ["site"]


@pytest.mark.parametrize("facts", [{}, {"name": "x"}, {"site": "DFW01"}, {"name": "x", "site": "XXX99"}, {"os": "x"}])
def test_an_accounts_feed_cant_tell_anothers_uuid_from_nobodys(cast: Cast, facts: dict[str, Any]) -> None:
    """While nothing could be made of the row: a foreign VM, a foreign stand-in and none are refused alike."""
    (erp,) = make_vms(cast.contoso, cast.sites["DFW01"], ["erp-01"])
    stand_in = VM.objects.create(
        account=cast.contoso, site=cast.sites["PHX01"], name="erp-01", slug="erp-01", role="test", original=erp,
        made_by=uuid.uuid4(),
    )  # fmt: skip
    mine = Feed(account=cast.northwind)
    wanted = refused(mine, {"uuid": identity(1), **facts})
    for taken in (erp, stand_in):
        assert refused(mine, {"uuid": str(taken.uuid), **facts}) == wanted


def test_what_is_replicated_doesnt_move(cast: Cast) -> None:
    """Nor what is in a failover; everything else of it may change."""
    tell(site(cast), [row(1), row(2)])
    protect(cast, [vm(1)])
    phoenix = site(cast, "PHX01")
    ((place, field, words),) = refused(phoenix, row(2), row(1), kind=Conflict)
    assert (place, field) == (1, "site") and "stop that before it moves to PHX01" in words
    VM.objects.filter(uuid=identity(2)).update(held_by="FO-2231")
    assert [place for place, *_ in refused(phoenix, row(2), row(1), kind=Conflict)] == [0, 1]
    assert tell(site(cast), [row(1, power="off", disks_gb=[500])]) == Outcome(changed=1)
    assert Replication.objects.get().state == "protected"


def test_a_stand_in_is_nothing_that_a_site_has(cast: Cast) -> None:
    tell(site(cast), [row(1)])
    protect(cast, [vm(1)])
    ticket = request(cast, [vm(1)])
    say_yes(cast, ticket)
    drive_to(ticket, "running")
    stand_in = VM.objects.get(role="test")
    told = {"uuid": str(stand_in.uuid), "account": "northwind", "name": "mine"}
    ((_, field, words),) = refused(site(cast, "PHX01"), told, kind=Conflict)
    assert (field, words) == ("uuid", "It is a failover VM: tell of its original.")


def test_no_person_tells_the_inventory(cast: Cast) -> None:
    for name in ("priya", "mary"):
        with pytest.raises(Forbidden):
            upsert(cast.actor(name), site(cast), [row(1)], uuid.uuid4())
    assert upsert(MACHINE, site(cast), [], uuid.uuid4()) == Outcome()
