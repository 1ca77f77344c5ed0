"""The Activity screen: what it shows to whom, its filters, its pages, its file."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Activity, Head, Permission, Person, Role, Seal
from ampdr import clock
from ampdr.lifecycle import PORTAL, Actor, changes
from inventory.models import VM
from notices.models import Conversation, Message
from tests.cast import Cast, join, make_person, make_vms, protect, sign_in


@pytest.fixture
def record(record: Cast, cast: Cast) -> Cast:
    """And Contoso's, of what is none of Northwind's business."""
    other = make_vms(cast.contoso, cast.sites["DFW01"], ["web-of-contoso"])
    protect(cast, other, key="order-of-contoso", who="olga")
    return cast


def watcher(cast: Cast, *permissions: str) -> Person:
    """Somebody of Northwind who has just these."""
    person = make_person("wanda@example.com", "Wanda Watch")
    role = Role.objects.create(account=cast.northwind, name="Of Wanda", slug="wanda", permissions=list(permissions))
    join(person, cast.northwind).roles.set([role])
    return person


def page(client: Client, person: Person, query: str = "") -> str:
    response = sign_in(client, person).get(reverse("activity", args=["northwind"]) + query)
    assert response.status_code == 200
    return response.content.decode()


def table(client: Client, person: Person, query: str = "") -> list[dict[str, str]]:
    response: Any = sign_in(client, person).get(reverse("activity-csv", args=["northwind"]) + query)
    assert response.status_code == 200 and response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


# ---- Rows ------------------------------------------------------------------------------------------------------------


def test_who_did_what_to_what(record: Cast, client: Client) -> None:
    said = page(client, record.priya)
    for words in (
        "Mary Osei",
        ", Support",
        "approved",
        "Outage confirmed",
        "Waiting for Support",
        "Approved",
        "web-01",
    ):
        assert words in said
    assert reverse("vm", args=["northwind", "web-01"]) in said
    number = Activity.objects.filter(kind="ticket").latest("id").about
    assert reverse("failover", args=["northwind", number]) in said
    assert "contoso" not in said.lower()


def test_a_portal_s_own_step_says_so(record: Cast, client: Client) -> None:
    said = page(client, record.priya, "?who=portal")
    assert "AMPDR" in said and "worker" in said and "Mary Osei" not in said


@pytest.mark.parametrize(
    ("query", "there", "not_there"),
    [
        ("?q=DB-0", {"db-01"}, {"web-01"}),
        ("?q=web", {"web-01", "web-02"}, {"db-01", "web-of-contoso"}),
        ("?q=mary", {"Mary Osei"}, {"ordered replication"}),
        ("?who=support", {"Mary Osei"}, {"ordered replication"}),
        ("?who=people", {"Priya Raman"}, {"Mary Osei"}),
        ("?what=orders", {"db-01"}, {"Mary Osei"}),
        ("?what=people", {"listed as authorized user"}, {"db-01"}),
        ("?what=people&who=portal", {"created the account"}, {"listed as authorized user", "db-01"}),
        ("?q=web-01&what=failovers", {"web-01", "requested the failover"}, {"ordered replication"}),
        ("?what=nonsense&who=nobody&from=tomorrow", {"db-01", "Mary Osei"}, set()),
        ("?q=nothing-like-it", set(), {"db-01"}),
        ("?from=2001-01-01&to=2001-01-31", set(), {"db-01"}),
    ],
)
def test_filters(record: Cast, client: Client, query: str, there: set[str], not_there: set[str]) -> None:
    """On the page and in the file alike."""
    text = page(client, record.priya, query).partition("<tbody")[2].partition("</tbody")[0]
    rows = [" ".join(row.values()) for row in table(client, record.priya, query)]
    for words in there:
        assert words in text and any(words in row for row in rows), words
    for words in not_there:
        assert words not in text and not any(words in row for row in rows), words


def test_a_number_finds_all_of_it(record: Cast, client: Client) -> None:
    number = Activity.objects.filter(kind="ticket").latest("id").about
    rows = table(client, record.priya, f"?q={number.lower()}")
    assert len(rows) == Activity.objects.filter(about=number).count() > 3


def test_days_are_the_reader_s(record: Cast, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half past one in the night of the 2nd in Berlin is the 1st in UTC."""
    Person.objects.filter(pk=record.priya.pk).update(time_zone="Europe/Berlin")
    record.priya.refresh_from_db()
    moment = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    with clock.ahead(moment - clock.now()), changes(record.actor("mary"), "at night") as change:
        change.note(Account.objects.filter(pk=record.northwind.pk), "account.created")
    assert "at night" in page(client, record.priya, "?from=2026-07-02&to=2026-07-02")
    said = page(client, record.priya, "?from=2026-07-02")
    assert "2 Jul, 01:30" in said and "1 Jul, 23:3" in said
    assert "at night" not in page(client, record.priya, "?from=2026-07-01&to=2026-07-01")


