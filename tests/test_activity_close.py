"""Old Activity goes into a file, its seals stay, and all of it is proved before, after, and from the file."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from accounts.activity import closing, faults
from accounts.models import Account, Activity, Head, Seal
from ampdr import clock, work
from ampdr.lifecycle import Actor, changes
from failover.models import Ticket
from inventory.actions import save_site
from replication.actions import place_order, stop_replication
from replication.models import Replication
from tests.cast import Cast, make_cast, make_vms, protect, request, say_yes
from tests.test_activity_proof import verify
from tests.test_record import sql
from tests.threads import raised, together


@contextmanager
def days_ago(days: float) -> Iterator[None]:
    with clock.ahead(-timedelta(days=days)):
        yield


@pytest.fixture
def years(db: None) -> Cast:
    return two_years()


def two_years() -> Cast:
    """Two accounts and the installation's log, from two years ago until today; orders and tickets across the border."""
    with days_ago(730):
        cast = make_cast()
        site = cast.sites["LHR01"]
        save_site(cast.actor("mary"), site)
        quiet, stopped, tested = make_vms(cast.northwind, cast.sites["DFW01"], ["quiet-01", "stopped-01", "tested-01"])
        protect(cast, [quiet, stopped, tested], key="order-of-old")
        protect(cast, make_vms(cast.contoso, cast.sites["DFW01"], ["theirs-01"]), key="order-of-theirs", who="olga")
    with days_ago(500):
        over = request(cast, [tested], key="test-of-old")
        say_yes(cast, over)
        work.drive()
    with days_ago(490):
        work.drive()  # it ended by its end date
    with days_ago(100):
        stop_replication(cast.actor("priya"), [stopped.uuid])
        work.drive()
    say_yes(cast, request(cast, [tested], key="test-of-today"))
    work.drive()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as at the end of a transaction
    assert list(faults()) == []
    return cast


def month(days: float = 400) -> str:
    return f"{clock.now() - timedelta(days=days):%Y-%m}"


def close(folder: Path, before: str = "", *options: str) -> str:
    said = io.StringIO()
    try:
        call_command("close_activity", "--before", before or month(), "--to", str(folder), *options,
                     stdout=said, stderr=said)  # fmt: skip
    except CommandError as error:
        said.write(f"refused: {error}")
    return said.getvalue()


def file_in(folder: Path) -> Path:
    return folder / f"activity-before-{month()}.jsonl.gz"


def stands() -> tuple[int, list[tuple[int, int]]]:
    """How many rows there are, and how far each record is closed."""
    return Activity.objects.count(), list(Head.objects.order_by("pk").values_list("pk", "closed_to"))


# ---- All of it -------------------------------------------------------------------------------------------------------


def test_what_is_closed_is_in_the_file_and_proved_by_its_seals(years: Cast, tmp_path: Path) -> None:
    rows, seals = Activity.objects.count(), Seal.objects.count()
    texts = list(Activity.objects.order_by("id").values_list("id", "event"))
    border = datetime.fromisoformat(f"{month()}-01T00:00:00+00:00")
    said = close(tmp_path)
    kept = Activity.objects.exclude(kind="record")
    assert kept.exists() and not kept.filter(at__lt=border).exists()
    closed = rows - kept.count()
    assert f"{closed} Activity rows of 3 records" in said and closed > 20
    assert Seal.objects.count() == seals + 3  # each record says that it was closed
    lines = [json.loads(line) for line in gzip.decompress(file_in(tmp_path).read_bytes()).splitlines()]
    assert sorted(tuple(line[i] for i in (0, 8)) for line in lines if isinstance(line, list)) == texts[:closed]
    assert "The record holds" in verify()
    assert f"holds: {closed} Activity rows" in verify("--file", str(file_in(tmp_path)))
    assert not list(tmp_path.glob("*.part"))


def test_the_record_goes_on_and_is_closed_again(years: Cast, tmp_path: Path) -> None:
    close(tmp_path)
    work.drive()
    (ticket,) = Ticket.objects.filter(state="approved").order_by("-pk")[:1]
    assert ticket.lines.get().state == "running"
    assert "Nothing to close" in close(tmp_path)
    with clock.ahead(timedelta(days=500)):
        work.drive()
        assert "Activity rows of" in close(tmp_path)
        assert "The record holds" in verify()
        for file in tmp_path.glob("*.gz"):
            assert "holds:" in verify("--file", str(file))


def test_the_bar_is_up_again(years: Cast, tmp_path: Path) -> None:
    close(tmp_path)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Activity.objects.all().delete()


