"""The page of a new order, and of stopping: what they show, and every refusal."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from django.test import Client

from accounts.models import Role
from ampdr import clock, work
from inventory.models import VM
from replication.models import Order, Replication
from replication.views.stop import end_of_cycle
from tests.cast import Cast, make_vms, protect, request, sign_in
from tests.test_orders.asking import KEY, servers, simulate, state_of
from tests.test_orders.reading import NEW, TOP, chosen, hidden, ordered, sent, text


def test_one_vm_is_ordered_in_two_steps(cast: Cast, client: Client) -> None:
    (vm,) = servers(cast, "build-07")
    page = client.get(f"{NEW}?{chosen(vm)}")
    words = text(page)
    assert "Order replication of build-07" in words
    for fact in ("DFW01", "PHX01", "15 min", "24 h", "up to two days", "40 GB", "Order replication of 1 VM"):
        assert fact in words
    assert not Order.objects.exists()
    form = sent(page)
    answer = client.post(NEW, form)
    number = Order.objects.get().number
    assert (answer.status_code, answer["Location"]) == (303, f"{TOP}orders/{number}/")
    again = client.post(NEW, form)
    assert (again.status_code, again["Location"]) == (303, f"{TOP}orders/{number}/")
    assert Replication.objects.count() == 1


def test_what_cannot_be_ordered_is_left_out_by_one_button(cast: Cast, client: Client) -> None:
    good = servers(cast, "web-01", "web-02", "web-03")
    (far,) = servers(cast, "edge-lon", site="LHR01")
    (done,) = servers(cast, "db-01")
    number = ordered(cast, done).number
    page = client.get(f"{NEW}?{chosen(*good, far, done)}")
    words = text(page)
    assert "Leave these 2 out and order 3" in words
    assert "London (LHR01) has no failover site." in words
    assert f"1 is in order {number}" in words and f'href="{TOP}orders/{number}/"' in page.content.decode()
    client.post(NEW, sent(page))
    newest = Order.objects.latest("pk")
    assert set(newest.lines.values_list("vm__name", flat=True)) == {"web-01", "web-02", "web-03"}


def test_with_nothing_to_order_there_is_no_button(cast: Cast, client: Client) -> None:
    far = servers(cast, "edge-lon", "edge-2", site="LHR01")
    words = text(client.get(f"{NEW}?{chosen(*far)}"))
    assert "None of these 2 VMs can be ordered" in words
    assert "Order replication of" not in words and "out and order" not in words


def test_without_a_choice_the_page_offers_what_can_be_ordered(cast: Cast, client: Client) -> None:
    servers(cast, "web-01", "Web-02", "db_01")
    servers(cast, "edge-lon", site="LHR01")
    servers(cast, "lab-03", cannot_replicate="Powered off: start it first.")
    ordered(cast, servers(cast, "busy")[0])
    words = text(client.get(NEW))
    assert all(name in words for name in ("web-01", "Web-02", "db_01"))
    assert not any(name in words for name in ("edge-lon", "lab-03", "busy"))
    found = text(client.get(f"{NEW}?q=WEB"))
    assert "web-01" in found and "Web-02" in found and "db_01" not in found
    assert "begins with “%”" in text(client.get(f"{NEW}?q=%25"))  # no wildcard


@pytest.mark.parametrize(("form", "words"), [({"key": KEY}, "Choose at least one VM"), ({}, "Choose at least one VM")])
def test_an_empty_choice_is_asked_again(cast: Cast, client: Client, form: dict[str, str], words: str) -> None:
    servers(cast, "web-01")
    page = client.post(NEW, form)
    assert page.status_code == 400
    assert words in text(page) and "web-01" in text(page)


@pytest.mark.parametrize("key", ["", "short", "with-a-nul\0"])
def test_a_form_without_its_key_is_shown_again_with_one(cast: Cast, client: Client, key: str) -> None:
    (vm,) = servers(cast, "web-01")
    page = client.post(NEW, {"key": key, "vm": str(vm.uuid)})
    assert page.status_code == 400
    assert "Nothing was ordered" in text(page)
    assert len(hidden(page, "key")) == 32 and hidden(page, "vm") == str(vm.uuid)


def test_whoever_is_late_sees_who_was_first_and_the_way_on(cast: Cast, client: Client) -> None:
    (vm,) = servers(cast, "web-01")
    page = client.get(f"{NEW}?{chosen(vm)}")
    order = ordered(cast, vm, who="oscar")
    late = client.post(NEW, sent(page))
    assert late.status_code == 409
    words = text(late)
    assert "Oscar Lind was first" in words and f"Open {order.number}" in words and "0 of 1 ready" in words
    assert f'href="{TOP}orders/{order.number}/"' in late.content.decode()


def test_a_mixed_conflict_comes_back_as_the_check(cast: Cast, client: Client) -> None:
    one, two = servers(cast, "web-01", "web-02")
    number = ordered(cast, one, who="oscar").number
    late = client.post(NEW, {"key": KEY, "vm": f"{one.uuid},{two.uuid}"})
    words = text(late)
    assert late.status_code == 409 and "Nothing was ordered" in words and f"order {number}" in words
    assert "Leave this 1 out and order 1" in words
    assert client.post(NEW, sent(late)).status_code == 303 and Order.objects.latest("pk").vm_count == 1


def test_a_key_of_another_order_is_a_conflict(cast: Cast, client: Client) -> None:
    one, two = servers(cast, "web-01", "web-02")
    client.post(NEW, {"key": KEY, "vm": str(one.uuid)})
    assert client.post(NEW, {"key": KEY, "vm": str(two.uuid)}).status_code == 409


def test_refusals_come_in_their_order(cast: Cast, client: Client) -> None:
    (vm,) = servers(cast, "web-01")
    (theirs,) = make_vms(cast.contoso, cast.sites["DFW01"], ["theirs"])
    absent = [client.get(f"{NEW}?vm={name}") for name in (theirs.uuid, uuid.uuid4(), "nonsense")]
    assert {page.status_code for page in absent} == {404}
    assert len({page.content for page in absent}) == 1
    assert client.post(NEW, {"key": KEY, "vm": str(theirs.uuid)}).status_code == 404
    sign_in(client, cast.ravi)
    for page in (client.get(NEW), client.get(f"{NEW}?{chosen(vm)}"), client.post(NEW, {"key": KEY, "vm": vm.uuid})):
        assert page.status_code == 403
        assert "Write Server Replication" in text(page) and "Priya Raman" in text(page)
    assert client.get(f"{NEW}?vm={theirs.uuid}").status_code == 404
    Role.objects.filter(name="Viewer").update(permissions=["read_vms"])
    for address in (TOP, f"{TOP}orders/", f"{TOP}not-protected/", f"{TOP}orders/RO-1/", f"{TOP}stop/", NEW):
        page = client.get(address)
        assert page.status_code == 403
        assert "Read Server Replication" in text(page) and "this is the reason" in text(page)
        assert "Priya Raman" in text(page)
    assert not Order.objects.exists()


def test_the_rest_of_an_order_is_cancelled_and_what_is_ready_stays(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    vms = servers(cast, "web-01", "web-02", "web-03")
    order = ordered(cast, *vms)
    work.drive()
    simulate(monkeypatch, time_scale=1)
    Replication.objects.filter(vm__in=vms[1:]).delete()
    VM.objects.filter(pk__in=[vm.pk for vm in vms[1:]]).update(protection="none")
    second = ordered(cast, *vms[1:])
    Replication.objects.update(order=second)
    address = f"{TOP}orders/{second.number}/"
    assert "Cancel remaining 2 VMs" in text(client.get(address))
    page = client.get(f"{TOP}stop/?order={second.number}")
    words = text(page)
    assert "Stop replication of 2 VMs?" in words and "web-01" not in words
    assert "Setting up ends" in words and "Nothing is charged" in words
    assert state_of(vms[1]) == ("ordered", "ordered")
    form = {name: hidden(page, name) for name in ("key", "vm", "order")}
    for _ in range(2):  # a double click
        answer = client.post(f"{TOP}stop/", form)
        assert (answer.status_code, answer["Location"]) == (303, address)
    assert [state_of(vm)[0] for vm in vms] == ["protected", "stopped", "stopped"]
    assert order.number != second.number


def test_the_billing_cycle_is_the_calendar_month_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    late_in_chicago = timezone(timedelta(hours=-6))
    for now, end in (
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "2026-12-31"),
        (datetime(2028, 2, 1, tzinfo=UTC), "2028-02-29"),
        (datetime(2026, 11, 30, 18, tzinfo=late_in_chicago), "2026-12-31"),
    ):
        monkeypatch.setattr(clock, "now", partial(datetime.astimezone, now))
        assert str(end_of_cycle()) == end


def test_a_failover_holds_its_vm_and_is_named(cast: Cast, client: Client) -> None:
    held, free = servers(cast, "web-01", "web-02")
    protect(cast, [held, free])
    page = client.get(f"{TOP}stop/?{chosen(held, free)}")
    ticket = request(cast, [held])
    late = client.post(f"{TOP}stop/", {name: hidden(page, name) for name in ("key", "vm")})
    assert late.status_code == 409 and ticket.number in text(late)
    assert state_of(free) == ("protected", "protected")
    words = text(client.get(f"{TOP}stop/?{chosen(held, free)}"))
    assert ticket.number in words and "Stop replication of web-02 ?" in words
    assert "can't be stopped" in text(client.get(f"{TOP}stop/?{chosen(held)}"))


def test_stopping_is_refused_to_whoever_may_only_look(cast: Cast, client: Client) -> None:
    (vm,) = servers(cast, "web-01")
    protect(cast, [vm])
    sign_in(client, cast.ravi)
    for page in (client.get(f"{TOP}stop/?{chosen(vm)}"), client.post(f"{TOP}stop/", {"vm": vm.uuid, "key": KEY})):
        assert page.status_code == 403 and "Priya Raman" in text(page)
    assert state_of(vm) == ("protected", "protected")
