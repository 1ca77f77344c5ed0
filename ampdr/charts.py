"""Charts as SVG made by the server: they print, need no script, and are told in words and as a table too.

The outer SVG of a drawing has no viewBox (x in %, y in px), so that text keeps its size; what is stretched lies in an
inner one. `templates/parts/chart.html` draws a `Chart`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby
from math import ceil

from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from ampdr.templatetags.ampdr import duration, when

FLOOR, CEILING = 138, 33  # y of nothing, and of the highest grid line
GRID = 3  # so many grid lines above the floor
TICKS = 5
# Seconds between grid lines, and the unit that their labels are in.
STEPS = {
    1: (5, 10, 20), 60: (60, 120, 300, 600, 1200, 1800), 3600: (3600, 7200, 14400, 28800),
    86400: (86400, 172_800, 432_000, 864_000, 2_592_000),
}  # fmt: skip
UNITS = {1: "seconds", 60: "minutes", 3600: "hours", 86400: "days"}


@dataclass(frozen=True)
class Shade:
    """A stretch of time that is shaded: what it was in a word or two, and in a sentence."""

    begins_at: datetime
    ends_at: datetime
    label: str
    words: str


@dataclass(frozen=True)
class Ages:
    """What is drawn: in each `step` the highest age in seconds; None where there was none."""

    begins_at: datetime
    ends_at: datetime
    step: timedelta
    values: Sequence[int | None]

    def moments(self) -> list[datetime]:
        return [self.begins_at + n * self.step for n in range(len(self.values))]

    def place(self, moment: datetime) -> float:
        """From the left edge, in %."""
        return round(max(0, min(100, (moment - self.begins_at) / (self.ends_at - self.begins_at) * 100)), 2)


@dataclass(frozen=True)
class Row:
    """One of the table: the value is the line's."""

    at: datetime
    value: str
    mark: str


@dataclass(frozen=True)
class Chart:
    """Everything of a chart that its template prints. Empty `lines`: there is nothing to draw."""

    name: str
    title: str
    description: str
    unit: str
    grid: list[tuple[float, int]]
    target_y: float
    target: str
    lines: list[str]
    areas: list[str]
    shades: list[dict[str, object]]
    ticks: list[dict[str, object]]
    rows: list[Row]
    marked: bool


