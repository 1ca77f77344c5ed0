"""What Support sees beside the checks, the reason that is prefilled, and buttons for many VMs at once."""

import re
import uuid
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.models import Activity
from ampdr import clock, work
from failover.actions import Wish, request_extension, request_failover, request_termination
from failover.models import Failover, Ticket
from failover.screens import room
from inventory.actions import declare
from inventory.models import VM, Outage
from replication.models import Replication
from replication.providers.sites import provider_of
from tests.cast import Cast, drive_to, request, say_yes, states
from tests.test_admin.desk import QUEUE, faults, html, page, press, signed_in, state, vms, words
from tests.test_request.pages import CONFIRM, link


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_answers", {})


def down(cast: Cast, code: str, minutes: int = 35) -> Outage:
    since = clock.now() - timedelta(minutes=minutes)
    return declare(cast.actor("mary"), cast.sites[code], "No power", "Hall A.", since, str(uuid.uuid4()))


def plain(response: Any) -> str:
    """The page's words, without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html(response))).split())


def test_time_and_access_are_said_as_on_the_customer_s_pages(cast: Cast, mary: Client) -> None:
    """The median of what was started before, never the last one alone."""
    found, priya = vms(cast), signed_in(cast.priya)
    for minutes in (4, 12, 30):
        tested = request(cast, found[:1], key=f"request-{minutes}")
        say_yes(cast, tested)
        work.drive()
        Ticket.objects.filter(pk=tested.pk).update(decided_at=clock.now() - timedelta(minutes=minutes))
        Failover.objects.filter(ticket=tested).update(running_at=clock.now())
        end = request_termination(cast.actor("priya"), tested, "", "", f"end-key-{minutes}")
        say_yes(cast, end)
        work.drive()
    ticket = request(cast, found, "live")
    told = "Expected time to running about 12 min after approval, 1 of 3 VMs tested"
    assert told in plain(mary.get(page(ticket)))
    shown = plain(priya.get(f"/northwind/failovers/{ticket.number}/"))
    assert told in shown and "Access PHX01-Recovery no SSL/VPN user has it" in shown


@pytest.mark.parametrize("names", [["web-01"], ["web-01", "web-02"]], ids=["one", "two"])
@pytest.mark.parametrize("kind", ["live", "test"])
def test_the_six_facts_are_the_customer_s_in_his_words(cast: Cast, mary: Client, kind: str, names: list[str]) -> None:
    """What the preview said before it was sent; beneath them how it starts, or when the test ends."""
    found, priya = vms(cast, *names), signed_in(cast.priya)
    at = clock.now() - timedelta(days=2, hours=12, minutes=30)  # an age that no second changes
    Replication.objects.update(newest_point_at=at)
    VM.objects.update(newest_point_at=at)
    preview = facts(priya.get(f"{CONFIRM}?{link(found, kind=kind)}"))
    support = facts(mary.get(page(request(cast, found, kind))))
    said, count = ", ".join(names), "1 VM" if len(names) == 1 else "2 VMs"
    assert (preview[0], support[0]) == (f"Virtual machines: {said}", f"Virtual machines: {count} {said}")
    assert len(preview) == 6 and support[1:6] == preview[1:]
    beneath = "How it starts: Planned if DFW01 answers at the start" if kind == "live" else "Test ends: "
    assert len(support) == 7 and support[6].startswith(beneath)


def facts(response: Any) -> list[str]:
    """The page's facts without their links, which lead back to step 1."""
    found = re.findall(r"<div><dt>(.*?)</dt><dd.*?>(.*?)</dd></div>", html(response), re.DOTALL)
    said = [(label, re.sub(r"( · )?<a .*?</a>|<[^>]+>", " ", text)) for label, text in found]
    return [f"{label}: {' '.join(unescape(text).split())}".replace(" ,", ",") for label, text in said]


# ---- An open outage --------------------------------------------------------------------------------------------------


def test_with_an_open_outage_an_approval_is_one_click(cast: Cast, mary: Client) -> None:
    outage = down(cast, "DFW01")
    ticket = request(cast, vms(cast), "live")
    shown = html(mary.get(page(ticket)))
    assert re.search(r'value="outage" checked>Outage N-\d+ confirmed<', shown)
    assert f"Outage {outage.number} open in DFW01" in shown
    assert "Planned if DFW01 answers at the start, otherwise unplanned" in shown
    assert 'name="code"' not in shown, "the second factor is fresh"
    sent = dict(re.findall(r'name="(\w+)" value="([^"]+)"(?: checked)?>', shown))
    assert sent["version"] and press(mary, ticket, "approve", quick="outage").status_code == 302
    assert state(ticket) == "approved" and ticket.decision_reason == f"Outage {outage.number} confirmed"


