"""What is said of VMs that are stopped: of those that were protected, and of those that never were."""

from __future__ import annotations

import pytest
from django.test import Client

from ampdr import work
from ampdr.errors import Invalid
from ampdr.lifecycle import PORTAL, changes
from ampdr.work import WaitingOn
from inventory.models import VM
from notices.models import Notice
from replication.actions import ask, save_level, stop_replication
from replication.models import Order, Replication, ServiceLevel
from replication.tasks import Provision
from tests.cast import Cast, sign_in
from tests.test_orders.asking import refusal, servers, simulate, state_of
from tests.test_orders.reading import TOP, hidden, ordered, text

STOP = f"{TOP}stop/"


@pytest.fixture
def vms(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> list[VM]:
    """Three of one order: web-01 is protected, the others are in their first sync."""
    simulate(monkeypatch, time_scale=1)
    made = servers(cast, "web-01", "web-02", "web-03")
    ordered(cast, *made)
    work.drive()
    duty = Provision()
    with changes(PORTAL) as change:
        duty.done(change, duty.load([Replication.objects.get(vm=made[0]).pk]), {})
    return made


def page_of_order(client: Client) -> str:
    return text(client.get(f"{TOP}orders/{Order.objects.get().number}/"))


def told(part: str) -> list[tuple[str, str]]:
    work.drive()
    mine = Notice.objects.filter(email="priya@example.com", channel="portal", title__contains=part).order_by("pk")
    return list(mine.values_list("title", "text"))


# ---- The page that stops ---------------------------------------------------------------------------------------------


def test_what_never_was_protected_has_no_points_and_costs_nothing(cast: Cast, vms: list[VM], client: Client) -> None:
    words = text(client.get(STOP, {"order": Order.objects.get().number}))
    assert "Stop replication of 2 VMs?" in words and "Nothing is charged" in words
    assert "recovery points are deleted" not in words and "billing cycle" not in words
    words = text(client.get(STOP, {"vm": str(vms[0].uuid)}))
    assert "Stop replication of web-01 ?" in words and "Stop replication of 1 VM" in words
    assert "recovery points are deleted" in words and "isn't charged" not in words
    words = text(client.get(STOP, {"vm": [str(vms[0].uuid), str(vms[1].uuid)]}))
    assert "billing cycle is charged" in words and "What never became Protected isn't charged." in words


def test_one_vm_leads_back_to_its_page_and_an_order_to_the_order(cast: Cast, vms: list[VM], client: Client) -> None:
    number = Order.objects.get().number
    for vm, of, address in ((vms[0], "", f"/northwind/vms/{vms[0].slug}/"), (vms[1], number, f"{TOP}orders/{number}/")):
        page = client.get(STOP, {"vm": str(vm.uuid)})
        done = client.post(STOP, {"vm": vm.uuid, "key": hidden(page, "key"), "order": of})
        assert (done.status_code, done["Location"], state_of(vm)[0]) == (303, address, "stopping")
        assert f"Replication of {vm.name} is being stopped." in text(client.get(address))


def test_what_was_not_begun_is_stopped_at_once_says_the_page(cast: Cast, client: Client) -> None:
    one, two = servers(cast, "app-01", "app-02")
    ordered(cast, one, two)
    page = client.get(STOP, {"vm": [str(one.uuid), str(two.uuid)]})
    done = client.post(STOP, {name: hidden(page, name) for name in ("vm", "key")})
    assert done["Location"] == TOP and "Replication of 2 VMs is stopped." in text(client.get(TOP))


# ---- The order's page ------------------------------------------------------------------------------------------------


def test_what_is_being_stopped_is_counted_apart_and_what_happens_next_says_so(
    cast: Cast, vms: list[VM], client: Client
) -> None:
    stop_replication(cast.actor("priya"), [vm.uuid for vm in vms[1:]])
    words = page_of_order(client)
    assert "1 of 3 ready · 2 stopping" in words and "running" not in words and "Elapsed" not in words
    assert "2 VMs are being stopped; nothing is needed from you. The other is protected." in words


def test_a_question_about_what_is_stopped_is_not_asked_any_more(cast: Cast, vms: list[VM], client: Client) -> None:
    ask(cast.actor("mary"), Replication.objects.filter(vm=vms[1]), "Which disk?", "question-key-1")
    assert "Which disk?" in page_of_order(client)
    stop_replication(cast.actor("priya"), [vms[1].uuid])
    assert "Which disk?" not in page_of_order(client)


def test_who_answers_on_the_orders_page_comes_back_to_it(cast: Cast, vms: list[VM], client: Client) -> None:
    talk = ask(cast.actor("mary"), Replication.objects.filter(vm=vms[1]), "Which disk?", "question-key-1", ("A", "B"))
    address = f"{TOP}orders/{Order.objects.get().number}/"
    page = client.get(address)
    sent = {"key": hidden(page, "key"), "text": "A", "from": hidden(page, "from")}
    done = client.post(f"/northwind/tickets/{talk.number}/", sent)
    assert (done.status_code, done["Location"]) == (303, address)
    assert f"Your answer was sent to Support: {talk.number}." in text(client.get(address))


# ---- Lists, and Support's words --------------------------------------------------------------------------------------


def test_lists_say_by_when_and_whom_to_ask(cast: Cast, vms: list[VM], client: Client) -> None:
    servers(cast, "db-01")
    assert "Ready by" in text(client.get(f"{TOP}orders/"))
    assert "Ask " not in text(client.get(f"{TOP}not-protected/"))
    sign_in(client, cast.ravi)
    assert "you need Write Server Replication . Ask Priya Raman" in text(client.get(f"{TOP}not-protected/"))


def test_who_withdraws_the_default_is_told_what_to_do_first(cast: Cast) -> None:
    level = ServiceLevel.objects.get()
    level.offered = False
    refused = refusal(Invalid, save_level, cast.actor("mary"), level)
    assert "Make another level the default first." in str(vars(refused))


# ---- Notices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "words"),
    [([1], "It never became Protected: nothing is charged."),
     ([1, 2], "They never became Protected: nothing is charged."),
     ([0], "It is no longer protected. The billing cycle is charged to the end of the month (UTC)."),
     ([0, 1], "1 of them is no longer protected: for it the billing cycle is charged to the end of the month (UTC). "
      "What never became Protected costs nothing.")],
)  # fmt: skip
def test_the_notice_says_what_is_charged(cast: Cast, vms: list[VM], chosen: list[int], words: str) -> None:
    stop_replication(cast.actor("oscar"), [vms[n].uuid for n in chosen])
    [(_, said)] = told("was stopped")
    assert said == f"Oscar Lind stopped it. {words}"


def test_what_waits_for_the_customer_did_not_just_fail(cast: Cast, vms: list[VM]) -> None:
    with changes(PORTAL) as change:
        failing = Replication.objects.filter(vm=vms[1])
        change.fire(failing, "fail", waiting_on=WaitingOn.SUPPORT, verb="", next_step_at=None, failed_in="provisioning")
    ask(cast.actor("mary"), Replication.objects.filter(vm=vms[1]), "Which disk?", "question-key-1")
    duty = Provision()
    with changes(PORTAL) as change:
        duty.done(change, duty.load([Replication.objects.get(vm=vms[2]).pk]), {})
    [(title, said)] = told("are protected")
    assert title == f"{Order.objects.get().number}: 2 of 3 VMs are protected, 1 waits for you"
    assert "Support is at it" not in said and "Support has a question" in said
