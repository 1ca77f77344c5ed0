"""A ticket's facts as JSON and CSV: all of its lines, times in UTC, and the same numbers as on its page."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ampdr.templatetags.ampdr import duration
from failover.models import Failover, Ticket
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, say_yes, sign_in
from tests.test_ticket_page.seen import LIST, end, page, push, run, words


def of_json(client: Client, ticket: Ticket) -> dict[str, Any]:
    answer = client.get(f"{LIST}{ticket}/facts.json")
    assert answer.status_code == 200 and answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"] == f'attachment; filename="{ticket}.json"'
    found: dict[str, Any] = json.loads(answer.getvalue())
    return found


def of_csv(client: Client, ticket: Ticket) -> list[dict[str, str]]:
    answer = client.get(f"{LIST}{ticket}/facts.csv")
    assert answer.status_code == 200 and answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def test_page_json_and_csv_agree_on_every_number(cast: Cast, priya: Client, vms: list[VM]) -> None:
    live = run(cast, vms)
    say_yes(cast, end(cast, live))
    push()
    live.refresh_from_db()
    facts, table, shown = of_json(priya, live), of_csv(priya, live), words(page(priya, live))
    assert f'href="{LIST}{live}/facts.json"' in page(priya, live) and f'href="{LIST}{live}/facts.csv"' in page(
        priya, live
    )
    said = {name: facts[name] for name in ("number", "kind", "word", "vm_count", "requested_by", "decided_by")}
    assert said == {
        "number": live.number, "kind": "live", "word": "Terminated", "vm_count": 3, "requested_by": "Priya Raman",
        "decided_by": "Mary Osei",
    }  # fmt: skip
    assert (facts["reason"], facts["decision_reason"]) == ("Clinic sign-in is down", "Outage confirmed")
    lines = list(Failover.objects.filter(ticket=live).select_related("launch").order_by("vm__name"))
    assert [one["vm"] for one in facts["vms"]] == [row["VM"] for row in table] == ["web-01", "web-02", "web-03"]
    for line, one, row in zip(lines, facts["vms"], table, strict=True):
        for name, at in (
            ("approved_at", live.decided_at), ("started_at", line.started_at), ("running_at", line.running_at),
            ("ended_at", line.ended_at), ("recovery_point", line.launch.point_at),
        ):  # fmt: skip
            assert at is not None, name
            told = datetime.fromisoformat(one[name])
            assert told.utcoffset() == UTC.utcoffset(None) and abs((told - at).total_seconds()) < 0.001, name
            head = f"{name.replace('_', ' ').capitalize()} (UTC)"
            assert row[head] == f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}", head
        assert line.running_at and live.decided_at
        assert one["to_running_seconds"] == round((line.running_at - live.decided_at).total_seconds(), 1)
        assert float(row["To running seconds"]) == one["to_running_seconds"]
        assert line.launch.loss_seconds is not None
        assert one["loss_seconds"] == round(line.launch.loss_seconds, 1) == float(row["Loss seconds"])
        assert one["address"] == line.launch.address and one["state"] == "terminated"
    exact = [(line.running_at - live.decided_at, line.launch.loss_seconds) for line in lines]  # type: ignore[operator]
    assert f"Time to running {duration(max(took for took, _ in exact))}" in shown  # whole seconds that have passed
    assert f"Data lost {duration(max(loss for _, loss in exact if loss is not None))}" in shown
    assert {row["Ticket approved at (UTC)"] for row in table} == {f"{live.decided_at:%Y-%m-%d %H:%M:%S}"}


def test_what_would_be_a_formula_is_led_in(cast: Cast, priya: Client) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    VM.objects.update(name="=cmd|' /C calc'!A0")
    ticket = request(cast, vms)
    Ticket.objects.update(reason="+1+1\n@x", called_back="+1 555 0142")
    (row,) = of_csv(priya, ticket)
    assert (row["VM"], row["Ticket reason"]) == ("'=cmd|' /C calc'!A0", "'+1+1\n@x")
    assert row["Ticket called back"] == "'+1 555 0142" and row["Running at (UTC)"] == ""
    assert of_json(priya, ticket)["vms"][0]["vm"] == "=cmd|' /C calc'!A0"


def test_all_lines_in_as_many_statements_as_one(cast: Cast, priya: Client) -> None:
    many = make_vms(cast.northwind, cast.sites["DFW01"], [f"app-{n:03}" for n in range(121)])
    protect(cast, many)
    counts = []
    for some in (many[:1], many[1:]):
        ticket = request(cast, some, key=f"key-of-{len(some)}")
        with CaptureQueriesContext(connection) as caught:
            assert len(of_csv(priya, ticket)) == len(some)
        counts.append(len(caught))
        assert len(of_json(priya, ticket)["vms"]) == len(some)
    assert counts[0] == counts[1] <= 8


def test_nobody_elses(cast: Cast, client: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:1])
    Ticket.objects.update(filed_by=cast.tom, called_back="+1 555 0142")
    sign_in(client, cast.ravi)  # may read
    told = of_json(client, ticket)
    assert (told["filed_by"], told["called_back"]) == ("Tom Ueda", ""), "the number is for Read Identity"
    assert {row["Ticket called back"] for row in of_csv(client, ticket)} == {""}
    shown = words(page(client, ticket))
    assert "Filed by Tom Ueda (Support lead) for Priya Raman." in shown and "0142" not in shown
    assert of_json(client, ticket)["number"] == ticket.number
    sign_in(client, cast.olga)
    answers = [client.get(f"/contoso/failovers/{number}/facts.csv") for number in (ticket, "FO-999999")]
    assert {one.status_code for one in answers} == {404} and answers[0].content == answers[1].content
