"""The record proves itself, second part: against heads kept outside, counters, and emptied tables (see test_record)."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from pytest import MonkeyPatch

from accounts.activity import Known, chain, digests_of, faults, heads
from accounts.models import Account, Activity, Head, Seal
from failover.models import Ticket
from tests.cast import Cast
from tests.conftest import BARS
from tests.test_record import found, several, sql, undone


def verify(*options: str) -> str:
    said = io.StringIO()
    try:
        call_command("verify_activity", *options, stdout=said, stderr=said)
    except CommandError as error:
        said.write(f"refused: {error}")
    return said.getvalue()


def cut(account: Account | None) -> None:
    """The newest batch with its seal, and the head put back to the seal before: within the database all fits."""
    last, before = Seal.objects.filter(account=account).order_by("-number")[:2]
    sql("DELETE FROM accounts_activity WHERE batch = %s", last.batch)
    sql("DELETE FROM accounts_seal WHERE id = %s", last.pk)
    Head.objects.filter(account=account).update(number=before.number, hash=before.hash)


# ---- Heads kept outside ----------------------------------------------------------------------------------------------


def test_what_a_run_prints_is_what_the_next_one_is_given(record: Cast, tmp_path: Path) -> None:
    kept = tmp_path / "heads.txt"
    kept.write_text(verify())
    assert [str(Known.read(line)) for line in kept.read_text().splitlines()[1:]] == [str(one) for one in heads()]
    assert {one.whose for one in heads()} == {"@installation", "northwind", "contoso"}
    assert "The record holds" in verify("--heads", str(kept), "--head", str(heads()[0]))


def test_a_forged_head_that_agrees_with_a_cut_record_is_found(record: Cast, tmp_path: Path) -> None:
    """Where the newest batch moved nothing, even the states agree: only the head outside knows better."""
    outside = [str(one) for one in heads()]
    for known in outside:
        whose = Known.read(known).whose
        account = None if whose == "@installation" else Account.objects.get(slug=whose)
        if Seal.objects.filter(account=account).count() > 1:
            with undone():
                cut(account)
                words = f"{whose}: seal {Known.read(known).number} is not the one that was written down outside"
                assert words in verify("--head", known)
                assert words not in verify()


def test_a_record_made_anew_throughout_is_found(record: Cast) -> None:
    outside = next(one for one in heads() if one.whose == "northwind")
    row = Activity.objects.filter(account=record.northwind, kind="authorized").earliest("id")
    sql("UPDATE accounts_activity SET actor = 'Somebody else' WHERE id = %s", row.pk)
    previous = ""
    for seal in Seal.objects.filter(account=record.northwind).order_by("number"):
        digest, rows = digests_of(Activity.objects.filter(batch=seal.batch))[record.northwind.pk]
        sealed = chain(seal.number, previous, digest, rows)
        values = (digest, previous, sealed, seal.pk)
        sql("UPDATE accounts_seal SET digest = %s, previous = %s, hash = %s WHERE id = %s", *values)
        previous = sealed
    Head.objects.filter(account=record.northwind).update(hash=previous)
    assert "The record holds" in verify()
    assert "is not the one that was written down outside" in verify("--head", str(outside))


@pytest.mark.parametrize("said", ["northwind", "northwind=x:y", "northwind=1:xyz", "=1:" + "a" * 64])
def test_what_is_no_head_is_refused(db: None, said: str) -> None:
    assert "refused:" in verify("--head", said)


def test_a_head_of_an_account_that_is_gone_is_found(record: Cast) -> None:
    assert "gone: seal 3 is not the one" in verify("--head", f"gone=3:{'a' * 64}")


def test_a_record_whose_head_is_gone_is_found(record: Cast) -> None:
    for account in (record.northwind, None):
        with undone():
            Head.objects.filter(account=account).delete()
            found(f"{account or 'the installation'}: the record has no head.")


# ---- Whole batches, emptied tables -----------------------------------------------------------------------------------


def test_a_batch_taken_away_is_found_though_its_seal_is_there(record: Cast) -> None:
    sql("DELETE FROM accounts_activity WHERE batch = %s", several(record)[0].batch)
    found("Northwind Health: the Activity rows of seal")


def test_a_head_that_says_closed_of_what_never_was_is_found(record: Cast) -> None:
    """Rows taken away under cover of a closing that the record knows nothing of."""
    for seal in Seal.objects.filter(account=record.northwind, number__lte=3):
        sql("DELETE FROM accounts_activity WHERE batch = %s", seal.batch)
    Head.objects.filter(account=record.northwind).update(closed_to=3)
    found("Northwind Health: its head says closed up to seal 3, its Activity says 0.")


@pytest.mark.parametrize(("table", "trigger"), BARS)
def test_the_tables_can_t_be_emptied(db: None, table: str, trigger: str) -> None:
    """The bar is up in every database (tests/conftest.py looks, and takes it down for its own clearing up)."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
        with pytest.raises(DatabaseError, match="append-only: TRUNCATE"), transaction.atomic():
            cursor.execute(f"TRUNCATE {table} CASCADE")


# ---- Counters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counter", Head.COUNTERS)
def test_a_counter_that_is_wrong_is_found(record: Cast, counter: str) -> None:
    head = Head.objects.get(account=record.northwind)
    was = getattr(head, counter)
    Head.objects.filter(pk=head.pk).update(**{counter: was + 1})
    assert found() == [f"Northwind Health: its head counts {was + 1} under “{counter}”, there are {was}."]


def test_rows_changed_behind_the_counters_are_found(record: Cast) -> None:
    sql("UPDATE inventory_vm SET shown = false, protection = 'none' WHERE name = 'db-01' AND role = 'primary'")
    found("Northwind Health: its head counts")


def test_the_command_names_every_fault_and_fails(record: Cast, monkeypatch: MonkeyPatch) -> None:
    sql("UPDATE failover_ticket SET state = 'rejected' WHERE id = %s", Ticket.objects.get().pk)
    said = verify()
    assert "its Activity says approved." in said and "refused: The record does not hold: 1 fault." in said
    assert list(faults()) != []
