"""Support's buttons on many replications: one transaction, all or none, as many statements for twenty as for two."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.activity import faults
from accounts.models import Activity
from ampdr import work
from ampdr.lifecycle import PORTAL, changes
from inventory.models import VM
from replication.actions import ask
from replication.models import Replication
from replication.tasks import Provision
from tests.cast import Cast
from tests.test_admin.desk import signed_in, words
from tests.test_orders.asking import servers, simulate, statements
from tests.test_orders.reading import ordered

LINES = "/admin/replication/replication/"


@pytest.fixture
def vms(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> list[VM]:
    """Twenty-two in their first sync, of a provider that forgets keys."""
    simulate(monkeypatch, time_scale=1, remembers_keys=0)
    vms = servers(cast, *[f"web-{n:02}" for n in range(22)])
    ordered(cast, *vms)
    work.drive()
    return vms


def of(vms: list[VM]) -> list[int]:
    return list(Replication.objects.filter(vm__in=vms).order_by("pk").values_list("pk", flat=True))


def fail(vms: list[VM]) -> None:
    duty = Provision()
    with changes(PORTAL) as change:
        duty.failed(change, duty.load(of(vms)), "There is no room.")


def lose(vms: list[VM]) -> None:
    duty = Provision()
    with changes(PORTAL) as change:
        duty.unknown(change, duty.load(of(vms)), "The provider doesn't answer.")


def halt(cast: Cast, vms: list[VM]) -> None:
    ask(cast.actor("mary"), Replication.objects.filter(vm__in=vms), "Which tier?", "question-key-1")


def press(client: Client, action: str, vms: list[VM], **said: Any) -> Any:
    return client.post(LINES, {"action": action, "_selected_action": of(vms), **said})


def waiting() -> int:
    return Replication.objects.exclude(waiting_on="").count()


@pytest.mark.parametrize("action", ["set_going", "retry", "settle", "settle_not"])
def test_a_button_costs_the_same_for_two_and_for_twenty(cast: Cast, vms: list[VM], action: str) -> None:
    if action == "set_going":  # half of them halted, half of them failed
        halt(cast, vms[::2])
        fail(vms[1::2])
    else:
        (fail if action == "retry" else lose)(vms)
    said = {"settle": {"do": "done"}, "settle_not": {"do": "not_done"}}.get(action, {})
    mary, made = signed_in(cast.mary), []
    mary.get(LINES)
    for some in (vms[:2], vms[2:]):
        with statements() as needed:
            done = press(mary, action.removesuffix("_not"), some, reason="I looked", **said)
        assert f"{len(some)} replications are" in words(done)
        made.append(len(needed))
    assert made[0] == made[1] and waiting() == 0
    assert Activity.objects.filter(staff=True, batch=Activity.objects.latest("pk").batch).count() >= 20
    assert list(faults()) == []


def test_one_that_doesn_t_fit_is_named_and_nothing_is_done(cast: Cast, vms: list[VM]) -> None:
    halt(cast, vms[:3])
    fail(vms[3:6])
    lose(vms[6:9])
    mary, before = signed_in(cast.mary), waiting()
    for action, some, named in (
        ("set_going", vms[:6] + vms[9:], "Replication of web-09 waits for nobody."),
        ("set_going", vms[:9], "Replication of web-06: its outcome is unknown. Settle that first."),
        ("retry", vms[3:7], "Replication of web-06 is Provisioning"),
        ("settle", vms[5:9], "Replication of web-05: its outcome is not unknown any more."),
    ):
        refused = words(press(mary, action, some, do="done", reason="I looked"))
        assert named in refused and "othing was done" in refused
        assert waiting() == before == 9
    assert not Activity.objects.filter(event__in=("set_going", "settled", "retry_provisioning")).exists()


def test_what_left_the_list_meanwhile_is_told_and_not_counted(cast: Cast, vms: list[VM]) -> None:
    done = signed_in(cast.mary).post(f"{LINES}?state=failed", {"action": "retry", "_selected_action": of(vms)})
    assert "None of them is in this list any more: nothing was done." in words(done)