# ---- Who may see what ------------------------------------------------------------------------------------------------


def test_without_read_nothing_of_replication(record: Cast, client: Client) -> None:
    wanda = watcher(record, Permission.VIEW_ACTIVITY, Permission.READ_VMS, Permission.READ_TICKETS)
    number = Activity.objects.filter(kind="ticket").latest("id").about
    for query in ("", "?q=web", f"?q={number}", "?what=failovers", "?what=orders", "?who=portal", "?who=support"):
        said, rows = page(client, wanda, query), table(client, wanda, query)
        for word in ("FO-", "RO-", "Failovers and outages", "Orders and replication", "eplication is", "requested"):
            assert word not in said.partition("<tbody")[2], (query, word)
            assert word == "FO-" or word not in said.partition("<main")[2], (query, word)
        assert all(not row["Number"] for row in rows), query
    assert "listed as authorized user" in page(client, wanda)


def test_a_kind_that_stands_nowhere_is_not_told(record: Cast, client: Client) -> None:
    with changes(PORTAL, "brand new") as change:
        change.note(Account.objects.filter(pk=record.northwind.pk), "novelty.made")
    assert "brand new" in page(client, record.priya)
    assert "brand new" not in page(client, watcher(record, Permission.VIEW_ACTIVITY))


def test_conversations_about_an_order_are_not_told(record: Cast, client: Client) -> None:
    ours = Conversation.objects.create(account=record.northwind, number="T-91", kind="order", title="About RO-1")
    question = Conversation.objects.create(account=record.northwind, number="T-92", kind="other", title="A question")
    for one in (ours, question):
        message = Message.objects.create(conversation=one, author="Priya Raman", text="Hello")
        with changes(record.actor("priya")) as change:
            change.note(Conversation.objects.filter(pk=one.pk), "conversation.opened", about=one.kind)
            change.note(Message.objects.filter(pk=message.pk), "message.written")
    assert {row["Number"] for row in table(client, record.priya, "?what=conversations")} == {"T-91", "T-92"}
    wanda = watcher(record, Permission.VIEW_ACTIVITY, Permission.READ_TICKETS)
    assert {row["Number"] for row in table(client, wanda)} - {""} == {"T-92"}


def test_links_lead_only_where_the_reader_may(record: Cast, client: Client) -> None:
    said = page(client, watcher(record, Permission.VIEW_ACTIVITY, Permission.READ_REPLICATION))
    assert "web-01" in said and reverse("vm", args=["northwind", "web-01"]) not in said
    assert reverse("failovers", args=["northwind"]) in said


def sign_in_events(cast: Cast) -> None:
    with changes(cast.actor("mary")) as change:
        for person, event in ((cast.ravi, "signed_in"), (cast.olga, "signed_in"), (cast.ravi, "changed")):
            change.note(Person.objects.filter(pk=person.pk), f"person.{event}", address="198.51.100.24", email="x@y.z")


def test_administrators_see_their_members_sign_ins(record: Cast, client: Client) -> None:
    sign_in_events(record)
    rows = table(client, record.priya, "?what=signins")
    assert [(row["What"], row["Address"]) for row in rows] == [("signed in", "198.51.100.24")]
    assert rows[0]["Seal"] == str(Head.objects.get(account=None).number)
    assert "signed in" in page(client, record.priya) and "Olga Berg" not in page(client, record.priya)
    assert "198.51.100.24" in page(client, record.priya, "?q=ravi")
    assert "198.51.100.24" not in page(client, record.priya, "?q=oscar")


