"""What a complete round didn't tell is marked and nothing else; told again, the mark is gone."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from accounts.activity import faults
from accounts.models import Activity
from ampdr import clock
from ampdr.errors import Conflict, Invalid
from inventory.actions import Feed, Outcome, missing
from inventory.models import VM
from replication.actions import place_order
from replication.models import Replication
from tests.cast import Cast, make_vms, protect, sign_in
from tests.test_counters import check_heads
from tests.test_inventory.telling import events, identity, row, site, tell, vm


def gone() -> set[str]:
    return set(VM.objects.exclude(vanished_at=None).values_list("name", flat=True))


def test_marked_and_found_again(cast: Cast) -> None:
    """Its replication goes on; only its own site's complete round says that it is gone."""
    tell(site(cast), [row(n) for n in range(4)])
    protect(cast, [vm(0)])
    (abroad,) = make_vms(cast.northwind, cast.sites["PHX01"], ["abroad"])
    assert tell(site(cast), [row(1), row(2)]) == Outcome(same=2)
    assert gone() == set()
    assert tell(site(cast), [row(1), row(2)], complete=True) == Outcome(same=2, vanished=2)
    assert gone() == {"vm-0000", "vm-0003"}
    assert events(event="vanished") == [("vanished", "vm-0000"), ("vanished", "vm-0003")]
    assert Replication.objects.get(vm=vm(0)).state == "protected" and vm(0).protection == "protected"
    since = vm(3).vanished_at
    assert tell(site(cast), [row(1), row(2)], complete=True) == Outcome(same=2)
    assert vm(3).vanished_at == since and len(events(event="vanished")) == 2
    assert tell(site(cast), [row(0), row(3, "web")]) == Outcome(changed=2, found=2)
    assert gone() == set() and events(event="found") == [("found", "vm-0000"), ("found", "web")]
    assert abroad.vanished_at is None
    check_heads()
    assert not list(faults())


def test_a_round_of_several_calls(cast: Cast) -> None:
    """Told in any of its calls; the last one may tell nothing more. Told twice is told."""
    told, round_id = [row(n) for n in range(6)], uuid.uuid4()
    tell(site(cast), told)
    tell(site(cast), told[:2], round_id)
    tell(site(cast), told[1:5], round_id)
    assert tell(site(cast), [], round_id, complete=True) == Outcome(vanished=1)
    assert gone() == {"vm-0005"}
    assert tell(site(cast), [], round_id, complete=True) == Outcome()


def test_rounds_that_overlap_dont_take_each_others(cast: Cast) -> None:
    """A VM that a later round told has not vanished, whoever's that round is; what both lack has."""
    tell(site(cast), [row(n) for n in range(8)])
    one, other, accounts = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    tell(site(cast), [row(n) for n in range(3)], one)
    tell(site(cast), [row(n) for n in range(2, 6)], other)
    tell(Feed(account=cast.northwind), [{"uuid": identity(6)}], accounts)
    assert tell(site(cast), [], one, complete=True) == Outcome(vanished=1)
    assert gone() == {"vm-0007"}
    assert tell(site(cast), [row(0)], other, complete=True) == Outcome(same=1, vanished=1)  # 6 was told since
    assert gone() == {"vm-0001", "vm-0007"}


def test_an_accounts_round_marks_its_own_at_the_named_sites(cast: Cast) -> None:
    make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    make_vms(cast.northwind, cast.sites["PHX01"], ["abroad"])
    tell(site(cast), [row(1), row(2), row(3)])
    mine = Feed(account=cast.northwind)
    told = [{"uuid": identity(1)}]
    assert tell(mine, told, sites=["DFW01"], allow_many=True) == Outcome(same=1, vanished=2)
    assert gone() == {"vm-0002", "vm-0003"}
    with pytest.raises(Invalid, match="no site XXX99"):
        tell(mine, told, sites=["XXX99"])


