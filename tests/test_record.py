"""The record proves itself: whoever may do anything in the database can't change it unseen.

Each test tampers as the owner of the tables, with the triggers off, and asks `verify_activity` what it finds.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from accounts.activity import chain, digests_of, faults, proof
from accounts.models import Activity, Head, Seal
from failover.models import Failover, Ticket
from inventory.actions import save_site
from replication.models import Replication
from tests.cast import Cast, make_vms, protect
from tests.threads import raised, together


def sql(statement: str, *params: Any) -> None:
    """As the owner of the tables, who can switch the triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, trigger in (("accounts_activity", "activity_bar"), ("accounts_seal", "seal_bar")):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        cursor.execute(statement, params)
        assert cursor.rowcount, "nothing was tampered with"


@contextmanager
def undone() -> Iterator[None]:
    """What is done in the block is taken back at its end."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    assert list(faults()) == []


def several(cast: Cast) -> list[Activity]:
    """The rows of a sealed batch that has several, in the middle of Northwind's record."""
    seal = Seal.objects.filter(account=cast.northwind, rows__gt=1).order_by("number")[1]
    assert seal.number < Head.objects.get(account=cast.northwind).number
    return list(Activity.objects.filter(batch=seal.batch, account=cast.northwind).order_by("id"))


def found(*words: str) -> list[str]:
    """What the proof says; each of `words` must be in it."""
    said = list(faults())
    for word in words:
        assert any(word in one for one in said), said
    return said


# ---- Rows ------------------------------------------------------------------------------------------------------------

CHANGES = {
    "at": "at + interval '1 microsecond'", "actor": "'Somebody'", "person_id": "77", "staff": "NOT staff",
    "via": "'api'", "kind": "'ticket2'", "event": "'other'", "subject_id": "subject_id + 1000000",
    "vm": "gen_random_uuid()", "vm_name": "'other'", "about": "'FO-1'", "from_state": "'x'", "to_state": "'y'",
    "reason": "reason || ' '", "facts": "'{\"a\": 1}'", "id": "id + 1000000", "account": "account_id + 1",
}  # fmt: skip


PLACES = (0, 1, -1)  # the first, the second and the last row of a batch


@pytest.mark.parametrize("place", PLACES)
def test_a_change_of_any_column_of_any_row_is_found(record: Cast, place: int) -> None:
    row = several(record)[place]
    for column in Activity.SEALED:
        name = "account_id" if column == "account" else column
        with undone():
            sql(f"UPDATE accounts_activity SET {name} = {CHANGES[column]} WHERE id = %s", row.pk)
            found("Northwind Health: the Activity rows of seal")


def test_a_row_taken_from_the_middle_is_found(record: Cast) -> None:
    for place in PLACES:
        with undone():
            sql("DELETE FROM accounts_activity WHERE id = %s", several(record)[place].pk)
            found("the Activity rows of seal")


def test_a_row_slipped_into_a_batch_is_found(record: Cast) -> None:
    row = several(record)[0]
    copy(row)
    found("the Activity rows of seal")


def copy(row: Activity, **other: Any) -> None:
    values = {field.attname: getattr(row, field.attname) for field in Activity._meta.concrete_fields}
    Activity.objects.create(**{**values, "id": None, **other})


def test_a_row_without_a_seal_is_found(record: Cast) -> None:
    for account in (record.northwind, record.contoso, None):
        with undone():
            copy(several(record)[0], account_id=account and account.pk, batch="0" * 32, to_state="", from_state="")
            found(f"of {account or 'the installation'}: inserted without a seal")


def test_a_row_of_another_account_under_a_seal_that_is_not_its_own_is_found(record: Cast) -> None:
    """The batch is sealed in Northwind's chain; Contoso has no seal of it."""
    copy(several(record)[0], account_id=record.contoso.pk, to_state="", from_state="")
    found("Contoso Freight: inserted without a seal")


