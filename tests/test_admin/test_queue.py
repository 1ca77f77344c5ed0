"""The queue: its order, its cost, and several tests approved at once."""

import re
from collections.abc import Callable
from datetime import timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ampdr import clock, work
from failover.actions import request_termination
from failover.models import Kind, Ticket
from tests.cast import Cast, request, say_yes
from tests.test_admin.desk import QUEUE, html, state, vms, words


def test_live_comes_first_and_the_oldest_first(cast: Cast, mary: Client) -> None:
    a, b, c, d, e = vms(cast, "a", "b", "c", "d", "e")
    with clock.ahead(timedelta(minutes=-40)):
        old_test = request(cast, [a], "test", key="request-1")
    with clock.ahead(timedelta(minutes=-17)):
        old_live = request(cast, [b], "live", key="request-2")
    with clock.ahead(timedelta(minutes=-7)):
        live = request(cast, [c], "live", key="request-3")
    test = request(cast, [d], "test", key="request-4")
    done = request(cast, [e], "live", key="request-5")
    say_yes(cast, done)
    shown = html(mary.get(QUEUE))
    at = [shown.index(f">{ticket.number}<") for ticket in (old_live, live, old_test, test)]
    assert at == sorted(at)
    assert done.number not in shown
    assert '<b class="num txt-bad">17 min</b>' in shown and '<b class="num txt-warn">7 min</b>' in shown
    assert "2 live requests wait<" in shown.replace("\n", "")
    assert html(mary.get(f"{QUEUE}?kind=test")).count("/change/") == 2
    assert done.number in html(mary.get(f"{QUEUE}?state=approved"))
    assert done.number in html(mary.get(f"{QUEUE}?q={done.number[3:]}"))


def test_what_is_about_a_live_failover_comes_before_all_that_is_about_tests(cast: Cast, mary: Client) -> None:
    a, b, c, d = vms(cast, "a", "b", "c", "d")
    running = [request(cast, [a], "test", key="request-1"), request(cast, [b], "live", key="request-2")]
    for ticket in running:
        say_yes(cast, ticket)
    work.drive()
    priya, waiting = cast.actor("priya"), []
    asked: list[tuple[int, Callable[[], Ticket]]] = [
        (30, lambda: request(cast, [c], "test", key="request-3")),
        (20, lambda: request_termination(priya, running[0], "", "", "end-key-1")),
        (10, lambda: request_termination(priya, running[1], "Dallas is back", "DFW01", "end-key-2")),
        (5, lambda: request(cast, [d], "live", key="request-4")),
    ]
    for minutes, ask in asked:
        ticket = ask()
        Ticket.objects.filter(pk=ticket.pk).update(requested_at=clock.now() - timedelta(minutes=minutes))
        waiting.append(ticket.number)
    shown = html(mary.get(QUEUE))
    at = [shown.index(f">{number}<") for number in reversed(waiting[2:])] + [
        shown.index(f">{number}<") for number in waiting[:2]
    ]
    assert at == sorted(at)


def test_the_queue_costs_the_same_for_one_ticket_and_for_200(cast: Cast, mary: Client) -> None:
    first = request(cast, vms(cast))
    with CaptureQueriesContext(connection) as one:
        assert mary.get(QUEUE).status_code == 200
    Ticket.objects.bulk_create(
        Ticket(
            number=f"FO-9{n:04}", account=cast.northwind, kind=Kind.TEST, source="DFW01", target="PHX01", vm_count=1,
            requested_by=cast.priya, requested_at=first.requested_at,
        )
        for n in range(199)
    )  # fmt: skip
    for query in ("", "?p=2", "?state=all", "?state=approved"):
        with CaptureQueriesContext(connection) as many:
            assert mary.get(QUEUE + query).status_code == 200
        statements = [row["sql"] for row in many.captured_queries]
        assert len(statements) <= len(one) + 1 <= 12, statements
        assert not [sql for sql in statements if "COUNT(" in sql and "LIMIT" not in sql and "GROUP BY" not in sql]
    assert html(mary.get(QUEUE)).count('name="_selected_action"') == 50
    assert html(mary.get(f"{QUEUE}?p=4")).count('name="_selected_action"') == 50


def test_tests_are_approved_together(cast: Cast, mary: Client) -> None:
    a, b, c = vms(cast)
    tests = [request(cast, [a], "test", key="request-1"), request(cast, [b], "test", key="request-2")]
    own = request(cast, [c], "test", key="request-3")
    Ticket.objects.filter(pk=own.pk).update(requested_by=cast.mary)
    said = {"action": "approve_tests", "_selected_action": [t.pk for t in [*tests, own]]}
    assert "Say why" in words(mary.post(QUEUE, said | {"reason": " "}))
    assert [state(ticket) for ticket in tests] == ["waiting", "waiting"]
    told = words(mary.post(QUEUE, said | {"reason": "Planned tests"}))
    assert [state(ticket) for ticket in [*tests, own]] == ["approved", "approved", "waiting"]
    assert "You requested it yourself" in told


def test_no_live_failover_is_approved_together(cast: Cast, mary: Client) -> None:
    a, b, c = vms(cast)
    test = request(cast, [a], "test", key="request-1")
    live = request(cast, [b, c], "live", key="request-2")
    said = {
        "action": "approve_tests",
        "_selected_action": [test.pk, live.pk],
        "reason": "Planned",
        "select_across": "1",
    }
    assert "Nothing was approved" in words(mary.post(QUEUE, said))
    assert (state(test), state(live)) == ("waiting", "waiting")


def test_a_late_page_passes_over_the_others_by_their_keys_alone(cast: Cast, mary: Client) -> None:
    """What the list tells of a ticket, in five statements within its own, is asked of those that it shows."""
    now = clock.now()
    row = {
        "account": cast.northwind, "kind": "test", "source": "DFW01", "target": "PHX01", "vm_count": 1,
        "requested_by": cast.priya, "requested_at": now, "state": "waiting", "state_since": now,
    }  # fmt: skip
    Ticket.objects.bulk_create([Ticket(number=f"FO-{n}", **row) for n in range(90_000, 90_120)])
    for wanted in ("waiting", "all"):
        shown = {p: html(mary.get(QUEUE, {"state": wanted, "p": p})) for p in (1, 2)}
        with CaptureQueriesContext(connection) as caught:
            shown[3] = html(mary.get(QUEUE, {"state": wanted, "p": 3}))
        assert [len(set(re.findall(r">(FO-9\d+)<", page))) for page in shown.values()] == [50, 50, 20]
        passing = [one["sql"] for one in caught if "OFFSET" in one["sql"]]
        assert len(passing) == 1 and passing[0].startswith('SELECT "failover_ticket"."id" AS "pk" FROM')
