"""Support reads every record in admin, in the same words; and what Support searches for is written down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import Activity
from ampdr import clock
from tests.cast import Cast, sign_in


def searches() -> list[tuple[str, Any, Any, bool]]:
    rows = Activity.objects.filter(kind="person", event="searched").order_by("id")
    return [(row.actor, row.facts["model"], row.facts["query"], row.account_id is None) for row in rows]


@pytest.mark.parametrize(
    ("path", "model"),
    [("accounts/person", "people"), ("accounts/account", "accounts"), ("inventory/vm", "virtual machines"),
     ("failover/ticket", "failover tickets"), ("accounts/activity", "activity"),
     ("accounts/membership", "memberships")],
)  # fmt: skip
def test_a_search_is_written_down(cast: Cast, client: Client, path: str, model: str) -> None:
    sign_in(client, cast.mary)
    assert client.get(f"/admin/{path}/?q=FO-1%20").status_code == 200
    assert [(who, what.lower(), query, house) for who, what, query, house in searches()] == [
        ("Mary Osei", model.lower(), "FO-1", True)
    ]


def test_once_for_a_search_and_not_for_its_pages(cast: Cast, client: Client) -> None:
    sign_in(client, cast.mary)
    for query in ("?q=web", "?q=web&p=1", "?q=web&p=2", "?p=2", "", "?q=", "?q=%20"):
        client.get(f"/admin/inventory/vm/{query}")
    assert [query for _, _, query, _ in searches()] == ["web"]
    client.get("/admin/inventory/vm/?q=db&p=2")  # nobody gets around it by way of a page
    client.get("/admin/inventory/vm/?q=web")
    with clock.ahead(timedelta(minutes=11)):
        client.get("/admin/inventory/vm/?q=web")
    assert [query for _, _, query, _ in searches()] == ["web", "db", "web", "web"]


def test_what_is_refused_was_no_search(cast: Cast, client: Client) -> None:
    sign_in(client, cast.tom)  # staff, in no group
    assert client.get("/admin/inventory/vm/?q=web").status_code == 403
    sign_in(client, cast.priya)
    client.get("/admin/inventory/vm/?q=web")
    assert searches() == []


def test_odd_searches_break_nothing(cast: Cast, client: Client) -> None:
    sign_in(client, cast.mary)
    for text in ("%00", "web%00", "x" * 3000, "%F0%9F%A6%8A%E2%80%AE", "'); DROP TABLE x;--"):
        assert client.get(f"/admin/inventory/vm/?q={text}").status_code in (200, 400), text
    assert [len(query) for _, _, query, _ in searches()] == [200, 2, 19]


def test_the_record_is_read_in_words(cast: Cast, client: Client) -> None:
    sign_in(client, cast.mary)
    said = client.get("/admin/accounts/activity/").content.decode()
    assert "listed as authorized user" in said and "Mary Osei, Support" in said and "Priya Raman" in said
    of_one = client.get(f"/admin/accounts/activity/?account={cast.contoso.pk}").content.decode()
    assert "Olga Berg" in of_one and "Priya Raman" not in of_one
