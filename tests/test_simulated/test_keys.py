"""Once per key, whatever is killed, repeated or cut; and what it is like without keys."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest

from replication.providers.base import Kind, Unreachable
from replication.providers.simulated import doubled, effects
from tests.test_simulated.asking import NOON, SUBMIT_MANY, Set, ask, dallas, exit_code, one, phoenix, run


def test_the_same_key_has_one_effect(ledger: Path) -> None:
    request = ask(Kind.PROTECT)
    assert one(dallas(), request) == one(dallas(), request)
    assert [(found.vm, found.step, found.subject, found.key) for found in effects(ledger)] == [
        (request.vm, "protect", request.subject, request.key)
    ]
    assert effects(ledger)[0].at == NOON.timestamp()


def test_the_same_key_twice_in_one_batch_has_one_effect(ledger: Path) -> None:
    dallas().submit([ask(Kind.FENCE), ask(Kind.FENCE)])
    assert len(effects(ledger)) == 1


def test_processes_that_submit_the_same_keys_make_one_effect_each(ledger: Path) -> None:
    racers = [run(SUBMIT_MANY) for _ in range(3)]
    assert [exit_code(racer) for racer in racers] == [0, 0, 0]
    assert len(effects(ledger)) == 60
    assert doubled(ledger) == []


def test_without_keys_the_same_race_is_seen_as_doubles(setting: Set, ledger: Path) -> None:
    setting(remembers_keys=0)
    racers = [run(SUBMIT_MANY) for _ in range(2)]
    assert [exit_code(racer) for racer in racers] == [0, 0]
    assert len(doubled(ledger)) == 60


def test_work_goes_on_through_a_restart(clock: Callable[[datetime], None]) -> None:
    request = ask(Kind.PROTECT)
    one(dallas(), request)
    clock(NOON + timedelta(hours=10))
    halfway = dallas().observe([request.key])[request.key]
    assert 20 < halfway.percent < 60
    clock(NOON + timedelta(hours=47))
    assert dallas().observe([request.key])[request.key].done


def test_a_key_never_seen_is_absent() -> None:
    assert dallas().observe(["never:seen:1"]) == {}


def test_a_request_for_another_site_is_an_error(ledger: Path) -> None:
    with pytest.raises(ValueError, match="not for PHX01"):
        phoenix().submit([ask(Kind.FENCE)])
    assert effects(ledger) == []


def test_a_full_batch_is_one_transaction(monkeypatch: pytest.MonkeyPatch, ledger: Path) -> None:
    provider = dallas()
    writing = Mock(side_effect=provider.ledger.writing)
    monkeypatch.setattr(provider.ledger, "writing", writing)
    asked = [ask(Kind.FENCE, vm) for vm in range(1000)]
    assert len(provider.submit(asked)) == provider.batch == len(effects(ledger))
    assert writing.call_count == 1


def test_a_transaction_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, ledger: Path) -> None:
    asked = [ask(Kind.FENCE), ask(Kind.FENCE, vm=2)]
    monkeypatch.setattr("replication.providers.simulated.faults.Strikes.save", Mock(side_effect=RuntimeError))
    with pytest.raises(RuntimeError):
        dallas().submit(asked)
    assert effects(ledger) == []


def test_without_keys_each_submit_is_an_effect_that_shows_as_double(setting: Set, ledger: Path) -> None:
    setting(remembers_keys=0)
    request, provider = ask(Kind.START_TEST), phoenix()
    assert not provider.remembers_keys
    assert [one(provider, request).done, one(provider, request).done] == [False, False]
    assert doubled(ledger) == [(request.vm, "start_test", request.subject, 2)]


def test_without_keys_what_was_answered_can_be_observed(setting: Set) -> None:
    setting(remembers_keys=0)
    request = ask(Kind.FENCE)
    one(dallas(), request)
    assert request.key in dallas().observe([request.key])


def test_without_keys_a_lost_answer_leaves_nothing_to_observe(setting: Set, ledger: Path) -> None:
    setting(remembers_keys=0, faults=[{"fault": "lost_answer"}])
    with pytest.raises(Unreachable):
        dallas().submit([ask(Kind.FENCE)])
    assert len(effects(ledger)) == 1
    assert dallas().observe([ask(Kind.FENCE).key]) == {}


def test_another_generation_of_the_same_wish_counts_as_double(ledger: Path) -> None:
    dallas().submit([ask(Kind.FENCE), ask(Kind.FENCE, generation=2)])
    assert [count for *_, count in doubled(ledger)] == [2]
