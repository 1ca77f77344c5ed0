"""A technology that forgets keys: at most one effect for each step, or the step halts and asks a person (P2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.activity import faults
from accounts.models import Activity, Head
from ampdr import clock, work
from ampdr.work import claim, perform
from failover.actions import settle
from failover.models import Failover
from failover.tasks import Spread
from inventory.models import VM
from replication.models import Replication
from replication.providers import punctual
from replication.providers.simulated import doubled, effects, set_site_answers
from replication.providers.simulated.settings import ledger_path
from replication.providers.sites import provider_of
from replication.tasks import Provision
from tests.cast import Cast, make_vms, protect, request, say_yes, states
from tests.test_work import LEASE, claimed, order

Forget = Callable[..., None]


@pytest.fixture
def forgets(monkeypatch: pytest.MonkeyPatch) -> Forget:
    def set_to(*rules: dict[str, object], **variables: str) -> None:
        monkeypatch.setenv("SIMULATION_REMEMBERS_KEYS", "0")
        monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        provider_of.cache_clear()

    return set_to


def halted(row: Replication) -> bool:
    row.refresh_from_db()
    return (row.next_step_at, row.waiting_on, row.state) == (None, "support", "provisioning")


@pytest.mark.parametrize("fault", ["no_answer", "lost_answer", "left_out"])
def test_an_unknown_outcome_halts_and_asks_a_person(cast: Cast, forgets: Forget, fault: str) -> None:
    forgets({"fault": fault, "kind": "protect", "times": 1})
    [row] = order(cast, 1)
    perform(claimed(Provision))
    assert halted(row) and row.last_error
    assert Activity.objects.filter(event="outcome_unknown", subject_id=row.pk).count() == 1
    assert VM.objects.get().protection == "outcome_unknown" and Head.objects.get(account=cast.northwind).attention == 1
    with clock.ahead(timedelta(days=1)):
        work.drive()
    assert halted(row) and len(effects(ledger_path())) == (fault != "no_answer")
    assert list(faults()) == []


def test_what_was_not_sent_because_calls_hang_is_not_unknown(
    cast: Cast, forgets: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is asked about it: it is sent as soon as the way is open again."""
    forgets()
    [row] = order(cast, 1)
    shut = punctual.Barrier(punctual.HANGING, clock.now().timestamp() + 30)
    monkeypatch.setattr(punctual, "_barriers", {("DFW01", "requests", ""): shut})
    perform(claimed(Provision))
    row.refresh_from_db()
    assert (row.waiting_on, row.accepted_at) == ("", None) and "Calls to DFW01 hang" in row.last_error
    with clock.ahead(LEASE + timedelta(seconds=5)):
        work.drive()
    row.refresh_from_db()
    assert row.state == "protected" and doubled(ledger_path()) == []


def test_who_died_between_call_and_commit_is_not_repeated(cast: Cast, forgets: Forget) -> None:
    """The first worker was killed after the provider had done it: the second one looks, finds nothing, and halts."""
    forgets()
    rows = order(cast, 3)
    killed = claimed(Provision)
    killed.duty.call(killed.site, killed.duty.load(killed.keys))
    forget_answers()
    with clock.ahead(LEASE + timedelta(seconds=1)):
        perform(claimed(Provision))
    assert all(halted(row) for row in rows)
    assert doubled(ledger_path()) == [] and len(effects(ledger_path())) == 3


def forget_answers() -> None:
    """As if the answers, and with them the handles, had never arrived."""
    with provider_of("DFW01").ledger.writing() as db:  # type: ignore[attr-defined]
        db.execute("UPDATE effects SET known = 0")


def test_who_was_frozen_before_the_call_sends_nothing(cast: Cast, forgets: Forget) -> None:
    """Frozen after its claim and past its lease, it wakes up when another has done the work."""
    forgets()
    order(cast, 3)
    frozen = claimed(Provision)
    loaded = frozen.duty.load(frozen.keys)
    with clock.ahead(LEASE + timedelta(seconds=1)):
        perform(claimed(Provision))
    assert frozen.duty.call(frozen.site, loaded).progress == {}
    assert doubled(ledger_path()) == [] and not Replication.objects.exclude(state="protected").exists()


def test_an_error_of_the_provider_is_an_unknown_outcome_too(
    cast: Cast, forgets: Forget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did the work and broke before it could say so, in a way that no contract foresees."""
    forgets()
    [row] = order(cast, 1)
    provider = provider_of("DFW01")
    monkeypatch.setattr(provider, "_note_answered", lambda keys: 1 / 0)
    perform(claimed(Provision))
    monkeypatch.undo()
    with clock.ahead(LEASE):
        perform(claimed(Provision))
    assert halted(row) and doubled(ledger_path()) == []


def test_a_look_that_was_not_answered_is_repeated(cast: Cast, forgets: Forget, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking has no effect: a site that was away for a while asks nobody anything."""
    forgets(SIMULATION_TIME_SCALE="100000")
    [row] = order(cast, 1)
    perform(claimed(Provision))
    set_site_answers("DFW01", False)
    with clock.ahead(LEASE):
        perform(claimed(Provision))
    row.refresh_from_db()
    assert row.waiting_on == "" and row.accepted_at and row.last_error == "DFW01 doesn't answer"
    set_site_answers("DFW01", True)
    monkeypatch.setattr(provider_of("DFW01"), "clock", lambda: clock.now().timestamp())
    with clock.ahead(timedelta(days=1)):
        work.drive()
    row.refresh_from_db()
    assert row.state == "protected" and doubled(ledger_path()) == []


def test_a_bar_whose_outcome_is_unknown_is_not_given_up_for_an_unplanned_start(cast: Cast, forgets: Forget) -> None:
    """However often it was asked for in vain before: what may have been done would be done once more, later."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    ticket = request(cast, vms, "live")
    say_yes(cast, ticket)
    perform(claimed(Spread))
    Failover.objects.filter(ticket=ticket).update(attempts=20)
    forgets({"fault": "lost_answer", "kind": "fence", "times": 1})
    for days in (0, 1):
        with clock.ahead(timedelta(days=days)):
            work.drive()
        line = Failover.objects.get(ticket=ticket)
        assert (line.state, line.verb, line.mode) == ("starting", "fence", "")
        assert (line.flag, line.waiting_on) == ("outcome_unknown", "support")
    assert [one.step for one in effects(ledger_path())].count("fence") == 1


def test_support_settles_it(cast: Cast, forgets: Forget) -> None:
    """Support has looked and says: not done. Only then it is sent again."""
    [vm] = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, [vm])
    forgets({"fault": "no_answer", "kind": "start_test", "times": 1})
    ticket = request(cast, [vm])
    say_yes(cast, ticket)
    work.drive()
    line = Failover.objects.get()
    assert (line.state, line.waiting_on, line.next_step_at) == ("starting", "support", None)
    settle(cast.actor("mary"), line, False, "Nothing was made there")
    work.drive()
    assert states(ticket) == ["running"] and doubled(ledger_path()) == []


def test_all_goes_well_without_faults(cast: Cast, forgets: Forget) -> None:
    forgets(SIMULATION_TIME_SCALE="0")
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["a", "b"]))
    assert claim(Provision()) is None and len(effects(ledger_path())) == 2