# ---- What is not closed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["2025", "2025-13", "1999-01", "last month", "2025-09-01"])
def test_what_is_no_month_is_refused(db: None, tmp_path: Path, before: str) -> None:
    assert "is not a month" in close(tmp_path, before)


def test_thirteen_months_stay_unless_somebody_says_otherwise(years: Cast, tmp_path: Path) -> None:
    before, young = stands(), month(300)
    assert "13 are promised" in close(tmp_path, young) and stands() == before
    assert "13 are promised" in close(tmp_path, young, "--at-least-months", "12") and stands() == before
    said = close(tmp_path, young, "--at-least-months", "6")
    assert "since you said so" in said and "rows of 3 records" in said
    assert "The record holds" in verify()


def test_an_old_batch_behind_a_young_one_stays(years: Cast, tmp_path: Path) -> None:
    """Whole seals of the beginning only: a clock that went wrong makes no gap."""
    with days_ago(700), changes(years.actor("mary"), "late") as change:  # sealed after what is of today
        change.note(Account.objects.filter(pk=years.northwind.pk), "account.created")
    close(tmp_path)
    assert Activity.objects.filter(reason="late").count() == 1
    assert "The record holds" in verify()


def test_rows_that_don_t_fit_their_seal_are_not_closed(years: Cast, tmp_path: Path) -> None:
    before = stands()
    row = Activity.objects.filter(account=years.contoso).earliest("id")
    sql("UPDATE accounts_activity SET reason = 'forged' WHERE id = %s", row.pk)
    assert "don't fit it. Run verify_activity first" in close(tmp_path)
    assert stands() == before and not file_in(tmp_path).exists()


def test_another_file_of_that_name_stays(years: Cast, tmp_path: Path) -> None:
    before = stands()
    file_in(tmp_path).write_bytes(b"of last year")
    assert "holds something else" in close(tmp_path)
    assert stands() == before and file_in(tmp_path).read_bytes() == b"of last year"


# ---- Killed on the way -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """As `kill -9`: nobody catches it."""


STEPS = [("_write_seal", 0), ("_write_seal", 1), ("_sync", 0), ("_sync", 1), ("_keep", 0), ("_keep", 1), ("remove", 0),
         ("_remove", 0), ("_remove", 1)]  # fmt: skip


