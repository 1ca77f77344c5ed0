"""The page of a ticket in every state, the list, and what is done there."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Activity, Head
from ampdr import clock, work
from ampdr.errors import Conflict
from ampdr.lifecycle import PORTAL, changes
from failover.actions import (
    Lines,
    confirm,
    give_up,
    lines_of,
    reject,
    request_termination,
    ticket_word,
    version_of,
    withdraw,
)
from failover.lifecycle import FAILOVER
from failover.models import Failover, Ticket
from failover.views.tickets import STATES
from inventory.models import VM
from replication.providers.sites import provider_of
from tests.cast import Cast, make_vms, protect, request, say_yes, states

LIST = "/northwind/failovers/"


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    client.force_login(cast.priya)
    return client


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, made)
    return made


def page(client: Client, ticket: Ticket | str, **headers: Any) -> str:
    response = client.get(f"{LIST}{ticket}/", **headers)
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    """What stands in the main part, without the markup."""
    start = html.index("<main") if "<main" in html else 0
    end = html.index("</main>") if "<main" in html else len(html)
    plain = " ".join(unescape(re.sub(r"<[^>]+>", " ", html[start:end])).split())
    return re.sub(r" ([,.:])", r"\1", plain)


def heading(html: str) -> tuple[str, str]:
    """The page's icon ("" for the plain square) and its pill."""
    found = re.search(r"<h1>(.*?)</h1>", html, re.S)
    assert found
    icon = "live" if 'class="fo"' in found[1] else "test" if 'class="vm t"' in found[1] else ""
    return icon, words(re.findall(r'<span class="pill.*', found[1], re.S)[0])


def buttons(html: str) -> set[str]:
    main = html[html.index("<main") :]
    names = (
        "Withdraw the request", "Confirm that it works", "Request termination", "Request again",
    )  # fmt: skip
    return {name for name in names if re.search(rf">{name}</(a|button)>", main)}


def run(cast: Cast, vms: list[VM], kind: str = "live", key: str = "request-key") -> Ticket:
    ticket = request(cast, vms, kind, key=key)
    say_yes(cast, ticket)
    push()
    return ticket


def push() -> None:
    """Drives without waiting for the pauses between tries."""
    for _ in range(8):
        work.drive()
        Failover.objects.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
        Ticket.objects.exclude(next_step_at=None).update(next_step_at="2020-01-01T00:00Z")


def fault(monkeypatch: pytest.MonkeyPatch, *rules: dict[str, Any]) -> None:
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
    provider_of.cache_clear()


def end(cast: Cast, ticket: Ticket, key: str = "end-key-1") -> Ticket:
    return request_termination(cast.actor("priya"), ticket, "Dallas is back", ticket.source, key)


# ---- The word

# product.md, States, as a table: the first line whose states occur says the word.
SAID = [
    ({"requested", "starting", "undoing"}, "Failing over"),
    ({"terminating"}, "Terminating"),
    ({"running"}, None),  # by kind and confirmation
    ({"start_failed", "termination_failed"}, "Failed"),
    ({"terminated"}, "Terminated"),
    ({"dropped"}, "Given up"),
]


def expected_word(kind: str, counts: Counter[str], confirmed: int) -> str:
    there = {state for state, n in counts.items() if n}
    word = next(word for states, word in SAID if states & there)
    if word is None:
        please = "Running" if kind == "test" else "Running, please confirm"
        word = "Running, confirmed" if confirmed == counts["running"] else please
    total = sum(counts.values())
    additions = [
        (counts["start_failed"] + counts["termination_failed"], "failed"),
        (counts["dropped"], "given up"),
        (counts["terminated"] if there - {"terminated", "dropped"} else 0, "terminated"),
    ]
    return ", ".join([word, *(f"{n} {what}" for n, what in additions if 0 < n < total)])


