"""Recovery points, and the sites that have none."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from replication.providers.base import Kind, Point, Points, Provider, Unreachable
from replication.providers.simulated import set_site_answers
from tests.test_simulated.asking import NOON, Set, ask, dallas, identity, one, phoenix, times


def test_points_are_a_function_of_the_clock(clock: Callable[[datetime], None]) -> None:
    vm = identity()
    since = NOON - timedelta(hours=2)
    first, second = (dallas().recovery_points({vm: since})[vm] for _ in range(2))
    assert first == second
    assert len(first.new) == 24
    gaps = {later - earlier for earlier, later in zip(times(first), times(first)[1:], strict=False)}
    assert gaps == {timedelta(minutes=5)}
    assert first.oldest_kept == times(first)[-1] - timedelta(hours=24)
    assert dallas().recovery_points({vm: times(first)[-1]})[vm].new == ()
    clock(NOON + timedelta(minutes=5))
    assert len(dallas().recovery_points({vm: times(first)[-1]})[vm].new) == 1


def test_two_of_24_points_are_consistent_for_applications() -> None:
    new = dallas().recovery_points({identity(): NOON - timedelta(hours=2)})[identity()].new
    assert [point.consistent for point in new].count("application") == 2


def test_vms_have_their_points_at_moments_of_their_own() -> None:
    newest = dallas().recovery_points({identity(vm): None for vm in range(20)})
    assert len({points.new[0].at for points in newest.values()}) > 10


def test_nobody_known_gets_the_newest_point_alone() -> None:
    points = dallas().recovery_points({identity(): None})[identity()]
    assert len(points.new) == 1
    assert timedelta() <= NOON - points.new[0].at < timedelta(minutes=5)


def test_many_new_points_come_oldest_first_and_never_more_than_300(setting: Set) -> None:
    setting(point_seconds=60)
    vm, known, seen = identity(), NOON - timedelta(days=3), list[datetime]()
    while found := times(dallas().recovery_points({vm: known})[vm]):
        assert len(found) <= 300
        known = found[-1]
        seen += found
    assert seen == sorted(set(seen))
    assert len(seen) == 24 * 60


def test_a_barred_vm_has_no_new_points_until_its_release(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(failover_time_scale=0)
    vm, known = identity(), NOON - timedelta(minutes=1)
    one(dallas(), ask(Kind.FENCE))
    last_sync = dallas().recovery_points({vm: NOON - timedelta(minutes=5)})[vm].new[-1]
    assert last_sync == Point(NOON)
    clock(NOON + timedelta(hours=2))
    assert times(dallas().recovery_points({vm: known})[vm]) == [NOON]
    one(dallas(), ask(Kind.RELEASE))
    clock(NOON + timedelta(hours=3))
    after = times(dallas().recovery_points({vm: NOON})[vm])
    assert len(after) == 12
    assert after[0] > NOON + timedelta(hours=2)


def test_a_live_failover_stops_the_points_of_its_original(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(failover_time_scale=0)
    one(phoenix(), ask(Kind.START_LIVE))
    clock(NOON + timedelta(hours=1))
    assert dallas().recovery_points({identity(): NOON})[identity()].new == ()
    one(phoenix(), ask(Kind.STOP))
    clock(NOON + timedelta(hours=2))
    assert len(dallas().recovery_points({identity(): NOON})[identity()].new) == 12


def test_points_go_on_after_the_release_not_after_the_stop(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(failover_time_scale=0)
    work: tuple[tuple[Provider, Kind], ...] = (
        (dallas(), Kind.FENCE), (phoenix(), Kind.START_LIVE), (phoenix(), Kind.STOP), (dallas(), Kind.RELEASE),
    )  # fmt: skip
    for hour, (provider, kind) in enumerate(work):
        clock(NOON + timedelta(hours=hour))
        one(provider, ask(kind))
    clock(NOON + timedelta(hours=4))
    seen = times(dallas().recovery_points({identity(): NOON})[identity()])
    assert len(seen) == 12
    assert seen[0] > NOON + timedelta(hours=3)


def test_a_bar_that_comes_after_the_start_makes_no_point(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(failover_time_scale=0)
    one(phoenix(), ask(Kind.START_LIVE))
    clock(NOON + timedelta(hours=1))
    one(dallas(), ask(Kind.FENCE))
    assert dallas().recovery_points({identity(): NOON})[identity()].new == ()


def test_points_are_kept_as_long_as_the_protect_said(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(time_scale=0)
    one(dallas(), replace(ask(Kind.PROTECT), retention_hours=2))
    clock(NOON + timedelta(hours=9))
    points = dallas().recovery_points({identity(): NOON})[identity()]
    assert len(points.new) == 24
    assert points.oldest_kept == times(points)[-1] - timedelta(hours=2)


def test_a_test_leaves_the_points_alone(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(failover_time_scale=0)
    one(phoenix(), ask(Kind.START_TEST))
    clock(NOON + timedelta(hours=1))
    assert len(dallas().recovery_points({identity(): NOON})[identity()].new) == 12


def test_the_first_point_is_the_end_of_the_first_sync(clock: Callable[[datetime], None]) -> None:
    vm, request = identity(), ask(Kind.PROTECT)
    one(dallas(), request)
    assert dallas().recovery_points({vm: None})[vm] == Points((), None)
    clock(NOON + timedelta(hours=44))
    seen = times(dallas().recovery_points({vm: NOON - timedelta(days=1)})[vm])
    assert NOON + timedelta(hours=20) <= seen[0] <= NOON + timedelta(hours=44)
    clock(seen[0])
    assert dallas().observe([request.key])[request.key].done
    assert times(dallas().recovery_points({vm: None})[vm]) == seen[:1]


def test_a_site_that_is_down_answers_nothing_and_has_no_new_points(
    clock: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replication.providers.simulated.ledger.time.time", NOON.timestamp)
    provider = dallas()
    set_site_answers("DFW01", False)
    clock(NOON + timedelta(hours=30))
    assert not provider.health().answers
    assert phoenix().health().answers
    calls: Sequence[Callable[[], object]] = (
        lambda: provider.submit([ask(Kind.FENCE)]),
        lambda: provider.observe(["any"]),
        lambda: provider.eligibility([]),
        provider.inventory,
        provider.existing,
    )
    for call in calls:
        with pytest.raises(Unreachable, match="DFW01"):
            call()
    points = provider.recovery_points({identity(): NOON})[identity()]
    assert points.new == ()
    newest = times(provider.recovery_points({identity(): None})[identity()])[0]
    assert newest <= NOON, "the points of before the outage are still there"
    assert points.oldest_kept == newest - timedelta(hours=24)
    result = one(phoenix(), ask(Kind.START_LIVE))
    assert not result.refused


def test_points_of_an_outage_do_not_come_after_it(
    clock: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment, answers in ((NOON, False), (NOON + timedelta(hours=1), True)):
        monkeypatch.setattr("replication.providers.simulated.ledger.time.time", moment.timestamp)
        set_site_answers("DFW01", answers)
    clock(NOON + timedelta(hours=2))
    assert dallas().health().answers
    seen = times(dallas().recovery_points({identity(): NOON})[identity()])
    assert len(seen) == 12
    assert seen[0] > NOON + timedelta(hours=1)


def test_a_site_can_fail_again() -> None:
    for answers in (False, True, False, False):
        set_site_answers("DFW01", answers)
        assert dallas().health().answers is answers
    set_site_answers("DFW01", True)
    assert dallas().health().answers


def test_sites_can_be_down_by_the_environment(setting: Set, clock: Callable[[datetime], None]) -> None:
    setting(sites_down="LHR01, DFW01")
    assert not dallas().health().answers
    clock(NOON + timedelta(hours=1))
    assert dallas().recovery_points({identity(): NOON})[identity()].new == ()
    setting(sites_down="")
    assert dallas().health().answers
    assert dallas().recovery_points({identity(): NOON})[identity()].new == ()