def chart(name: str, title: str, ages: Ages, target: timedelta, shades: Sequence[Shade] = ()) -> Chart:
    """How old something got over time, against a target. `name` makes the drawing's ids its own on the page."""
    goal = int(target.total_seconds())
    unit, step = scale(max([goal, *(one for one in ages.values if one is not None)]))
    drawn = [_line(ages, part, step) for part in _parts(ages.values)]
    return Chart(
        name=name, title=title, description=described(ages, goal, shades), unit=UNITS[unit],
        grid=[(_y(n * step, step), n * step // unit) for n in range(GRID + 1)],
        target_y=_y(goal, step), target=f"target {duration(goal)}", lines=[" ".join(points) for points in drawn],
        areas=[_area(points) for points in drawn], shades=list(_shaded(ages, shades)), ticks=list(ticks(ages)),
        rows=list(_table(ages, shades)), marked=bool(shades),
    )  # fmt: skip


def scale(highest: int) -> tuple[int, int]:
    """The unit of the labels, and the seconds between two grid lines."""
    fit = ((unit, step) for unit, steps in STEPS.items() for step in steps if GRID * step >= highest)
    return next(fit, (86400, ceil(highest / GRID / 86400) * 86400))


def _y(age: float, step: int) -> float:
    return round(FLOOR - (FLOOR - CEILING) * age / (GRID * step), 1)


def _parts(values: Sequence[int | None]) -> Iterator[list[tuple[int, int]]]:
    """The stretches without a hole, as (place, value)."""
    found = ((n, one) for n, one in enumerate(values))
    for there, part in groupby(found, key=lambda pair: pair[1] is not None):
        if there:
            yield [(n, one) for n, one in part if one is not None]


def _line(ages: Ages, part: Sequence[tuple[int, int]], step: int) -> list[str]:
    """A value stands in the middle of its stretch of time; the first and the last one reach to its edge."""
    (first, _), (last, _) = part[0], part[-1]
    xs = [ages.place(ages.begins_at + (n + 0.5) * ages.step) for n, _ in part]
    points = [f"{x},{_y(age, step)}" for x, (_, age) in zip(xs, part, strict=True)]
    begin, end = ages.begins_at + first * ages.step, ages.begins_at + (last + 1) * ages.step
    return [
        f"{ages.place(begin)},{_y(part[0][1], step)}",
        *points[: -1 if end >= ages.ends_at else None],
        f"{ages.place(end)},{_y(part[-1][1], step)}",
    ]


def _area(points: Sequence[str]) -> str:
    begin, end = points[0].partition(",")[0], points[-1].partition(",")[0]
    return f"{begin},{FLOOR} {' '.join(points)} {end},{FLOOR}"


def _shaded(ages: Ages, shades: Sequence[Shade]) -> Iterator[dict[str, object]]:
    """The newest one's label stands in the drawing, where there is room for it; the others are told in words."""
    for n, shade in enumerate(shades):
        x = ages.place(shade.begins_at)
        width = max(0.5, round(ages.place(shade.ends_at) - x, 2))
        late = x > 50
        yield {
            "x": x, "width": width, "label": shade.label if n == len(shades) - 1 else "",
            "dx": -6 if late else 6, "anchor": "end" if late else "start",
        }  # fmt: skip


def ticks(ages: Ages) -> Iterator[dict[str, object]]:
    """Five moments in the reader's zone."""
    long = ages.ends_at - ages.begins_at
    for n in range(TICKS):
        at = timezone.localtime(ages.begins_at + long * n / (TICKS - 1))
        anchor = "start" if n == 0 else "end" if n == TICKS - 1 else "middle"
        of_a_day = f"{at:%a %H:%M}" if anchor != "middle" else f"{at:%H:%M}"
        words = of_a_day if long <= timedelta(hours=25) else f"{at.day} {at:%b}"
        yield {"x": 100 * n // (TICKS - 1), "anchor": anchor, "words": words}


def _table(ages: Ages, shades: Sequence[Shade]) -> Iterator[Row]:
    """Newest first."""
    for at, age in reversed(list(zip(ages.moments(), ages.values, strict=True))):
        meanwhile = [one.label for one in shades if one.begins_at < at + ages.step and one.ends_at > at]
        yield Row(at, "no figure" if age is None else duration(age), ", ".join(meanwhile))


def described(ages: Ages, goal: int, shades: Sequence[Shade]) -> str:
    """The chart in words: what it says to who can't see it."""
    known = [(age, at) for age, at in zip(ages.values, ages.moments(), strict=True) if age is not None]
    if not known:
        return "There is no figure for this time."
    (lowest, _), (highest, at) = min(known), max(known)
    above = sum(age > goal for age, _ in known)
    met = f"it was exceeded in {above} of {len(known)} spans of {duration(ages.step)}" if above else "it was always met"
    least, most = duration(lowest), duration(highest)
    words = [
        f"Between {least} and {most}, the highest at {words_of(at)}." if least != most else f"It was {most}.",
        f"The target is {duration(goal)}: {met}.",
        *(shade.words for shade in shades),
    ]
    if len(known) < len(ages.values):
        words.append("For a part of this time there is no figure.")
    return " ".join(words)


def words_of(moment: datetime) -> str:
    """A moment without its markup."""
    return when(moment).partition(">")[2].partition("<")[0]


# ---- One line in a row of a list -------------------------------------------------------------------------------------

ROOM, HIGH = 18, 7  # y of nothing, and of the target's line
WIDTH = 72
_X = tuple(f"{n * WIDTH / 23:.1f}".removesuffix(".0") for n in range(24))


def row_line(values: Sequence[int | None], target: float) -> SafeString:
    """The last 24 values against the target, 72 x 20 px. What it says stands beside it in words."""
    if not values or not target:
        return SafeString()
    goal = int(target)
    levels = tuple(0 if one is None else max(1, ROOM - (ROOM - HIGH) * one // goal) for one in values)
    return _row_line(levels, (values[-1] or 0) > goal)


@lru_cache(maxsize=8192)
def _row_line(levels: tuple[int, ...], above: bool) -> SafeString:
    """Most rows of a list look alike to the pixel."""
    parts = [list(part) for there, part in groupby(enumerate(levels), key=lambda one: one[1] > 0) if there]
    lines = "".join(f'<polyline points="{" ".join(f"{_X[n]},{y}" for n, y in part)}"/>' for part in parts)
    return mark_safe(
        f'<svg class="spark{" w" if above else ""}" viewBox="0 0 {WIDTH} 20" aria-hidden="true">'
        f'<line x1="0" x2="{WIDTH}" y1="{HIGH}" y2="{HIGH}"/>{lines}</svg>'
    )