def test_the_word_of_an_approved_ticket_in_every_mix_of_states() -> None:
    """Every non-empty set of states, with one and with two lines in each, confirmed by none, by some and by all."""
    names, seen = list(FAILOVER.states), set()
    for size, kind, n in itertools.product(range(1, len(names) + 1), ("live", "test"), (1, 2)):
        for mix in itertools.combinations(names, size):
            counts = Counter(dict.fromkeys(mix, n))
            for confirmed in range(counts["running"] + 1):
                lines = Lines(counts.copy(), confirmed)
                shown = ticket_word(Ticket(kind=kind, state="approved"), lines)
                assert shown.word == expected_word(kind, counts, confirmed), (kind, mix, confirmed)
                if {"start_failed", "termination_failed"} & set(mix):
                    assert shown.tone in ("info", "warn", "bad") and shown.tone != "ok"
                assert shown.tone != "live"
                seen.add(shown.name)
    assert seen == {"failing_over", "terminating", "running", "confirmed", "failed", "terminated", "given_up"}


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({"running": 2, "start_failed": 1}, "Running, please confirm, 1 failed"),
        ({"terminated": 2, "dropped": 1}, "Terminated, 1 given up"),
        ({"terminated": 1, "running": 2}, "Running, please confirm, 1 terminated"),
        ({"start_failed": 3}, "Failed"),
        ({"terminated": 2, "termination_failed": 1}, "Failed, 1 failed, 2 terminated"),
        ({"dropped": 2}, "Given up"),
    ],
)
def test_what_is_added_to_the_word(counts: dict[str, int], word: str) -> None:
    assert ticket_word(Ticket(kind="live", state="approved"), Lines(Counter(counts))).word == word


def test_a_failed_line_leaves_nothing_green() -> None:
    lines = Lines(Counter(running=2, start_failed=1), confirmed=2)
    shown = ticket_word(Ticket(kind="live", state="approved"), lines)
    assert (shown.word, shown.tone) == ("Running, confirmed, 1 failed", "warn")
    lines = Lines(Counter(running=2, dropped=1), confirmed=2)
    assert ticket_word(Ticket(kind="live", state="approved"), lines).tone == "info"


@pytest.mark.parametrize("state", ["waiting", "rejected", "withdrawn", "lapsed"])
def test_before_its_approval_a_ticket_bears_its_own_word(state: str) -> None:
    ticket = Ticket(kind="live", state=state)
    assert ticket_word(ticket, Lines(Counter(requested=2))) == ticket.shown_state


def test_a_termination_reads_what_it_names(cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    live = run(cast, vms[:2])
    ending = end(cast, live)

    def word() -> str:
        ending.refresh_from_db()
        return ticket_word(ending, lines_of([ending.pk])[ending.pk]).word

    assert word() == "Waiting for Support"
    say_yes(cast, ending)
    assert word() == "Terminating"  # approved, and the workers have not come to it yet
    fault(monkeypatch, {"fault": "refuse", "kind": "stop", "vm": "web-02"})
    push()
    assert word() == "Failed, 1 failed, 1 terminated"
    assert lines_of([live.pk, ending.pk])[live.pk].counts == {"terminated": 1, "termination_failed": 1}
    Failover.objects.filter(state="termination_failed").update(state="terminated")
    assert word() == "Terminated"


# ---- The page, state by state


def test_waiting_for_support(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms, "live")
    html = page(priya, ticket)
    assert heading(html) == ("", "Waiting for Support")
    assert "<title>(Waiting for Support) FO-" in html and "throttle:3s" in html
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
    poll = unescape(re.findall(r'hx-get="([^"]+)"', html)[0])
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
        "Running in PHX01 All 2 VMs.", "Approved by Mary Osei, Support", "throttle:30s",
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
    client.force_login(cast.oscar)
    answer = client.post(f"{LIST}{ticket}/works/")
    assert answer.status_code == 409 and "Priya Raman was first" in words(answer.content.decode())


def test_a_running_test_tells_when_it_ends_and_leaves_the_original(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:1], "test")
    html = page(priya, ticket)
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
    assert heading(html) == ("", "Failing over") and "throttle:3s" in html
    poll = unescape(re.findall(r'hx-get="([^"]+)"', html)[0])

    def look() -> Any:
        return priya.get(poll, headers={"HX-Request": "true"})

    assert look().status_code == 204
    version = Head.objects.get(account=cast.northwind).version
    one = Failover.objects.filter(vm=vms[0])
    for change in ({"percent": 42}, {"step": "Booting"}, {"last_error": "No answer"}, {"attempts": 1}):
        one.update(**change)
        assert look().status_code == 200, change
        poll = unescape(re.findall(r'hx-get="([^"]+)"', look().content.decode())[0])
        assert look().status_code == 204
    assert Head.objects.get(account=cast.northwind).version == version
    shown = words(look_again(priya, ticket))
    assert "Booting, 42%" in shown and "No answer" in shown


