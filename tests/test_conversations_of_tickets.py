"""Every failover ticket has a conversation from the start, and its row says at every moment how the ticket stands."""

from __future__ import annotations

import importlib
import time
from functools import partial
from itertools import combinations_with_replacement
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from accounts.models import Role
from ampdr import clock, work
from ampdr.work import perform
from failover.actions import confirm, lines_of, reject, request_termination, ticket_word, version_of
from failover.lifecycle import FAILOVER
from failover.models import Failover, Ticket
from failover.tasks import Carry, Spread, words
from inventory.models import VM
from notices.actions import write
from notices.models import Conversation, Message
from tests import test_counters
from tests.cast import Cast, make_vms, protect, request, say_yes, sign_in
from tests.test_work import claimed
from tests.threads import raised, together

PAGE = "/northwind/failovers/"


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, made)
    return made


def about(ticket: Ticket) -> Conversation:
    return Conversation.objects.get(number=ticket.number)


def check_words() -> None:
    """Each row against what the ticket's own page would say."""
    tickets = list(Ticket.objects.all())
    lines = lines_of([ticket.pk for ticket in tickets])
    shown = {ticket.number: ticket_word(ticket, lines[ticket.pk]) for ticket in tickets}
    rows = Conversation.objects.values_list("number", "word", "tone", "icon")
    assert sorted(rows) == sorted((number, *word[1:]) for number, word in shown.items())


def test_after_every_request(cast: Cast, vms: list[VM]) -> None:
    live = request(cast, vms, "live")
    say_yes(cast, live)
    work.drive()
    end = request_termination(cast.actor("priya"), live, "Over", "dfw01", "end-key-1")
    other = make_vms(cast.northwind, cast.sites["PHX01"], ["db-01"])
    protect(cast, other, "order-key-2")
    test = request(cast, other, "test")
    facts = Conversation.objects.order_by("pk").values_list("number", "title", "word", "vms", "kind", "opened_by")
    assert list(facts) == [
        (live.number, "Live failover of 3 VMs to PHX01", "Running, please confirm", 3, "failover", cast.priya.pk),
        (end.number, f"Termination of {live.number}, 3 VMs", "Waiting for Support", 3, "failover", cast.priya.pk),
        (test.number, "Test failover of 1 VM to DFW01", "Waiting for Support", 1, "failover", cast.priya.pk),
    ]
    assert not Message.objects.exists()


