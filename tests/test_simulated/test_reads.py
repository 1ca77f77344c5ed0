"""What a provider tells without being asked to do anything."""

import pytest

from replication.providers.base import Eligibility, Existing, Kind, Machine
from replication.providers.simulated import set_machines
from tests.test_simulated.asking import Set, ask, dallas, identity, one, phoenix


def test_eligibility_says_what_is_in_the_way() -> None:
    machines = [
        Machine("a", "WEB01", "DFW01", "on", 16_384),
        Machine("b", "WEB02", "DFW01", "off", 100),
        Machine("c", "WEB03", "DFW01", "on", 16_385),
        Machine("d", "WEB04", "DFW01", "on", 100, "It has a raw disk."),
    ]
    found = dallas().eligibility(machines)
    assert [found[one.uuid].reason for one in machines] == [
        "",
        "It is switched off. Start it, then order.",
        "Its disks are larger than 16 TB in all. Make them smaller, then order.",
        "It has a raw disk.",
    ]
    assert len({one.address for one in found.values()}) == 4


def test_the_address_promised_is_the_address_got(setting: Set) -> None:
    setting(failover_time_scale=0)
    promised = dallas().eligibility([Machine(identity(), "WEB01", "DFW01", "on", 1)])[identity()]
    result = one(phoenix(), ask(Kind.START_LIVE)).result
    assert result
    assert promised == Eligibility("", result.address)


def test_the_inventory_comes_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = [Machine(f"{number:03}", f"WEB{number}", "DFW01", "on", 10) for number in range(5)]
    set_machines([*machines, Machine("x", "DB", "PHX01", "on", 10)])
    provider = dallas()
    provider.batch = 2
    seen, cursor = provider.inventory()
    while cursor:
        page, cursor = provider.inventory(cursor)
        seen += page
    assert seen == machines


def test_existing_tells_what_is_still_there(setting: Set) -> None:
    setting(failover_time_scale=0)
    source, target = dallas(), phoenix()
    source.submit([ask(Kind.FENCE), ask(Kind.PROTECT, vm=2)])
    target.submit([ask(Kind.START_LIVE), ask(Kind.START_TEST, vm=3)])
    target.submit([ask(Kind.STOP)])
    source.submit([ask(Kind.RELEASE)])
    assert source.existing() == ([Existing(ask(Kind.PROTECT, vm=2).key, Kind.PROTECT, identity(2))], "")
    assert target.existing() == ([Existing(ask(Kind.START_TEST, vm=3).key, Kind.START_TEST, identity(3))], "")


def test_existing_comes_in_pages_and_without_keys_names_none(setting: Set) -> None:
    setting(remembers_keys=0)
    provider = dallas()
    provider.submit([ask(Kind.FENCE, vm) for vm in range(3)])
    provider.batch = 2
    first, cursor = provider.existing()
    second, end = provider.existing(cursor)
    assert [found.vm for found in first + second] == [identity(vm) for vm in range(3)]
    assert {found.key for found in first} == {""}
    assert end == ""
