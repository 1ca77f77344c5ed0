"""What is billed: from the day on which a VM became Protected to the end of the month in which it was cancelled."""

from __future__ import annotations

import csv
import io
import json
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from accounts import activity
from ampdr import clock, work
from ampdr.errors import Invalid
from inventory.models import VM
from replication.actions import Month, bill, billable_days, place_order, retry_replication, stop_replication
from replication.models import Replication, ServiceLevel
from tests.caller import by_token
from tests.cast import Cast, make_vms, protect, refuse, request, say_yes
from tests.test_orders.asking import servers, state_of

NOVEMBER = Month(2026, 11)
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("protected", "cancelled", "days"),
    [
        (None, None, None),
        (None, "2026-11-03T10:00", None),  # cancelled before it was Protected
        ("2026-11-17T10:00", None, (date(2026, 11, 17), LAST)),
        ("2026-01-17T10:00", None, (FIRST, LAST)),
        ("2026-11-17T10:00", "2026-11-17T11:00", (date(2026, 11, 17), LAST)),
        ("2026-11-17T10:00", "2027-03-17T11:00", (date(2026, 11, 17), LAST)),
        ("2026-11-30T23:59:59.999999", None, (LAST, LAST)),
        ("2026-12-01T00:00", None, None),
        ("2026-09-01T00:00", "2026-10-31T23:59:59.999999", None),
        ("2026-09-01T00:00", "2026-11-01T00:00", (FIRST, LAST)),
        ("2026-09-01T00:00", "2026-11-30T23:59:59.999999", (FIRST, LAST)),
    ],
)
def test_the_rule(cast: Cast, protected: str | None, cancelled: str | None, days: tuple[date, date] | None) -> None:
    """By its words and as it is said to the database."""
    begun, ended = (at(text) if text else None for text in (protected, cancelled))
    assert billable_days(begun, ended, NOVEMBER) == days
    place_order(cast.actor("priya"), [servers(cast, "web-01")[0].uuid], "an-order-key")
    Replication.objects.update(protected_at=begun, cancelled_at=ended)
    assert [(line.first_day, line.last_day) for line in bill(Replication.objects.all(), NOVEMBER)] == [days] * bool(
        days
    )


def test_days_are_counted_in_utc() -> None:
    evening_in_dallas = datetime.fromisoformat("2026-10-31T22:00:00-05:00")
    assert billable_days(evening_in_dallas, None, NOVEMBER) == (FIRST, LAST)
    assert billable_days(evening_in_dallas, None, Month(2026, 10)) is None
    assert billable_days(at("2026-01-01T00:00"), evening_in_dallas, NOVEMBER) == (FIRST, LAST)


def test_february_and_the_ends_of_years() -> None:
    assert billable_days(at("2024-01-01T00:00"), None, Month(2024, 2)) == (date(2024, 2, 1), date(2024, 2, 29))
    assert billable_days(at("2024-01-01T00:00"), at("2025-12-31T23:59:59"), Month(2026, 1)) is None


def test_who_stops_and_orders_again_within_a_month_has_two_lines_and_what_never_ran_none(cast: Cast) -> None:
    web, never = servers(cast, "web-01", "never-01")
    protect(cast, [web])
    place_order(cast.actor("priya"), [never.uuid], "order-never")
    stop_replication(cast.actor("priya"), [web.uuid, never.uuid])
    work.drive()
    protect(cast, [web], "order-again")
    first, second = Replication.objects.filter(vm=web).order_by("pk")
    assert first.cancelled_at and first.protected_at and second.protected_at and second.cancelled_at is None
    assert (second.state, second.uuid != first.uuid) == ("protected", True)
    lines = list(bill(Replication.objects.all(), Month.of(second.protected_at)))
    assert [line.name for line in lines] == ["web-01", "web-01"]
    later = Month.of(second.protected_at + timedelta(days=40))
    assert [line.name for line in bill(Replication.objects.all(), later)] == ["web-01"]


def test_paused_is_billed(cast: Cast) -> None:
    vms = servers(cast, "web-01")
    protect(cast, vms)
    ticket = request(cast, vms, "live")
    say_yes(cast, ticket)
    work.drive()
    assert Replication.objects.get().state == "paused"
    assert len(list(bill(Replication.objects.all(), Month.of(clock.now())))) == 1


