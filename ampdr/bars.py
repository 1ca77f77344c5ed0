"""How many of what, over time, as bars in SVG made by the server; told in words and as a table too.

Like `ampdr.charts`; `templates/parts/bars.html` draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from ampdr.charts import CEILING, FLOOR, GRID

STEPS = (1, 2, 5, 10, 20, 25, 40, 50, 100, 200, 250, 400, 500)
FULL = 0.76  # of its place a bar fills


@dataclass(frozen=True)
class Series:
    """One colour of the bars: `c-` class of the style sheet, and its name."""

    colour: str
    name: str


@dataclass(frozen=True)
class Rect:
    colour: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Bars:
    """Everything that the template prints. `rows`: of the table, the moment and a value of each series."""

    name: str
    title: str
    description: str
    series: Sequence[Series]
    grid: list[tuple[float, str]]
    rects: list[Rect]
    ticks: list[dict[str, object]]
    rows: list[tuple[datetime, tuple[int, ...]]]


def bars(
    name: str, title: str, description: str, series: Sequence[Series],
    values: Sequence[tuple[datetime, tuple[int, ...]]], ticks: list[dict[str, object]],
) -> Bars:  # fmt: skip
    """A bar for each moment, its parts one upon the other in the order of `series`. `name`: of ids on the page."""
    step = _step(max((sum(parts) for _, parts in values), default=0))
    wide = 100 / max(1, len(values))
    return Bars(
        name=name, title=title, description=description, series=series,
        grid=[(_y(n * step, step), _short(n * step)) for n in range(GRID + 1)],
        rects=[rect for n, (_, parts) in enumerate(values) for rect in _bar(series, parts, n * wide, wide, step)],
        ticks=ticks, rows=list(reversed(values)),
    )  # fmt: skip


def _bar(series: Sequence[Series], parts: tuple[int, ...], left: float, wide: float, step: int) -> list[Rect]:
    found, below = [], 0
    for one, value in zip(series, parts, strict=True):
        top, bottom = _y(below + value, step), _y(below, step)
        if value:
            x, width = round(left + wide * (1 - FULL) / 2, 2), round(wide * FULL, 2)
            found.append(Rect(one.colour, x, top, width, round(bottom - top, 1)))
        below += value
    return found


def _step(highest: int) -> int:
    """Between two grid lines: a round number."""
    for size in (1, 1000):
        for step in STEPS:
            if GRID * step * size >= highest:
                return step * size
    return ceil(highest / GRID / 100_000) * 100_000


def _y(value: int, step: int) -> float:
    return round(FLOOR - (FLOOR - CEILING) * value / (GRID * step), 1)


def _short(value: int) -> str:
    return f"{value // 1000}k" if value >= 1000 and value % 1000 == 0 else str(value)
