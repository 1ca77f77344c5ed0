"""RO-n while Support asks: what stands on the page, for whom, and that it can be answered there."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import Role
from ampdr import clock, work
from notices.actions import write
from notices.models import Conversation
from replication.actions import ask, go_on, promise
from replication.models import Order, Replication
from replication.providers.base import Progress
from replication.tasks import Provision
from tests.cast import Cast, sign_in
from tests.test_orders.asking import servers, simulate, statements
from tests.test_orders.reading import TOP, ordered, poll, pretend, text

GB = 2**30


@pytest.fixture
def order(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Order:
    """Three VMs in their first sync."""
    simulate(monkeypatch, time_scale=1)
    made = ordered(cast, *servers(cast, "web-01", "web-02", "web-03"))
    work.drive()
    return made


def asked(cast: Cast, *names: str, answers: tuple[str, ...] = ()) -> Conversation:
    lines = Replication.objects.filter(vm__name__in=names)
    return ask(cast.actor("mary"), lines, "Which disk <tier>?", "question-key-1", answers)


def page_of(order: Order) -> str:
    return f"{TOP}orders/{order.number}/"


def test_a_question_is_answered_on_the_orders_page(cast: Cast, client: Client, order: Order) -> None:
    talk = asked(cast, "web-01", "web-02", answers=("Standard", "Fast & dear"))
    page = client.get(page_of(order))
    words, html = text(page), page.content.decode()
    assert "0 of 3 ready · 1 running · 2 waiting for you" in words and "Needs you" in words
    assert "Support asks about web-01 and 1 more" in words and "Which disk &lt;tier&gt;?" in html
    assert words.count(f"You: answer {talk.number}") == 2 and f'href="/northwind/tickets/{talk.number}/"' in html
    assert "Needs you" in text(client.get(f"{TOP}orders/"))
    [key] = re.findall(r'name="key" value="([^"]+)"', html)
    assert re.findall(r'name="text" value="([^"]+)"', html) == ["Standard", "Fast &amp; dear"]
    action = f"/northwind/tickets/{talk.number}/"
    for _ in range(2):
        assert client.post(action, {"key": key, "text": "Fast & dear"}).status_code == 303
    words = text(client.get(page_of(order)))
    assert "3 running" in words and words.count(f"Support · {talk.number}") == 2 and "asks about" not in words
    assert talk.messages.count() == 2


def test_without_answers_to_choose_from_there_is_a_field(cast: Cast, client: Client, order: Order) -> None:
    talk = asked(cast, "web-01")
    html = client.get(page_of(order)).content.decode()
    assert f"Answer {talk.number}" in html and "<textarea" in html
    assert "Support asks about" in html and "data-keep" in html


def test_who_may_not_write_or_read_tickets_is_told_so(cast: Cast, client: Client, order: Order) -> None:
    talk = asked(cast, "web-01", answers=("Standard",))
    sign_in(client, cast.ravi)
    words = text(client.get(page_of(order)))
    assert f"You: answer {talk.number}" in words and "Read Ticket(s)" in words and "Which disk" not in words
    assert "Standard" not in words and f"/tickets/{talk.number}/" not in client.get(page_of(order)).content.decode()
    Role.objects.filter(name="Viewer").update(permissions=["read_vms", "read_replication", "read_tickets"])
    words = text(client.get(page_of(order)))
    assert "Which disk" in words and "needs the permission Write Ticket(s)" in words and "Standard" not in words


def test_the_conversation_offers_the_same_answers(cast: Cast, client: Client, order: Order) -> None:
    talk = asked(cast, "web-01", answers=("Standard", "Fast"))
    address = f"/northwind/tickets/{talk.number}/"
    assert '<button class="btn any" name="text" value="Fast">' in client.get(address).content.decode()
    write(cast.actor("priya"), talk, "Fast", "answer-key-1")
    assert '<button class="btn any" name="text"' not in client.get(address).content.decode()


def test_an_open_page_is_told_of_question_and_answer(cast: Cast, client: Client, order: Order) -> None:
    page = client.get(page_of(order))
    talk = asked(cast, "web-01")
    part = poll(client, page)
    assert part.status_code == 200 and "Support asks about" in text(part)
    write(cast.actor("priya"), talk, "Fast", "answer-key-1")
    assert "Support asks about" not in text(poll(client, part))


def test_questions_cost_the_same_for_one_line_and_for_many(cast: Cast, client: Client, order: Order) -> None:
    client.get(page_of(order))
    with statements() as without:
        client.get(page_of(order))
    asked(cast, "web-01", "web-02", "web-03")
    with statements() as made:
        client.get(page_of(order))
    assert len(made) == len(without) + 2


def test_bytes_and_the_time_that_is_left(
    cast: Cast, client: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clock.ahead(timedelta(hours=3)):
        pretend(monkeypatch)
        page = text(client.get(page_of(order)))
        assert "of 40 GB · estimating" in page  # the first bytes were seen just now
    with clock.ahead(timedelta(hours=3, minutes=4)):
        pretend(monkeypatch)
        assert "estimating" in text(client.get(page_of(order)))
    with clock.ahead(timedelta(hours=3, minutes=10)):
        pretend(monkeypatch)
        page = text(client.get(page_of(order)))
    assert "estimating" not in page and re.search(r"\d+ of 40 GB · about (1\d|2\d) h left", page)
    Replication.objects.update(bytes_done=900 * GB, bytes_total=1400 * GB, speed=GB // 36)
    assert "900 GB of 1.4 TB · about 5 h left" in text(client.get(page_of(order)))
    Replication.objects.update(bytes_done=74 * GB, bytes_total=80 * GB, speed=GB // 60)
    assert "74 of 80 GB · about 6 min left" in text(client.get(page_of(order)))
    Replication.objects.update(speed=0)
    assert "estimating" in text(client.get(page_of(order)))


def test_the_speed_is_that_of_the_last_quarters_of_an_hour(
    cast: Cast, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for minutes in (180, 185, 196, 200, 211):
        with clock.ahead(timedelta(minutes=minutes)):
            pretend(monkeypatch)
        row = Replication.objects.get(vm__name="web-01")
        assert row.bytes_total == 40 * GB and row.bytes_done and row.bytes_done < 10 * GB
        seen.append((row.speed_from, row.speed))
    begun = [at for at, _ in seen]
    assert begun[0] == begun[1] < begun[2] == begun[3] < begun[4]  # type: ignore[operator]
    assert seen[1][1] is None and seen[2][1] and 100_000 < seen[2][1] < 1_000_000  # bytes a second


def test_hours_in_which_it_was_halted_are_no_part_of_the_time_that_is_left(
    cast: Cast, client: Client, order: Order
) -> None:
    """Of a provider that tells percents and no bytes."""
    Replication.objects.exclude(vm__name="web-01").delete()
    Replication.objects.update(bytes_done=None, bytes_total=None, speed_from=None, speed_bytes=None, percent=0)
    for hours, percent in ((1, 10), (2, 20)):
        with clock.ahead(timedelta(hours=hours)):
            looked(percent)
            words = text(client.get(page_of(order)))
        assert ("estimating" in words) == (percent == 10)
    assert re.search("about [789] h left", words)
    with clock.ahead(timedelta(hours=2)):
        talk = asked(cast, "web-01")
    with clock.ahead(timedelta(hours=22)):
        write(cast.actor("priya"), talk, "Fast", "answer-key-1")
        go_on(cast.actor("mary"), Replication.objects.all())
        assert "estimating" in text(client.get(page_of(order)))
        looked(20)
        assert "estimating" in text(client.get(page_of(order)))
    with clock.ahead(timedelta(hours=24)):
        looked(30)
        assert re.search("about 1[345] h left", text(client.get(page_of(order))))


def test_what_tells_bytes_later_is_measured_from_then(cast: Cast, order: Order) -> None:
    Replication.objects.exclude(vm__name="web-01").delete()
    Replication.objects.update(bytes_done=None, bytes_total=None, speed_from=None, speed_bytes=None, percent=0)
    looked(3)
    assert Replication.objects.get().speed_from and Replication.objects.get().speed_bytes == 3
    with clock.ahead(timedelta(hours=2)):
        looked(5, 0, 40 * GB)
        assert Replication.objects.get().speed_from is None
        looked(5, GB, 40 * GB)
        row = Replication.objects.get()
        assert row.speed_from and row.speed_from > clock.now() - timedelta(hours=1)
        assert (row.speed, row.speed_bytes) == (None, GB)


def looked(percent: int, done: int | None = None, total: int | None = None) -> None:
    """A worker looked, and this is what the provider said."""
    duty = Provision()
    rows = duty.load(list(Replication.objects.values_list("pk", flat=True)))
    duty.moved(rows, {row.pk: Progress(False, percent, "First sync", done, total, look_in=60) for row in rows})


def test_a_new_date_stands_on_the_page(cast: Cast, client: Client, order: Order) -> None:
    promise(cast.actor("mary"), order, clock.now() + timedelta(hours=60), "A <new> shelf comes on Monday")
    with clock.ahead(timedelta(hours=50)):
        page = client.get(page_of(order))
        assert "New date:" in text(page) and "A &lt;new&gt; shelf comes on Monday" in page.content.decode()
        assert "Later than promised" not in text(page) and "of up to 48 h" not in text(page)
    with clock.ahead(timedelta(hours=61)):
        words = text(client.get(page_of(order)))
        assert "Later than promised. It was to be ready by" in words and "Later than promised" in words
