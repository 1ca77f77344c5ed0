"""The simulated provider keeps the contract: once per key, whatever is killed, repeated or cut."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest

from replication.providers.base import (
    Eligibility,
    Existing,
    Kind,
    Machine,
    Point,
    Points,
    Progress,
    Provider,
    Request,
    Unreachable,
    provider_class,
)
from replication.providers.simulated import Simulated, doubled, effects, set_machines, set_site_answers
from replication.providers.simulated.timetable import GB

ROOT = Path(__file__).resolve().parent.parent
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Set = Callable[..., None]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture(autouse=True)
def setting(monkeypatch: pytest.MonkeyPatch, ledger: Path) -> Set:
    """Sets `SIMULATION_*` variables; begins with none but the ledger and the clock at noon."""
    for variable in [name for name in os.environ if name.startswith("SIMULATION_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("SIMULATION_LEDGER", str(ledger))
    at(NOON, monkeypatch)

    def put(**values: object) -> None:
        for name, value in values.items():
            text = json.dumps(value) if isinstance(value, list) else str(value)
            monkeypatch.setenv(f"SIMULATION_{name.upper()}", text)

    return put


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    return lambda moment: at(moment, monkeypatch)


def at(moment: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulated, "clock", staticmethod(moment.timestamp))


def dallas() -> Simulated:
    return Simulated("DFW01", timeout=5)


def phoenix() -> Simulated:
    return Simulated("PHX01", timeout=5)


def identity(number: int = 1) -> str:
    return str(uuid.UUID(int=number))


def ask(kind: Kind, vm: int = 1, generation: int = 1, point: datetime | None = None, disk_gb: int = 100) -> Request:
    subject = identity(1000 + vm)
    key = f"{subject}:{kind}:{generation}"
    return Request(key, kind, subject, identity(vm), f"WEB{vm:02}", "DFW01", "PHX01", point, disk_gb)


def one(provider: Provider, request: Request) -> Progress:
    return provider.submit([request])[request.key]


def times(points: Points) -> list[datetime]:
    return [point.at for point in points.new]


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own, with this one's environment."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=os.environ, text=True, stdout=subprocess.PIPE
    )


def exit_code(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


SUBMIT_MANY = """
import sys
from replication.providers.base import Kind, Request
from replication.providers.simulated import Simulated
asked = [Request(f"s{n}:fence:1", Kind.FENCE, f"s{n}", f"v{n}", f"WEB{n}", "DFW01", "PHX01") for n in range(60)]
provider = Simulated("DFW01", 20)
for begin in range(0, 60, 5):
    provider.submit(asked[begin:begin + 5])
    provider.submit(asked[:begin])
"""


# The contract's own module


def test_the_contract_imports_neither_django_nor_an_application() -> None:
    code = (
        "import sys, replication.providers.base, replication.providers.simulated;"
        "print(sorted(name for name in sys.modules"
        " if name.split('.')[0] in {'django', 'ampdr', 'accounts', 'inventory', 'failover'}"
        " or name.startswith('replication.') and not name.startswith('replication.providers')))"
    )
    assert run(code).communicate()[0].strip() == "[]"


def test_a_request_knows_whose_it_is() -> None:
    sites = {kind: ask(kind).site for kind in Kind}
    recovery = {kind for kind, site in sites.items() if site == "PHX01"}
    assert recovery == {Kind.START_TEST, Kind.START_LIVE, Kind.STOP}


def test_done_and_refused_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="never both"):
        Progress(done=True, refused="No room.")


def test_a_provider_is_found_by_dotted_path() -> None:
    assert provider_class("replication.providers.simulated.Simulated") is Simulated


class Entry:
    def load(self) -> object:
        return Simulated


def test_a_provider_is_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {("ampdr.providers", "toy"): [Entry()]}
    monkeypatch.setattr("replication.providers.base.entry_points", lambda group, name: found.get((group, name), []))
    assert provider_class("toy") is Simulated


@pytest.mark.parametrize("dotted", ["toy", "no.such.Provider", "replication.providers.simulated.Nothing"])
def test_a_provider_that_is_not_there_is_named_with_what_was_tried(dotted: str) -> None:
    with pytest.raises(LookupError, match=rf"{dotted}.*ampdr\.providers"):
        provider_class(dotted)


def test_what_is_no_provider_is_refused() -> None:
    with pytest.raises(TypeError, match="no subclass"):
        provider_class("pathlib.Path")


# Once per key


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


# A technology without keys


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


# Progress


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


def finished(provider: Provider, request: Request, after: timedelta, clock: Callable[[datetime], None]) -> bool:
    clock(NOON + after)
    done = provider.observe([request.key])[request.key].done
    clock(NOON)
    return done


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


# What comes of a start


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


# Recovery points


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


# A site that is down


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


# Reads


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


# Faults


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
