"""What failed is tried again or given up."""

import pytest
from django.test import Client

from accounts.models import Activity
from ampdr import work
from failover.actions import request_termination
from failover.models import Failover, Ticket
from replication.actions import place_order
from replication.models import Replication
from tests.cast import Cast, make_vms, request, say_yes, states
from tests.test_admin.desk import faults, html, page, press, vms, words


def fail_start(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Ticket:
    ticket = request(cast, vms(cast), "live")
    faults(monkeypatch, {"fault": "refuse", "kind": "start_live", "vm": "web-02"})
    say_yes(cast, ticket)
    finish()
    assert sorted(states(ticket)) == ["running", "running", "start_failed"]
    faults(monkeypatch)
    return ticket


def finish() -> None:
    """Drives, also what is only due after a pause."""
    for _ in range(6):
        Failover.objects.exclude(next_step_at=None).filter(verb__gt="").update(next_step_at="2020-01-01T00:00Z")
        work.drive()


def line(ticket: Ticket, name: str = "web-02") -> Failover:
    return Failover.objects.get(ticket=ticket, vm__name=name)


def test_a_failed_start_is_tried_again(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = fail_start(cast, monkeypatch)
    shown = html(mary.get(page(ticket)))
    assert "Retry web-02" in shown and "Give up web-02" in shown and "Retry web-01" not in shown
    assert press(mary, ticket, "retry", line=line(ticket).pk).status_code == 302
    finish()
    assert states(ticket) == ["running"] * 3
    assert Activity.objects.get(event="retry_start").staff
    told = press(mary, ticket, "retry", line=line(ticket).pk)
    assert told.status_code == 409 and "wait for Support" in html(told)


def test_a_failed_start_is_given_up_with_a_reason(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = fail_start(cast, monkeypatch)
    assert press(mary, ticket, "give_up", line=line(ticket).pk).status_code == 400
    assert line(ticket).state == "start_failed"
    assert press(mary, ticket, "give_up", line=line(ticket).pk, reason="Its disk is broken").status_code == 302
    finish()
    assert line(ticket).state == "dropped"
    row = Activity.objects.get(event="give_up")
    assert row.staff and row.reason == "Its disk is broken"
    assert press(mary, ticket, "give_up", line=line(ticket).pk, reason="Again").status_code == 409


def test_a_failed_termination_is_tried_again(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    live = request(cast, vms(cast), "live")
    say_yes(cast, live)
    work.drive()
    end = request_termination(cast.actor("priya"), live, "Dallas is back", "dfw01", "end-key-1")
    faults(monkeypatch, {"fault": "refuse", "kind": "stop", "vm": "db-01"})
    say_yes(cast, end)
    finish()
    assert line(live, "db-01").state == "termination_failed"
    faults(monkeypatch)
    shown = html(mary.get(page(end)))
    assert "Retry db-01" in shown and "Give up db-01" not in shown
    assert press(mary, end, "retry", line=line(live, "db-01").pk).status_code == 302
    finish()
    assert states(live) == ["terminated"] * 3


def test_a_line_of_another_ticket_is_not_there(cast: Cast, mary: Client) -> None:
    a, b, _ = vms(cast)
    one, two = request(cast, [a], key="request-1"), request(cast, [b], key="request-2")
    assert press(mary, one, "retry", line=two.lines.get().pk).status_code == 404
    assert press(mary, one, "retry", line="x").status_code == 404


def test_a_failed_replication_is_tried_again(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    faults(monkeypatch, {"fault": "refuse", "kind": "protect"})
    place_order(cast.actor("priya"), [found[0].uuid], "order-key-1")
    for _ in range(6):
        Replication.objects.exclude(next_step_at=None).update(next_step_at="2020-01-01T00:00Z")
        work.drive()
    row = Replication.objects.get()
    assert row.state == "failed"
    faults(monkeypatch)
    path = "/admin/replication/replication/"
    mary.post(path, {"action": "retry", "_selected_action": [row.pk]})
    work.drive()
    row.refresh_from_db()
    assert row.state == "protected"
    assert "Failed" not in words(mary.post(path, {"action": "retry", "_selected_action": [row.pk]}))
