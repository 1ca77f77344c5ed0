"""How work goes on, and what comes of it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from replication.providers.base import Kind
from replication.providers.simulated import Simulated, effects
from replication.providers.simulated.timetable import GB
from tests.test_simulated.asking import NOON, Set, ask, dallas, finished, identity, one, phoenix


@pytest.mark.parametrize("kind", list(Kind))
def test_progress_only_grows_and_says_when_to_look_again(kind: Kind, clock: Callable[[datetime], None]) -> None:
    request = ask(kind)
    provider = Simulated(request.site, 5)
    seen, now = [one(provider, request)], NOON
    assert not seen[0].done
    while not seen[-1].done:
        assert 0.2 <= seen[-1].look_in <= 15
        now += timedelta(seconds=max(seen[-1].look_in, 600 if kind == Kind.PROTECT else 0))
        clock(now)
        seen += provider.observe([request.key]).values()
    percents = [progress.percent for progress in seen]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert all(progress.step and not progress.refused for progress in seen)


def test_a_first_sync_counts_its_bytes(clock: Callable[[datetime], None]) -> None:
    request, steps = ask(Kind.PROTECT, disk_gb=100), {}
    progress = one(dallas(), request)
    assert (progress.step, progress.bytes_done, progress.bytes_total) == ("Reserving capacity", 0, 100 * GB)
    copied = []
    for hour in range(48):
        clock(NOON + timedelta(hours=hour))
        progress = dallas().observe([request.key])[request.key]
        copied.append(progress.bytes_done or 0)
        steps[progress.step] = progress.percent
    assert copied == sorted(copied)
    assert copied[-1] == 100 * GB
    assert list(steps)[1:3] == ["Preparing the copy in PHX01", "First sync"]
    assert list(steps)[-1] == "Protected"


def test_bytes_follow_the_percent(clock: Callable[[datetime], None]) -> None:
    request = ask(Kind.PROTECT, disk_gb=100)
    one(dallas(), request)
    clock(NOON + timedelta(hours=14))
    progress = dallas().observe([request.key])[request.key]
    assert progress.bytes_done is not None
    assert progress.step == "First sync"
    assert progress.bytes_done / GB == pytest.approx((progress.percent + 0.5 - 6) / 0.92, abs=1)


@pytest.mark.parametrize("vm", range(20))
@pytest.mark.parametrize("disk_gb", [0, 500, 16_384])
def test_a_protect_takes_between_20_and_44_hours(vm: int, disk_gb: int, clock: Callable[[datetime], None]) -> None:
    request, provider = ask(Kind.PROTECT, vm, disk_gb=disk_gb), dallas()
    one(provider, request)
    assert not finished(provider, request, timedelta(hours=19.9), clock)
    assert finished(provider, request, timedelta(hours=44), clock)


def test_a_time_scale_divides_only_its_own_durations(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(time_scale=2880, failover_time_scale=60)
    protect, start = ask(Kind.PROTECT), ask(Kind.START_LIVE, vm=2)
    one(dallas(), protect)
    one(phoenix(), start)
    assert not finished(dallas(), protect, timedelta(seconds=20), clock)
    assert finished(dallas(), protect, timedelta(seconds=60), clock)
    assert not finished(phoenix(), start, timedelta(seconds=7), clock)
    assert finished(phoenix(), start, timedelta(seconds=13), clock)


def test_a_pace_that_changes_leaves_begun_work_alone(setting: Set, clock: Callable[[datetime], None]) -> None:
    one(dallas(), ask(Kind.PROTECT))
    setting(time_scale=2880)
    assert not finished(dallas(), ask(Kind.PROTECT), timedelta(hours=1), clock)


@pytest.mark.parametrize("kind", list(Kind))
def test_with_scale_0_all_is_done_within_the_submit(kind: Kind, setting: Set) -> None:
    setting(time_scale=0, failover_time_scale=0)
    request = ask(kind)
    assert one(Simulated(request.site, 5), request).done


def test_a_start_tells_its_address_point_and_loss(setting: Set) -> None:
    setting(failover_time_scale=0)
    newest = dallas().recovery_points({identity(): None})[identity()].new[0].at
    live = one(phoenix(), ask(Kind.START_LIVE)).result
    assert live is not None
    assert (live.point, live.running_since) == (newest, NOON)
    assert live.loss_seconds == (NOON - newest).total_seconds() > 0
    assert live.address.startswith("10.40.")


def test_a_test_runs_from_the_chosen_point_at_an_address_of_its_own(setting: Set) -> None:
    setting(failover_time_scale=0)
    chosen = NOON - timedelta(hours=3)
    result = one(phoenix(), ask(Kind.START_TEST, point=chosen)).result
    assert result is not None
    assert (result.point, result.loss_seconds) == (chosen, 3 * 3600)
    assert result.address.startswith("10.90.")


def test_after_a_fence_nothing_is_lost(clock: Callable[[datetime], None]) -> None:
    one(dallas(), ask(Kind.FENCE))
    clock(NOON + timedelta(minutes=4))
    assert dallas().observe([ask(Kind.FENCE).key])[ask(Kind.FENCE).key].done
    start = ask(Kind.START_LIVE)
    one(phoenix(), start)
    clock(NOON + timedelta(minutes=30))
    result = phoenix().observe([start.key])[start.key].result
    assert result is not None
    assert result.loss_seconds == 0.0
    assert result.point
    assert NOON < result.point < NOON + timedelta(minutes=4)


def test_a_point_that_is_gone_is_refused_without_an_effect(ledger: Path) -> None:
    words = one(phoenix(), ask(Kind.START_LIVE, point=NOON - timedelta(hours=25))).refused
    assert words == "The recovery point of 2026-02-28 11:00:00 UTC is not kept any more."
    assert effects(ledger) == []


def test_without_a_recovery_point_nothing_starts() -> None:
    one(dallas(), ask(Kind.PROTECT))
    assert one(phoenix(), ask(Kind.START_TEST)).refused == "There is no recovery point of WEB01 yet."
