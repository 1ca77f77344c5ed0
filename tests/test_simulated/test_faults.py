"""Faults strike as their rules say."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from replication.providers.base import Kind, Machine, Unreachable
from replication.providers.simulated import Simulated, doubled, effects, set_machines
from tests.test_simulated.asking import NOON, SUBMIT_MANY, Set, ask, dallas, finished, identity, one, run


@pytest.mark.parametrize("kind", list(Kind))
def test_refuse_is_definite_and_for_one_generation(kind: Kind, setting: Set, ledger: Path) -> None:
    setting(faults=[{"fault": "refuse", "kind": kind, "vm": "WEB01", "times": 1}])
    provider = Simulated(ask(kind).site, 5)
    answer = provider.submit([ask(kind), ask(kind, vm=2)])
    assert not answer[ask(kind, vm=2).key].refused
    words = answer[ask(kind).key].refused
    assert "WEB01" in words
    assert one(Simulated(ask(kind).site, 5), ask(kind)).refused == words
    assert provider.observe([ask(kind).key])[ask(kind).key].refused == words
    assert not one(provider, ask(kind, generation=2)).refused
    assert doubled(ledger) == []


def test_each_kind_is_refused_in_words_of_its_own(setting: Set) -> None:
    setting(faults=[{"fault": "refuse"}])
    assert len({one(Simulated(ask(kind).site, 5), ask(kind)).refused for kind in Kind}) == len(Kind)


def test_no_answer_cuts_the_call_before_any_effect(setting: Set, ledger: Path) -> None:
    setting(faults=[{"fault": "no_answer", "vm": identity(2), "times": 1}])
    with pytest.raises(Unreachable):
        dallas().submit([ask(Kind.FENCE), ask(Kind.FENCE, vm=2)])
    assert effects(ledger) == []
    assert len(dallas().submit([ask(Kind.FENCE), ask(Kind.FENCE, vm=2)])) == 2


def test_lost_answer_cuts_the_call_after_its_effects(setting: Set, ledger: Path) -> None:
    setting(faults=[{"fault": "lost_answer", "kind": "fence", "times": 2}])
    for _ in range(2):
        with pytest.raises(Unreachable):
            dallas().submit([ask(Kind.FENCE)])
        assert len(effects(ledger)) == 1
    assert one(dallas(), ask(Kind.FENCE)).step
    assert len(effects(ledger)) == 1


def test_left_out_keeps_silent_about_one_key(setting: Set, ledger: Path) -> None:
    setting(faults=[{"fault": "left_out", "vm": "WEB01", "times": 1}])
    asked = [ask(Kind.FENCE), ask(Kind.FENCE, vm=2)]
    assert list(dallas().submit(asked)) == [asked[1].key]
    assert len(effects(ledger)) == 2
    assert len(dallas().submit(asked)) == 2


def test_times_counts_within_a_batch_too(setting: Set) -> None:
    setting(faults=[{"fault": "refuse", "times": 2}])
    answers = dallas().submit([ask(Kind.FENCE, vm) for vm in range(5)])
    assert [bool(progress.refused) for progress in answers.values()] == [True, True, False, False, False]


def test_a_rule_concerns_its_kind_alone(setting: Set) -> None:
    setting(faults=[{"fault": "refuse", "kind": "fence"}])
    assert one(dallas(), ask(Kind.FENCE)).refused
    assert not one(dallas(), ask(Kind.PROTECT)).refused


def test_slow_takes_ten_times_as_long(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(faults=[{"fault": "slow", "vm": "WEB01"}])
    slow, normal = ask(Kind.FENCE), ask(Kind.FENCE, vm=2)
    dallas().submit([slow, normal])
    assert finished(dallas(), normal, timedelta(minutes=3), clock)
    assert not finished(dallas(), slow, timedelta(minutes=17), clock)
    assert finished(dallas(), slow, timedelta(minutes=23), clock)


def test_slow_takes_some_time_even_at_scale_0(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(failover_time_scale=0, faults=[{"fault": "slow"}])
    assert not one(dallas(), ask(Kind.FENCE)).done
    assert finished(dallas(), ask(Kind.FENCE), timedelta(seconds=10), clock)


def test_forget_is_about_observing_alone(setting: Set, ledger: Path) -> None:
    setting(faults=[{"fault": "forget", "times": 1}])
    request = ask(Kind.FENCE)
    one(dallas(), request)
    assert dallas().observe([request.key]) == {}
    one(dallas(), request)
    assert request.key in dallas().observe([request.key])
    assert len(effects(ledger)) == 1


def test_a_crash_comes_after_the_effect_and_before_the_answer(setting: Set, ledger: Path) -> None:
    setting(faults=[{"fault": "crash", "vm": "WEB7", "times": 1}])
    code = SUBMIT_MANY + "print('answered')"
    crashed = run(code)
    assert crashed.communicate()[0] == ""
    assert crashed.returncode == 137
    assert "s7:fence:1" in {effect.key for effect in effects(ledger)}
    again = run(code)
    assert again.communicate()[0].strip() == "answered"
    assert len(effects(ledger)) == 60
    assert doubled(ledger) == []


@pytest.mark.parametrize("named", [identity(), "WEB01", "*"])
def test_a_points_fault_lets_no_new_point_be_told(named: str, setting: Set) -> None:
    set_machines([Machine(identity(), "WEB01", "DFW01", "on", 10)])
    setting(faults=[{"fault": "points", "vm": named}])
    since = NOON - timedelta(hours=1)
    found = dallas().recovery_points({identity(1): since, identity(2): since})
    assert found[identity(1)].new == ()
    assert found[identity(1)].oldest_kept
    assert len(found[identity(2)].new) == (0 if named == "*" else 12)


def test_probability_is_seeded_and_a_second_try_may_end_otherwise(setting: Set, tmp_path: Path) -> None:
    def outcome(seed: int, name: str) -> list[bool]:
        setting(seed=seed, ledger=tmp_path / name, faults=[{"fault": "left_out", "probability": 0.5}])
        provider, asked = dallas(), [ask(Kind.FENCE, vm) for vm in range(40)]
        return [request.key in answer for answer in map(provider.submit, [asked, asked]) for request in asked]

    first = outcome(1, "a")
    assert first == outcome(1, "b")
    assert first != outcome(2, "c")
    assert 20 < sum(first) < 60
    assert first[:40] != first[40:]


@pytest.mark.parametrize(
    "rule",
    [{"fault": "sulk"}, {"kind": "fence"}, {"fault": "slow", "kind": "dance"}, {"fault": "slow", "probability": 2},
     {"fault": "slow", "vn": "WEB01"}],
)  # fmt: skip
def test_a_rule_that_could_never_strike_is_an_error(rule: dict[str, object], setting: Set) -> None:
    setting(faults=[rule])
    with pytest.raises(ValueError, match="SIMULATION_FAULTS"):
        dallas()


@pytest.mark.parametrize("value", ["fast", "-1", "nan", "inf"])
def test_a_scale_that_is_no_number_is_an_error(value: str, setting: Set) -> None:
    setting(time_scale=value)
    with pytest.raises(ValueError, match="SIMULATION_TIME_SCALE"):
        dallas()


def test_a_busy_ledger_is_an_unknown_outcome(ledger: Path) -> None:
    provider = Simulated("DFW01", timeout=0.1)
    with provider.ledger.writing(), pytest.raises(Unreachable, match="busy"):
        provider.submit([ask(Kind.FENCE)])
    assert effects(ledger) == []


def test_a_ledger_that_is_not_there_yet_has_no_effects(ledger: Path) -> None:
    assert (effects(ledger), doubled(ledger)) == ([], [])
