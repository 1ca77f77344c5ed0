"""Imports of one file at one instant: one brings it in, and the others find everything there."""

from __future__ import annotations

import io
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from accounts import activity
from accounts.actions import furnish as furnish_roles
from inventory.models import VM
from replication.actions import arrivals, furnish
from replication.models import Replication
from tests.cast import Cast, make_cast
from tests.test_generation3.lines import as_csv, line
from tests.threads import raised, together


@pytest.fixture
def committed(transactional_db: None) -> Cast:
    """The cast in a database that other connections see. Roles and levels went with the last test's flush."""
    furnish_roles()
    furnish()
    return make_cast()


def last_words(path: Path) -> str:
    out = io.StringIO()
    call_command("import_generation3", path, stdout=out)
    return out.getvalue().splitlines()[-1]


def race(tmp_path: Path) -> list[object]:
    path = tmp_path / "old.csv"
    path.write_bytes(as_csv([line("old-01"), line("old-02", False), line("old-03", account="contoso")]))
    return together(*[partial(last_words, path)] * 4)


def test_of_four_imports_of_one_file_one_brings_it_in(committed: Cast, tmp_path: Path) -> None:
    said = race(tmp_path)
    assert not raised(said)
    assert sorted(map(str, said)) == [
        "3 lines: 1 orderable, 2 protected. Imported.", *["3 lines: 3 already there. Nothing new."] * 3,
    ]  # fmt: skip
    assert (VM.objects.count(), Replication.objects.count(), list(activity.faults())) == (3, 2, [])


def test_the_race_is_real_without_the_guard(committed: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: nobody waits for the accounts. Others then are refused, by the database alone, or double the VMs."""
    known = arrivals._accounts
    monkeypatch.setattr(arrivals, "_accounts", lambda named, hold: known(named, False))
    begin, real = threading.Barrier(4), arrivals.Known.now

    def now_together(*entries: Any, **options: Any) -> arrivals.Known:
        found = real(*entries, **options)
        begin.wait(60)
        return found

    monkeypatch.setattr(arrivals.Known, "now", now_together)
    said = race(tmp_path)
    assert raised(said) or VM.objects.count() > 3
