"""What nobody knows is settled by Support: one line or many, once, and nothing is asked again before."""

import json
from collections.abc import Callable

import pytest

from accounts import activity
from accounts.models import Activity
from ampdr import work
from ampdr.errors import Conflict, Invalid
from failover.actions import give_up, request_termination, retry, settle, tries_of
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.providers.simulated import doubled, effects
from replication.providers.simulated.settings import ledger_path
from replication.providers.sites import provider_of
from tests.cast import Cast, drive_to, request, say_yes, states
from tests.test_admin.desk import vms
from tests.threads import together

Forget = Callable[..., None]


@pytest.fixture
def forgets(monkeypatch: pytest.MonkeyPatch) -> Forget:
    """From now on the provider remembers no key, and has these faults."""

    def set_to(*rules: dict[str, object]) -> None:
        monkeypatch.setenv("SIMULATION_REMEMBERS_KEYS", "0")
        monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
        provider_of.cache_clear()

    return set_to


def lost(cast: Cast, forgets: Forget, kind: str, fault: str, step: str) -> Ticket:
    """A ticket of three VMs; what came of this step of theirs nobody knows."""
    ticket = request(cast, vms(cast), kind)
    forgets({"fault": fault, "kind": step})
    say_yes(cast, ticket)
    work.drive()
    assert flags(ticket) == {("outcome_unknown", "support")}
    forgets()
    return ticket


def flags(ticket: Ticket) -> set[tuple[str, str]]:
    return set(Failover.objects.filter(ticket=ticket).values_list("flag", "waiting_on"))


def lines(ticket: Ticket) -> list[Failover]:
    return list(Failover.objects.filter(ticket=ticket).order_by("pk"))


def test_done_is_as_if_the_provider_had_said_so(cast: Cast, forgets: Forget) -> None:
    ticket = lost(cast, forgets, "test", "lost_answer", "start_test")
    assert settle(cast.actor("mary"), lines(ticket), True, "They answer on the console") == 3
    assert states(ticket) == ["running"] * 3 and flags(ticket) == {("", "")}
    work.drive()
    assert len([1 for one in effects(ledger_path()) if one.step == "start_test"]) == 3
    assert VM.objects.filter(role="test", shown=True).count() == 3 and doubled(ledger_path()) == []
    for line in lines(ticket):
        assert (line.launch.point_at, line.launch.loss_seconds, line.launch.mode) == (None, None, "test")
    settled = Activity.objects.filter(event="settled")
    assert {(row.actor, row.staff, row.reason) for row in settled} == {
        ("Mary Osei", True, "They answer on the console")
    }
    assert list(activity.faults()) == []


def test_not_done_is_asked_anew_with_a_new_key(cast: Cast, forgets: Forget) -> None:
    ticket = lost(cast, forgets, "test", "no_answer", "start_test")
    before = [line.generation for line in lines(ticket)]
    work.drive()
    assert [one for one in effects(ledger_path()) if one.step == "start_test"] == []
    settle(cast.actor("mary"), lines(ticket), False, "Nothing was made there")
    assert flags(ticket) == {("", "")} and [one.generation - 1 for one in lines(ticket)] == before
    assert drive_to(ticket, "running") and doubled(ledger_path()) == []


@pytest.mark.parametrize("done", [True, False])
def test_a_fence_of_which_nobody_knows(cast: Cast, forgets: Forget, done: bool) -> None:
    """Done: it goes on, planned. Not done: the fence alone gets a new key."""
    ticket = lost(cast, forgets, "live", "lost_answer" if done else "no_answer", "fence")
    settle(cast.actor("mary"), lines(ticket), done, "I looked at DFW01")
    assert {(one.generation, one.fence_generation) for one in lines(ticket)} == {(1, 1 if done else 2)}
    assert drive_to(ticket, "running") and {one.launch.mode for one in lines(ticket)} == {"planned"}
    assert doubled(ledger_path()) == [] and list(activity.faults()) == []


@pytest.mark.parametrize("step", ["stop", "release"])
def test_an_end_of_which_nobody_knows(cast: Cast, forgets: Forget, step: str) -> None:
    live = request(cast, vms(cast), "live")
    say_yes(cast, live)
    work.drive()
    end = request_termination(cast.actor("priya"), live, "Dallas is back", "dfw01", "end-key-1")
    forgets({"fault": "lost_answer", "kind": step})
    say_yes(cast, end)
    work.drive()
    assert (set(states(live)), flags(live)) == ({"terminating"}, {("outcome_unknown", "support")})
    forgets()
    settle(cast.actor("mary"), lines(live), True, "It is gone")
    assert drive_to(live, "terminated") and doubled(ledger_path()) == []
    assert VM.objects.filter(shown=True, role="primary").count() == 3 and list(activity.faults()) == []


def test_the_first_one_wins_and_nothing_is_set_going_before(cast: Cast, forgets: Forget) -> None:
    ticket = lost(cast, forgets, "test", "no_answer", "start_test")
    mary, found = cast.actor("mary"), lines(ticket)
    with pytest.raises(Conflict, match="Settle that first"):
        retry(mary, found)
    with pytest.raises(Conflict):
        give_up(mary, found, "Away with it")
    with pytest.raises(Invalid):
        settle(mary, found, False, "  ")
    assert flags(ticket) == {("outcome_unknown", "support")}
    settle(mary, found, False, "Nothing was made")
    with pytest.raises(Conflict, match="not unknown any more") as late:
        settle(mary, found, True, "It runs")
    assert late.value.facts["who"] == "Mary Osei, Support"


def test_what_was_asked_again_meanwhile_is_another_question(cast: Cast, forgets: Forget) -> None:
    """Settled, asked anew, and unknown again: what was seen of the first try says nothing of the second."""
    ticket = lost(cast, forgets, "test", "no_answer", "start_test")
    seen = tries_of(lines(ticket))
    forgets({"fault": "no_answer", "kind": "start_test"})
    settle(cast.actor("mary"), lines(ticket), False, "Nothing was made", seen)
    work.drive()
    assert flags(ticket) == {("outcome_unknown", "support")}
    with pytest.raises(Conflict, match="went on meanwhile"):
        settle(cast.actor("mary"), lines(ticket), True, "It runs", seen)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_settle_at_once_one_wins(transactional_db: None, cast: Cast, forgets: Forget) -> None:
    """One says that it was done, one that it wasn't: what the first one said counts, for all lines."""
    ticket = lost(cast, forgets, "test", "lost_answer", "start_test")
    found, mary, tom = lines(ticket), cast.actor("mary"), cast.actor("tom")
    came = together(
        lambda: settle(mary, found, True, "They run"), lambda: settle(tom, found, False, "Nothing there")
    )  # fmt: skip
    assert sorted(type(one).__name__ for one in came) == ["Conflict", "int"]
    assert set(states(ticket)) == {"running" if came[0] == 3 else "starting"}
    assert Activity.objects.filter(event="settled").count() == 3 and list(activity.faults()) == []
