"""The portal refuses to start with unsafe settings, and says why; with a real installation's it has nothing to say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from pytest_django import Settings

from ampdr import checks
from ampdr.run import CHECKOUT
from ampdr.servers import Valkey

REAL = {
    "SECRET_KEY": "0f5b1a7c93e84d26b8d1f0a3c57e9264" * 2, "DATABASE_URL": "postgres://ampdr:pw@db.example/ampdr",
    "SITE_ORIGIN": "https://portal.example", "ALLOWED_HOSTS": "portal.example", "BEHIND_TLS_PROXY": "1",
    "BROKER_URL": "redis://:pw@redis.example:6379/0", "PYTHONWARNINGS": "default", "LEASE_SECONDS": "2",
}  # fmt: skip
UNSAFE = [
    ("SECRET_KEY", "check", "E001"),
    ("SECRET_KEY", "ab" * 40, "E001"),
    ("SECRET_KEY", "django-insecure-" + "0f5b1a7c93e84d26b8d1f0a3c57e9264" * 2, "E002"),
    ("SECRET_KEY", os.environ["SECRET_KEY"], "E002"),
    ("ALLOWED_HOSTS", "portal.example,*", "E003"),
    ("SITE_ORIGIN", "http://127.0.0.1:8000", "E004"),
    ("SITE_ORIGIN", "http://portal.example", "E005"),
    ("SITE_ORIGIN", "http://127.0.0.1.portal.example", "E005"),
    ("SITE_ORIGIN", "http://localhost.portal.example", "E005"),
    ("BROKER_URL", "redis://redis:6379/0", "E006"),
    ("BROKER_URL", "redis://user@redis:6379/0", "E006"),
    ("BROKER_URL", "rediss://10.0.0.7:6379/0", "E006"),
]
PROCESSES = {
    "web": "-m gunicorn ampdr.wsgi --bind 127.0.0.1:0 --no-control-socket",
    "worker": "-m celery -A ampdr worker --concurrency 1",
    "driver": "manage.py drive",
}


def run(line: Sequence[str], **other: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = [sys.executable, *line]
    return subprocess.run(
        command, cwd=CHECKOUT, env=kept | REAL | other, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_real_installation_is_silent() -> None:
    """Nothing is silenced, and Django's own checks for deployment have nothing to say either."""
    said = run(["-W", "error", "manage.py", "check", "--deploy", "--fail-level", "WARNING"])
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(("variable", "value", "number"), UNSAFE)
def test_each_unsafe_setting_is_an_error(variable: str, value: str, number: str, settings: Settings) -> None:
    real = {"SECRET_KEY": "SECRET_KEY", "SITE_ORIGIN": "SITE_ORIGIN", "BROKER_URL": "CELERY_BROKER_URL"}
    for name, setting in real.items():
        setattr(settings, setting, REAL[name])
    settings.ALLOWED_HOSTS = [REAL["ALLOWED_HOSTS"]]
    settings.SECURE = True
    assert [one for one in checks.faults() if one[0] != "E005"] == []
    if variable == "ALLOWED_HOSTS":
        settings.ALLOWED_HOSTS = value.split(",")
    else:
        setattr(settings, real[variable], value)
    settings.SECURE = settings.SITE_ORIGIN.startswith("https://")
    found = dict(checks.faults())
    assert number in found
    assert value not in " ".join(found.values())


def test_debug_is_an_error(settings: Settings) -> None:
    assert "E007" not in dict(checks.faults())
    settings.DEBUG = True
    assert "E007" in dict(checks.faults())


@pytest.mark.parametrize(
    "broker",
    ["redis+socket:///run/valkey.sock?virtual_host=0", "redis://127.0.0.1:6379/0", "redis://[::1]:6379/0",
     "redis://localhost/0", "redis://:pw@redis:6379/0"],
)  # fmt: skip
def test_a_broker_that_nobody_else_reaches_needs_no_password(broker: str) -> None:
    assert checks.is_guarded(broker)


@pytest.mark.parametrize("process", PROCESSES)
def test_nothing_starts_unsafe(process: str, own_valkey: Valkey) -> None:
    """Web, worker and driver stop at once, with the reason and without the key."""
    said = run(PROCESSES[process].split(), SECRET_KEY="a-well-known-key", BROKER_URL=own_valkey.url, C_FORCE_ROOT="1")
    words = said.stdout + said.stderr
    assert said.returncode != 0
    assert "SECRET_KEY is shorter than 50 signs" in words
    assert "a-well-known-key" not in words
