"""Later than promised: flagged and told once, in time again with a new date, late again when that passes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F

from accounts.activity import faults
from accounts.models import Activity, Head
from ampdr import clock, work
from ampdr.errors import Conflict, Forbidden, Invalid
from inventory.models import VM
from notices.actions import write
from notices.models import Notice
from replication.actions import ask, go_on, promise, stop_replication
from replication.models import PROMISE, Order, Replication
from tests.cast import Cast, protect
from tests.test_orders.asking import refusal, servers, simulate, state_of
from tests.test_orders.reading import ordered

AFTER = PROMISE + timedelta(minutes=1)


@pytest.fixture
def vms(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> list[VM]:
    """Four VMs of one order whose first sync takes its time."""
    simulate(monkeypatch, time_scale=1)
    vms = servers(cast, "web-01", "web-02", "web-03", "web-04")
    ordered(cast, *vms)
    work.drive()
    return vms


def flags() -> list[str]:
    return list(Replication.objects.order_by("pk").values_list("flag", flat=True))


def listed(vms: list[VM]) -> list[str]:
    return [state_of(vm)[1] for vm in vms]


def told(email: str, **which: Any) -> list[str]:
    found = Notice.objects.filter(email=email, kind="orders", **which).order_by("pk")
    return list(found.values_list("title", flat=True).distinct())


def asked(cast: Cast, vm: VM, key: str = "question-key-1") -> Any:
    return ask(cast.actor("mary"), Replication.objects.filter(vm=vm), "Which tier?", key)


def test_an_order_is_due_when_its_promise_passes(cast: Cast, vms: list[VM]) -> None:
    order = Order.objects.get()
    assert order.promised_at == order.next_step_at == order.ordered_at + PROMISE
    with clock.ahead(PROMISE - timedelta(minutes=1)):
        work.drive()
    assert flags() == [""] * 4 and not Activity.objects.filter(kind="order").exists()


def test_what_is_not_ready_is_flagged_and_noted_once(cast: Cast, vms: list[VM]) -> None:
    with clock.ahead(AFTER):
        for _ in range(2):
            work.drive()
    order = Order.objects.get()
    assert flags() == ["late"] * 4 and listed(vms) == ["late"] * 4 and order.next_step_at is None
    [row] = Activity.objects.filter(kind="order")
    assert (row.event, row.about, row.subject_id, row.actor) == ("late", order.number, order.pk, "AMPDR")
    assert Head.objects.get(account=cast.northwind).attention == 4
    assert list(faults()) == []


def test_a_question_and_an_unknown_outcome_say_more_than_that_it_is_late(cast: Cast, vms: list[VM]) -> None:
    talk = asked(cast, vms[0])
    Replication.objects.filter(vm=vms[1]).update(flag="outcome_unknown", waiting_on="support", next_step_at=None)
    VM.objects.filter(pk=vms[1].pk).update(protection="outcome_unknown")
    with clock.ahead(AFTER):
        work.drive()
        assert flags() == ["late", "outcome_unknown", "late", "late"]
        assert listed(vms) == ["needs_input", "outcome_unknown", "late", "late"]
        write(cast.actor("priya"), talk, "The fast one", "answer-key-1")
        assert listed(vms)[0] == "late"
        go_on(cast.actor("mary"), Replication.objects.filter(vm=vms[0]))
        assert listed(vms)[0] == "late"


def test_ready_or_cancelled_it_is_late_no_more(cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    with clock.ahead(AFTER):
        work.drive()
        stop_replication(cast.actor("priya"), [vms[0].uuid])
        monkeypatch.setattr("replication.providers.simulated.Simulated.clock", lambda self: clock.now().timestamp())
        Replication.objects.filter(verb="protect").update(next_step_at=F("ordered_at"))
        work.drive()
    assert flags() == [""] * 4
    assert listed(vms) == ["none", "protected", "protected", "protected"]


def test_what_was_never_begun_is_late_too_and_stays_so_when_it_is(cast: Cast) -> None:
    vms = servers(cast, "web-01", "web-02")
    ordered(cast, *vms)
    Replication.objects.update(next_step_at=None)  # as if no worker had come
    with clock.ahead(AFTER):
        work.drive()
        assert listed(vms) == ["late", "late"]
        stop_replication(cast.actor("priya"), [vms[0].uuid])
        Replication.objects.filter(vm=vms[1]).update(next_step_at=F("ordered_at"), step_site="DFW01")
        work.perform(work._next_batch())  # type: ignore[arg-type]
    assert [state_of(vm) for vm in vms] == [("stopped", "none"), ("provisioning", "late")]


def test_an_order_that_is_ready_in_time_is_never_late(cast: Cast) -> None:
    order = protect(cast, servers(cast, "web-01"))
    with clock.ahead(AFTER):
        work.drive()
    order.refresh_from_db()
    assert order.next_step_at is None and not Activity.objects.filter(kind="order").exists()


def test_a_retry_after_the_promise_is_late_at_once(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, faults=json.dumps([{"fault": "refuse", "kind": "protect", "times": 3}]))
    (vm,) = servers(cast, "web-01")
    ordered(cast, vm)
    for _ in range(3):
        Replication.objects.filter(verb="protect").update(next_step_at=F("ordered_at"))
        work.drive()
    with clock.ahead(AFTER):
        work.drive()
        assert (state_of(vm), flags()) == (("failed", "failed"), [""])
        assert Activity.objects.filter(kind="order", event="late").count() == 1
        go_on(cast.actor("mary"), Replication.objects.all())
        assert (state_of(vm), flags()) == (("provisioning", "late"), ["late"])


# ---- A new date ------------------------------------------------------------------------------------------------------


def test_a_new_date_is_in_time_until_it_passes(cast: Cast, vms: list[VM]) -> None:
    order = Order.objects.get()
    with clock.ahead(AFTER):
        work.drive()
        promise(cast.actor("mary"), order, clock.now() + timedelta(hours=10), "A new shelf is built in")
        order.refresh_from_db()
        assert flags() == [""] * 4 and listed(vms) == ["provisioning"] * 4
        assert order.next_step_at == order.promised_at == order.ready_by
    row = Activity.objects.get(kind="order", event="promised")
    assert (row.actor, row.reason, row.staff) == ("Mary Osei", "A new shelf is built in", True)
    with clock.ahead(AFTER + timedelta(hours=11)):
        work.drive()
    assert flags() == ["late"] * 4 and Activity.objects.filter(kind="order", event="late").count() == 2


def test_which_new_dates_are_refused(cast: Cast, vms: list[VM]) -> None:
    order, mary, soon = Order.objects.get(), cast.actor("mary"), clock.now() + timedelta(hours=5)
    assert refusal(Forbidden, promise, cast.actor("priya"), order, soon, "Please")
    for when, words, field in (
        (clock.now(), "Why", "when"), (clock.now() + timedelta(days=400), "Why", "when"), (soon, " ", "words"),
        (soon, "x" * 401, "words"), (soon, "a\0b", "words"),
    ):  # fmt: skip
        assert list(refusal(Invalid, promise, mary, order, when, words).fields) == [field]  # type: ignore[attr-defined]
    (ready,) = servers(cast, "db-01")
    done = ordered(cast, ready)
    stop_replication(cast.actor("priya"), [ready.uuid])
    assert refusal(Conflict, promise, mary, done, soon, "Why").code == "nothing_open"
    assert Order.objects.get(pk=order.pk).promise_words == ""


# ---- Who is told -----------------------------------------------------------------------------------------------------


def test_that_support_asks_is_told_once_for_each_question(cast: Cast, vms: list[VM]) -> None:
    """Whoever ordered and who may order; who may only look isn't bothered."""
    order = Order.objects.get()
    ask(cast.actor("mary"), Replication.objects.filter(vm__in=vms[:3]), "Which tier?", "question-key-1")
    asked(cast, vms[3], "question-key-2")
    work.drive()
    title = f"{order.number} needs you: Support asks about"
    for name in ("priya", "oscar"):
        assert told(f"{name}@example.com", channel="email") == [f"{title} 3 VMs", f"{title} 1 VM"]
    assert told("ravi@example.com") == [] == told("olga@example.com")
    assert {one.path for one in Notice.objects.filter(kind="orders")} == {
        f"/northwind/replication/orders/{order.number}/"
    }


