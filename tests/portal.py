"""A whole portal of real processes on servers of its own: for the pictures and for tests that click."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ampdr.processes import end, last_words, launch
from ampdr.run import CHECKOUT, DEMO_ENVIRONMENT, DEMO_WORLD, start_lines
from ampdr.servers import Postgres, Valkey, temporary_folder


@dataclass
class Portal:
    """Web, worker and driver, each a real process, with the world of a file loaded."""

    folder: Path
    port: int
    postgres: Postgres
    valkey: Valkey
    env: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *command: str) -> str:
        """Runs a management command to its end and hands back what it said."""
        line = [sys.executable, "manage.py", *command]
        ran = subprocess.run(line, env=self.env, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout

    def start(self, name: str) -> subprocess.Popen[bytes]:
        line = start_lines(self.port)[name]
        process = launch([sys.executable, *line], self.folder / f"{name}.log", env=self.env, cwd=CHECKOUT)
        self.processes[name] = process
        return process

    def stop(self) -> None:
        for process in self.processes.values():
            end(process)
        self.valkey.stop()
        self.postgres.stop()

    def wait_for_page(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.address}/sign-in/", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise AssertionError(f"No sign-in page after {seconds} s:\n{last_words(self.folder / 'web.log')}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def portal(world: Path = DEMO_WORLD, **environment: str) -> Iterator[Portal]:
    """A portal that runs until the block ends, whatever happens in it."""
    folder = temporary_folder("ampdr-portal-")
    postgres, valkey, port = Postgres(folder, durable=False).start(), Valkey(folder).start(), free_port()
    env = os.environ | DEMO_ENVIRONMENT | {
        "DATABASE_URL": postgres.url, "BROKER_URL": valkey.url, "SECRET_KEY": "only-for-tests-" + "y" * 50,
        "SITE_ORIGIN": f"http://127.0.0.1:{port}", "ALLOWED_HOSTS": "127.0.0.1", "C_FORCE_ROOT": "1",
        "SIMULATION_LEDGER": str(folder / "ledger.sqlite3"), "PYTHONWARNINGS": "ignore",
    } | environment  # fmt: skip
    it = Portal(folder, port, postgres, valkey, env)
    try:
        it.manage("migrate", "-v0")
        it.manage("load_world", str(world))
        for name in ("web", "worker", "driver"):
            it.start(name)
        it.wait_for_page()
        yield it
    finally:
        it.stop()
