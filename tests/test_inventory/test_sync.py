"""`manage.py sync_inventory`: what providers name is taken over, a site that is silent changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.activity import faults
from accounts.models import Activity, Head
from ampdr.errors import Conflict
from inventory.models import VM, Round
from replication.actions import place_order
from replication.actions.sync import sync
from replication.models import Replication
from replication.providers.base import Eligibility, Machine, Unreachable
from replication.providers.simulated import Simulated, remove_machines, set_machines, set_site_answers
from tests.cast import Cast, make_vms, protect
from tests.test_counters import check_heads
from tests.test_inventory.telling import events, identity, vm


def machine(n: int, **facts: Any) -> Machine:
    whole = Machine(
        identity(n), f"vm-{n:04}", "DFW01", "on", 100, account="northwind", disks_gb=(40, 60), addresses=("10.0.0.1",),
        os="Debian 12", generation=4,
    )  # fmt: skip
    return replace(whole, **facts)


def run(*options: str) -> tuple[list[str], str]:
    """The lines that it says, what went wrong among them, and the last word of one that fails."""
    said, last = StringIO(), ""
    try:
        call_command("sync_inventory", *options, stdout=said, stderr=said, no_color=True)
    except CommandError as error:
        last = str(error)
    return said.getvalue().splitlines(), last


def everything() -> tuple[Any, ...]:
    """What a run could change, but for its own rounds."""
    kinds: Sequence[Any] = (VM, Activity, Head)
    return tuple(list(kind.objects.order_by("pk").values()) for kind in kinds)


def test_what_providers_name_is_taken_over(cast: Cast) -> None:
    set_machines([machine(1), machine(2, power="off"), machine(3, site="PHX01", unsupported="It has a raw disk.")])
    said, last = run()
    assert last == "" and said == [
        "DFW01: 2 VMs named: 2 new, 0 changed, 0 as they were, 0 not found any more, 0 found again.",
        "LHR01: its provider names no VM. 0 known here, left as they are.",
        "PHX01: 1 VM named: 1 new, 0 changed, 0 as they were, 0 not found any more, 0 found again.",
    ]
    assert (vm(1).account, vm(1).site.code, vm(1).disks_gb, vm(1).os) == (
        cast.northwind,
        "DFW01",
        [40, 60],
        "Debian 12",
    )
    assert vm(1).failover_address and vm(1).why_not_orderable == ""
    assert vm(2).why_not_orderable == "It is switched off. Start it, then order."
    assert vm(3).why_not_orderable == "It has a raw disk."
    assert set(Activity.objects.filter(kind="vm").values_list("actor", "via", "event")) == {
        ("AMPDR", "command", "added")
    }
    with pytest.raises(Conflict) as refusal:
        place_order(cast.actor("priya"), [vm(2).uuid], "an-orders-key")
    assert [one["reason"] for one in refusal.value.facts["reasons"]] == [vm(2).why_not_orderable]
    check_heads()


def test_a_second_run_changes_nothing(cast: Cast) -> None:
    set_machines([machine(n) for n in range(3)])
    run()
    before = everything()
    assert run("--site", "DFW01")[0] == [
        "DFW01: 3 VMs named: 0 new, 0 changed, 3 as they were, 0 not found any more, 0 found again."
    ]
    assert everything() == before and not list(faults())


def test_a_dry_run_says_the_same_and_does_nothing(cast: Cast) -> None:
    set_machines([machine(n) for n in range(4)])
    run()
    set_machines([machine(0, name="web"), machine(9), machine(8, account="")])
    remove_machines([identity(1)])
    before = everything(), Round.objects.count()
    tried, _ = run("--dry-run", "--site", "DFW01")
    assert (everything(), Round.objects.count()) == before
    assert [
        f"{line} Nothing was written." if "left out" in line else line for line in run("--site", "DFW01")[0]
    ] == tried
    assert tried == [
        "DFW01: 5 VMs named: 1 new, 1 changed, 2 as they were, 1 not found any more, 0 found again.",
        "DFW01: 1 not assigned to an account, left out: vm-0008. Nothing was written.",
    ]


def test_vanished_and_back_without_touching_protection(cast: Cast) -> None:
    set_machines([machine(n) for n in range(3)])
    run()
    protect(cast, [vm(0), vm(1)])
    remove_machines([identity(0)])
    assert "1 not found any more" in run("--site", "DFW01")[0][0]
    assert vm(0).vanished_at and vm(0).protection == "protected"
    set_machines([machine(0, power="off"), machine(1, power="off")])
    assert "2 changed, 1 as they were, 0 not found any more, 1 found again" in run("--site", "DFW01")[0][0]
    assert vm(0).vanished_at is None and "has replication already" in vm(0).why_not_orderable
    assert set(Replication.objects.values_list("state", flat=True)) == {"protected"}
    check_heads()


def test_a_silent_site_is_named_and_the_others_go_on(cast: Cast) -> None:
    set_machines([machine(1), machine(2, site="PHX01")])
    run()
    set_site_answers("DFW01", False)
    set_machines([machine(2, site="PHX01", name="web")])
    said, last = run()
    assert last == "Not all was taken: DFW01."
    assert said[0].startswith("DFW01: DFW01 doesn't answer.") and "1 changed" in said[2]
    assert vm(1).vanished_at is None and vm(2).name == "web"


def test_silent_in_the_middle_is_as_from_the_beginning(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    set_machines([machine(n) for n in range(4)])
    run()
    before = everything()
    set_machines([machine(n, name="web") for n in range(4)])
    monkeypatch.setattr(Simulated, "batch", 2)
    pages = Simulated.inventory

    def inventory(self: Simulated, cursor: str = "") -> tuple[list[Machine], str]:
        if cursor:
            raise Unreachable("the connection was cut")
        return pages(self, cursor)

    monkeypatch.setattr(Simulated, "inventory", inventory)
    assert run("--site", "DFW01")[1] == "Not all was taken: DFW01."
    assert everything() == before


def test_machines_of_no_account(cast: Cast) -> None:
    """Left out and named, and nothing has gone wrong; one that is known is updated."""
    make_vms(cast.northwind, cast.sites["DFW01"], ["known"])
    known = VM.objects.get(name="known")
    strangers = [machine(n, account="") for n in range(7)]
    told = machine(0, uuid=str(known.uuid).upper(), name="better known", account="")
    set_machines([*strangers, told])
    said, last = run("--site", "DFW01")
    assert last == "" and said[1] == (
        "DFW01: 7 not assigned to an account, left out: vm-0000, vm-0001, vm-0002, vm-0003, vm-0004 and 2 more."
    )
    known.refresh_from_db()
    assert known.name == "better known" and VM.objects.count() == 1


def test_one_bad_machine_never_holds_back_the_others(cast: Cast) -> None:
    """It is left out and named; one that is known is there all the same, whatever is told of it."""
    set_machines([machine(n) for n in range(4)])
    run()
    protect(cast, [vm(3)])
    (abroad,) = make_vms(cast.northwind, cast.sites["PHX01"], ["abroad"])
    VM.objects.filter(pk=abroad.pk).update(protection="protected")
    set_machines(
        [machine(0, name="web"), machine(1, name=" "), machine(2, account="contoso"), machine(5, account="never-made"),
         machine(6, uuid="not a uuid"), machine(7, uuid=str(abroad.uuid), account="")]
    )  # fmt: skip
    said, last = run("--site", "DFW01")
    assert last == "Not all was taken: DFW01."
    assert said[0].startswith("DFW01: 7 VMs named: 0 new, 1 changed, 3 as they were, 0 not found")
    assert {line.partition("): ")[2] for line in said[1:]} == {
        "site: It is replicated from another site: stop that before it moves to DFW01.",
        "name: This field cannot be blank.",
        "account: It is another account's. A VM can't change its account.",
        "account: There is no such account.",
        "uuid: Give a uuid.",
    }
    assert vm(0).name == "web" and not VM.objects.exclude(vanished_at=None).exists()


def test_a_broken_provider_marks_nothing(cast: Cast) -> None:
    """One that names none, and one that names few; the second may be right, says whoever runs it."""
    set_machines([machine(n) for n in range(30)])
    run()
    remove_machines([identity(n) for n in range(1, 30)])
    said, last = run("--site", "DFW01")
    assert last and "didn't tell 29 of the 30 VMs of DFW01" in said[1]
    assert not VM.objects.exclude(vanished_at=None).exists()
    remove_machines([identity(0)])
    assert run("--site", "DFW01") == (["DFW01: its provider names no VM. 30 known here, left as they are."], "")
    assert not VM.objects.exclude(vanished_at=None).exists()
    set_machines([machine(0)])
    assert "29 not found any more" in run("--site", "DFW01", "--allow-many")[0][0]


def test_many_in_pieces(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one call takes, in provider's pieces of another size."""
    asked: list[int] = []
    judge = Simulated.eligibility

    def eligibility(self: Simulated, machines: Sequence[Machine]) -> dict[str, Eligibility]:
        asked.append(len(machines))
        return judge(self, machines)

    monkeypatch.setattr(Simulated, "eligibility", eligibility)
    monkeypatch.setattr(Simulated, "batch", 400)
    set_machines([machine(n) for n in range(1100)])
    assert sync(cast.sites["DFW01"]).outcome.made == 1100
    assert asked == [400, 400, 300]
    assert sync(cast.sites["DFW01"]).outcome.same == 1100


