"""Support and customer at one instant: one who settles, one answer that counts, no deadlock; one VM of 500 refused."""

from __future__ import annotations

import json
from functools import partial

import pytest

from accounts.activity import faults
from accounts.models import Activity
from ampdr import clock, work
from ampdr.errors import Conflict
from inventory.models import VM
from notices.actions import write
from replication.actions import ask, go_on, settle, stop_replication
from replication.models import Replication
from tests.cast import Cast
from tests.test_orders.asking import servers, simulate, state_of
from tests.test_orders.reading import ordered
from tests.test_orders.test_race import committed  # noqa: F401  a fixture
from tests.threads import raised, together


def test_of_many_who_settle_at_once_one_wins(
    committed: Cast,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = {"fault": "lost_answer", "kind": "protect", "times": 1}
    simulate(monkeypatch, remembers_keys=0, faults=json.dumps([fault]))
    (vm,) = servers(committed, "web-01")
    ordered(committed, vm)
    work.drive()
    line, mary = Replication.objects.all(), committed.actor("mary")
    came = together(*[partial(settle, mary, line, bool(n % 2), f"I looked, {n}") for n in range(8)])
    assert {type(one) for one in raised(came)} == {Conflict} and len(raised(came)) == 7
    assert Activity.objects.filter(event="settled").count() == 1
    assert state_of(vm)[0] in ("protected", "provisioning") and list(faults()) == []


def test_answers_questions_and_cancellations_cross_without_harm(
    committed: Cast,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulate(monkeypatch, time_scale=1)
    vms = servers(committed, *[f"web-{n}" for n in range(6)])
    ordered(committed, *vms)
    work.drive()
    mary, priya, oscar = (committed.actor(name) for name in ("mary", "priya", "oscar"))
    every = Replication.objects.all()
    talk = ask(mary, every, "Which tier?", "question-key-1")
    came = together(
        partial(write, priya, talk, "Fast", "answer-key-1"), partial(write, oscar, talk, "Slow", "answer-key-2"),
        partial(ask, mary, every.filter(vm__in=vms[:4]), "And which site?", "question-key-2"),
        partial(stop_replication, priya, [vms[5].uuid]),
        *[partial(go_on, mary, every.filter(vm=vm)) for vm in vms],
    )  # fmt: skip
    assert {type(one) for one in raised(came)} <= {Conflict}, raised(came)
    for line in Replication.objects.select_related("vm"):
        halted = line.state == "provisioning" and line.waiting_on != ""
        assert halted == bool(line.question) and (not halted or line.next_step_at is None)
        assert (line.waiting_on == "customer") == (line.vm.protection == "needs_input")
    assert list(faults()) == []


def test_one_vm_of_500_is_refused_and_the_others_go_on(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, faults=json.dumps([{"fault": "refuse", "kind": "protect", "vm": "vm-250"}]))
    ordered(cast, *servers(cast, *[f"vm-{n}" for n in range(500)]))
    for _ in range(3):
        work.drive()
        Replication.objects.filter(verb="protect").update(next_step_at=clock.db_now())
    assert VM.objects.filter(protection="protected").count() == 499
    refused = Replication.objects.get(state="failed")
    assert (refused.vm.name, refused.waiting_on) == ("vm-250", "support") and "no room" in refused.last_error
