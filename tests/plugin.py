"""Servers of its own for every test run, started before Django reads its settings (pyproject loads this with `-p`).

With pytest-xdist the controller starts them once and the workers inherit the environment; pytest-django gives each
worker its own database, and the hook below its own ledger. A DATABASE_URL or BROKER_URL that is already set is
used as it is. The servers are leashed to the controller (`processes.launch`): not even `kill -9` leaves one behind.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ampdr.servers import Postgres, Server, Valkey, hold, passable, temporary_folder

PREFIX = "ampdr-tests-"
HOUR = 3600
ENVIRONMENT = {
    "SECRET_KEY": "only-for-tests-" + "x" * 50,
    "SITE_ORIGIN": "http://testserver",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "SUPPORT_PHONE": "+1 555 0100",
    "SUPPORT_EMAIL": "support@ampdr.example",
    "SUPPORT_HOURS": "Day and night",
    "SUPPORT_ANSWERS_LIVE_WITHIN": "15 min",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",  # Playwright keeps an event loop in the thread that also uses the database
}


class Servers:
    """What this run has started, and the folder that goes away with it."""

    def __init__(self) -> None:
        self.folder = temporary_folder(PREFIX)
        self.lock = hold(self.folder / "run.lock", patience=0)
        self.started: list[Server] = []

    def start(self) -> None:
        """PostgreSQL without autovacuum: that would find a table empty whose rows a test has not committed, and for the
        rest of the test the planner would join as if there were one row (tried: 200 rows took 15 s).
        """
        postgres = Postgres(self.folder, durable=False)
        postgres.options["autovacuum"] = "off"
        for variable, server in (
            ("DATABASE_URL", postgres),
            ("BROKER_URL", Valkey(self.folder)),
        ):
            if not os.environ.get(variable):
                self.started.append(server)
                os.environ[variable] = server.start().url

    def stop(self) -> None:
        for server in reversed(self.started):
            server.stop()
        os.close(self.lock)
        shutil.rmtree(self.folder)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before pytest-django's hook of the same name, which reads the settings."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        forget_the_killed()
        servers = Servers()
        early_config.add_cleanup(servers.stop)  # unlike pytest_unconfigure, it runs after a broken conftest as well
        os.environ.update(ENVIRONMENT | {"AMPDR_TEST_FOLDER": str(servers.folder)})
        servers.start()
    ledger = f"ledger-{worker or 'main'}.sqlite3"
    os.environ["SIMULATION_LEDGER"] = str(Path(os.environ["AMPDR_TEST_FOLDER"], ledger))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Late, so that these fixtures override the ones of pytest-playwright."""
    config.pluginmanager.import_plugin("tests.browser")


def forget_the_killed() -> None:
    """Remove the folders of runs that were killed: old, and with a lock that nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = folder / "run.lock"
        if lock.exists() and time.time() - lock.stat().st_mtime > HOUR and is_free(lock):
            shutil.rmtree(folder, ignore_errors=True)


def is_free(lock: Path) -> bool:
    try:
        with lock.open("r") as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@pytest.fixture
def server_folder() -> Path:
    """A folder for servers that belong to one test, which may stop, freeze and kill them."""
    return passable(Path(tempfile.mkdtemp(dir=os.environ["AMPDR_TEST_FOLDER"])))


@pytest.fixture
def own_postgres(server_folder: Path) -> Iterator[Postgres]:
    server = Postgres(server_folder, durable=False).start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(server_folder: Path) -> Iterator[Valkey]:
    server = Valkey(server_folder).start()
    yield server
    server.stop()