def test_a_round_belongs_to_one_feed(cast: Cast) -> None:
    round_id = uuid.uuid4()
    tell(site(cast), [row(1)], round_id)
    for feed in (site(cast, "PHX01"), Feed(account=cast.northwind)):
        with pytest.raises(Invalid, match="another feed's"):
            tell(feed, [{"uuid": identity(1)}], round_id)


@pytest.mark.parametrize(("there", "told", "many"), [(30, 14, True), (30, 15, False), (16, 6, False), (3, 1, False)])
def test_a_broken_feed_marks_nothing(cast: Cast, there: int, told: int, many: bool) -> None:
    """More than half of a site's VMs, and more than ten; and nothing of that call is taken."""
    tell(site(cast), [row(n) for n in range(there)])
    tell(site(cast, "PHX01"), [row(n) for n in range(100, 200)])  # another site's don't count
    call = [row(n, power="off") for n in range(told)]
    if not many:
        assert tell(site(cast), call, complete=True) == Outcome(changed=told, vanished=there - told)
        return
    with pytest.raises(Conflict, match=f"didn't tell {there - told} of the {there} VMs of DFW01") as refusal:
        tell(site(cast), call, complete=True)
    assert refusal.value.code == "too_many_vanished"
    assert gone() == set() and vm(0).power == "on"
    assert tell(site(cast), call, complete=True, allow_many=True) == Outcome(changed=told, vanished=there - told)


def test_an_empty_round_marks_nothing(cast: Cast) -> None:
    """However few there are; where nothing is, nothing can vanish."""
    assert tell(site(cast), [], complete=True) == Outcome()
    tell(site(cast), [row(1)])
    with pytest.raises(Conflict, match="broken feed"):
        tell(site(cast), [], complete=True)
    assert tell(site(cast), [], complete=True, allow_many=True) == Outcome(vanished=1)
    assert missing(site(cast), ["DFW01"], [], clock.now()) == 0


def test_new_ones_count(cast: Cast) -> None:
    """Twelve replaced by thirteen: less than half of what is there then is gone."""
    tell(site(cast), [row(n) for n in range(12)])
    told = [row(n) for n in range(100, 113)]
    assert tell(site(cast), told, complete=True) == Outcome(made=13, vanished=12)


def test_stand_ins_dont_vanish(cast: Cast) -> None:
    (web,) = make_vms(cast.northwind, cast.sites["DFW01"], ["web"])
    facts = {"account": cast.northwind, "site": cast.sites["PHX01"], "slug": "web", "name": "web"}
    VM.objects.create(**facts, role="test", original=web, made_by=uuid.uuid4())
    tell(site(cast, "PHX01"), [row(1)])
    assert tell(site(cast, "PHX01"), [row(1)], complete=True) == Outcome(same=1)


def test_it_is_said_quietly_wherever_the_vm_is_shown(cast: Cast) -> None:
    """The same words on the page, in the API and at the order; on lists for whoever may see VMs."""
    tell(site(cast), [row(1, "web"), row(2, "db")])
    tell(site(cast), [row(2, "db")], complete=True)
    words = f"It was not found in DFW01 any more on {vm(1).vanished_at:%Y-%m-%d}. Ask Support."
    with pytest.raises(Conflict) as refusal:
        place_order(cast.actor("priya"), [vm(1).uuid], "an-orders-key")
    assert [one["reason"] for one in refusal.value.facts["reasons"]] == [words]
    client = sign_in(Client(), cast.priya)
    page, lists = client.get("/northwind/vms/web/").content.decode(), client.get("/northwind/vms/").content.decode()
    assert words.replace("'", "&#x27;") in page and "Not found in DFW01 since" in page
    assert lists.count("not found in DFW01 since <time") == 1
    told = client.get(f"/api/v1/accounts/northwind/vms/{identity(1)}/").json()
    assert (told["can_replicate"], told["cannot_replicate"]) == (False, words) and told["vanished_at"]
    assert "Not found" not in client.get("/northwind/vms/db/").content.decode()
    assert Activity.objects.get(event="vanished").facts == {"site": "DFW01"}
