"""The page of a ticket in every state."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import Head
from ampdr import clock, work
from ampdr.errors import Conflict
from ampdr.lifecycle import PORTAL, changes
from failover.actions import (
    confirm,
    give_up,
    reject,
    version_of,
    withdraw,
)
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.providers.sites import provider_of
from tests.cast import Cast, request, say_yes, sign_in, states
from tests.test_ticket_page.seen import (
    LIST,
    buttons,
    end,
    fault,
    heading,
    look_again,
    page,
    poll_of,
    push,
    run,
    words,
)


def test_waiting_for_support(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms, "live")
    html = page(priya, ticket)
    assert heading(html) == ("", "Waiting for Support")
    assert "<title>(Waiting for Support) FO-" in html and "throttle:2s" in html
    assert buttons(html) == {"Withdraw the request"}
    shown = words(html)
    for fact in (
        "Virtual machines 3 VMs web-01, web-02, web-03", "DFW01 → to PHX01 Dallas to Phoenix",
        "Data you may lose Up to",
        "Expected time to running No test yet", "Access PHX01-Recovery", "Priya Raman requested a live failover",
        "Reason: “Clinic sign-in is down”", "Waiting for approval by Support", "You confirm that it works",
        "Authorized user Yes", "Read Server Replication Yes", "Approver not yet", "within 15 min",
    ):  # fmt: skip
        assert fact in shown, fact
    assert "Not answered for" not in shown
    assert 'class="fo"' not in html


def test_a_live_request_that_nobody_answers_says_whom_to_call(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms, "live")
    html = page(priya, ticket)
    poll = poll_of(html)
    assert priya.get(poll, headers={"HX-Request": "true"}).status_code == 204
    with clock.ahead(timedelta(minutes=3)):
        part = priya.get(poll, headers={"HX-Request": "true"})  # nothing was written, and yet it changes
        assert part.status_code == 200 and "Not answered for 3 min: call +1 555 0100" in words(part.content.decode())


def test_a_requester_who_lost_his_listing_is_told_apart(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    cast.priya.listings.all().delete()
    shown = words(page(priya, ticket))
    assert "Authorized user No longer" in shown and "Read Server Replication Yes" in shown


def test_running_live_is_yellow_and_asks_for_a_confirmation(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:2])
    html = page(priya, ticket)
    assert heading(html) == ("live", "Running, please confirm")
    assert buttons(html) == {"Confirm that it works", "Request termination"}
    assert len(re.findall(r'<tr role="row" id="line-[^"]*" class="is-live">', html)) == 2
    shown = words(html)
    for fact in (
        "2 of 2 running", "Data lost", "Time to running", "Do the 2 VMs work?", "Mary Osei, Support approved it",
        "Running in PHX01 All 2 VMs.", "Approved by Mary Osei, Support", "throttle:29s",
    ):  # fmt: skip
        assert fact in (html if fact.startswith("throttle") else shown), fact
    answer = priya.post(f"{LIST}{ticket}/works/")
    assert answer.status_code == 303
    html = page(priya, ticket)
    assert heading(html) == ("live", "Running, confirmed") and buttons(html) == {"Request termination"}
    assert "Priya Raman confirmed that it works" in words(html)
    assert priya.post(f"{LIST}{ticket}/works/").status_code == 303  # a second click of the same person


def test_another_persons_second_confirmation_names_the_first(cast: Cast, client: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:1])
    confirm(cast.actor("priya"), ticket)
    cast.oscar.listings.create(account=cast.northwind)
    sign_in(client, cast.oscar)
    answer = client.post(f"{LIST}{ticket}/works/")
    assert answer.status_code == 409 and "Priya Raman was first" in words(answer.content.decode())


def test_a_running_test_tells_when_it_ends_and_leaves_the_original(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:1], "test")
    html = page(priya, ticket)
    assert "Data lost" not in words(html) and "Would be lost" in words(html), "a test loses nothing"
    assert 'href="/northwind/vpn/?site=PHX01-Recovery"' in html
    assert heading(html) == ("test", "Running")
    assert buttons(html) == {"Confirm that it works", "Request termination"}
    shown = words(html)
    for fact in ("Ends by itself", "in 2 d 23 h", "web-01 - Test", "isolated", "Originals Untouched", "end date"):
        assert fact in shown, fact
    assert 'class="fo"' not in html and "is-live" not in html and 'class="b live"' not in html


def test_failing_over_shows_steps_and_looks_again_when_only_a_step_moved(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    ticket = request(cast, vms, "live")
    say_yes(cast, ticket)
    work.drive(limit=1)
    html = page(priya, ticket)
    assert heading(html) == ("", "Failing over") and "throttle:2s" in html
    poll = poll_of(html)

    def look() -> Any:
        return priya.get(poll, headers={"HX-Request": "true"})

    assert look().status_code == 204
    version = Head.objects.get(account=cast.northwind).version
    one = Failover.objects.filter(vm=vms[0])
    for change in ({"percent": 42}, {"step": "Booting"}, {"last_error": "No answer"}, {"attempts": 1}):
        one.update(**change)
        assert look().status_code == 200, change
        poll = poll_of(look().content.decode())
        assert look().status_code == 204
    assert Head.objects.get(account=cast.northwind).version == version
    shown = words(look_again(priya, ticket))
    assert "Booting, 42%" in shown and "No answer" in shown


def test_a_line_that_waits_for_its_test_says_so(cast: Cast, priya: Client, vms: list[VM]) -> None:
    test = run(cast, vms[:1], "test")
    live = request(cast, vms[:1], "live", key="live-key")
    say_yes(cast, live)
    assert f"Starts when the test in {test} is terminated" in words(page(priya, live))


def test_a_failed_start_stands_first_with_its_reason(
    cast: Cast, priya: Client, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch, {"fault": "refuse", "kind": "start_live", "vm": "web-03"})
    ticket = run(cast, vms)
    html = page(priya, ticket)
    assert heading(html) == ("live", "Running, please confirm, 1 failed")
    shown = words(html)
    assert "1 of 3 VMs could not be started." in shown
    assert "PHX01 has no free host on which web-03 could start." in shown and "Waiting on Support" in shown
    assert shown.count("The original is stopped and barred from starting") == 1
    names = re.findall(r'id="line-[^"]*".*?<a class="any" href="[^"]*">([^<]*)', html, re.S)
    assert names == ["web-03", "web-01", "web-02"]
    give_up(cast.actor("mary"), Failover.objects.get(state="start_failed"), "No room")
    assert heading(page(priya, ticket)) == ("live", "Failing over")
    push()
    assert heading(page(priya, ticket)) == ("live", "Running, please confirm, 1 given up")
    assert "Mary Osei, Support gave the start up" in words(page(priya, ticket))


def test_all_failed(cast: Cast, priya: Client, vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch, {"fault": "refuse", "kind": "start_test"})
    ticket = run(cast, vms[:2], "test")
    html = page(priya, ticket)
    assert heading(html) == ("", "Failed") and buttons(html) == set()
    for line in Failover.objects.all():
        give_up(cast.actor("mary"), line, "No room")
    push()
    assert heading(page(priya, ticket)) == ("", "Given up")


def test_a_source_that_was_silent_is_not_fenced_yet(
    cast: Cast, priya: Client, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMULATION_SITES_DOWN", "DFW01")
    provider_of.cache_clear()
    ticket = run(cast, vms[:1])
    html = page(priya, ticket)
    assert heading(html) == ("live", "Running, please confirm")
    assert "Source not fenced" in words(html)
    assert "DFW01 doesn't answer: it goes on unplanned" in words(html)
    assert "Source not fenced" in words(priya.get(f"{LIST}{ticket}/terminate/").content.decode())


def test_terminating_and_terminated_with_links_both_ways(cast: Cast, priya: Client, vms: list[VM]) -> None:
    live = run(cast, vms[:2])
    ending = end(cast, live)
    html = page(priya, live)
    assert f'href="{LIST}{ending}/"' in html and "Its termination is requested." in words(html)
    assert "When you request it" not in words(html) and f"{ending} waits for Support. Changes" in words(html)
    assert "Request termination" not in buttons(html)
    html = page(priya, ending)
    assert heading(html) == ("", "Waiting for Support") and buttons(html) == {"Withdraw the request"}
    assert f'href="{LIST}{live}/"' in html and "Priya Raman requested the termination of" in words(html)
    assert "web-01" in words(html) and "web-02" in words(html)
    say_yes(cast, ending)
    work.drive(limit=1)
    assert heading(page(priya, live)) == ("live", "Terminating") and heading(page(priya, ending)) == ("", "Terminating")
    push()
    html = page(priya, live)
    assert heading(html) == ("", "Terminated") and buttons(html) == set()
    assert 'class="b live"' not in html and 'class="fo"' not in html  # yellow is for what runs
    assert " ago, ran for " in words(html) and "Approved " not in words(html).split("Virtual machines")[0]
    assert heading(page(priya, ending)) == ("", "Terminated") and "Ran " in words(page(priya, ending))
    assert words(page(priya, ending)).count("Mary Osei, Support approved it") == 1


def test_a_failed_termination(cast: Cast, priya: Client, vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    live = run(cast, vms[:1])
    fault(monkeypatch, {"fault": "refuse", "kind": "stop"})
    say_yes(cast, end(cast, live))
    push()
    html = page(priya, live)
    assert heading(html) == ("live", "Failed")
    assert "1 of 1 VM could not be terminated." in words(html) and "is locked by a running task" in words(html)
    assert "Request termination" in buttons(html)


def test_rejected_says_why_and_can_be_requested_again(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    reject(cast.actor("mary"), ticket, "No room <until> Friday", version_of(ticket))
    push()
    html = page(priya, ticket)
    assert heading(html) == ("", "Rejected") and buttons(html) == {"Request again"}
    assert "Dropped" not in words(html).partition("Timeline")[2].partition("Virtual machines")[0]
    assert "Rejected: “No room <until> Friday”" in words(html) and "&lt;until&gt;" in html
    assert f"?kind=test&amp;again={ticket}" in html


def test_withdrawn(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    answer = priya.post(f"{LIST}{ticket}/withdraw/")
    assert answer.status_code == 303 and answer["Location"] == f"{LIST}{ticket}/"
    push()
    html = page(priya, ticket)
    assert heading(html) == ("", "Withdrawn") and "Priya Raman withdrew the request" in words(html)
    assert priya.get(f"{LIST}{ticket}/withdraw/").status_code == 405


def test_lapsed(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    with changes(PORTAL) as change:
        change.fire(Ticket.objects.filter(pk=ticket.pk), "lapse", decided_at=change.at)
    html = page(priya, ticket)
    assert heading(html) == ("", "Lapsed") and "The request lapsed" in words(html) and "unanswered" not in html


def test_who_approves_first_wins_and_the_withdrawal_is_told(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1], "live")
    say_yes(cast, ticket)
    answer = priya.post(f"{LIST}{ticket}/withdraw/")
    shown = words(answer.content.decode())
    assert answer.status_code == 409
    assert f"Mary Osei, Support approved {ticket}" in shown and "Yours came later and was not carried out." in shown
    assert "Failing over" in shown and f"Open {ticket}" in shown
    push()
    assert states(ticket) == ["running"]


def test_who_withdraws_first_wins_and_nothing_runs(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1], "live")
    version = version_of(ticket)
    withdraw(cast.actor("priya"), ticket)
    with pytest.raises(Conflict):
        say_yes(cast, ticket)
    assert version != version_of(Ticket.objects.get())
    push()
    assert states(ticket) == ["dropped"]
