"""What a reader of the pages sees, and what an open page asks."""

from __future__ import annotations

import re
import uuid
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest
from django.db.models import F
from django.test import Client

from ampdr import clock, work
from inventory.models import VM
from replication.actions import place_order
from replication.models import Order, Replication
from tests.cast import Cast
from tests.test_orders.asking import KEY
from tests.test_simulated.asking import at


class Answer(Protocol):
    """What the tests' client gets back."""

    @property
    def content(self) -> bytes: ...


TOP = "/northwind/replication/"
NEW = f"{TOP}orders/new/"


def text(response: Answer) -> str:
    """What a reader sees: no tags, one space between words."""
    body = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", body).replace("&#x27;", "'")


def chosen(*vms: VM) -> str:
    return urlencode([("vm", vm.uuid) for vm in vms])


def hidden(response: Answer, name: str) -> str:
    found = re.search(rf'type="hidden" name="{name}" value="([^"]*)"', response.content.decode())
    assert found, name
    return found.group(1)


def sent(response: Answer) -> dict[str, str]:
    """What the check's button sends: what is hidden in its form, and what is selected."""
    body = response.content.decode().partition('<form class="cols"')[2]
    found = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', body)
    target = re.search(r'<option value="([^"]*)" selected', body)
    return dict(found) | ({"rpo_target_minutes": target.group(1)} if target else {})


def marks(page: Answer) -> list[str]:
    """Of the five steps those that are done and the one that is under way."""
    return re.findall(r'<li class="(dn|now)"', page.content.decode())


def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is looked at now, and the simulated provider's clock is ours."""
    at(clock.now(), monkeypatch)
    Replication.objects.filter(verb="protect").update(next_step_at=F("ordered_at"))
    work.drive()


def ordered(cast: Cast, *vms: VM, who: str = "priya") -> Order:
    return place_order(cast.actor(who), [vm.uuid for vm in vms], f"{KEY}-{uuid.uuid4()}")


def poll(client: Client, page: Answer) -> Any:
    """What the open page asks at its next tick."""
    found = re.search(r'(?<!"strips" )hx-get="([^"]+)"', page.content.decode())
    assert found
    return client.get(found.group(1).replace("&amp;", "&"), headers={"HX-Request": "true"})