def test_that_it_is_late_is_told_to_the_customer_and_to_support(cast: Cast, vms: list[VM]) -> None:
    order = Order.objects.get()
    with clock.ahead(AFTER):
        work.drive()
        promise(cast.actor("mary"), order, clock.now() + timedelta(hours=10), "A new shelf is built in")
        work.drive()
    titles = told("priya@example.com", channel="email")
    assert titles[0] == f"{order.number} is later than promised" and titles[1].startswith(
        f"New date for {order.number}: "
    )
    [mail] = Notice.objects.filter(email=settings.SUPPORT_EMAIL, kind="orders")
    assert mail.title == f"Northwind Health: {order.number} is later than promised"
    assert mail.path == f"/admin/replication/order/{order.pk}/change/" and "0 of 4 VMs" in mail.text


def test_an_order_whose_only_open_line_was_answered_is_not_told_as_failed(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = asked(cast, vms[0])
    with clock.ahead(timedelta(hours=47)):
        monkeypatch.setattr("replication.providers.simulated.Simulated.clock", lambda self: clock.now().timestamp())
        write(cast.actor("priya"), talk, "The fast one", "answer-key-1")
        work.drive()
        assert not any("failed" in title or "ready" in title for title in told("priya@example.com"))
        go_on(cast.actor("mary"), Replication.objects.filter(vm=vms[0]))
        work.drive()
    assert told("priya@example.com")[-1] == f"{Order.objects.get().number} is ready: 4 VMs are protected"
