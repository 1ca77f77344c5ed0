"""Extensions and results through the API: a token of an authorized user may, both are about tests."""

from __future__ import annotations

from datetime import timedelta

from ampdr import work
from failover.models import Failover, Ticket
from tests.caller import by_token, said, signed_in
from tests.cast import Cast


def test_the_road_of_an_extension(cast: Cast, testing: Ticket) -> None:
    assert testing.ends_at
    token, mary = by_token(cast), signed_in(cast, "mary")
    until = (testing.ends_at + timedelta(days=1)).isoformat()
    road, body = f"tickets/{testing.number}/extend/", {"ends_at": until, "reason": "The auditors come on Friday"}
    asked = token.post(road, body, "extend-key-1")
    assert asked.status == 201 and asked.content == token.post(road, body, "extend-key-1").content
    assert (asked.content["kind"], asked.content["about"], asked.content["word"]) == (
        "extend", testing.number, "Waiting for Support",
    )  # fmt: skip
    here = asked.headers["Location"]
    named = token.get(f"{here}failovers/").content["results"]
    assert [line["vm"]["name"] for line in named] == ["web-01", "web-02"]
    second = token.post(road, body, "extend-key-2")
    assert (said(second), second.content["facts"]["ticket"]) == ((409, "already_requested"), asked.content["number"])
    version = mary.get(here).content["version"]
    assert mary.post(f"{here}approve/", {"version": version, "reason": "Agreed"}).content["word"] == "Approved"
    work.drive()
    assert mary.get(here).content["word"] == "Extended"
    assert {line.ends_at for line in Failover.objects.filter(ticket=testing)} == {
        Ticket.objects.get(kind="extend").ends_at
    }
    assert said(token.post(road, body, "extend-key-3")) == (409, "extended_already")


def test_what_is_no_end_date_is_named(cast: Cast, testing: Ticket) -> None:
    token, road = by_token(cast), f"tickets/{testing.number}/extend/"
    for body in ({}, {"ends_at": "soon"}, {"ends_at": None}, {"ends_at": "2020-01-01T00:00Z"}):
        answer = token.post(road, body, "extend-key-wrong")
        assert said(answer) == (400, "invalid") and list(answer.content["fields"]) == ["ends_at"]
    assert said(token.post(road, {"ends_at": "2020-01-01T00:00Z"})) == (400, "idempotency_key_missing")


def test_a_result_stands_on_the_ticket(cast: Cast, testing: Ticket) -> None:
    token, road = by_token(cast), f"tickets/{testing.number}/result/"
    assert token.get(f"tickets/{testing.number}/").content["result"] == ""
    answer = token.post(road, {"result": "remarks", "notes": "Sign-in was slow"}, "a-result-key")
    assert (answer.status, answer.content["result"], answer.content["result_by"]) == (200, "remarks", "Priya Raman")
    again = token.post(road, {"result": "passed"})
    assert (again.content["result"], again.content["result_notes"]) == ("passed", "")
    repeated = token.post(road, {"result": "remarks", "notes": "Sign-in was slow"}, "a-result-key")
    assert repeated.content["result"] == "passed"
    for body, field in (({}, "result"), ({"result": "so-so"}, "result"), ({"result": "failed"}, "notes")):
        refused = token.post(road, body)
        assert said(refused) == (400, "invalid") and list(refused.content["fields"]) == [field]


def test_a_ticket_tells_who_filed_it_and_how_often_support_was_reminded(cast: Cast, testing: Ticket) -> None:
    Ticket.objects.filter(pk=testing.pk).update(filed_by=cast.tom, reminders=3)
    told = by_token(cast, "ravi").get(f"tickets/{testing.number}/").content
    assert (told["filed_by"], told["reminders"], told["result_at"]) == ("Tom Ueda", 3, None)
