"""Support asks about lines, the customer answers, Support sets them going again; and what nobody knows is settled."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db.models import F, QuerySet

from accounts.activity import faults
from accounts.models import Activity, Head
from ampdr import clock, work
from ampdr.errors import Conflict, Forbidden, IllegalTransition, Invalid
from inventory.models import VM
from notices.actions import Opening, open_conversation, write
from notices.models import Conversation, Message
from replication.actions import ask, go_on, retry_replication, settle, stop_replication
from replication.models import Order, Replication
from replication.providers.simulated import doubled, effects
from replication.providers.simulated.settings import ledger_path
from tests.cast import Cast
from tests.test_orders.asking import refusal, servers, simulate, state_of
from tests.test_orders.reading import ordered
from tests.test_simulated.asking import at

QUESTION = "On which disk tier shall the copy lie?"


def of(*vms: VM) -> Replication:
    """The replication of the only one, or of the first."""
    return Replication.objects.filter(vm=vms[0]).latest("pk")


def just(*vms: VM) -> QuerySet[Replication]:
    """The same as what Support chose."""
    return Replication.objects.filter(pk=of(*vms).pk)


def lines(*vms: VM) -> list[tuple[str, str, bool]]:
    """State, on whom it waits, and whether something is due."""
    rows = Replication.objects.filter(vm__in=vms).order_by("pk")
    return [(row.state, row.waiting_on, row.next_step_at is not None) for row in rows]


def asked(cast: Cast, *vms: VM, key: str = "question-key-1", answers: tuple[str, ...] = ()) -> Conversation:
    return ask(cast.actor("mary"), Replication.objects.filter(vm__in=vms), QUESTION, key, answers)


def events(vm: VM) -> list[str]:
    return list(Activity.objects.filter(kind="replication", vm=vm.uuid).order_by("pk").values_list("event", flat=True))


@pytest.fixture
def syncing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> list[VM]:
    """Three VMs of one order in their first sync."""
    simulate(monkeypatch, time_scale=1)
    vms = servers(cast, "web-01", "web-02", "web-03")
    ordered(cast, *vms)
    work.drive()
    return vms


def fail(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The provider refuses this VM for good; drives the others to their end."""
    simulate(monkeypatch, time_scale=0, faults=json.dumps([{"fault": "refuse", "kind": "protect", "vm": name}]))
    for _ in range(3):
        Replication.objects.filter(verb="protect").update(next_step_at=F("ordered_at"))
        work.drive()


# ---- Asked and answered ----------------------------------------------------------------------------------------------


