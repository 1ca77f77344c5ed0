"""Calls that never come back: their threads are few, they bar nobody's way but their own, and what is well again is
found out without a restart. Time is set; the calls hang until the test is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from ampdr import clock
from replication.providers import punctual
from replication.providers.base import Progress, Provider, Unreachable
from replication.providers.punctual import HANGING, LONG, LONGEST, MOST, SHORTEST, NotAsked, hung_alone, in_time
from replication.providers.simulated import Simulated
from replication.tasks.hearing import heard


class Site:
    """One that is asked by nothing but `in_time`."""

    def __init__(self, site: str) -> None:
        self.provider = Provider.__new__(Simulated)
        self.provider.site, self.site = site, site
        self.end = threading.Event()

    def hang(self, alone: str = "", kind: str = "requests") -> None:
        """Makes a call that hangs, or raises NotAsked."""
        self.provider.timeout = 0
        with pytest.raises(Unreachable, match="gave no answer"):
            self._ask(alone, self.end.wait, kind)

    def answers(self, alone: str = "", kind: str = "requests") -> bool:
        self.provider.timeout = 60
        try:
            self._ask(alone, lambda: True, kind)
        except NotAsked:
            return False
        return True

    def _ask(self, alone: str, call: Callable[[], bool], kind: str) -> None:
        in_time(self.provider, call, kind, alone)


@pytest.fixture
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(punctual, "GRACE", 0.02)
    monkeypatch.setattr(punctual, "_barriers", {})
    site = Site(request.node.name)
    yield site
    site.end.set()


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds + 1)


def test_after_a_few_calls_that_hang_a_site_is_tried_with_one_at_a_time(site: Site) -> None:
    for _ in range(HANGING):
        site.hang()
    assert not site.answers() and not site.answers("one of it")
    with clock.ahead(after(SHORTEST)):
        site.hang()  # it tries
        assert not site.answers()
        with clock.ahead(after(SHORTEST)):
            assert not site.answers()  # the second pause is twice as long
        with clock.ahead(after(2 * SHORTEST)):
            assert site.answers() and site.answers()


def test_one_alone_tries_and_the_others_wait_for_what_it_hears(site: Site) -> None:
    for _ in range(HANGING):
        site.hang()
    with clock.ahead(after(SHORTEST)):
        heard: list[bool] = []

        def meanwhile() -> None:
            heard.append(site.answers())

        site.provider.timeout = 60
        in_time(site.provider, meanwhile, "requests")
        assert heard == [False] and site.answers()


def test_a_site_that_hangs_for_a_day_is_asked_again_within_minutes(site: Site) -> None:
    for n in range(HANGING + 20):
        with clock.ahead(n * after(LONG)):
            site.hang()
    with clock.ahead((HANGING + 20) * after(LONG)):
        assert site.answers()


def test_what_hangs_alone_bars_no_other_way(site: Site) -> None:
    for n in range(2 * HANGING):
        with clock.ahead(n * after(LONGEST)):
            site.hang("one vm")
            assert hung_alone(site.site, "requests", "one vm") and not site.answers("one vm")
            assert site.answers() and site.answers("another")
    with clock.ahead(2 * HANGING * after(LONGEST)):
        assert site.answers("one vm") and not hung_alone(site.site, "requests", "one vm")


def test_many_that_hang_one_by_one_count_for_their_site(site: Site) -> None:
    """Where nothing answers, each of ten thousand by itself would keep a thread."""
    for n in range(HANGING):
        site.hang(f"vm {n}")
    assert not site.answers("vm 99") and not site.answers()


def test_of_a_great_many_that_hang_none_is_asked_again(site: Site) -> None:
    for n in range(MOST):
        site.hang(f"vm {n}")
        assert n + 1 >= MOST or site.answers("well")
    assert not site.answers("another")
    with clock.ahead(after(LONG)):
        assert site.answers("another")
    with clock.ahead(after(LONGEST)):
        assert not site.answers("vm 3")


def test_what_comes_back_late_opens_the_way_at_once(site: Site) -> None:
    for n in range(HANGING):
        site.hang(f"vm {n}")
    assert not site.answers()
    site.end.set()
    done = threading.Event()
    for _ in range(6000):
        if punctual._hanging[site.site] == 0 or done.wait(0.01):
            break
    assert punctual._hanging[site.site] == 0
    assert site.answers() and site.answers("vm 3")


def test_another_site_and_another_kind_of_call_are_not_barred(site: Site) -> None:
    for _ in range(HANGING):
        site.hang()
    assert site.answers(kind="recovery points")
    assert Site("elsewhere").answers()


def test_what_decides_at_once_waits_for_no_long_pause(site: Site) -> None:
    """Whether the source answers, when a live failover starts: that it hung for hours must not make it unplanned."""
    pause, hours = after(SHORTEST), range(MOST + 20)
    for n in hours:
        with clock.ahead(n * pause):
            site.hang(kind="")
    with clock.ahead(hours[-1] * pause):
        assert not site.answers(kind="")
    with clock.ahead(len(hours) * pause):
        assert site.answers(kind="")


def test_one_thing_that_hangs_again_and_again_tells_nothing_of_the_others(site: Site) -> None:
    for n in range(2 * HANGING):
        with clock.ahead(n * after(LONGEST)):
            site.hang("one vm")
    with clock.ahead((2 * HANGING - 1) * after(LONGEST)):
        assert site.answers()


def test_a_clock_that_is_set_back_bars_nothing_for_longer(site: Site) -> None:
    with clock.ahead(2 * after(LONGEST)):
        for _ in range(HANGING):
            site.hang()
        assert not site.answers()
    assert site.answers()


def test_in_one_batch_what_hung_alone_is_asked_after_the_others_and_one_of_it_in_a_call(site: Site) -> None:
    """They would hang too if it stood among them, and a dozen such would take longer than the lease."""
    calls: list[list[str]] = []

    def observe(keys: Sequence[str]) -> dict[str, Progress]:
        calls.append(list(keys))
        if set(keys) & {"b", "d"}:
            raise Unreachable("It gave no answer.")
        return {key: Progress(done=True) for key in keys}

    site.hang("b")
    site.hang("d")
    site.provider.batch, site.provider.timeout = 1000, 60
    said, errors = heard(site.provider, observe, ["a", "b", "c", "d"], again=True)
    assert calls == [["a", "c"]] and set(said) == {"a", "c"} and set(errors) == {"b", "d"}
    with clock.ahead(after(LONGEST)):
        said, errors = heard(site.provider, observe, ["a", "b", "c", "d"], again=True)
    assert calls[1:] == [["a", "c"], ["b"]] and set(said) == {"a", "c"} and set(errors) == {"b", "d"}
    site.provider.remembers_keys = False  # there nobody knows what came of it: nothing stands apart
    with clock.ahead(2 * after(LONGEST)), pytest.raises(Unreachable, match="gave no answer"):
        heard(site.provider, observe, ["a", "d"], again=True)
    assert calls[3:] == [["a", "d"]]
