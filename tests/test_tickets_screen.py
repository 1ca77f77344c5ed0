"""The Tickets screen and the pages it leads to, as the server writes them."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Head, Role
from ampdr import clock
from inventory.models import VM
from notices.actions import Opening, close, open_conversation, write
from notices.models import Conversation, Message
from tests.cast import Cast, make_vms, protect, request, sign_in

LIST = "/northwind/tickets/"


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"])
    protect(cast, made)
    return made


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    return sign_in(client, cast.priya)


def ask(cast: Cast, title: str = "A question", who: str = "priya", **facts: Any) -> Conversation:
    said = Opening(facts.pop("kind", "other"), title, "And its text", **facts)
    return open_conversation(cast.actor(who), said, f"key-of-{title}")


def numbers(client: Client, query: str = "") -> list[str]:
    page = client.get(LIST + query)
    assert page.status_code == 200
    return re.findall(r'<tr role="row" id="([^"]+)"', page.content.decode())


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html[html.index("<main") : html.index("</main>")])).split())


def test_one_list_of_everything_newest_change_first(cast: Cast, vms: list[VM], priya: Client) -> None:
    first, ticket, second = ask(cast, "First"), request(cast, vms), ask(cast, "Second")
    ask(cast, "Contoso's", who="olga")
    assert numbers(priya) == [second.number, ticket.number, first.number]
    with clock.ahead(timedelta(minutes=1)):
        write(cast.actor("mary"), first, "Hello", "hello-hello")
        assert numbers(priya) == [first.number, second.number, ticket.number]
    page = priya.get(LIST).content.decode()
    assert f'href="/northwind/failovers/{ticket.number}/"' in page and f'href="{LIST}{first.number}/"' in page
    for text in ("Test failover of 2 VMs to PHX01", "Waiting for Support", "Waiting for you", "Failover", "Question"):
        assert text in words(page)


def test_filters(cast: Cast, vms: list[VM], priya: Client) -> None:
    waits, answered, closed, ticket = ask(cast, "1"), ask(cast, "2"), ask(cast, "3", kind="list"), request(cast, vms)
    write(cast.actor("mary"), answered, "Hello", "hello-hello")
    close(cast.actor("mary"), closed, Message.objects.latest("pk").pk)
    found = {query: set(numbers(priya, f"?{query}")) for query in (
        "kind=failover", "kind=list", "kind=nonsense", "state=support", "state=customer", "state=closed",
        "state=running", f"q={waits.number.lower()}", f"q={waits.number[2:]}", f"q={ticket.number[3:]}", "q=T-1",
    )}  # fmt: skip
    every = {waits.number, answered.number, closed.number, ticket.number}
    assert list(found.values()) == [
        {ticket.number}, {closed.number}, every, {waits.number, ticket.number}, {answered.number}, {closed.number},
        set(), {waits.number}, {waits.number}, {ticket.number}, set(),
    ]  # fmt: skip
    assert "No ticket matches" in words(priya.get(f"{LIST}?q=T-1").content.decode())


def test_without_read_there_are_no_failovers_and_orders_and_no_filter_for_them(
    cast: Cast, vms: list[VM], client: Client
) -> None:
    ticket, order, asked = request(cast, vms), ask(cast, "1", kind="order", about="RO-1042"), ask(cast, "2")
    Role.objects.filter(account=cast.northwind, name="Viewer").update(permissions=["read_tickets"])
    sign_in(client, cast.ravi)
    assert numbers(client) == [asked.number] and numbers(client, "?kind=failover") == [asked.number]
    assert numbers(client, f"?q={ticket.number}") == []
    page = words(client.get(LIST).content.decode())
    assert not re.search("[Ff]ail|RO-1042|Order", page)
    absent = client.get(f"{LIST}T-999999/").content
    for hidden in (ticket.number, order.number, "FO-999999"):
        answer = client.get(f"{LIST}{hidden}/")
        assert (answer.status_code, answer.content) == (404, absent)


def test_pages_of_fifty(cast: Cast, priya: Client) -> None:
    made = [ask(cast, f"{n}").number for n in range(101)][::-1]
    found: list[str] = []
    query = ""
    for _ in range(3):
        page = priya.get(LIST + query).content.decode()
        found += re.findall(r'<tr role="row" id="([^"]+)"', page)
        query = unescape("".join(re.findall(r'href="(\?after=[^"]+)" rel="next"', page)))
    assert found == made and query == ""


def test_empty(cast: Cast, priya: Client, client: Client) -> None:
    assert "No tickets yet" in words(priya.get(LIST).content.decode())


def test_an_open_page_looks_again_for_nothing(cast: Cast, priya: Client) -> None:
    asked = ask(cast)
    version = Head.objects.get(account=cast.northwind).version
    for address in (LIST, f"{LIST}{asked.number}/"):
        with CaptureQueriesContext(connection) as caught:
            answer = priya.get(f"{address}?version={version}", headers={"HX-Request": "true"})
        assert (answer.status_code, len(caught)) == (204, 3)
    write(cast.actor("mary"), asked, "Hello there", "hello-hello")
    part = priya.get(f"{LIST}{asked.number}/?version={version}", headers={"HX-Request": "true"})
    assert part.status_code == 200 and "Hello there" in part.content.decode() and "<html" not in part.content.decode()


def test_a_failover_s_number_leads_to_its_page(cast: Cast, vms: list[VM], priya: Client) -> None:
    ticket = request(cast, vms)
    answer = priya.get(f"{LIST}{ticket.number}/")
    assert (answer.status_code, answer["Location"]) == (303, f"/northwind/failovers/{ticket.number}/")


# ---- Writing ---------------------------------------------------------------------------------------------------------


def test_opening_one_and_answering(cast: Cast, priya: Client) -> None:
    form = priya.get(f"{LIST}new/?kind=list").content.decode()
    assert "Authorized users of Northwind Health" in form
    sent = {"kind": "list", "title": "Please add Ravi", "text": "From Monday.\r\nThanks", "key": "opening-key"}
    for _ in range(2):
        answer = priya.post(f"{LIST}new/", sent)
        asked = Conversation.objects.get()
        assert (answer.status_code, answer["Location"]) == (303, f"{LIST}{asked.number}/")
    for _ in range(2):
        answer = priya.post(f"{LIST}{asked.number}/", {"text": "And Oscar.", "key": "second-key"})
        assert answer["Location"] == f"{LIST}{asked.number}/#talk"
    assert list(Message.objects.order_by("pk").values_list("text", flat=True)) == ["From Monday.\nThanks", "And Oscar."]


def test_about_an_order(cast: Cast, vms: list[VM], priya: Client) -> None:
    form = priya.get(f"{LIST}new/?kind=order&about=RO-1042").content.decode()
    assert 'name="about" value="RO-1042"' in form and "Order RO-1042" in form and "What is it about?" not in form
    sent = {"kind": "order", "about": "RO-1042", "title": "Order RO-1042", "text": "When?", "key": "order-question"}
    assert priya.post(f"{LIST}new/", sent).status_code == 303
    assert Conversation.objects.get().about == "RO-1042"
    assert priya.post(f"{LIST}new/", sent | {"about": "../..", "key": "order-question-2"}).status_code == 400


def test_what_is_wrong_stands_beside_the_field_and_the_words_are_kept(cast: Cast, priya: Client) -> None:
    asked = ask(cast)
    page = priya.post(f"{LIST}{asked.number}/", {"text": "word " * 2000, "key": "too-long-key"})
    assert page.status_code == 400 and "Shorten it to 4,000" in page.content.decode()
    assert ("word " * 1999).strip() in page.content.decode()
    page = priya.post(f"{LIST}new/", {"kind": "other", "title": "", "text": "kept words", "key": "empty-title"})
    assert page.status_code == 400 and "in a few words" in page.content.decode()
    assert "kept words" in page.content.decode()
    for nul in ({"text": "a\0", "key": "nul-in-text"}, {"text": "a", "key": "nul-\0-in-key"}, {"text": "a"}):
        assert priya.post(f"{LIST}{asked.number}/", nul).status_code == 400
    assert Message.objects.count() == 1


def test_a_form_sent_again_with_other_words_asks_first(cast: Cast, priya: Client) -> None:
    """The way back, other words, send: nothing is lost, and nothing sent unasked."""
    asked = ask(cast)
    priya.post(f"{LIST}{asked.number}/", {"text": "One", "key": "the-same-key"})
    page = priya.post(f"{LIST}{asked.number}/", {"text": "Two", "key": "the-same-key"})
    assert page.status_code == 400 and "sent before" in page.content.decode() and "Two" in page.content.decode()
    key = re.search(r'name="key" value="([^"]+)"', page.content.decode())
    assert key and priya.post(f"{LIST}{asked.number}/", {"text": "Two", "key": key[1]}).status_code == 303


def test_long_talks_are_read_in_parts(cast: Cast, priya: Client) -> None:
    asked = ask(cast)
    for n in range(70):
        Message.objects.create(conversation=asked, person=cast.priya, author="Priya Raman", text=f"message {n:02}.")
    page = priya.get(f"{LIST}{asked.number}/").content.decode()
    assert re.findall(r"message \d\d", page) == [f"message {n:02}" for n in range(20, 70)]
    older = re.search(r'href="(\?older=[^"#]+)#talk"', page)
    assert older
    page = priya.get(f"{LIST}{asked.number}/{unescape(older[1])}").content.decode()
    assert re.findall(r"message \d\d", page) == [f"message {n:02}" for n in range(20)] and "And its text" in page


# ---- Support's side --------------------------------------------------------------------------------------------------


def test_support_s_queue(cast: Cast, vms: list[VM], client: Client) -> None:
    sign_in(client, cast.mary)
    first, second, answered, ticket = ask(cast, "1"), ask(cast, "2", who="olga"), ask(cast, "3"), request(cast, vms)
    write(cast.actor("mary"), answered, "Hello", "hello-hello")
    queue = "/admin/notices/conversation/"

    def found(query: str = "") -> list[str]:
        return re.findall(r"<span>((?:T|FO)-\d+)<small>", client.get(queue + query).content.decode())

    assert found() == [first.number, second.number]
    assert found("?turn=customer") == [answered.number]
    assert found("?turn=all") == [ticket.number, answered.number, second.number, first.number]
    assert found(f"?q={ticket.number}") == [ticket.number] and found("?q=contoso") == [second.number]
    with clock.ahead(timedelta(hours=5)):
        assert "over 4 h" in client.get(queue).content.decode()


def test_support_replies_and_closes(cast: Cast, client: Client) -> None:
    asked = ask(cast, "Why <b>?")
    sign_in(client, cast.mary)
    page = f"/admin/notices/conversation/{asked.pk}/change/"
    assert "Why &lt;b&gt;?" in client.get(page).content.decode()
    for _ in range(2):
        assert client.post(page, {"do": "reply", "text": "Because.", "key": "because-key"}).status_code == 302
    refused = client.post(page, {"do": "reply", "text": "x" * 5000, "key": "because-key-2"})
    assert refused.status_code == 400 and "x" * 5000 in refused.content.decode()
    assert client.post(page, {"do": "close", "seen": "0"}).status_code == 409
    seen = re.search(r'name="seen" value="(\d+)"', client.get(page).content.decode())
    assert seen and client.post(page, {"do": "close", "seen": seen[1]}).status_code == 302
    asked.refresh_from_db()
    assert asked.closed_at and Message.objects.count() == 2
    cast.mary.groups.clear()
    assert client.get(page).status_code == 403
