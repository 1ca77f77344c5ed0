"""Conversations with Support: who may read, write, close; what stands in them; that no click doubles one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from django.test import Client

from accounts.models import Activity, AuthorizedUser, Role
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor
from notices.actions import Opening, close, may_write, open_conversation, readable, write
from notices.models import Conversation, Message, Turn
from tests.cast import Cast, make_vms, protect, request, sign_in
from tests.threads import raised, together

QUESTION = Opening("other", "Where do our bills go?", "To whom do you send them?")


def ask(cast: Cast, who: str = "priya", key: str = "question-key", **other: Any) -> Conversation:
    return open_conversation(cast.actor(who), replace(QUESTION, **other), key)


def asked_of_support(cast: Cast) -> Conversation:
    return Conversation.objects.get(pk=ask(cast).pk)


def viewer(cast: Cast, *permissions: str) -> Actor:
    """Ravi with these permissions."""
    Role.objects.filter(account=cast.northwind, name="Viewer").update(permissions=permissions)
    return cast.actor("ravi")


def test_a_conversation_waits_for_whoever_did_not_write_last(cast: Cast) -> None:
    asked = asked_of_support(cast)
    assert asked.number.startswith("T-") and (asked.turn, asked.shown_state.word) == (
        Turn.SUPPORT,
        "Waiting for Support",
    )
    write(cast.actor("mary"), asked, "To the address on file.", "answer-1")
    asked.refresh_from_db()
    assert asked.shown_state.word == "Waiting for you"
    write(cast.actor("oscar"), asked, "Thanks.", "answer-2")
    asked.refresh_from_db()
    assert asked.turn == Turn.SUPPORT
    said = Message.objects.filter(conversation=asked).order_by("pk").values_list("author", "staff")
    assert list(said) == [("Priya Raman", False), ("Mary Osei", True), ("Oscar Lind", False)]


def test_it_waits_since_the_first_message_that_is_not_answered(cast: Cast) -> None:
    asked = asked_of_support(cast)
    write(cast.actor("oscar"), asked, "And when?", "second-one")
    assert Conversation.objects.get(pk=asked.pk).turn_since == asked.turn_since
    write(cast.actor("mary"), asked, "On Monday.", "answer-1")
    write(cast.actor("oscar"), asked, "Which?", "third-one")
    assert Conversation.objects.get(pk=asked.pk).turn_since > asked.turn_since


def test_closing_and_opening_again(cast: Cast) -> None:
    asked, mary = asked_of_support(cast), cast.actor("mary")
    seen = Message.objects.latest("pk").pk
    write(cast.actor("priya"), asked, "One thing more.", "one-thing-more")
    with pytest.raises(Conflict, match="Priya Raman wrote meanwhile"):
        close(mary, asked, seen)
    for _ in range(2):
        close(mary, asked, Message.objects.latest("pk").pk)
    asked.refresh_from_db()
    assert asked.shown_state.word == "Closed"
    write(cast.actor("priya"), asked, "And this?", "and-this-too")
    asked.refresh_from_db()
    assert asked.shown_state.word == "Waiting for Support" and asked.turn_since > asked.opened_at
    events = Activity.objects.filter(about=asked.number).order_by("pk").values_list("kind", "event", "staff")
    assert list(events) == [
        ("conversation", "opened", False), ("message", "written", False), ("conversation", "closed", True),
        ("message", "written", False),
    ]  # fmt: skip


def test_the_words_themselves_stay_out_of_the_record(cast: Cast) -> None:
    asked = ask(cast, title="Password hunter2", text="It is hunter2")
    write(cast.actor("priya"), asked, "hunter2!", "another-key")
    assert not [row for row in Activity.objects.values() if "hunter2" in str(row)]


# ---- Who may ---------------------------------------------------------------------------------------------------------


def test_what_it_takes(cast: Cast) -> None:
    asked = ask(cast)
    with pytest.raises(Forbidden):
        readable(viewer(cast, "read_vms"))
    reads = viewer(cast, "read_tickets")
    assert readable(reads).filter(pk=asked.pk).exists() and not may_write(reads, asked.kind)
    with pytest.raises(Forbidden):
        write(reads, asked, "Hello", "hello-hello")
    with pytest.raises(Forbidden):
        open_conversation(reads, QUESTION, "hello-hello")
    with pytest.raises(Forbidden):
        close(cast.actor("priya"), asked, 0)
    write(viewer(cast, "read_tickets", "write_tickets"), asked, "Hello", "hello-hello")
    assert Message.objects.count() == 2


def test_another_account_s_conversation_is_not_there(cast: Cast) -> None:
    asked = ask(cast)
    assert not readable(cast.actor("olga")).exists()
    with pytest.raises(Absent):
        write(cast.actor("olga"), asked, "Hello", "hello-hello")


def test_without_read_nothing_is_said_of_failovers_and_orders(cast: Cast) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    order = protect(cast, vms)
    ticket = request(cast, vms)
    asked = ask(cast)
    about = ask(cast, key="about-the-order", kind="order", about=order.number)

    def sees(actor: Actor) -> set[str]:
        return set(readable(actor).values_list("number", flat=True))

    everything = {asked.number, about.number, ticket.number}
    assert sees(cast.actor("priya")) == everything
    assert sees(viewer(cast, "read_tickets", "read_replication")) == everything
    bare = viewer(cast, "read_tickets", "write_tickets")
    assert sees(bare) == {asked.number}
    for kind in ("order", "failover"):
        assert not may_write(bare, kind)


def test_a_listed_person_writes_about_a_failover_without_a_right_to_tickets(cast: Cast) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    ticket = request(cast, vms)
    about = Conversation.objects.get(number=ticket.number)
    ravi = viewer(cast, "read_replication")
    with pytest.raises(Forbidden):
        write(ravi, about, "It is urgent", "urgent-key")
    AuthorizedUser.objects.create(account=cast.northwind, person=cast.ravi)
    write(cast.actor("ravi"), about, "It is urgent", "urgent-key")
    with pytest.raises(Forbidden):
        write(cast.actor("ravi"), ask(cast), "It is urgent", "urgent-key-2")


# ---- Once and well-formed --------------------------------------------------------------------------------------------


def test_a_double_click_writes_once(cast: Cast) -> None:
    asked = ask(cast)
    assert ask(cast).pk == asked.pk and Conversation.objects.count() == 1
    for _ in range(2):
        write(cast.actor("priya"), asked, "Hello", "hello-hello")
        write(cast.actor("mary"), asked, "Hello", "hello-hello")
    assert Message.objects.count() == 3
    with pytest.raises(Conflict):
        write(cast.actor("priya"), asked, "Something else", "hello-hello")


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_one_instant_write_once(cast: Cast) -> None:
    asked, priya = ask(cast), cast.actor("priya")
    came = together(*[lambda: write(priya, asked, "Hello", "hello-hello")] * 4)
    assert raised(came) == [] and Message.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_people_who_write_at_once_all_get_through(cast: Cast) -> None:
    """The last message says whose turn it is, whoever waited for whom."""
    asked = ask(cast)
    deeds = [
        partial(write, cast.actor(who), asked, f"{n}", f"{who}-writes-{n}")
        for n in range(4)
        for who in ("priya", "oscar", "mary")
    ]
    assert raised(together(*deeds)) == []
    assert Message.objects.count() == 13
    last = Message.objects.latest("pk")
    asked.refresh_from_db()
    assert asked.turn == (Turn.CUSTOMER if last.staff else Turn.SUPPORT)


WRONG = {
    "": "Write something first.", " \r\n ": "Write something first.", "x" * 4001: "4,001 characters",
    "a\0b": "control characters", "a\x1b[31m": "control characters", "a\x85b": "control characters",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_what_is_not_well_formed(cast: Cast, text: str) -> None:
    asked = ask(cast)
    with pytest.raises(Invalid) as refused:
        write(cast.actor("priya"), asked, text, "hello-hello")
    assert WRONG[text] in refused.value.fields["text"][0]
    with pytest.raises(Invalid):
        ask(cast, key="another-key", text=text)
    assert Message.objects.count() == 1


def test_line_breaks_are_kept_and_other_marks_too(cast: Cast) -> None:
    asked = ask(cast)
    write(cast.actor("priya"), asked, " one\r\n\r\n two\tthree\u202eright to left\u200f ", "hello-hello")
    assert Message.objects.latest("pk").text == "one\n\n two\tthree\u202eright to left\u200f"


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""}, {"title": "x" * 201}, {"title": "a\nb"}, {"kind": "failover"}, {"kind": "nonsense"},
        {"kind": "order"}, {"kind": "order", "about": "FO-1"}, {"about": "RO-1"},
    ],
)  # fmt: skip
def test_what_can_not_be_opened(cast: Cast, wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        ask(cast, **wrong)
    assert not Conversation.objects.exists()


def test_support_opens_one(cast: Cast, client: Client) -> None:
    sign_in(client, cast.mary)
    sent = {"account": "contoso", "kind": "list", "title": "Your list", "text": "Is it still right?", "key": "k" * 32}
    for _ in range(2):
        answer = client.post("/admin/notices/conversation/add/", sent)
        made = Conversation.objects.get()
        assert (answer.status_code, made.account, made.turn) == (302, cast.contoso, Turn.CUSTOMER)
    page = client.post("/admin/notices/conversation/add/", sent | {"text": "", "title": "x\0"})
    assert page.status_code == 200 and b"Write something first." in page.content