def test_without_one_nothing_is_chosen(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    shown = html(mary.get(page(ticket)))
    assert " checked" not in shown and "No outage is declared in DFW01" in shown


def test_an_outage_is_no_reason_for_a_test(cast: Cast, mary: Client) -> None:
    down(cast, "DFW01")
    ticket = request(cast, vms(cast), "test")
    shown = html(mary.get(page(ticket)))
    assert 'value="outage"' not in shown and " checked" not in shown
    assert press(mary, ticket, "approve", quick="outage").status_code == 400
    assert press(mary, ticket, "approve", quick="planned").status_code == 302
    assert ticket.decision_reason == "" and state(ticket) == "approved" and ticket.decision_reason == "Planned test"


# ---- Shown, never bound ----------------------------------------------------------------------------------------------


def test_what_is_to_be_weighed_stands_beside_the_checks(cast: Cast) -> None:
    ticket = request(cast, vms(cast), "live")
    told = down(cast, "PHX01")
    with clock.ahead(timedelta(hours=1)):
        mary = signed_in(cast.mary)
        shown = plain(mary.get(page(ticket)))
    for words_of in (
        f"PHX01 has an outage itself, {told.number}", "RPO behind its target 3 of 3 VMs", "Never tested 3 of 3 VMs",
        "Nobody has the PHX01-Recovery profile", "Room in PHX01-Recovery", "Priya Raman's second factor was proved",
        "Not answered for 1 h",
    ):  # fmt: skip
        assert words_of in shown, words_of
    assert press(mary, ticket, "approve", quick="phone").status_code == 302, "none of this binds"
    assert state(ticket) == "approved"


def test_the_second_factor_s_own_time_and_means(cast: Cast, mary: Client) -> None:
    """As the customer's page has them: the proof may be minutes older than the request."""
    proved_at = clock.now() - timedelta(minutes=4)
    priya = replace(cast.actor("priya"), proved_at=proved_at, proved_by="recovery_codes")
    wish = Wish("live", [vm.uuid for vm in vms(cast)], "Clinic sign-in is down", "phx01")
    shown = html(mary.get(page(request_failover(priya, wish, "request-key-1"))))
    row = shown[shown.index("second factor was proved") :].split("</li>")[0]
    assert "Recovery code, " in row and proved_at.strftime("%Y-%m-%dT%H:%M") in row


def test_a_provider_that_doesn_t_answer_holds_no_page_up(
    cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = request(cast, vms(cast), "live")
    faults(monkeypatch)
    monkeypatch.setattr(type(provider_of("PHX01")), "health", lambda self: 1 / 0)
    shown = plain(mary.get(page(ticket)))
    assert "Room in" not in shown and "Approve live failover of 3 VMs" in shown


# ---- Terminations and extensions have facts of their own -------------------------------------------------------------


def running(cast: Cast, kind: str) -> Ticket:
    ticket = request(cast, vms(cast), kind)
    say_yes(cast, ticket)
    work.drive()
    return ticket


def test_the_termination_of_a_live_one_tells_of_the_primary_site(cast: Cast, mary: Client) -> None:
    live = running(cast, "live")
    end = request_termination(cast.actor("priya"), live, "Dallas is back", "dfw01", "end-key-1")
    shown = plain(mary.get(page(end)))
    assert "1 live request waits" in shown, "the bell counts it"
    assert "DFW01 now No outage none was ever declared" in shown and "made in PHX01, not copied back" in shown
    outage = down(cast, "DFW01")
    shown = plain(mary.get(page(end)))
    assert f"DFW01 now Outage {outage.number} open for 35 min" in shown
    assert "where they go back to, has an open outage" in shown


def test_an_extension_shows_the_old_date_and_the_new_one(cast: Cast, mary: Client) -> None:
    test = running(cast, "test")
    test.refresh_from_db()
    assert test.ends_at
    later = test.ends_at + timedelta(days=2)
    more = request_extension(cast.actor("priya"), test, later, "Not done yet", "more-key-1")
    shown = html(mary.get(page(more)))
    assert "Approve extension of 3 VMs" in shown and "Old end date" in shown and "New end date" in shown
    for at in (test.ends_at, later):
        assert at.strftime("%Y-%m-%dT%H:%M") in shown
    assert press(mary, more, "approve", quick="phone").status_code == 302
    work.drive()
    assert set(Failover.objects.filter(ticket=test).values_list("ends_at", flat=True)) == {later}
    assert "End date now" in html(mary.get(page(more)))


# ---- The queue -------------------------------------------------------------------------------------------------------


def test_the_queue_tells_of_outages_reminders_and_calls(cast: Cast, mary: Client) -> None:
    outage = down(cast, "DFW01")
    with clock.ahead(timedelta(minutes=-17)):
        ticket = request(cast, vms(cast), "live")
    Ticket.objects.filter(pk=ticket.pk).update(reminders=2, filed_by=cast.tom, called_back="+1 555 0142")
    shown = html(mary.get(QUEUE))
    assert f"outage {outage.number}<" in shown and "over 15 min, 2 reminders" in shown
    assert "by phone, Tom Ueda" in shown


# ---- Many VMs at once ------------------------------------------------------------------------------------------------


def failed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Ticket:
    ticket = request(cast, vms(cast), "live")
    faults(monkeypatch, {"fault": "refuse", "kind": "start_live"})
    say_yes(cast, ticket)
    drive_to(ticket, "start_failed")
    faults(monkeypatch)
    return ticket


def seen(client: Client, ticket: Ticket, what: str) -> str:
    """What travels with the button of all."""
    found = re.findall(
        r'name="line" value="all"><input type="hidden" name="seen" value="([^"]+)">', html(client.get(page(ticket)))
    )
    assert found, what
    return str(found[0])


def test_all_that_failed_are_tried_again_by_one_button(
    cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = failed(cast, monkeypatch)
    shown = html(mary.get(page(ticket)))
    assert "Retry 3 VMs" in shown and "Give up 3 VMs" in shown
    assert "3 VMs are tried again" in words(press(mary, ticket, "retry", line="all", seen=seen(mary, ticket, "retry")))
    assert Activity.objects.filter(event="retry_start").count() == 3
    assert drive_to(ticket, "running")
    assert press(mary, ticket, "retry", line="all").status_code == 409, "nothing is left to be tried"


def test_all_that_failed_are_given_up_by_one_button(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = failed(cast, monkeypatch)
    mine = seen(mary, ticket, "give_up")
    assert press(mary, ticket, "give_up", line="all", seen=mine).status_code == 400, "without a reason"
    one = Failover.objects.filter(ticket=ticket).first()
    assert one and press(mary, ticket, "give_up", line=one.pk, reason="Broken").status_code == 302
    told = press(mary, ticket, "give_up", line="all", seen=mine, reason="Broken")
    assert told.status_code == 409 and states(ticket).count("start_failed") == 2, "one was given up meanwhile"
    press(mary, ticket, "give_up", line="all", seen=seen(mary, ticket, "give_up"), reason="Broken")
    assert drive_to(ticket, "dropped")
    assert VM.objects.filter(shown=True).count() == 3 and not Replication.objects.exclude(state="protected").exists()


def test_unknown_outcomes_are_settled_as_one(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = request(cast, vms(cast), "test")
    monkeypatch.setenv("SIMULATION_REMEMBERS_KEYS", "0")
    faults(monkeypatch, {"fault": "lost_answer", "kind": "start_test"})
    say_yes(cast, ticket)
    work.drive()
    faults(monkeypatch)
    shown = html(mary.get(page(ticket)))
    assert "What came of 3 VMs nobody knows" in shown and "Retry" not in shown
    mine = seen(mary, ticket, "settle")
    one = Failover.objects.filter(ticket=ticket).first()
    assert one and "Settle that first" in html(press(mary, ticket, "retry", line=one.pk))
    assert press(mary, ticket, "settle_done", line="all", seen=mine).status_code == 400
    told = press(mary, ticket, "settle_done", line="all", seen=mine, reason="They run")
    assert "3 VMs are settled as done" in words(told) and states(ticket) == ["running"] * 3
    late = press(mary, ticket, "settle_not", line="all", seen=mine, reason="They don't")
    assert late.status_code == 409 and states(ticket) == ["running"] * 3