def look_again(client: Client, ticket: Ticket) -> str:
    response = client.get(f"{LIST}{ticket}/", headers={"HX-Request": "true"})
    assert "<html" not in response.content.decode()
    assert "HX-Request" in response["Vary"]
    return response.content.decode()


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
    assert heading(page(priya, ending)) == ("", "Terminated")
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
    assert heading(html) == ("", "Lapsed") and "The request lapsed" in words(html)


# ---- Withdraw against approve


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


# ---- Who sees it


@pytest.mark.parametrize("after", ["", "terminate/"])
def test_another_accounts_ticket_and_a_made_up_one_are_alike(
    cast: Cast, priya: Client, vms: list[VM], after: str
) -> None:
    theirs = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    protect(cast, theirs, "order-key-9", who="olga")
    foreign = request(cast, theirs, who="olga")
    answers = [priya.get(f"{LIST}{number}/{after}") for number in (foreign.number, "FO-999999", "fo-1", "<b>")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    for way in ("withdraw/", "works/", "terminate/"):
        posts = [priya.post(f"{LIST}{number}/{way}") for number in (foreign.number, "FO-999999")]
        assert [answer.status_code for answer in posts] == [404, 404] and posts[0].content == posts[1].content
    assert Ticket.objects.get(pk=foreign.pk).state == "waiting"


def test_who_is_not_listed_may_look_and_not_touch(cast: Cast, client: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:1])
    client.force_login(cast.ravi)
    html = page(client, ticket)
    assert buttons(html) == set() and "Support keeps the list" in words(html)
    assert "Request failover" not in words(client.get(LIST).content.decode())
    for way in ("withdraw/", "works/", "terminate/"):
        answer = client.post(f"{LIST}{ticket}/{way}")
        assert answer.status_code == 403 and "You are not on the list" in words(answer.content.decode())


