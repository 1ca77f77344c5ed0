"""RO-n: steps, lines, why something stands still, and what its open page is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client

from accounts.models import Head
from ampdr import clock, work
from replication.actions import place_order
from replication.models import Replication
from tests.cast import Cast, make_vms, protect, sign_in
from tests.test_orders.asking import KEY, servers, simulate, statements
from tests.test_orders.reading import TOP, marks, ordered, poll, pretend, text


def test_an_order_tells_its_steps_and_lines_until_all_are_ready(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, time_scale=1)
    vms = servers(cast, "web-01", "web-02")
    order = ordered(cast, *vms)
    address = f"{TOP}orders/{order.number}/"
    words = text(client.get(address))
    assert "0 of 2 ready · 2 running" in words and "of up to 48 h" in words and "Priya Raman" in words
    assert marks(client.get(address)) == ["dn", "dn", "now"]  # nobody approves: recorded is accepted
    work.drive()
    page = client.get(address)
    assert "Reserving capacity" in text(page)
    assert marks(page) == ["dn", "dn", "now"]
    assert 'throttle:2s"' in page.content.decode()
    with clock.ahead(timedelta(hours=15)):
        pretend(monkeypatch)
        page = client.get(address)
        assert "First sync" in text(page) and "about" in text(page) and 'throttle:14s"' in page.content.decode()
        assert marks(page) == ["dn", "dn", "dn", "now"]
    with clock.ahead(timedelta(hours=45)):
        pretend(monkeypatch)
        page = client.get(address)
    assert "2 of 2 ready" in text(page) and "Ready in 1 d 21 h" in text(page)
    assert marks(page) == ["dn"] * 5
    assert 'value="2"' in page.content.decode() and 'throttle:29s"' in page.content.decode()
    assert "Cancel remaining" not in text(page)


def test_what_needs_attention_stands_first_with_its_error(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, faults='[{"fault": "refuse", "kind": "protect", "vm": "zoe", "times": 3}]')
    order = ordered(cast, *servers(cast, "adam", "zoe"))
    for _ in range(3):
        Replication.objects.filter(verb="protect").update(next_step_at=F("ordered_at"))
        work.drive()
    page = client.get(f"{TOP}orders/{order.number}/")
    words = text(page)
    assert words.index(" zoe ") < words.index(" adam ")
    assert "Failed while provisioning" in words and "1 of 2 ready · 1 failed" in words
    assert Replication.objects.get(vm__name="zoe").last_error in words
    assert "Waiting on" in words and "Support" in words
    assert "pill ok" in page.content.decode()  # adam's
    assert 'class="big stall"' in page.content.decode()


def test_what_stands_still_says_why_and_when_it_is_tried_again(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, sites_down="DFW01")
    order = ordered(cast, *servers(cast, "web-01"))
    address = f"{TOP}orders/{order.number}/"
    with clock.ahead(timedelta(minutes=6)):
        assert "No worker has taken it up yet" in text(client.get(address))
        work.drive()
        line = Replication.objects.get()
        Replication.objects.update(next_step_at=clock.now() + timedelta(seconds=20))
        words = text(client.get(address))
    assert line.last_error and line.last_error in words
    assert "next try" in words
    Replication.objects.update(next_step_at=None, waiting_on="support", flag="outcome_unknown")
    words = text(client.get(address))
    assert "Outcome unknown" in words and "Support" in words


def test_later_than_promised(cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, time_scale=1)
    order = ordered(cast, *servers(cast, "web-01"))
    with clock.ahead(timedelta(hours=47, minutes=59)):
        assert "Later than promised" not in text(client.get(f"{TOP}orders/{order.number}/"))
        assert "Later than promised" not in text(client.get(f"{TOP}orders/"))
    with clock.ahead(timedelta(hours=48, minutes=1)):
        assert text(client.get(f"{TOP}orders/{order.number}/")).count("Later than promised") == 3
        assert "Later than promised" in text(client.get(f"{TOP}orders/"))


def test_an_open_order_is_told_of_every_percent_and_of_nothing_else(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, time_scale=1)
    order = ordered(cast, *servers(cast, "web-01"))
    work.drive()
    stopped = clock.now()
    monkeypatch.setattr(clock, "now", lambda: stopped)  # a new minute looks again by itself
    page = client.get(f"{TOP}orders/{order.number}/")
    assert poll(client, page).status_code == 204
    version = Head.objects.get(account=cast.northwind).version
    Replication.objects.update(percent=F("percent") + 1)
    assert Head.objects.get(account=cast.northwind).version == version  # the account's other pages sleep on
    part = poll(client, page)
    assert part.status_code == 200 and b"<html" not in part.content and b'id="order"' in part.content
    assert poll(client, part).status_code == 204
    Replication.objects.update(last_error="No answer")
    assert "No answer" in text(poll(client, part))


def test_an_order_that_is_done_is_asked_in_no_statement(cast: Cast, client: Client) -> None:
    order = protect(cast, servers(cast, "web-01"))
    page = client.get(f"{TOP}orders/{order.number}/")
    with statements() as made:
        assert poll(client, page).status_code == 204
    assert len(made) == 3  # session, person, membership with head


def test_a_foreign_order_is_as_absent_as_a_made_up_one(cast: Cast, client: Client) -> None:
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    foreign = place_order(cast.actor("olga"), [theirs.uuid], KEY).number
    pages = [client.get(f"{TOP}orders/{number}/") for number in (foreign, "RO-999999", "x", "RO-1%09", f"{foreign}%20")]
    pages += [client.get(f"{TOP}stop/?order={number}") for number in (foreign, "RO-999999", "RO%091")]
    pages += [client.post(f"{TOP}stop/", {"order": number, "key": KEY}) for number in (foreign, "RO-999999", "a/b")]
    assert {page.status_code for page in pages} == {404}
    assert len({page.content for page in pages}) == 1


def test_who_may_only_look_sees_the_order_without_its_buttons(cast: Cast, client: Client) -> None:
    order = ordered(cast, *servers(cast, "web-01"))
    sign_in(client, cast.ravi)
    page = client.get(f"{TOP}orders/{order.number}/")
    assert page.status_code == 200 and "Cancel remaining" not in text(page)
