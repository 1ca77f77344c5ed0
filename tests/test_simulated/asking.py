"""Whom the tests ask, and how: a site in Dallas, one in Phoenix, and requests for numbered VMs."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from replication.providers.base import Kind, Points, Progress, Provider, Request
from replication.providers.simulated import Simulated

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Set = Callable[..., None]


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


def run(code: str) -> subprocess.Popen[str]:
    """A process of its own, with this one's environment."""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ, text=True, stdout=subprocess.PIPE)


def exit_code(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


SUBMIT_MANY = """
from replication.providers.base import Kind, Request
from replication.providers.simulated import Simulated
asked = [Request(f"s{n}:fence:1", Kind.FENCE, f"s{n}", f"v{n}", f"WEB{n}", "DFW01", "PHX01") for n in range(60)]
provider = Simulated("DFW01", 20)
for begin in range(0, 60, 5):
    provider.submit(asked[begin:begin + 5])
    provider.submit(asked[:begin])
"""


def finished(provider: Provider, request: Request, after: timedelta, clock: Callable[[datetime], None]) -> bool:
    clock(NOON + after)
    done = provider.observe([request.key])[request.key].done
    clock(NOON)
    return done