@pytest.mark.parametrize("again", ["Support", "customer"])
def test_a_clean_up_that_fails_changes_no_bill(cast: Cast, monkeypatch: pytest.MonkeyPatch, again: str) -> None:
    """Cancelled when it was cancelled first, whoever tries again, and however late the provider is done."""
    (vm,) = servers(cast, "web-01")
    protect(cast, [vm])
    refuse(monkeypatch, "unprotect")
    stop_replication(cast.actor("priya"), [vm.uuid])
    cancelled_at = Replication.objects.get().cancelled_at
    for _ in range(3):
        work.drive()
        Replication.objects.filter(state="stopping").update(next_step_at="2020-01-01T00:00Z")
    failed = Replication.objects.get()
    assert (failed.state, failed.waiting_on, failed.failed_in) == ("failed", "support", "stopping")
    assert VM.objects.get(pk=vm.pk).protection == "failed"
    refuse(monkeypatch)
    with clock.ahead(timedelta(days=40)):
        if again == "Support":
            retry_replication(cast.actor("mary"), Replication.objects.all())
        else:
            stop_replication(cast.actor("oscar"), [vm.uuid])
        Replication.objects.update(next_step_at="2020-01-01T00:00Z")
        work.drive()
        assert not list(bill(Replication.objects.all(), Month.of(clock.now())))
    assert state_of(vm) == ("stopped", "none")
    assert Replication.objects.get().cancelled_at == cancelled_at is not None
    assert not list(activity.faults())


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "0000-01", "26-11", "2026-11-01", "2026-11\n", "٢٠٢٦-١١"]
)
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Month.read(text)
    assert refused.value.fields == {"month": ["Write the month as YYYY-MM, as in 2026-11."]}


def test_a_month_that_has_not_begun() -> None:
    with clock.ahead(datetime(2026, 11, 30, 23, 59, tzinfo=UTC) - clock.now()):
        assert Month.read("2026-11") == NOVEMBER
        for text in ("2026-12", "9999-12"):
            with pytest.raises(Invalid, match=r"hasn't begun\. The newest month that can be billed is 2026-11"):
                Month.read(text)


# ---- The command -----------------------------------------------------------------------------------------------------


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("print_billable", "--month", f"{clock.now():%Y-%m}", *arguments, stdout=out)
    return out.getvalue()


def of_two_accounts(cast: Cast) -> None:
    protect(cast, servers(cast, "web-01", "=cmd()"))
    protect(cast, make_vms(cast.contoso, cast.sites["PHX01"], ["theirs\x1b[2J"]), who="olga")
    Replication.objects.update(service_level=None)  # as of before levels were
    Replication.objects.filter(vm__name="web-01").update(service_level=ServiceLevel.objects.get())


def test_it_prints_a_line_for_each_replication(cast: Cast) -> None:
    of_two_accounts(cast)
    today, ends = Month.of(clock.now()).first, Month.of(clock.now()).last
    Replication.objects.update(protected_at=clock.now() - timedelta(days=90))
    read = list(csv.DictReader(io.StringIO(printed("--format", "csv"))))
    assert [(row["account"], row["name"], row["source"], row["target"]) for row in read] == [
        ("contoso", "theirs\x1b[2J", "PHX01", "DFW01"), ("northwind", "'=cmd()", "DFW01", "PHX01"),
        ("northwind", "web-01", "DFW01", "PHX01"),
    ]  # fmt: skip
    assert [row["service_level"] for row in read] == ["", "", "Standard"]
    assert {(row["first_day"], row["last_day"]) for row in read} == {(str(today), str(ends))}
    mine = json.loads(printed("--format", "json", "--account", "northwind"))
    assert [row["name"] for row in mine] == ["=cmd()", "web-01"]
    assert uuid.UUID(mine[0]["vm"]) and set(mine[0]) == set(read[0])
    text = printed()
    assert (text.count("\n"), "\x1b" in text) == (4, False)
    assert [line.split()[1] for line in text.splitlines()] == ["name", "theirs?[2J", "=cmd()", "web-01"]
    assert text.splitlines()[-1].endswith(mine[1]["vm"])


def test_nothing_is_billed(cast: Cast) -> None:
    assert json.loads(printed("--format", "json")) == []
    assert printed("--format", "csv").count("\n") == printed().count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--month", "2026-13"], "--month 2026-13: Write the month as YYYY-MM"),
        (["--month", "9999-01"], "9999-01 hasn't begun"),
        (["--month", "2020-01", "--account", "nobody"], "There is no account nobody"),
    ],
)
def test_what_it_refuses(cast: Cast, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("print_billable", *arguments)


# ---- The API ---------------------------------------------------------------------------------------------------------


def test_the_api_answers_the_same_page_by_page(cast: Cast) -> None:
    of_two_accounts(cast)
    protect(cast, servers(cast, "db-01"), "order-more")
    caller = by_token(cast)
    first = caller.get(f"billable/?month={clock.now():%Y-%m}&size=2").content
    second = caller.get(first["next"].removeprefix("http://testserver")).content
    rows = [*first["results"], *second["results"]]
    assert [row["vm"]["name"] for row in rows] == ["web-01", "=cmd()", "db-01"]
    assert {row["account"] for row in rows} == {"northwind"}
    assert (rows[0]["service_level"], rows[0]["last_day"]) == ("Standard", str(Month.of(clock.now()).last))
    assert (second["next"], caller.get(second["previous"].removeprefix("http://testserver")).content["results"]) == (
        None,
        first["results"],
    )


@pytest.mark.parametrize(
    "query", ["", "?month=", "?month=2026-13", "?month=9999-12", "?month=%00", "?month=2026-11&x=1"]
)
def test_the_api_refuses_a_month_that_is_none(cast: Cast, query: str) -> None:
    refused = by_token(cast).get(f"billable/{query}")
    assert (refused.status, set(refused.content["fields"]) <= {"month", "x"}) == (400, True)
