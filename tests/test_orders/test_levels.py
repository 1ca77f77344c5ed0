"""Service levels: what an order is placed under, and how Support keeps them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.actions import LEAD, SUPPORT, furnish
from accounts.models import Activity
from ampdr.errors import Forbidden, Invalid
from replication.actions import Terms, place_order, save_level
from replication.actions import furnish as first_level
from replication.models import PROMISE, Order, Replication, ServiceLevel
from tests.caller import signed_in
from tests.cast import Cast, make_cast, sign_in
from tests.test_orders.asking import KEY, refusal, servers, untouched
from tests.test_orders.reading import NEW, chosen, sent, text
from tests.threads import raised, together

ADD = reverse("admin:replication_servicelevel_add")


def minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


def level(name: str = "Gold", target: float = 10, least: float = 5, **facts: object) -> ServiceLevel:
    terms = {"rpo_target": minutes(target), "rpo_minimum": minutes(least), "retention_hours": 72} | facts
    return ServiceLevel(name=name, **terms)


def default() -> str:
    return ServiceLevel.objects.get(is_default=True).name


# ---- Orders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "recorded"),
    [(Terms(), ("Standard", 15, 24)), (Terms("Gold"), ("Gold", 10, 72)), (Terms("Gold", minutes(5)), ("Gold", 5, 72)),
     (Terms("", minutes(1440)), ("Standard", 1440, 24))],
)  # fmt: skip
def test_an_order_records_its_terms_and_its_promise(
    cast: Cast, terms: Terms, recorded: tuple[str, int, int]
) -> None:  # fmt: skip
    save_level(cast.actor("mary"), level())
    order = place_order(cast.actor("priya"), [servers(cast, "web-01")[0].uuid], KEY, terms)
    order = Order.objects.get(pk=order.pk)
    assert order.promised_at == order.next_step_at == order.ordered_at + PROMISE
    for row in (order, Replication.objects.get(order=order)):
        assert row.service_level
        assert (row.service_level.name, row.rpo_target // minutes(1), row.retention_hours) == recorded
    assert order.lines.get().vm.rpo_target == order.rpo_target


@pytest.mark.parametrize(
    ("terms", "field"),
    [(Terms("Never"), "service_level"), (Terms("Old"), "service_level"), (Terms("", minutes(14)), "rpo_target_minutes")]
    + [(Terms("Gold", minutes(n)), "rpo_target_minutes") for n in (4, 5.5, 1441, 0, -10)],
)
def test_terms_that_no_level_offers_are_refused(cast: Cast, terms: Terms, field: str) -> None:
    for one in (level(), level("Old", offered=False)):
        save_level(cast.actor("mary"), one)
    refused = refusal(Invalid, place_order, cast.actor("priya"), [servers(cast, "web-01")[0].uuid], KEY, terms)
    assert isinstance(refused, Invalid) and list(refused.fields) == [field]
    assert untouched()


def test_a_key_stands_for_the_terms_too(cast: Cast) -> None:
    (vm,) = servers(cast, "web-01")
    order = place_order(cast.actor("priya"), [vm.uuid], KEY, Terms("", minutes(30)))
    standard = ServiceLevel.objects.get()
    standard.rpo_target = standard.rpo_minimum = minutes(60)
    save_level(cast.actor("mary"), standard)
    assert place_order(cast.actor("priya"), [vm.uuid], KEY, Terms("", minutes(30))) == order
    order.refresh_from_db()
    assert order.rpo_target == minutes(30)  # what was ordered keeps its terms


def test_the_page_offers_levels_and_keeps_what_was_chosen(cast: Cast, client: Client) -> None:
    (vm,) = servers(cast, "web-01")
    page = client.get(f"{NEW}?{chosen(vm)}")
    assert 'type="radio"' not in page.content.decode() and sent(page)["rpo_target_minutes"] == "15"
    save_level(cast.actor("mary"), level())
    page = client.get(f"{NEW}?{chosen(vm)}")
    assert page.content.decode().count('type="radio" name="service_level"') == 2
    for wrong in ("5", "1.5", "-1", "x", "99999", "²"):
        answer = client.post(NEW, sent(page) | {"service_level": "Standard", "rpo_target_minutes": wrong})
        assert answer.status_code == 400 and 'id="target-error"' in answer.content.decode(), wrong
    assert client.post(NEW, sent(page) | {"service_level": "Never"}).status_code == 400
    form = sent(answer) | {"service_level": "Gold", "rpo_target_minutes": "5"}
    assert client.post(NEW, form).status_code == 303
    assert text(client.get(client.post(NEW, form)["Location"])).count("5 min") >= 1
    assert Order.objects.get().rpo_target == minutes(5)


def test_the_api_tells_levels_and_orders_under_them(cast: Cast) -> None:
    one, two = servers(cast, "web-01", "web-02")
    save_level(cast.actor("mary"), level())
    save_level(cast.actor("mary"), level("Old", offered=False))
    caller = signed_in(cast)
    told = caller.call("GET", "service-levels/").content["results"]
    assert [(row["name"], row["is_default"]) for row in told] == [("Standard", True), ("Gold", False)]
    assert told[1] == {
        "name": "Gold", "rpo_target_minutes": 10, "rpo_minimum_minutes": 5, "retention_hours": 72, "is_default": False,
    }  # fmt: skip
    body = {"vms": [str(one.uuid)], "service_level": "Gold", "rpo_target_minutes": 5}
    targets: list[dict[str, Any]] = [{"rpo_target_minutes": n} for n in (4, "5", 5.0, 10**30, True, None)]
    for wrong in (*targets, {"service_level": "Never"}):
        answer = caller.call("POST", "orders/", body | wrong, KEY)
        assert answer.status == 400 and list(answer.content["fields"]) == list(wrong), wrong
    made = caller.call("POST", "orders/", body, KEY)
    assert (made.status, made.content["service_level"], made.content["rpo_target_seconds"]) == (201, "Gold", 300)
    assert made.content["promised_at"]
    assert caller.call("POST", "orders/", {"vms": [str(two.uuid)]}, f"{KEY}-2").content["service_level"] == "Standard"


# ---- Support ---------------------------------------------------------------------------------------------------------


def test_a_new_default_takes_the_place_of_the_old_one(cast: Cast) -> None:
    gold = save_level(cast.actor("mary"), level(is_default=True))
    assert default() == "Gold" and ServiceLevel.objects.count() == 2
    gold.is_default = False
    refused = refusal(Invalid, save_level, cast.actor("mary"), gold)
    assert isinstance(refused, Invalid) and list(refused.fields) == ["is_default"] and default() == "Gold"
    written = Activity.objects.filter(account=None, kind="level")
    assert list(written.values_list("event", "facts__name", "facts__default")) == [("added", "Gold", True)]


@pytest.mark.parametrize(
    ("facts", "field"),
    [({"target": 4}, "rpo_target"), ({"target": 10.5}, "rpo_target"), ({"target": 1441}, "rpo_target"),
     ({"least": 0}, "rpo_minimum"), ({"retention_hours": 0}, "retention_hours"), ({"name": "Standard"}, "name"),
     ({"is_default": True, "offered": False}, "offered"), ({"name": ""}, "name")],
)  # fmt: skip
def test_a_level_that_could_not_be_kept_is_refused(cast: Cast, facts: dict[str, object], field: str) -> None:
    refused = refusal(Invalid, save_level, cast.actor("mary"), level(**facts))  # type: ignore[arg-type]
    assert isinstance(refused, Invalid) and field in refused.fields
    assert ServiceLevel.objects.count() == 1 and default() == "Standard"


def test_levels_are_supports(cast: Cast) -> None:
    refusal(Forbidden, save_level, cast.actor("priya"), level())


def test_of_two_new_defaults_at_one_instant_one_is_the_default(transactional_db: None) -> None:
    furnish()
    first_level()
    mary = make_cast().actor("mary")
    came = together(*[partial(save_level, mary, level(name, is_default=True)) for name in ("Gold", "Silver")])
    assert not raised(came)
    assert default() in ("Gold", "Silver") and ServiceLevel.objects.count() == 3


def test_a_lead_keeps_levels_in_admin_and_support_looks_at_them(cast: Cast, client: Client) -> None:
    cast.tom.groups.add(Group.objects.get(name=LEAD))
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    sign_in(client, cast.tom)
    form = {
        "name": "Gold",
        "rpo_target": "00:10:00",
        "rpo_minimum": "00:05:00",
        "retention_hours": "72",
        "offered": "on",
    }
    assert client.post(ADD, form | {"rpo_target": "00:01:00"}).status_code == 200 and default() == "Standard"
    assert client.post(ADD, form | {"is_default": "on"}).status_code == 302 and default() == "Gold"
    gold = reverse("admin:replication_servicelevel_change", args=[ServiceLevel.objects.get(name="Gold").pk])
    assert "Make another one the default" in client.post(gold, form).content.decode() and default() == "Gold"
    assert client.post(gold, form | {"is_default": "on", "retention_hours": "48"}).status_code == 302
    assert ServiceLevel.objects.get(name="Gold").retention_hours == 48
    events = Activity.objects.filter(kind="level", actor=cast.tom.name, staff=True).order_by("pk")
    assert list(events.values_list("event", flat=True)) == ["added", "changed"]
    sign_in(client, cast.mary)
    assert client.get(gold).status_code == 200 and client.post(gold, form).status_code == 403
