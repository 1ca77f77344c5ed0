"""The table of figures: printed, and written to docs/performance.md when asked."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
HEAD = """# Performance

How fast the portal is, and against what. Absolute times mean nothing on a shared machine: every figure stands beside a
yardstick that was run in the same session, turn by turn (A B A B, median of {rounds} rounds). `make bench` measures
again (`.venv/bin/python -m bench --help`); `--full --write` renews this page.

Measured on {date}: {machine}. {vms:,} VMs of the account that looks, {vms:,} of others; orders and tickets of
{failover:,} VMs. PostgreSQL {server}, durable=False (a commit waits for no disk). CPU is the web process's own, per
request, in this process through the WSGI handler; the other time is the wall's, the database included.

- **Yardstick of lists**: a bare signed-in Django page, a template over `values()` rows, localisation off, 50 rows of 9
  columns, behind the middleware of `startproject`; "one string per row" leaves the template out as well.
- **Yardstick of work**: the same change of rows written by hand, one statement per table and step for all VMs at once,
  the record and its digests included, in one process.

"""


class Figure(NamedTuple):
    goal: str
    what: str
    portal: str
    yardstick: str
    figure: str
    limit: str
    held: bool


def table(figures: Sequence[Figure]) -> str:
    lines = ["| Goal | What | Portal | Yardstick | Figure | Must be | |", "| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(one[:6])} | {'holds' if one.held else 'not yet'} |" for one in figures]
    return "\n".join(lines)


def write(figures: Sequence[Figure], rounds: int, vms: int, failover: int, server: str) -> None:
    cores = os.cpu_count()
    machine = f"{cores} cores shared with others, {platform.machine()}, Python {platform.python_version()}"
    date = f"{datetime.now(UTC):%d %B %Y}"
    PAGE.write_text(
        HEAD.format(rounds=rounds, date=date, machine=machine, vms=vms, failover=failover, server=server)
        + table(figures)
        + "\n"
    )
