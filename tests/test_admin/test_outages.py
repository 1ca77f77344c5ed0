"""Support's pages of outages: declared once, told of, closed once; whoever comes late learns who was first."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ampdr import clock
from inventory import actions
from inventory.models import Outage, OutageUpdate
from tests.cast import Cast, make_vms, protect
from tests.test_admin.desk import words

LIST, ADD = "/admin/inventory/outage/", "/admin/inventory/outage/add/"


@pytest.fixture
def outage(cast: Cast) -> Outage:
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"]))
    make_vms(cast.contoso, cast.sites["PHX01"], ["ours-01"])
    start = clock.now() - timedelta(hours=1)
    key = str(uuid.uuid4())
    return actions.declare(cast.actor("mary"), cast.sites["DFW01"], "Hall A has no power", "We look.", start, key)


def page(outage: Outage) -> str:
    return reverse("admin:inventory_outage_change", args=[outage.pk])


def typed(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%dT%H:%M}"


def field(shown: str, name: str) -> str:
    tag = re.search(rf'<input[^>]*name="{name}"[^>]*>', shown)
    value = re.search(r'value="([^"]*)"', tag[0]) if tag else None
    return value[1] if value else ""


def declaration(cast: Cast, **said: Any) -> dict[str, Any]:
    site = cast.sites["DFW01"].pk
    words = {"site": site, "title": "Hall A has no power", "text": "We look.", "key": str(uuid.uuid4())}
    return words | {"started_at": typed(clock.now())} | said


def test_declared_by_a_form_once(cast: Cast, mary: Client) -> None:
    before, shown = typed(clock.now()), mary.get(ADD).content.decode()
    assert before <= field(shown, "started_at") <= typed(clock.now()) and "Dallas (DFW01)" in shown
    said = declaration(cast, key=field(shown, "key"))
    first, second = mary.post(ADD, said), mary.post(ADD, said)
    outage = Outage.objects.get()
    assert first["Location"] == second["Location"] == page(outage)
    assert words(first) == f"{outage.number} is declared."
    assert OutageUpdate.objects.get().text == "We look."
    assert outage.number in mary.get(LIST).content.decode()


def test_times_are_typed_in_the_zone_of_who_types(cast: Cast, mary: Client) -> None:
    cast.mary.time_zone = "America/Chicago"
    cast.mary.save()
    assert "America/Chicago" in mary.get(ADD).content.decode()
    mary.post(ADD, declaration(cast, started_at="2026-01-15T02:41"))
    assert f"{Outage.objects.get().started_at:%H:%M %z}" == "08:41 +0000"


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"title": ""}, "required"), ({"title": "a\0b"}, "Null characters"), ({"title": "x" * 121}, "120"),
        ({"text": " "}, "Write something first."), ({"text": "x" * 2001}, "2,001 characters"), ({"site": "0"}, "valid"),
        ({"started_at": "yesterday"}, "valid date"), ({"started_at": "2200-01-01T00:00"}, "This lies ahead"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field(cast: Cast, mary: Client, said: dict[str, Any], wrong: str) -> None:
    answer = mary.post(ADD, declaration(cast, **said))
    assert answer.status_code == 200 and wrong in answer.content.decode()
    assert not Outage.objects.exists()


def test_a_second_one_of_the_site_leads_to_the_first(cast: Cast, mary: Client, outage: Outage) -> None:
    answer = mary.post(ADD, declaration(cast))
    shown = answer.content.decode()
    assert answer.status_code == 409 and f'href="{page(outage)}">Open {outage.number}' in shown
    assert Outage.objects.count() == 1


def test_the_page_shows_whom_it_is_about(mary: Client, outage: Outage) -> None:
    shown = mary.get(page(outage)).content.decode()
    rows = re.findall(r"<bdi>([^<]+)</bdi></a></td>(.*?)</tr>", shown)
    numbers = {name: re.findall(r'"num">(\d+)<', cells) for name, cells in rows}
    assert numbers == {"Northwind Health": ["2", "2", "0", "0", "0"]}
    assert f"Outage {outage.number} in Dallas (DFW01)" in shown and "Open" in shown and "declared it" in shown
    assert 'name="title"' not in shown and "We look." in shown


def test_updates_stand_newest_first_and_are_said_once(mary: Client, outage: Outage) -> None:
    said = {"do": "update", "text": "<b>Engineers</b> are on site.", "key": str(uuid.uuid4())}
    for _ in range(2):
        assert mary.post(page(outage), said)["Location"] == page(outage)
    shown = mary.get(page(outage)).content.decode()
    assert shown.index("&lt;b&gt;Engineers&lt;/b&gt;") < shown.index("We look.")
    assert outage.updates.count() == 2


def test_closed_once_and_the_late_one_hears_by_whom(cast: Cast, mary: Client, lead: Client, outage: Outage) -> None:
    """Tom's page was opened before Mary closed it."""
    late = lead.get(page(outage)).content.decode()
    before, shown = typed(clock.now()), mary.get(page(outage)).content.decode()
    over_at = field(shown, "over_at")
    assert before <= over_at <= typed(clock.now())
    done = mary.post(page(outage), {"do": "close", "text": "Back.", "over_at": over_at, "key": field(shown, "key")})
    assert words(done) == f"{outage.number} is over."
    for said in ({"do": "close", "over_at": over_at}, {"do": "update"}):
        answer = lead.post(page(outage), {"text": "Back, I say.", "key": field(late, "key"), **said})
        assert answer.status_code == 409 and "Mary Osei was first" in answer.content.decode()
    shown = lead.get(page(outage)).content.decode()
    assert 'name="do"' not in shown and "closed it" in shown and "told that it is over" in shown
    assert outage.updates.count() == 2


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"do": "update", "text": ""}, "Write something first."),
        ({"do": "update", "text": "a\0b"}, "control characters"),
        ({"do": "close", "text": ""}, "Write something first."), ({"do": "close", "over_at": ""}, "Say since when"),
        ({"do": "close", "over_at": "2001-01-01T00:00"}, "It began at"),
        ({"do": "close", "over_at": "2200-01-01T00:00"}, "This lies ahead"),
        ({"do": "edit"}, "Press one of the buttons"),
        ({"do": "update", "key": ""}, "Send the form once more"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_on_the_page(mary: Client, outage: Outage, said: dict[str, str], wrong: str) -> None:
    whole = {"text": "Kept as it was typed", "over_at": typed(clock.now()), "key": str(uuid.uuid4())} | said
    answer = mary.post(page(outage), whole)
    shown = answer.content.decode()
    assert answer.status_code == 400 and wrong in shown
    assert ("Kept as it was typed" in shown) == ("text" not in said and said["do"] != "edit")
    assert outage.updates.count() == 1
