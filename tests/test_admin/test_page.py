"""One ticket's page: what it says, the decision, and every refusal of it."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import activity
from accounts.actions import unlist
from accounts.models import Activity, AuthorizedUser
from ampdr import work
from failover.actions import request_termination, version_of, withdraw
from failover.models import Ticket
from replication.models import Replication
from tests.cast import Cast, drive_to, join, request, say_yes, states
from tests.test_admin.desk import QUEUE, faults, html, page, press, state, vms, words

AT_MOST = {"waiting": 15, "failed": 11}  # statements of a page


def test_the_page_says_what_will_run(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    shown = html(mary.get(page(ticket)))
    for told in (
        "Approve live failover of 3 VMs", "Reject the request", "web-01", "web-02", "db-01", "given at start",
        "Clinic sign-in is down", "Dallas to Phoenix", "Authorized user with Read Server Replication",
        "All 3 VMs are protected", "Not your own request", "+1 555 0142", "Up to ",
    ):  # fmt: skip
        assert told in shown, told
    assert shown.count("<dt>") >= 6


def test_a_big_ticket_shows_fifty(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast, *(f"web-{n:02}" for n in range(53))), "live")
    shown = html(mary.get(page(ticket)))
    assert shown.count("given at start") == 50 and "and 3 more" in shown


def test_a_page_costs_the_same_for_three_vms_and_for_sixty(
    cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting, and after all of them failed: with its buttons for all."""
    few, many = vms(cast), vms(cast, *(f"app-{n:02}" for n in range(60)))
    tickets = [request(cast, few, "test", key="request-1"), request(cast, many, "test", key="request-2")]
    costs = {"waiting": [statements(mary, ticket) for ticket in tickets]}
    faults(monkeypatch, {"fault": "refuse", "kind": "start_test"})
    for ticket in tickets:
        say_yes(cast, ticket)
        drive_to(ticket, "start_failed")
    assert "Retry 60 VMs" in html(mary.get(page(tickets[1])))
    costs["failed"] = [statements(mary, ticket) for ticket in tickets]
    assert all(low == high <= AT_MOST[which] for which, (low, high) in costs.items()), costs


def statements(client: Client, ticket: Ticket) -> int:
    client.get(page(ticket))
    with CaptureQueriesContext(connection) as caught:
        client.get(page(ticket))
    return len(caught)