def test_others_see_no_sign_ins(record: Cast, client: Client) -> None:
    sign_in_events(record)
    for query in ("", "?what=signins", "?q=ravi"):
        said = page(client, record.oscar, query)
        assert "signed in" not in said and "Sign-ins" not in said


# ---- Pages, and looking again ----------------------------------------------------------------------------------------


def many(cast: Cast, n: int) -> None:
    """Rows of several kinds, all at the same moment: only their ids part them."""
    rows = Account.objects.filter(pk=cast.northwind.pk)
    with changes(cast.actor("mary")) as change:
        for k in range(n):
            change.note(rows, "account.created" if k % 2 else "role.changed", name=f"number {k:03}")


def test_every_row_is_on_one_page_and_none_twice(record: Cast, client: Client) -> None:
    many(record, 130)
    sign_in_events(record)
    sign_in(client, record.priya)
    for query in ("", "?what=people"):
        expected = [row["Time (UTC)"] + row["Details"] + row["What"] for row in table(client, record.priya, query)]
        address, ids = reverse("activity", args=["northwind"]) + query, list[str]()
        while address:
            said = client.get(address).content.decode()
            ids += (mine := re.findall(r'id="activity-(\d+)"', said))
            address, last = link(said, "next"), said
        assert len(ids) == len(set(ids)) == len(expected)
        backward: list[str] = []
        address = link(last, "prev")
        while address:
            said = client.get(address).content.decode()
            backward = re.findall(r'id="activity-(\d+)"', said) + backward
            address = link(said, "prev")
        assert backward + mine == ids


def link(said: str, rel: str) -> str:
    found = re.search(rf'href="([^"]+)" rel="{rel}"', said)
    return reverse("activity", args=["northwind"]) + unescape(found.group(1)) if found else ""


def test_an_open_page_looks_again_for_nothing(record: Cast, client: Client) -> None:
    """An administrator's once a minute all the same: a sign-in raises no account's version."""
    poll = unescape(re.search(r'(?<!"strips" )hx-get="([^"]+)"', page(client, record.priya)).group(1))  # type: ignore[union-attr]
    ask = {"HX-Request": "true"}
    assert client.get(poll, headers=ask).status_code == 204
    with clock.ahead(timedelta(minutes=1)):
        assert client.get(poll, headers=ask).status_code == 200
    many(record, 1)
    response = client.get(poll, headers=ask)
    assert response.status_code == 200 and b"number 000" in response.content and b"<html" not in response.content


# ---- The file --------------------------------------------------------------------------------------------------------


def test_the_file(record: Cast, client: Client) -> None:
    rows = table(client, record.priya)
    assert len(rows) == Activity.objects.filter(account=record.northwind).count()
    seals = {(str(seal.number), str(seal.batch)) for seal in Seal.objects.filter(account=record.northwind)}
    assert {(row["Seal"], row["Batch"]) for row in rows} == seals
    times = [row["Time (UTC)"] for row in rows]
    assert times == sorted(times, reverse=True)
    response = client.get(reverse("activity-csv", args=["northwind"]))
    assert response["Content-Disposition"] == f'attachment; filename="northwind-activity-{clock.now():%Y-%m-%d}.csv"'
    assert response.streaming


def test_more_than_one_batch(record: Cast, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.activity.reading.BATCH", 7)
    sign_in_events(record)
    rows = table(client, record.priya)
    assert len(rows) == Activity.objects.filter(account=record.northwind).count() + 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(record: Cast, client: Client, start: str) -> None:
    evil = f"{start}cmd|' /C calc'!A0"
    VM.objects.filter(name="db-01").update(name=evil)
    with changes(Actor(name=evil, person_id=record.priya.pk), evil) as change:
        change.note(VM.objects.filter(name=evil), "vm.renamed", address=evil, person=evil, roles=[evil])
    cells = [cell for row in table(client, record.priya) for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert sum(cell == f"'{evil}" for cell in cells) >= 3
