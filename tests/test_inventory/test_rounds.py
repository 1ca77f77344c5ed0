"""When rounds begin and end: what came to be known since isn't marked, and a round that is over marks nothing more."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from ampdr import clock
from ampdr.errors import Conflict
from ampdr.limits import lift_limits
from inventory.actions import Feed, Outcome, upserts
from inventory.models import VM, Round
from replication.actions.sync import sync
from replication.providers.base import Machine
from replication.providers.simulated import Simulated, set_machines
from tests.cast import Cast, make_vms
from tests.test_inventory.telling import identity, row, site, tell, vm
from tests.test_inventory.test_sync import machine
from tests.threads import together


def gone() -> set[str]:
    return set(VM.objects.exclude(vanished_at=None).values_list("name", flat=True))


# ---- What came to be known since the round began ---------------------------------------------------------------------


def test_made_by_another_door_since(cast: Cast) -> None:
    """An import's, and one that an account told in a round that began before this one; not what was there already."""
    accounts, round_id = uuid.uuid4(), uuid.uuid4()
    mine = Feed(account=cast.northwind)
    tell(site(cast), [row(7, "old")])
    tell(mine, [{"uuid": identity(1), "name": "vm-0001", "site": "DFW01"}], accounts)
    tell(site(cast), [row(n) for n in range(3)], round_id)
    make_vms(cast.northwind, cast.sites["DFW01"], ["imported"], generation=3)
    tell(mine, [{"uuid": identity(9), "name": "new", "site": "DFW01"}], accounts)
    assert tell(site(cast), [], round_id, complete=True) == Outcome(vanished=1)
    assert gone() == {"old"}
    assert tell(site(cast), [row(n) for n in range(3)], complete=True) == Outcome(same=3, vanished=2)
    assert gone() == {"old", "imported", "new"}


def test_newer_ones_dont_hide_that_a_round_told_none(cast: Cast) -> None:
    tell(site(cast), [row(n) for n in range(3)])
    round_id = uuid.uuid4()
    tell(site(cast), [], round_id)
    make_vms(cast.northwind, cast.sites["DFW01"], ["imported"])
    with pytest.raises(Conflict, match="didn't tell 3 of the 3 VMs"):
        tell(site(cast), [], round_id, complete=True)


def test_a_sync_begins_before_it_asks(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an import brings while the provider answers isn't in its answer."""
    tell(site(cast), [row(1), row(7, "old")])
    set_machines([machine(1)])
    answers = Simulated.inventory

    def inventory(self: Simulated, cursor: str = "") -> tuple[Sequence[Machine], str]:
        answer = answers(self, cursor)
        make_vms(cast.northwind, cast.sites["DFW01"], [f"imported-{VM.objects.count()}"])
        return answer

    monkeypatch.setattr(Simulated, "inventory", inventory)
    assert sync(cast.sites["DFW01"], dry_run=True).outcome.vanished == 1  # imported-2 came while it asked
    VM.objects.filter(name="imported-2").delete()
    assert sync(cast.sites["DFW01"]).outcome.vanished == 1
    assert gone() == {"old"}


# ---- Its end ---------------------------------------------------------------------------------------------------------


def test_a_round_that_is_over_takes_nothing(cast: Cast) -> None:
    """Whoever swept it: its `complete` would mark what it told on its first day. So for a week."""
    round_id = uuid.uuid4()
    tell(site(cast), [row(n) for n in range(3)], round_id)
    for hours in (25, 24 * 7):
        with clock.ahead(timedelta(hours=hours)):
            tell(site(cast, "PHX01"), [row(9)], complete=True)
            for complete in (False, True):
                with pytest.raises(Conflict, match="Begin a new round") as refusal:
                    tell(site(cast), [row(0, "renamed")], round_id, complete=complete)
                assert refusal.value.code == "round_over"
    assert gone() == set() and vm(0).name == "vm-0000"
    assert not Round.objects.get(uuid=round_id).told
    with clock.ahead(timedelta(hours=23)):
        other = uuid.uuid4()
        tell(site(cast), [row(0)], other)
    with clock.ahead(timedelta(hours=46)):
        assert tell(site(cast), [row(1)], other, complete=True) == Outcome(same=1, vanished=1)


def test_old_rounds_are_forgotten_by_any_call(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nobody ever says `complete`: what they told after a day, that they were after a week, so many at once."""
    monkeypatch.setattr(upserts, "SWEPT", 2, raising=False)
    for _ in range(5):
        tell(site(cast), [row(1)])
    for left in (3, 1, 0):
        with clock.ahead(timedelta(hours=25)):
            tell(site(cast), [])
        old = Round.objects.filter(begun_at__lt=clock.now() + timedelta(hours=1))
        assert (old.exclude(told=[]).count(), old.count()) == (left, 5)
    for left in (3, 1, 0):
        with clock.ahead(timedelta(days=8, minutes=1)):
            tell(site(cast), [])
        assert Round.objects.filter(begun_at__lt=clock.now() + timedelta(hours=1)).count() == left


@pytest.mark.django_db(transaction=True)
def test_old_rounds_in_use_are_passed_over(transactional_db: None, request: pytest.FixtureRequest) -> None:
    """A call that sweeps waits for no round, so nobody waits for it in a circle."""
    cast: Cast = request.getfixturevalue("cast")
    old = uuid.uuid4()
    tell(site(cast), [row(1)], old)
    Round.objects.update(begun_at=clock.now() - timedelta(days=9))
    held, swept = threading.Event(), threading.Event()

    def hold() -> None:
        lift_limits()  # it is idle for as long as the other takes
        with transaction.atomic():
            Round.objects.select_for_update(no_key=True).get(uuid=old)
            held.set()
            assert swept.wait(60)

    def sweep() -> Any:
        assert held.wait(60)
        try:
            return tell(site(cast), [row(1)], complete=True)
        finally:
            swept.set()

    assert together(hold, sweep) == [None, Outcome(same=1)]
    assert Round.objects.filter(uuid=old).exists()
    tell(site(cast), [])
    assert not Round.objects.filter(uuid=old).exists()