def test_asked_it_halts_and_answered_it_goes_on(cast: Cast, syncing: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = syncing
    talk = asked(cast, one, two)
    assert (talk.kind, talk.about, talk.turn, talk.vms) == ("order", of(one).order.number, "customer", 2)  # type: ignore[union-attr]
    assert lines(one, two, three) == [("provisioning", "customer", False)] * 2 + [("provisioning", "", True)]
    assert [state_of(vm)[1] for vm in syncing] == ["needs_input", "needs_input", "provisioning"]
    assert Head.objects.get(account=cast.northwind).attention == 2
    write(cast.actor("oscar"), talk, "The fast one", "answer-key-1")
    assert lines(one, two) == [("provisioning", "support", False)] * 2
    assert {state_of(vm)[1] for vm in syncing} == {"provisioning"}
    before = of(one).generation
    go_on(cast.actor("mary"), just(one))
    assert lines(one) == [("provisioning", "", True)] and of(one).question == "" and of(one).generation == before
    assert events(one)[-3:] == ["asked", "answered", "set_going"]
    with clock.ahead(timedelta(days=2)):
        at(clock.now(), monkeypatch)
        work.drive()
    assert lines(one, two)[0][0] == "protected" and lines(two) == [("provisioning", "support", False)]
    assert doubled(ledger_path()) == [] and list(faults()) == []


def test_what_failed_stays_failed_and_is_tried_again_when_it_is_answered(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One VM of an order is refused: it says why and waits for Support, the others are ready."""
    one, *others = servers(cast, "web-01", "web-02", "web-03")
    ordered(cast, one, *others)
    fail(monkeypatch, "web-01")
    assert [state_of(vm)[1] for vm in (one, *others)] == ["failed", "protected", "protected"]
    assert (of(one).waiting_on, of(one).last_error) == ("support", "There is no room for the copy of web-01 in PHX01.")
    talk = asked(cast, one)
    assert lines(one) == [("failed", "customer", False)] and state_of(one)[1] == "needs_input"
    write(cast.actor("priya"), talk, "Yes", "answer-key-1")
    assert lines(one) == [("failed", "support", False)] and state_of(one)[1] == "failed"
    simulate(monkeypatch, faults="[]")
    generation = of(one).generation
    go_on(cast.actor("mary"), just(one))
    assert (of(one).state, of(one).generation, of(one).question) == ("provisioning", generation + 1, "")
    work.drive()
    assert state_of(one) == ("protected", "protected")


def test_asked_again_it_waits_again_and_the_old_answer_counts_no_more(cast: Cast, syncing: list[VM]) -> None:
    one = syncing[0]
    first = asked(cast, one)
    write(cast.actor("priya"), first, "The fast one", "answer-key-1")
    second = asked(cast, one, key="question-key-2")
    assert second != first and lines(one) == [("provisioning", "customer", False)]
    write(cast.actor("priya"), first, "And thank you", "answer-key-2")
    assert lines(one) == [("provisioning", "customer", False)] and state_of(one)[1] == "needs_input"
    write(cast.actor("priya"), second, "Sure", "answer-key-3")
    assert lines(one) == [("provisioning", "support", False)]


def test_a_repeat_asks_once_even_when_it_was_answered(cast: Cast, syncing: list[VM]) -> None:
    talk = asked(cast, syncing[0])
    write(cast.actor("priya"), talk, "The fast one", "answer-key-1")
    assert asked(cast, syncing[0]) == talk
    assert lines(syncing[0]) == [("provisioning", "support", False)]
    assert (Conversation.objects.count(), Message.objects.count()) == (1, 2)


def test_of_two_presses_the_one_that_began_first_may_come_last(cast: Cast, syncing: list[VM]) -> None:
    """It waited for the other's receipt: its own time is earlier than that of the question, which it asks no more."""
    talk = asked(cast, syncing[0])
    with clock.ahead(timedelta(seconds=-5)):
        assert asked(cast, syncing[0]) == talk
    assert events(syncing[0]).count("asked") == 1


def test_support_that_writes_answers_nothing(cast: Cast, syncing: list[VM]) -> None:
    talk = asked(cast, syncing[0])
    write(cast.actor("tom"), talk, "It is about the 2 TB disk", "more-of-support")
    assert lines(syncing[0]) == [("provisioning", "customer", False)]


def test_another_conversation_about_the_order_answers_nothing(cast: Cast, syncing: list[VM]) -> None:
    asked(cast, syncing[0])
    other = Opening("order", "How long?", "How long will it take?", Order.objects.get().number)
    open_conversation(cast.actor("priya"), other, "another-talk")
    assert lines(syncing[0]) == [("provisioning", "customer", False)]


def test_a_worker_that_holds_the_line_writes_nothing_over_the_question(cast: Cast, syncing: list[VM]) -> None:
    """Claimed and called before Support asked, committed after it."""
    Replication.objects.update(next_step_at=F("ordered_at"))
    batch = work._next_batch()
    assert batch
    answer = batch.duty.call(batch.site, batch.duty.load(batch.keys))
    asked(cast, syncing[0])
    work._commit(batch, batch.keys, answer)
    assert lines(*syncing) == [("provisioning", "customer", False)] + [("provisioning", "", True)] * 2


def test_what_was_cancelled_meanwhile_waits_for_no_answer(cast: Cast, syncing: list[VM]) -> None:
    talk = asked(cast, syncing[0])
    stop_replication(cast.actor("priya"), [syncing[0].uuid])
    write(cast.actor("priya"), talk, "Never mind", "answer-key-1")
    assert of(syncing[0]).question == "" and state_of(syncing[0]) == ("stopping", "stopping")


def test_what_cant_be_asked(cast: Cast, syncing: list[VM]) -> None:
    (ready,) = servers(cast, "db-01")
    ordered(cast, ready)
    mary, every = cast.actor("mary"), Replication.objects.all()
    assert refusal(Forbidden, ask, cast.actor("priya"), every, QUESTION, "question-key-1")
    assert refusal(Invalid, ask, mary, every, QUESTION, "question-key-1").fields  # type: ignore[attr-defined]
    assert refusal(Invalid, ask, mary, every.none(), QUESTION, "question-key-1").fields  # type: ignore[attr-defined]
    chosen = every.filter(vm__in=syncing)
    for text, answers, field in ((" ", (), "text"), ("A\0B", (), "text"), ("Which?", ("a" * 121,), "answers"),
                                 ("Which?", tuple("abcdefghi"), "answers")):  # fmt: skip
        assert field in refusal(Invalid, ask, mary, chosen, text, "question-key-1", answers).fields  # type: ignore[attr-defined]
    not_yet = every.filter(vm=ready)
    assert refusal(Conflict, ask, mary, not_yet, QUESTION, "question-key-1").code == "not_askable"
    assert not Conversation.objects.exists() and not Replication.objects.exclude(question="").exists()


def test_what_waits_for_nobody_is_not_set_going(cast: Cast, syncing: list[VM]) -> None:
    assert refusal(Forbidden, go_on, cast.actor("priya"), just(*syncing))
    assert refusal(Conflict, go_on, cast.actor("mary"), just(*syncing)).code == "goes_on_already"


# ---- Settled ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def unknown(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> VM:
    """A VM of which the provider, that forgets keys, did the first sync and its answer was lost."""
    fault = {"fault": "lost_answer", "kind": "protect", "times": 1}
    simulate(monkeypatch, remembers_keys=0, faults=json.dumps([fault]))
    (vm,) = servers(cast, "web-01")
    ordered(cast, vm)
    work.drive()
    assert (of(vm).flag, lines(vm)) == ("outcome_unknown", [("provisioning", "support", False)])
    return vm


def test_settled_as_done_it_is_as_if_the_provider_had_said_so(cast: Cast, unknown: VM) -> None:
    settle(cast.actor("mary"), just(unknown), True, "The copy is there, I looked")
    assert state_of(unknown) == ("protected", "protected") and of(unknown).flag == ""
    row = Activity.objects.get(kind="replication", event="protect")
    assert (row.actor, row.reason) == ("Mary Osei", "The copy is there, I looked")
    work.drive()
    assert len(effects(ledger_path())) == 1 and list(faults()) == []


def test_settled_as_not_done_it_is_asked_anew_and_before_that_never(cast: Cast, unknown: VM) -> None:
    with clock.ahead(timedelta(days=1)):
        work.drive()
    for verb in (go_on, retry_replication):
        with pytest.raises((Conflict, IllegalTransition)):
            verb(cast.actor("mary"), just(unknown))
    assert len(effects(ledger_path())) == 1 and state_of(unknown) == ("provisioning", "outcome_unknown")
    generation = of(unknown).generation
    settle(cast.actor("mary"), just(unknown), False, "Nothing is there")
    assert (of(unknown).generation, state_of(unknown)[1]) == (generation + 1, "provisioning")
    work.drive()
    assert state_of(unknown) == ("protected", "protected")


def test_of_two_who_settle_the_first_wins(cast: Cast, unknown: VM) -> None:
    line = just(unknown)
    settle(cast.actor("mary"), line, False, "Nothing is there")
    assert refusal(Conflict, settle, cast.actor("tom"), line, True, "It is there").code == "changed_meanwhile"
    assert state_of(unknown) == ("provisioning", "provisioning")


def test_to_settle_takes_a_reason_and_somebody_of_support(cast: Cast, unknown: VM) -> None:
    assert refusal(Forbidden, settle, cast.actor("priya"), just(unknown), True, "It is there")
    assert refusal(Invalid, settle, cast.actor("mary"), just(unknown), True, "  ").fields  # type: ignore[attr-defined]


def test_what_is_unknown_stays_so_while_the_customer_is_asked(cast: Cast, unknown: VM) -> None:
    talk = asked(cast, unknown)
    assert state_of(unknown)[1] == "needs_input"
    write(cast.actor("priya"), talk, "I see a copy", "answer-key-1")
    assert state_of(unknown)[1] == "outcome_unknown"
    assert refusal(Conflict, go_on, cast.actor("mary"), just(unknown)).code == "outcome_unknown"
    settle(cast.actor("mary"), just(unknown), True, "The customer sees it too")
    assert (state_of(unknown), of(unknown).question) == (("protected", "protected"), "")


def test_a_stop_of_unknown_outcome_is_settled_too(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, remembers_keys=0)
    one, two = servers(cast, "web-01", "web-02")
    ordered(cast, one, two)
    work.drive()
    simulate(monkeypatch, faults=json.dumps([{"fault": "no_answer", "kind": "unprotect", "times": 1}]))
    stop_replication(cast.actor("priya"), [one.uuid, two.uuid])
    work.drive()
    assert lines(one, two) == [("stopping", "support", False)] * 2
    settle(cast.actor("mary"), just(one), True, "It is gone")
    settle(cast.actor("mary"), just(two), False, "It is there still")
    work.drive()
    assert state_of(one) == state_of(two) == ("stopped", "none")
    assert list(faults()) == []
