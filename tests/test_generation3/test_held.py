"""An import and others who hold the same VMs: none waits in a circle, and who waits in vain is told what to do."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connection, transaction

from accounts.models import Account
from ampdr.limits import lift_limits
from inventory.models import VM
from replication.management.commands import import_generation3
from replication.models import Replication
from tests.cast import Cast, make_vms
from tests.test_generation3.lines import as_csv, line
from tests.test_generation3.test_race import committed, last_words  # noqa: F401  a fixture
from tests.threads import together


def test_replications_are_inserted_in_the_order_of_orders(cast: Cast, tmp_path: Path) -> None:
    """By VM, whatever the order of the file: else an import and an order of the same VMs wait in a circle."""
    make_vms(cast.northwind, cast.sites["DFW01"], ["old-01", "old-02", "old-03"], generation=3)
    path = tmp_path / "old.csv"
    path.write_bytes(as_csv([line("old-03"), line("new-01"), line("old-01"), line("old-02")]))
    last_words(path)
    inserted = list(Replication.objects.order_by("pk").values_list("vm_id", flat=True))
    assert len(inserted) == 4 and inserted == sorted(inserted)


def test_who_waits_in_vain_is_told_to_run_it_again(
    committed: Cast,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, held, ended = tmp_path / "old.csv", threading.Event(), threading.Event()
    path.write_bytes(as_csv([line("old-01")]))

    def impatient() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")

    def hold() -> None:
        lift_limits()
        with transaction.atomic():
            Account.objects.select_for_update().get(slug="northwind")
            held.set()
            assert ended.wait(60)

    def bring() -> str:
        assert held.wait(60)
        try:
            return last_words(path)
        finally:
            ended.set()

    monkeypatch.setattr(import_generation3, "lift_limits", impatient)
    nothing, refused = together(hold, bring)
    assert nothing is None and isinstance(refused, CommandError)
    assert str(refused) == "Somebody else is changing the same VMs: nothing was imported. Run it again."
    assert not VM.objects.exists()
