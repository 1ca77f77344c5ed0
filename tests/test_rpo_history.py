"""RPO history: maxima of spans, reckoned from the gaps between points, against a reckoning second by second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from ampdr import clock
from ampdr.lifecycle import PORTAL, changes
from replication.models import RecoveryPoint, Replication, RpoHistory
from replication.providers.base import Point, Points
from replication.tasks import Collect
from replication.tasks.history import Gap, Maxima, advance, beginning_of, end_gaps, gaps_until, record
from replication.tasks.points import hold
from tests.cast import Cast, make_vms, protect

LENGTH, KEEP = 10, 6  # of the spans of the arithmetic
moments = st.lists(st.integers(0, 150), max_size=12)


class Past(NamedTuple):
    newest_point_at: datetime | None = None
    protected_at: datetime | None = None
    resumed_at: datetime | None = None


def at(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)


def by_the_second(gaps: list[Gap], last: int) -> Maxima:
    """The RPO right before the end of each second; of a second that no gap covers, nothing."""
    found: dict[int, int] = {}
    for begin, end in gaps:
        for second in range(int(begin), int(end)):
            span = second // LENGTH
            found[span] = max(found.get(span, 0), second + 1 - int(begin))
    return [found.get(span) for span in range(last - KEEP + 1, last + 1)]


@given(moments, st.lists(st.integers(1, 12), max_size=4))
def test_maxima_are_those_of_every_second(told: list[int], cuts: list[int]) -> None:
    """However the points come: all at once, or a few at a time."""
    points = sorted(set(told))
    gaps = [Gap(*pair) for pair in pairwise(points)]
    maxima: Maxima = []
    last, rest = -1, gaps
    for size in [*cuts, len(gaps)]:
        if now := rest[:size]:
            maxima, last = advance(maxima, last, now, LENGTH, KEEP)
        rest = rest[size:]
    assert not gaps or maxima == by_the_second(gaps, last)


@given(moments, moments)
def test_what_is_told_again_or_out_of_order_does_no_harm(told: list[int], again: list[int]) -> None:
    points = sorted(set(told))
    if len(points) < 2:
        return
    known = Past(newest_point_at=at(points[0]))
    gaps = gaps_until(known, [m for p in points[1:] if (m := at(p))])
    maxima, last = advance([], -1, gaps, LENGTH, KEEP)
    after = Past(newest_point_at=at(points[-1]))
    late = [m for p in again if p <= points[-1] and (m := at(p))]
    assert gaps_until(after, late[::-1]) == []
    assert advance(maxima, last, gaps[::-1], LENGTH, KEEP) == (maxima, last)


second = st.integers(0, 40)


@given(second, second, second, st.integers(1, 40), st.lists(st.integers(1, 40), max_size=4))
def test_nothing_counts_before_protection_nor_while_paused(
    newest: int, protected: int, pause: int, length: int, later: list[int]
) -> None:
    paused = max(newest, protected) + pause
    resumed = paused + length
    points = [resumed + sum(later[: n + 1]) for n in range(len(later))]
    before, after = Past(at(newest), at(protected)), Past(at(newest), at(protected), at(resumed))
    gaps = gaps_until(before, [datetime.fromtimestamp(paused, UTC)])
    gaps += gaps_until(after, [m for p in points if (m := at(p))])
    covered = {second for gap in gaps for second in range(int(gap.begin), int(gap.end))}
    assert not covered & set(range(protected)) and not covered & set(range(paused, resumed))
    assert set(range(max(newest, protected), paused)) <= covered
    assert not points or set(range(resumed, points[-1])) <= covered


def test_a_silence_of_hours_is_in_every_span_that_it_touches() -> None:
    maxima, last = advance([5] * KEEP, 5, [Gap(58, 95)], LENGTH, KEEP)
    assert (maxima, last) == ([5, 5, 12, 22, 32, 37], 9)
    assert advance([5] * KEEP, 5, [Gap(0, 10_000)], LENGTH, KEEP)[0] == [9950, 9960, 9970, 9980, 9990, 10_000]


# ---- Written with the points -----------------------------------------------------------------------------------------


@pytest.fixture
def copies(cast: Cast) -> list[Replication]:
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"]))
    since = clock.now() - timedelta(days=2)
    Replication.objects.update(protected_at=since, newest_point_at=since)
    RecoveryPoint.objects.all().delete()
    return list(Replication.objects.order_by("pk"))


def bring(*told: tuple[Replication, list[datetime]]) -> None:
    """What `Collect` does with what a provider told."""
    points = {of.pk: Points(tuple(Point(moment) for moment in new), None) for of, new in told}
    with changes(PORTAL) as change:
        Collect().write(change, hold(points), points)


def history(of: Replication, span: RpoHistory.Span) -> dict[datetime, int]:
    row = RpoHistory.objects.get(replication=of, span=span)
    length = span * 60
    end = int(row.until.timestamp()) // length
    assert len(row.maxima) == RpoHistory.KEPT[span]
    return {
        beginning_of(end - len(row.maxima) + 1 + n, length): one
        for n, one in enumerate(row.maxima)
        if one is not None
    }  # fmt: skip


def test_points_write_their_maxima(copies: list[Replication]) -> None:
    web, other = copies
    hour = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    Replication.objects.update(protected_at=hour, newest_point_at=hour)
    minutes = [5, 10, 15, 18, 20, 110]  # then silence for an hour and a half
    bring((web, [hour + timedelta(minutes=n) for n in minutes]), (other, [hour + timedelta(minutes=1)]))
    assert history(web, RpoHistory.Span.HOUR) == {hour: 40 * 60, hour + timedelta(hours=1): 90 * 60}
    assert max(history(web, RpoHistory.Span.DAY).values()) == 90 * 60
    fine = history(web, RpoHistory.Span.FIVE_MINUTES)
    assert fine[hour] == 300 and fine[hour + timedelta(minutes=15)] == 180
    assert fine[hour + timedelta(minutes=55)] == 40 * 60 and max(fine) == hour + timedelta(minutes=105)
    assert history(other, RpoHistory.Span.HOUR) == {hour: 60}

    before = list(RpoHistory.objects.order_by("pk").values())
    bring((web, [hour + timedelta(minutes=n) for n in (110, 7, 18)]))  # told again, and late
    assert list(RpoHistory.objects.order_by("pk").values()) == before
    bring((web, [hour + timedelta(minutes=112)]))
    assert history(web, RpoHistory.Span.HOUR) == {hour: 40 * 60, hour + timedelta(hours=1): 90 * 60}


def test_a_point_of_the_future_doesn_t_push_the_past_out(copies: list[Replication]) -> None:
    bring((copies[0], [clock.now() - timedelta(hours=1)]))
    bring((copies[0], [clock.now() + timedelta(days=400)]))
    assert len(history(copies[0], RpoHistory.Span.HOUR)) > 40


def test_a_pause_ends_what_counts_and_two_of_them_count_nothing_between(copies: list[Replication]) -> None:
    """Two live failovers one after the other; no point comes between them, nor before the second is over."""
    hour = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=20)
    mine = Replication.objects.filter(pk=copies[0].pk)
    mine.update(newest_point_at=hour, protected_at=hour)
    for paused, resumed in ((1, 10), (11, 15)):
        mine.update(paused_at=hour + timedelta(hours=paused))
        end_gaps(mine)
        mine.update(resumed_at=hour + timedelta(hours=resumed))
    bring((copies[0], [hour + timedelta(hours=16)]))
    told = {moment: 3600 for n in (0, 10, 15) if (moment := hour + timedelta(hours=n))}
    assert history(copies[0], RpoHistory.Span.HOUR) == told
    assert not RpoHistory.objects.filter(replication=copies[1]).exists()


def test_two_statements_however_many_replications(copies: list[Replication]) -> None:
    now = clock.now().timestamp()
    for pair in (copies[:1], copies):
        with CaptureQueriesContext(connection) as caught:
            record({one.pk: [Gap(now - 4000, now)] for one in pair})
        assert len(caught) == 2
        now += 600
    with CaptureQueriesContext(connection) as caught:
        record({})
    assert len(caught) == 0
