"""The other sets of hostile text at their doors: redirects, where an address is followed; formulas, in a file."""

from __future__ import annotations

import csv
import io

import pytest
from django.test import Client

from accounts.actions import issue_token
from accounts.models import Activity
from ampdr.lifecycle import PORTAL, changes
from tests.cast import PASSWORD, Cast, sign_in
from tests.payloads import CSV, REDIRECTS


@pytest.mark.parametrize("elsewhere", REDIRECTS)
def test_nobody_is_led_elsewhere(cast: Cast, elsewhere: str) -> None:
    """By signing in, by being signed in already, by choosing a theme, or on the way to admin."""
    client, said = Client(), {"login": "ravi@example.com", "password": PASSWORD, "next": elsewhere}
    answers = [client.post("/sign-in/", said), client.get("/sign-in/", {"next": elsewhere})]
    answers.append(client.post("/theme/", {"theme": "dark"}, headers={"Referer": elsewhere}))
    answers.append(sign_in(Client(), cast.mary).get("/admin/login/", {"next": elsewhere}))
    for answer in answers:
        assert answer.status_code == 302
        assert answer["Location"].startswith("/") and not answer["Location"].startswith(("//", "/\\")), answer
        assert "x.example" not in answer["Location"]


def test_no_cell_of_the_file_is_a_formula(cast: Cast) -> None:
    for formula in CSV:
        with changes(PORTAL, formula) as change:
            change.note(type(cast.northwind).objects.filter(pk=cast.northwind.pk), "account.created")
    issue_token(cast.actor("priya"), cast.priya, cast.northwind, "=1+1", ["read_vms"])
    answer = sign_in(Client(), cast.priya).get("/northwind/activity/csv/")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))  # type: ignore[attr-defined]
    assert len(rows) > len(CSV) and Activity.objects.filter(reason__in=CSV).count() == len(CSV)
    assert [cell for row in rows for cell in row if cell.lstrip(" ")[:1] in set("=+-@\t\r\n") - {""}] == []