def test_two_rows_that_changed_places_are_found(record: Cast) -> None:
    """Within a batch and between two."""
    first, second, *_ = several(record)
    swap = "UPDATE accounts_activity SET subject_id = CASE id WHEN %s THEN %s ELSE %s END WHERE id IN (%s, %s)"
    sql(swap, first.pk, second.subject_id, first.subject_id, first.pk, second.pk)
    found("the Activity rows of seal")


def test_rows_that_changed_batches_are_found(record: Cast) -> None:
    row = several(record)[0]
    other = Seal.objects.filter(account=record.northwind).exclude(batch=row.batch).latest("number")
    sql("UPDATE accounts_activity SET batch = %s WHERE id = %s", other.batch, row.pk)
    assert len(found("the Activity rows of seal")) == 2


# ---- Seals -----------------------------------------------------------------------------------------------------------


def test_a_changed_seal_is_found(record: Cast) -> None:
    for change in ("rows = rows + 1", "digest = repeat('0', 64)", "hash = repeat('0', 64)"):
        with undone():
            sql(f"UPDATE accounts_seal SET {change} WHERE batch = %s", several(record)[0].batch)
            found("was changed.")


def test_a_batch_taken_away_with_its_seal_is_found(record: Cast) -> None:
    batch = several(record)[0].batch
    sql("DELETE FROM accounts_activity WHERE batch = %s", batch)
    sql("DELETE FROM accounts_seal WHERE batch = %s", batch)
    found("a seal was taken away or changed")


def test_two_seals_that_changed_places_are_found(record: Cast) -> None:
    sql("UPDATE accounts_seal SET number = number + 1000 WHERE account_id = %s AND number = 2", record.northwind.pk)
    sql("UPDATE accounts_seal SET number = 2 WHERE account_id = %s AND number = 3", record.northwind.pk)
    sql("UPDATE accounts_seal SET number = 3 WHERE account_id = %s AND number = 1002", record.northwind.pk)
    found("Northwind Health: seal 2 doesn't follow seal 1", "Northwind Health: seal 2 was changed")


def test_a_tail_that_was_cut_is_found(record: Cast) -> None:
    """The newest batch with its seal: the head remembers."""
    record_of_the_installation(record)
    for account in (record.northwind, None):
        last = Seal.objects.filter(account=account).latest("number")
        with undone():
            sql("DELETE FROM accounts_activity WHERE batch = %s", last.batch)
            sql("DELETE FROM accounts_seal WHERE batch = %s", last.batch)
            whose = account or "the installation"
            found(f"{whose}: the record ends at seal {last.number - 1}, its head says {last.number}")


def record_of_the_installation(cast: Cast) -> None:
    for city in ("Dallas", "Dallas, Texas"):
        site = cast.sites["DFW01"]
        site.city = city
        save_site(cast.actor("mary"), site)


def test_a_tail_that_was_cut_with_its_head_put_back_is_found(record: Cast) -> None:
    """The chain is whole then; the subjects have gone on, and nothing tells how."""
    last, before = Seal.objects.filter(account=record.northwind).order_by("-number")[:2]
    sql("DELETE FROM accounts_activity WHERE batch = %s", last.batch)
    sql("DELETE FROM accounts_seal WHERE batch = %s", last.batch)
    Head.objects.filter(account=record.northwind).update(number=before.number, hash=before.hash)
    assert all("its Activity says" in one for one in found("failover"))


def test_a_forged_row_with_a_new_digest_and_hash_breaks_the_chain(record: Cast) -> None:
    """Whoever makes the seal fit his row doesn't fit the next seal; and the last seal doesn't fit the head."""
    row = several(record)[0]
    sql("UPDATE accounts_activity SET reason = 'forged' WHERE id = %s", row.pk)
    number = reseal(record, row)
    assert found(f"seal {number + 1} doesn't follow seal {number}")
    last = Activity.objects.filter(account=record.northwind).latest("id")
    sql("UPDATE accounts_activity SET reason = 'forged' WHERE id = %s", last.pk)
    reseal(record, last)
    found("its head says")