def test_without_read_every_number_is_forbidden_alike(cast: Cast, client: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    cast.priya.memberships.get().roles.set([])
    client.force_login(cast.priya)
    for address in (LIST, f"{LIST}{ticket}/", f"{LIST}FO-999999/", f"{LIST}{ticket}/terminate/", f"{LIST}new/"):
        answer = client.get(address)
        assert answer.status_code == 403 and "Read Server Replication" in words(answer.content.decode())
    answer = client.get(f"{LIST}{ticket}/", headers={"HX-Request": "true"})
    assert answer.status_code == 403


def test_the_short_address_leads_a_member_to_his_account(cast: Cast, client: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    short = f"/failovers/{ticket}/"
    assert client.get(short)["Location"].startswith("/sign-in/")
    assert client.get("/failovers/FO-999999/").status_code == 302
    client.force_login(cast.priya)
    assert client.get(short)["Location"] == f"{LIST}{ticket}/"
    answers = []
    client.force_login(cast.olga)
    answers += [client.get(short), client.get("/failovers/FO-999999/")]
    assert {answer.status_code for answer in answers} == {404} and answers[0].content == answers[1].content
    cast.ravi.memberships.get().roles.set([])
    client.force_login(cast.ravi)
    assert client.get(short).status_code == 404
    cast.priya.memberships.update(enabled=False)
    client.force_login(cast.priya)
    assert client.get(short).status_code == 404


# ---- What is spoken, printed and polled


def test_only_the_state_is_spoken(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    html = page(priya, ticket)
    main = html[html.index("<main") : html.index("</main>")]
    assert re.findall(r'<[^>]*role="status"[^>]*>([^<]*)', main) == [f"{ticket} is now Waiting for Support"]
    assert "aria-live" not in main and f'data-title="(Waiting for Support) {ticket} · AMPDR"' in main


def test_an_unchanged_page_costs_three_statements(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = run(cast, vms[:1])
    poll = unescape(re.findall(r'hx-get="([^"]+)"', page(priya, ticket))[0])
    with CaptureQueriesContext(connection) as caught:
        assert priya.get(poll, headers={"HX-Request": "true"}).status_code == 204
    assert len(caught) == 3, [query["sql"][:80] for query in caught]
    assert priya.get(poll).status_code == 200  # no script asked for it
    confirm(cast.actor("priya"), ticket)
    assert priya.get(poll, headers={"HX-Request": "true"}).status_code == 200


@pytest.mark.parametrize("version", ["", "x", "1.", ".u5", "1.m", "1.u99999999999999999999", "1.mx", "²"])
def test_a_version_that_means_nothing_gets_the_page(cast: Cast, priya: Client, vms: list[VM], version: str) -> None:
    ticket = request(cast, vms[:1])
    answer = priya.get(f"{LIST}{ticket}/", {"version": version}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    head = Head.objects.get(account=cast.northwind).version
    answer = priya.get(f"{LIST}FO-9/", {"version": f"{head}.m7"}, headers={"HX-Request": "true"})
    assert answer.status_code == 404


def statements(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as caught:
        assert client.get(address).status_code == 200
    return len(caught)


def test_the_page_costs_the_same_for_1_50_and_200_vms(cast: Cast, priya: Client) -> None:
    many = make_vms(cast.northwind, cast.sites["DFW01"], [f"app-{n:03}" for n in range(251)])
    protect(cast, many)
    found: dict[str, list[int]] = {}
    for some in (many[:1], many[1:51], many[51:]):
        ticket = request(cast, some, "live", key=f"key-of-{len(some)}")
        found.setdefault("waiting", []).append(statements(priya, f"{LIST}{ticket}/"))
        say_yes(cast, ticket)
        push()
        found.setdefault("running", []).append(statements(priya, f"{LIST}{ticket}/"))
        ending = end(cast, ticket, f"end-of-{len(some)}")
        found.setdefault("ending", []).append(statements(priya, f"{LIST}{ending}/"))
        html = page(priya, ticket)
        assert len(re.findall('id="line-', html)) == min(50, len(some))
    assert all(max(counts) <= 10 and len(set(counts)) == 1 for counts in found.values()), found
    seen = walk(priya, f"{LIST}{ticket}/", r'id="line-([^"]*)"')
    assert len(seen) == len(set(seen)) == 200
    assert Activity.objects.filter(about=ticket.number).count() > 600
    assert words(html).count("Starting") == 1


def walk(client: Client, address: str, pattern: str) -> list[str]:
    """Every page to the last one, and back to the first."""
    seen, forth = [], []
    html = client.get(address).content.decode()
    while True:
        seen += re.findall(pattern, html)
        forth.append(re.findall(pattern, html))
        onward = re.search(r'href="([^"]+)" rel="next"', html)
        if not onward:
            break
        html = client.get(next_address(address, onward[1])).content.decode()
    for expected in reversed(forth[:-1]):
        back = re.search(r'href="([^"]+)" rel="prev"', html)
        assert back
        html = client.get(next_address(address, back[1])).content.decode()
        assert re.findall(pattern, html) == expected
    assert 'rel="prev"' not in html
    return seen


def next_address(address: str, link: str) -> str:
    link = unescape(link)
    return link if link.startswith("/") else address.split("?", maxsplit=1)[0] + link


# ---- The list


@pytest.fixture
def seven(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> dict[str, Ticket]:
    """Tickets in seven states, each of one VM that bears its name."""
    names = ["waiting", "rejected", "running", "confirmed", "failed", "terminated", "testing"]
    made = {vm.name: vm for vm in make_vms(cast.northwind, cast.sites["DFW01"], [f"{name}-01" for name in names])}
    protect(cast, list(made.values()))
    fault(monkeypatch, {"fault": "refuse", "kind": "start_live", "vm": "failed-01"})
    found: dict[str, Ticket] = {}
    for name in names:
        kind = "test" if name in ("testing", "rejected") else "live"
        found[name] = request(cast, [made[f"{name}-01"]], kind, key=f"key-of-{name}")
        if name == "rejected":
            reject(cast.actor("mary"), found[name], "No", version_of(found[name]))
        elif name != "waiting":
            say_yes(cast, found[name])
    push()
    confirm(cast.actor("priya"), found["confirmed"])
    found["ending"] = end(cast, found["terminated"])
    say_yes(cast, found["ending"])
    push()
    return found


def listed(client: Client, **query: str) -> list[str]:
    html = client.get(LIST, query).content.decode()
    return re.findall(r'<tr role="row" id="(FO-\d+)"', html)


def test_the_list_shows_kind_state_vms_and_people_newest_first(
    cast: Cast, priya: Client, seven: dict[str, Ticket]
) -> None:
    html = priya.get(LIST).content.decode()
    assert listed(priya) == [ticket.number for ticket in reversed(seven.values())]
    rows = dict(re.findall(r'<tr role="row" id="(FO-\d+)"(.*?)</tr>', html, re.S))
    told = {name: words(rows[ticket.number]) for name, ticket in seven.items()}
    assert "Live failover · 1 VM Waiting for Support waiting-01 DFW01 → to PHX01" in told["waiting"]
    assert "Test failover · 1 VM Rejected" in told["rejected"]
    assert "Running, please confirm" in told["running"] and "Running, confirmed" in told["confirmed"]
    assert "Failed failed-01" in told["failed"] and "Terminated terminated-01" in told["terminated"]
    assert f"Termination of {seven['terminated']} · 1 VM Terminated terminated-01 PHX01 → to DFW01" in told["ending"]
    assert "Priya Raman" in told["waiting"]
    yellow = {name for name, ticket in seven.items() if 'class="fo"' in rows[ticket.number]}
    assert yellow == {"running", "confirmed"}
    assert 'class="vm t"' in rows[seven["testing"].number]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"kind": "test"}, ["testing", "rejected"]),
        ({"kind": "terminate"}, ["ending"]),
        ({"state": "waiting"}, ["waiting"]),
        ({"state": "rejected"}, ["rejected"]),
        ({"state": "running"}, ["testing", "confirmed", "running"]),
        ({"state": "failed"}, ["failed"]),
        ({"state": "terminated"}, ["ending", "terminated"]),
        ({"state": "given_up"}, []),
        ({"state": "terminating"}, []),
        ({"state": "running", "kind": "test"}, ["testing"]),
        ({"q": "TERMINATED"}, ["ending", "terminated"]),
        ({"q": "nobody"}, []),
    ],
)
def test_filters_live_in_the_address(
    priya: Client, seven: dict[str, Ticket], query: dict[str, str], names: list[str]
) -> None:
    assert listed(priya, **query) == [seven[name].number for name in names]


def test_every_filter_by_state_agrees_with_the_word(priya: Client, seven: dict[str, Ticket]) -> None:
    tickets = list(Ticket.objects.all())
    counted = lines_of([ticket.pk for ticket in tickets])
    shown = {ticket.number: ticket_word(ticket, counted[ticket.pk]).name for ticket in tickets}
    shown = {number: "running" if name == "confirmed" else name for number, name in shown.items()}
    for state in STATES:
        assert set(listed(priya, state=state)) == {number for number, name in shown.items() if name == state}, state


def test_a_number_finds_its_ticket_and_nonsense_finds_all(priya: Client, seven: dict[str, Ticket]) -> None:
    number = seven["running"].number
    assert listed(priya, q=number.lower()) == [number]
    assert len(listed(priya, kind="sideways", state="²", after="nonsense")) == 8
    assert "No request matches" in words(priya.get(LIST, {"q": "\0nobody"}).content.decode())


def test_the_empty_list_says_what_will_be_here(cast: Cast, priya: Client, client: Client) -> None:
    shown = words(priya.get(LIST).content.decode())
    assert "No failover was requested yet" in shown and "Request failover" in shown


def test_the_list_costs_the_same_for_1_50_and_200_lines_and_pages_by_keyset(cast: Cast, priya: Client) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"app-{n:03}" for n in range(200)])
    protect(cast, vms)
    counts, made = [], 0
    for upto in (1, 50, 120):
        for vm in vms[made:upto]:
            request(cast, [vm], key=f"key-of-{vm.name}")
        made = upto
        counts.append(statements(priya, LIST))
    assert counts[0] == counts[1] == counts[2] <= 6, counts
    request(cast, vms[120:], "live", key="key-of-many")
    assert statements(priya, LIST) == counts[0]
    seen = walk(priya, LIST, r'<tr role="row" id="(FO-\d+)"')
    assert len(seen) == len(set(seen)) == 121


def test_another_accounts_tickets_are_in_no_list(cast: Cast, client: Client, seven: dict[str, Ticket]) -> None:
    client.force_login(cast.olga)
    assert re.findall(r"FO-\d+", words(client.get("/contoso/failovers/").content.decode())) == []
    assert re.findall(r"FO-\d+", words(client.get("/contoso/failovers/", {"q": "running"}).content.decode())) == []