def test_approving_needs_a_reason_and_starts_the_failover(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    for missing in ({"quick": ""}, {"quick": "own"}, {"quick": "own", "reason": "  "}):
        response = press(mary, ticket, "approve", **missing)
        assert response.status_code == 400 and "Say why" in html(response)
    assert state(ticket) == "waiting"
    response = press(mary, ticket, "approve", reason="Dallas has no power")
    assert response.status_code == 302 and "is approved" in words(response)
    assert state(ticket) == "approved" and ticket.decided_by == cast.mary
    assert ticket.decision_reason == "Outage confirmed: Dallas has no power"
    row = Activity.objects.get(kind="ticket", event="approve")
    assert (row.actor, row.staff, row.reason) == ("Mary Osei", True, ticket.decision_reason)
    work.drive()
    assert states(ticket) == ["running"] * 3
    shown = html(mary.get(page(ticket)))
    assert "Approve live" not in shown and "Running" in shown and "Mary Osei" in shown
    assert not list(activity.faults())


def test_rejecting_needs_words_for_the_customer(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    response = press(mary, ticket, "reject")  # "Outage confirmed" is no reason to reject
    assert response.status_code == 400 and state(ticket) == "waiting"
    assert press(mary, ticket, "reject", reason="Not yours").status_code == 302
    work.drive()
    assert state(ticket) == "rejected" and states(ticket) == ["dropped"] * 3
    shown = html(mary.get(page(ticket)))
    assert "What was requested" in shown and "it never started" in shown and "not yet" not in shown


def test_a_termination_is_decided_likewise(cast: Cast, mary: Client) -> None:
    live = request(cast, vms(cast), "live")
    say_yes(cast, live)
    work.drive()
    end = request_termination(cast.actor("priya"), live, "Dallas is back", "dfw01", "end-key-1")
    shown = html(mary.get(page(end)))
    assert "Approve termination of 3 VMs" in shown and "All changes since then" in shown
    assert press(mary, end, "approve", quick="phone").status_code == 302
    work.drive()
    assert states(live) == ["terminated"] * 3
    assert mary.get(page(end)).status_code == 200


def test_a_test_loses_nothing(cast: Cast, mary: Client) -> None:
    """Its point's age is no loss: the originals went on."""
    shown = {}
    for kind, name in (("test", "app-01"), ("live", "app-02")):
        ticket = request(cast, vms(cast, name), kind, key=f"request-{kind}")
        say_yes(cast, ticket)
        work.drive()
        shown[kind] = html(mary.get(page(ticket)))
    assert "Untouched" in shown["test"] and "Lost, as measured" not in shown["test"] and ", lost " not in shown["test"]
    assert "Untouched" not in shown["live"] and "Lost, as measured" in shown["live"] and ", lost " in shown["live"]


def test_nobody_decides_on_his_own_request(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    Ticket.objects.filter(pk=ticket.pk).update(requested_by=cast.mary)
    shown = html(mary.get(page(ticket)))
    assert "You requested it yourself" in shown
    assert 'value="approve"' not in shown and 'value="reject"' not in shown
    assert press(mary, ticket, "approve").status_code == 403
    assert press(mary, ticket, "reject", reason="No").status_code == 403
    assert state(ticket) == "waiting"


def test_no_member_of_the_account_decides(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    join(cast.mary, cast.northwind, "Billing")
    shown = html(mary.get(page(ticket)))
    assert "You are a member of this account" in shown and 'value="approve"' not in shown
    assert press(mary, ticket, "approve").status_code == 403
    assert state(ticket) == "waiting"


def test_withdrawn_meanwhile_is_told_and_nothing_runs(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    seen = version_of(ticket)
    withdraw(cast.actor("priya"), ticket, "Dallas is back")
    for decision in ("approve", "reject"):
        response = press(mary, ticket, decision, version=seen, reason="Go")
        assert response.status_code == 409
        assert "Priya Raman was first" in html(response) and "Withdrawn" in html(response)
        assert "Call Support" not in html(response), "Support reads it"
    work.drive()
    assert state(ticket) == "withdrawn" and states(ticket) == ["dropped"] * 3


def test_another_version_is_refused(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    for version in ("", "waiting:0.000000", version_of(ticket) + "1"):
        assert press(mary, ticket, "approve", version=version).status_code == 409
    assert state(ticket) == "waiting"
    assert press(mary, ticket, "approve").status_code == 302
    assert press(mary, ticket, "approve").status_code == 409  # the second click
    assert Activity.objects.filter(kind="ticket", event="approve").count() == 1


def test_unlisted_meanwhile_is_refused(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    unlist(cast.actor("mary"), AuthorizedUser.objects.get(person=cast.priya))
    shown = html(mary.get(page(ticket)))
    assert "no longer an authorized user" in shown and 'value="approve"' not in shown and 'value="reject"' in shown
    response = press(mary, ticket, "approve")
    assert response.status_code == 302 and "no longer an authorized user" in words(response)
    assert state(ticket) == "waiting"


def test_a_vm_that_lost_its_protection_is_refused(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    Replication.objects.filter(vm__name="web-02").update(state="failed")
    assert "web-02: not protected any more" in html(mary.get(page(ticket)))
    response = press(mary, ticket, "approve")
    assert response.status_code == 302 and "web-02" in words(response)
    assert state(ticket) == "waiting"


@pytest.mark.parametrize("pk", ["0", "abc", "99999999"])
def test_there_is_no_such_ticket(cast: Cast, mary: Client, pk: str) -> None:
    assert mary.get(f"{QUEUE}{pk}/change/").status_code == 404