@pytest.mark.parametrize(("place", "times"), STEPS)
def test_killed_anywhere_nothing_is_lost_and_a_repeat_ends_it(
    years: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, times: int
) -> None:
    """At the first or the second call of each step."""
    before, real, calls = stands(), getattr(closing, place), iter(range(9999))

    def killed(*args: Any, **more: Any) -> Any:
        if next(calls) == times:
            raise Killed
        return real(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(closing, place, killed)
        with pytest.raises(Killed):
            close(tmp_path)
    assert stands() == before
    assert "The record holds" in verify()
    assert "rows of 3 records" in close(tmp_path)
    assert "The record holds" in verify()
    assert "holds:" in verify("--file", str(file_in(tmp_path)))
    assert (tmp_path / f"{file_in(tmp_path).name}.sha256").exists()


def test_two_at_once_close_once(years: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = closing.remove

    def late(*args: Any) -> None:
        monkeypatch.setattr(closing, "remove", real)
        assert "rows of 3 records" in close(tmp_path / "other")
        real(*args)

    (tmp_path / "other").mkdir()
    monkeypatch.setattr(closing, "remove", late)
    assert "meanwhile" in close(tmp_path)
    assert "The record holds" in verify()


@pytest.mark.django_db(transaction=True)
def test_the_portal_goes_on_meanwhile(tmp_path: Path) -> None:
    """Whoever changes something waits, and nobody waits for ever; what was written meanwhile is sealed behind."""
    cast = two_years()
    new = [make_vms(cast.northwind, cast.sites["DFW01"], [f"new-{n}"]) for n in range(3)]
    said: list[str] = []

    def order(n: int) -> None:
        place_order(cast.actor("priya"), [vm.uuid for vm in new[n]], f"order-of-new-{n}")

    deeds: list[Callable[[], Any]] = [lambda: said.append(close(tmp_path)), *(partial(order, n) for n in range(3))]
    assert raised(together(*deeds)) == []
    assert "rows of 3 records" in said[0]
    work.drive()
    assert "The record holds" in verify()
    assert "holds:" in verify("--file", str(file_in(tmp_path)))


# ---- What is found afterwards ----------------------------------------------------------------------------------------


def closed(cast: Cast, folder: Path) -> Cast:
    assert "rows of 3 records" in close(folder)
    return cast


def test_a_gap_behind_the_closed_part_is_found(years: Cast, tmp_path: Path) -> None:
    closed(years, tmp_path)
    head = Head.objects.get(account=years.northwind)
    seal = Seal.objects.get(account=years.northwind, number=head.closed_to + 1)
    sql("DELETE FROM accounts_activity WHERE batch = %s", seal.batch)
    assert f"the Activity rows of seal {seal.number}" in verify()


def test_closing_further_than_the_record_says_is_found(years: Cast, tmp_path: Path) -> None:
    """Rows taken away behind the closed part, and the head made to agree."""
    closed(years, tmp_path)
    head = Head.objects.get(account=years.northwind)
    seal = Seal.objects.get(account=years.northwind, number=head.closed_to + 1)
    sql("DELETE FROM accounts_activity WHERE batch = %s", seal.batch)
    Head.objects.filter(pk=head.pk).update(closed_to=head.closed_to + 1)
    assert f"closed up to seal {seal.number}, its Activity says {head.closed_to}" in verify()


def test_a_row_slipped_under_a_closed_seal_is_found(years: Cast, tmp_path: Path) -> None:
    closed(years, tmp_path)
    row = Activity.objects.filter(account=years.northwind).latest("id")
    seal = Seal.objects.get(account=years.northwind, number=1)
    values = {field.attname: getattr(row, field.attname) for field in Activity._meta.concrete_fields}
    Activity.objects.create(**{**values, "id": None, "batch": seal.batch})
    assert "there are Activity rows under seal 1, which was closed" in verify()


def test_a_closed_seal_taken_away_is_found(years: Cast, tmp_path: Path) -> None:
    closed(years, tmp_path)
    sql("DELETE FROM accounts_seal WHERE account_id = %s AND number = 2", years.northwind.pk)
    assert "a seal was taken away or changed" in verify()
    assert "there is no seal 2" in verify("--file", str(file_in(tmp_path)))


def test_a_state_changed_behind_the_record_is_found(years: Cast, tmp_path: Path) -> None:
    """Of one whose record goes on; and of one that moved after what was closed."""
    closed(years, tmp_path)
    stopped = Replication.objects.get(vm__name="stopped-01")
    sql("UPDATE replication_replication SET state = 'protected' WHERE id = %s", stopped.pk)
    quiet = Replication.objects.get(vm__name="quiet-01")
    sql("UPDATE replication_replication SET state = 'stopped', state_since = now() WHERE id = %s", quiet.pk)
    said = verify()
    assert f"replication {stopped.pk} is protected, its Activity says stopped." in said
    assert f"replication {quiet.pk} is stopped, its Activity says nothing." in said


@pytest.mark.parametrize("change", [
    (b'"protect"', b'"pretend"'), (b'"Mary Osei"', b'"Mary Olsen"'), (b'"seal": 2,', b'"seal": 3,'),
    (b'"rows": 1,', b'"rows": 2,'),
])  # fmt: skip
def test_a_change_in_a_file_is_found(years: Cast, tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    closed(years, tmp_path)
    path = file_in(tmp_path)
    text = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(text.replace(*change, 1)))
    said = verify("--file", str(path))
    assert "is not the file whose SHA-256 stands in" in said and "refused:" in said
    (tmp_path / f"{path.name}.sha256").unlink()
    assert "refused:" in verify("--file", str(path))


def test_a_file_cut_short_or_missing_is_refused(years: Cast, tmp_path: Path) -> None:
    closed(years, tmp_path)
    path = file_in(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    assert "can't be read to its end" in verify("--file", str(path))
    assert "can't be read to its end" in verify("--file", str(tmp_path / "nowhere.gz"))


def test_who_doesn_t_own_the_tables_closes_nothing(years: Cast, tmp_path: Path) -> None:
    before = stands()
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE clerk")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk")
        cursor.execute("SET LOCAL ROLE clerk")
        said = close(tmp_path)
        cursor.execute("RESET ROLE")
    assert "Nothing was closed: must be owner of table accounts_activity" in said
    assert stands() == before


def test_the_operator_is_named(years: Cast, tmp_path: Path) -> None:
    closed(years, tmp_path)
    row = Activity.objects.filter(kind="record", account=years.northwind).get()
    actor: Actor = closing.OPERATOR
    assert (row.actor, row.via, row.facts["file"]) == (actor.name, "command", file_in(tmp_path).name)
    assert row.facts["sha256"] == closing.digest_of(file_in(tmp_path))