def reseal(cast: Cast, row: Activity) -> int:
    seal = Seal.objects.get(batch=row.batch, account=cast.northwind)
    digest, rows = digests_of(Activity.objects.filter(batch=row.batch))[cast.northwind.pk]
    sealed = chain(seal.number, seal.previous, digest, rows)
    sql("UPDATE accounts_seal SET digest = %s, rows = %s, hash = %s WHERE id = %s", digest, rows, sealed, seal.pk)
    return seal.number


# ---- States ----------------------------------------------------------------------------------------------------------


def test_a_state_changed_by_hand_is_found(record: Cast) -> None:
    by_hand: list[tuple[type[Any], str]] = [(Replication, "stopped"), (Ticket, "rejected"), (Failover, "terminated")]
    for model, state in by_hand:
        row = model._default_manager.order_by("pk")[0]
        with undone():
            sql(f"UPDATE {model._meta.db_table} SET state = %s WHERE id = %s", state, row.pk)
            assert found() == [f"{model.LIFECYCLE.kind} {row.pk} is {state}, its Activity says {row.state}."]


def test_a_subject_without_a_record_is_found(record: Cast) -> None:
    line = Replication.objects.order_by("pk")[0]
    sql("UPDATE replication_replication SET state = 'stopped' WHERE id = %s", line.pk)
    orphan = Replication.objects.create(vm=line.vm, source="DFW01", target="PHX01")
    found(f"replication {orphan.pk} is ordered, its Activity says nothing.")


def test_a_subject_that_was_taken_away_is_found(record: Cast) -> None:
    """Nothing with a state is ever deleted."""
    sql("DELETE FROM failover_launch")
    line = Ticket.objects.get().lines.order_by("pk")[0]
    sql("DELETE FROM failover_failover WHERE id = %s", line.pk)
    found(f"failover {line.pk} is gone, its Activity says running.")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: {"from_state": "ordered", "to_state": "protected"}, "from ordered to protected is no move"),
        (lambda row: {"from_state": "", "to_state": ""}, "its Activity says"),
    ],
    ids=["a move that isn't one", "a move that is missing"],
)
def test_a_record_forged_throughout_must_still_follow_the_table(
    record: Cast, change: Callable[[Activity], dict[str, str]], words: str
) -> None:
    """Even who seals it all anew, head and chain, can't tell a road that the table doesn't know."""
    row = Activity.objects.filter(kind="replication", event="protect").earliest("id")
    forged = change(row)
    sql("UPDATE accounts_activity SET from_state = %s, to_state = %s WHERE id = %s", *forged.values(), row.pk)
    previous = ""
    for seal in Seal.objects.filter(account=record.northwind).order_by("number"):
        digest, rows = digests_of(Activity.objects.filter(batch=seal.batch))[record.northwind.pk]
        sealed = chain(seal.number, previous, digest, rows)
        values = (digest, rows, previous, sealed, seal.pk)
        sql("UPDATE accounts_seal SET digest = %s, rows = %s, previous = %s, hash = %s WHERE id = %s", *values)
        previous = sealed
    Head.objects.filter(account=record.northwind).update(hash=previous)
    assert all(one.startswith(f"replication {row.subject_id}") for one in found(words))


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_command_says_so(record: Cast) -> None:
    said = io.StringIO()
    call_command("verify_activity", stdout=said)
    assert f"{Activity.objects.count()} Activity rows under {Seal.objects.count()} seals" in said.getvalue()
    sql("UPDATE accounts_activity SET actor = 'Somebody' WHERE id = %s", several(record)[0].pk)
    with pytest.raises((CommandError, SystemExit)):
        call_command("verify_activity", stdout=said, stderr=said)
    assert "the Activity rows of seal" in said.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_portal_at_work_is_no_fault(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody orders while the record is read: all of it is read as it stood at one moment."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01"])
    chains = proof._faults_of_chain

    def meanwhile(head: Head) -> Iterator[str]:
        if head.account == cast.northwind:
            assert raised(together(lambda: protect(cast, vms, key=f"meanwhile-{len(vms)}"))) == []
        yield from chains(head)

    monkeypatch.setattr(proof, "_faults_of_chain", meanwhile)
    call_command("verify_activity")
