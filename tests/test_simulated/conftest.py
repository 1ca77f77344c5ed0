"""A ledger of its own for each test, and a clock that stands still."""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.test_simulated.asking import NOON, Set, at


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture(autouse=True)
def setting(monkeypatch: pytest.MonkeyPatch, ledger: Path) -> Set:
    """Sets `SIMULATION_*` variables; begins with none but the ledger and the clock at noon."""
    for variable in [name for name in os.environ if name.startswith("SIMULATION_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("SIMULATION_LEDGER", str(ledger))
    at(NOON, monkeypatch)

    def put(**values: object) -> None:
        for name, value in values.items():
            text = json.dumps(value) if isinstance(value, list) else str(value)
            monkeypatch.setenv(f"SIMULATION_{name.upper()}", text)

    return put


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    return lambda moment: at(moment, monkeypatch)
