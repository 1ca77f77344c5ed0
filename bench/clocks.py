"""How time is taken: CPU of this process and wall clock, A B A B, and the median of the rounds."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """Seconds: CPU of this process, and on the wall."""

    cpu: float
    wall: float


def per_call(call: Callable[[], object], times: int) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        call()
    return Cost((time.process_time() - cpu) / times, (time.perf_counter() - wall) / times)


def interleaved(calls: Sequence[Callable[[], object]], rounds: int, times: int) -> list[Cost]:
    """The cost of each call: every round asks each of them in turn, and the median of the rounds counts."""
    for call in calls:
        per_call(call, 5)  # warm
    found: list[list[Cost]] = [[] for _ in calls]
    for _ in range(rounds):
        for at, call in enumerate(calls):
            found[at].append(per_call(call, times))
    return [Cost(*(statistics.median(part) for part in zip(*costs, strict=True))) for costs in found]


def cpu_of(*roots: int) -> float:
    """CPU seconds of these processes and of all their children, also of those that have ended."""
    parents, spent = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, facts = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        parents[pid], spent[pid] = int(facts[1]), sum(map(int, facts[11:15])) / TICKS
    return sum(seconds for pid, seconds in spent.items() if _descends(pid, parents, set(roots)))


def _descends(pid: int, parents: dict[int, int], roots: set[int]) -> bool:
    while pid and pid not in roots:
        pid = parents.get(pid, 0)
    return bool(pid)