def test_the_word_follows_every_move_of_every_table(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same road as that of the counters, with this check after each batch instead of theirs."""
    monkeypatch.setattr(test_counters, "check_heads", check_words)
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"web-{n}" for n in range(6)])
    roads = (
        test_counters.replicate, test_counters.try_and_refuse, test_counters.fail_and_give_up, test_counters.go_live,
    )  # fmt: skip
    for part in roads:
        part(cast, vms, lambda *rules: test_counters.at_fault(monkeypatch, *rules))
        check_words()


def test_the_row_and_the_page_say_the_same_of_every_mix_of_states(cast: Cast, vms: list[VM]) -> None:
    """The row is told without a count while lines are on their way: that changes no word."""
    ticket = request(cast, vms, "live")
    say_yes(cast, ticket)
    lines = list(Failover.objects.filter(ticket=ticket).order_by("pk"))
    for mix in combinations_with_replacement(FAILOVER.states, len(lines)):
        for line, state in zip(lines, mix, strict=True):
            Failover.objects.filter(pk=line.pk).update(state=state)
        words.retell(clock.now(), {ticket.pk})
        check_words()


def test_rejected_and_confirmed(cast: Cast, vms: list[VM]) -> None:
    no, yes = request(cast, vms[:1], "test", key="key-of-no"), request(cast, vms[1:], "live", key="key-of-yes")
    changed = about(no).updated_at
    reject(cast.actor("mary"), no, "No", version_of(no))
    assert about(no).word == "Rejected" and about(no).updated_at > changed
    say_yes(cast, yes)
    assert about(yes).word == "Approved" or about(yes).word == "Failing over"
    work.drive()
    confirm(cast.actor("priya"), yes)
    assert about(yes).word == "Running, confirmed"
    check_words()


def test_a_message_moves_no_state_and_keeps_the_word(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms)
    write(cast.actor("mary"), about(ticket), "Which clinic?", "which-clinic")
    ticket.refresh_from_db()
    assert (ticket.state, about(ticket).shown_state.word) == ("waiting", "Waiting for Support")
    assert about(ticket).turn == "customer"


# ---- Two batches of one ticket at one instant ------------------------------------------------------------------------


def two_batches_at_once(cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> Ticket:
    """Both lines of a test come to run, each in a batch of its own, and both count before one is through."""
    ticket = request(cast, vms[:2])
    say_yes(cast, ticket)
    perform(claimed(Spread))
    monkeypatch.setattr(Carry, "size_at", lambda self, site: 1)
    batches = [claimed(Carry), claimed(Carry)]
    counted = words._summed

    def slowly(*asked: Any) -> Any:
        found = list(counted(*asked))
        time.sleep(0.4)
        return found

    monkeypatch.setattr(words, "_summed", slowly)
    assert raised(together(*[partial(perform, batch) for batch in batches])) == []
    monkeypatch.undo()
    assert set(Failover.objects.filter(ticket=ticket).values_list("state", flat=True)) == {"running"}
    return ticket


@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_counts_what_the_first_has_done(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = two_batches_at_once(cast, vms, monkeypatch)
    assert about(ticket).word == "Running"


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_neither_would_have_the_last_word(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(numbers: list[str]) -> dict[str, str]:
        return dict(Conversation.objects.filter(number__in=numbers).values_list("number", "word"))

    monkeypatch.setattr(words, "lock_conversations", read)
    ticket = two_batches_at_once(cast, vms, monkeypatch)
    assert about(ticket).word == "Failing over"


@pytest.mark.django_db(transaction=True)
def test_people_write_while_workers_are_at_it(cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever: batches and messages take the conversation before the account's head."""
    ticket = request(cast, vms)
    say_yes(cast, ticket)
    perform(claimed(Spread))
    monkeypatch.setattr(Carry, "size_at", lambda self, site: 1)
    batches = [partial(perform, claimed(Carry)) for _ in vms]
    people = [partial(write, cast.actor(who), about(ticket), "Hello", f"hello-{who}") for who in ("priya", "mary")]
    assert raised(together(*batches, *people)) == []
    assert (about(ticket).word, Message.objects.count()) == ("Running", 2)
    check_words()


# ---- Tickets of before -----------------------------------------------------------------------------------------------


def test_tickets_of_before_get_theirs(cast: Cast, vms: list[VM]) -> None:
    live = request(cast, vms[:2], "live")
    say_yes(cast, live)
    work.drive()
    request_termination(cast.actor("priya"), live, "Over", "dfw01", "end-key-1")
    request(cast, vms[2:])
    made = sorted(Conversation.objects.values_list("number", "title", "word", "tone", "icon", "vms", "opened_by"))
    kept = about(live)
    Conversation.objects.exclude(pk=kept.pk).delete()
    for _ in range(2):
        importlib.import_module("failover.migrations.0002_conversations").open_all(apps, None)
        again = Conversation.objects.values_list("number", "title", "word", "tone", "icon", "vms", "opened_by")
        assert sorted(again) == made
    assert Conversation.objects.filter(pk=kept.pk).exists()


# ---- On the ticket's page --------------------------------------------------------------------------------------------


def test_the_card_on_the_ticket_s_page(cast: Cast, vms: list[VM], client: Client) -> None:
    ticket = request(cast, vms)
    write(cast.actor("mary"), about(ticket), "Which <clinic>?", "which-clinic")
    sign_in(client, cast.priya)
    page = client.get(f"{PAGE}{ticket.number}/").content.decode()
    assert "Messages with Support" in page and "Which &lt;clinic&gt;?" in page
    sent = {"text": "The one in Mesa.", "key": "clinic-answer"}
    for _ in range(2):
        answer = client.post(f"{PAGE}{ticket.number}/messages/", sent)
        assert (answer.status_code, answer["Location"]) == (303, f"{PAGE}{ticket.number}/#talk")
    assert Message.objects.count() == 2
    assert "The one in Mesa." in client.get(f"{PAGE}{ticket.number}/").content.decode()


def test_a_message_that_is_too_long_is_kept(cast: Cast, vms: list[VM], client: Client) -> None:
    ticket = request(cast, vms)
    sign_in(client, cast.priya)
    text = "word " * 2000
    answer = client.post(f"{PAGE}{ticket.number}/messages/", {"text": text, "key": "too-long-key"})
    page = answer.content.decode()
    assert answer.status_code == 400 and "Shorten it to 4,000" in page and text.strip() in page
    assert f'hx-get="{PAGE}{ticket.number}/?version=' in page


def test_who_only_reads_replication_reads_and_does_not_write(cast: Cast, vms: list[VM], client: Client) -> None:
    ticket = request(cast, vms)
    write(cast.actor("priya"), about(ticket), "Please hurry", "please-hurry")
    Role.objects.filter(account=cast.northwind, name="Viewer").update(permissions=["read_replication"])
    sign_in(client, cast.ravi)
    page = client.get(f"{PAGE}{ticket.number}/").content.decode()
    assert "Please hurry" in page and 'name="text"' not in page
    assert client.post(f"{PAGE}{ticket.number}/messages/", {"text": "a", "key": "a" * 9}).status_code == 403


def test_on_support_s_page_too(cast: Cast, vms: list[VM], client: Client) -> None:
    ticket = request(cast, vms)
    write(cast.actor("priya"), about(ticket), "Please hurry", "please-hurry")
    sign_in(client, cast.mary)
    here = f"/admin/failover/ticket/{ticket.pk}/change/"
    assert "Please hurry" in client.get(here).content.decode()
    reply = f"/admin/notices/conversation/{about(ticket).pk}/change/"
    sent = {"do": "reply", "text": "On it.", "key": "on-it-key"}
    assert client.post(reply, sent | {"back": here})["Location"] == here
    elsewhere = {"back": "https://elsewhere.example/", "key": "on-it-key-2"}
    assert client.post(reply, sent | elsewhere)["Location"] == reply
    assert Message.objects.filter(staff=True).count() == 2
