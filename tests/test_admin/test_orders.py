"""Support's door to orders: which are late, a new date, questions about lines, setting going again, settling."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from ampdr import clock, work
from notices.actions import write
from notices.models import Conversation
from replication.models import PROMISE, Order, Replication
from tests.cast import Cast
from tests.test_admin.desk import html, signed_in, words
from tests.test_orders.asking import servers, simulate
from tests.test_orders.reading import ordered, text

LINES, ORDERS = "/admin/replication/replication/", "/admin/replication/order/"
ASKED = {"text": "Which <tier>?", "answers": "Standard\n\n Fast ", "key": "a-key-of-a-form"}


@pytest.fixture
def mary(cast: Cast) -> Client:
    return signed_in(cast.mary)


@pytest.fixture
def order(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Order:
    simulate(monkeypatch, time_scale=1)
    made = ordered(cast, *servers(cast, "web-01", "web-02"))
    work.drive()
    return made


def act(client: Client, action: str, **said: Any) -> Any:
    chosen = [str(pk) for pk in Replication.objects.order_by("pk").values_list("pk", flat=True)]
    return client.post(LINES, {"action": action, "_selected_action": chosen, **said})


def lines() -> list[tuple[str, str]]:
    return list(Replication.objects.order_by("pk").values_list("state", "waiting_on"))


def test_a_question_is_asked_on_a_page_of_its_own(cast: Cast, mary: Client, order: Order) -> None:
    page = act(mary, "ask", index="0")
    assert page.status_code == 200 and "Ask the customer: 2 VMs" in text(page) and "web-02" in text(page)
    refused = act(mary, "ask", do="ask", **ASKED | {"text": " "})
    assert refused.status_code == 400 and "Write something first." in text(refused) and " Fast " in html(refused)
    for _ in range(2):
        done = act(mary, "ask", do="ask", **ASKED)
        talk = Conversation.objects.get()
        assert done.status_code == 302 and f"{talk.number} is sent to Northwind Health." in words(done)
    assert talk.answers == ["Standard", "Fast"] and talk.opened_by == cast.mary
    assert lines() == [("provisioning", "customer")] * 2
    shown = text(mary.get(f"{LINES}?waiting_on=customer"))
    assert "web-01" in shown and f"The customer · {talk.number}" in shown
    assert "web-01" not in text(mary.get(f"{LINES}?waiting_on=support"))
    write(cast.actor("priya"), talk, "Fast", "answer-key-1")
    done = act(mary, "set_going")
    assert "2 replications are set going again." in words(done)
    assert lines() == [("provisioning", "")] * 2
    assert "waits for nobody" in words(act(mary, "set_going"))


def test_lines_of_two_orders_are_not_asked_about_together(cast: Cast, mary: Client, order: Order) -> None:
    ordered(cast, *servers(cast, "db-01"))
    refused = act(mary, "ask", do="ask", **ASKED)
    assert refused.status_code == 400 and "Choose lines of one order" in text(refused)
    assert not Conversation.objects.exists()


def test_an_unknown_outcome_is_settled_with_a_reason(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = {"fault": "lost_answer", "kind": "protect", "times": 1}
    simulate(monkeypatch, remembers_keys=0, faults=json.dumps([fault]))
    ordered(cast, *servers(cast, "web-01"))
    work.drive()
    assert "Outcome unknown" in text(mary.get(LINES))
    page = act(mary, "settle", index="0")
    assert "It was done" in text(page) and "It was not done: ask the provider anew" in text(page)
    assert act(mary, "settle", do="done", reason=" ").status_code == 400
    assert lines() == [("provisioning", "support")]
    assert "1 replication is settled." in words(act(mary, "settle", do="done", reason="It is there"))
    assert lines() == [("protected", "")]
    assert "not unknown any more" in words(act(mary, "settle", do="not_done", reason="It is not there"))


def test_who_may_only_look_acts_on_nothing(cast: Cast, order: Order) -> None:
    """Staff without a group sees nothing at all; an Operator sees lines and has no action."""
    cast.tom.groups.clear()
    tom = signed_in(cast.tom)
    for action in ("ask", "set_going", "settle", "retry"):
        assert act(tom, action, do="done", **ASKED | {"reason": "Because"}).status_code == 403
    assert lines() == [("provisioning", "")] * 2 and not Conversation.objects.exists()


def test_late_orders_stand_first_and_get_a_new_date(cast: Cast, mary: Client, order: Order) -> None:
    (vm,) = servers(cast, "db-01")
    with clock.ahead(PROMISE + timedelta(minutes=1)):
        work.drive()
        newer = ordered(cast, vm)
        shown = text(mary.get(ORDERS))
        assert shown.index(order.number) < shown.index(newer.number) and shown.count("Later than promised") == 1
        page = reverse("admin:replication_order_change", args=[order.pk])
        assert "Later than promised" in text(mary.get(page)) and "0 of 2 VMs" in text(mary.get(page))
        for said, wrong in (({}, "required"), ({"when": "2020-01-01T10:00", "words": "W"}, "still to come"),
                            ({"when": "soon", "words": "W"}, "valid")):  # fmt: skip
            refused = mary.post(page, said)
            assert refused.status_code == 400 and wrong in text(refused)
        soon = clock.now() + timedelta(hours=10)
        done = mary.post(page, {"when": f"{soon:%Y-%m-%dT%H:%M}", "words": "A <new> shelf"})
        assert done.status_code == 302 and f"new date of {order.number}" in words(done)
        assert "A &lt;new&gt; shelf" in html(mary.get(page)) and "Later than promised" not in text(mary.get(page))
    order.refresh_from_db()
    assert order.promised_at and abs(order.promised_at - soon) < timedelta(minutes=1)


def test_an_order_that_is_done_gets_no_new_date(cast: Cast, mary: Client) -> None:
    order = ordered(cast, *servers(cast, "web-01"))
    work.drive()
    page = reverse("admin:replication_order_change", args=[order.pk])
    assert "Nothing of it is left" in text(mary.get(page))
    refused = mary.post(page, {"when": "2999-01-01T10:00", "words": "Why"})
    assert refused.status_code == 400
    soon = clock.now() + timedelta(hours=10)
    assert mary.post(page, {"when": f"{soon:%Y-%m-%dT%H:%M}", "words": "Why"}).status_code == 409