def test_a_vm_that_cant_be_judged_stays_as_it_was_judged(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    set_machines([machine(1, power="off"), machine(2)])
    run()
    address = vm(2).failover_address
    monkeypatch.setattr(Simulated, "eligibility", lambda *_: {})
    set_machines([machine(1, power="on"), machine(2, addresses=(), os="", generation=None, disks_gb=())])
    assert "1 changed" in run("--site", "DFW01")[0][0]
    assert vm(1).why_not_orderable == "It is switched off. Start it, then order."
    assert (vm(2).failover_address, vm(2).os, vm(2).disks_gb, vm(2).address) == (
        address,
        "Debian 12",
        [40, 60],
        "10.0.0.1",
    )


def test_a_long_reason_is_cut(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulated, "eligibility", lambda _, many: {one.uuid: Eligibility("x" * 999) for one in many})
    set_machines([machine(1)])
    assert run()[1] == "" and vm(1).why_not_orderable == "x" * 200


def test_sites_by_name(cast: Cast) -> None:
    set_machines([machine(1), machine(2, site="PHX01")])
    assert run("--site", "XXX99", "--site", "DFW01") == ([], "There is no site XXX99. Nothing was done.")
    assert len(run("--site", "PHX01", "--site", "DFW01")[0]) == 2
    assert events() == [("added", "vm-0001"), ("added", "vm-0002")]


def test_a_provider_that_breaks_is_named(cast: Cast) -> None:
    cast.sites["LHR01"].provider = "no.such.Provider"
    cast.sites["LHR01"].save()
    set_machines([machine(1)])
    said, last = run()
    assert last == "Not all was taken: LHR01." and "No provider 'no.such.Provider'" in said[1] and vm(1)
