"""What the tests of requests say often."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from ampdr import work
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, request, say_yes, states

NEW, CONFIRM = "/northwind/failovers/new/", "/northwind/failovers/new/confirm/"


def text(response: Any) -> str:
    html = response.content.decode()
    main = html[html.index("<main") : html.index("</main>")]
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())
    return re.sub(r" ([,.:])", r"\1", words)


def link(vms: list[VM], **other: Any) -> str:
    return urlencode([*other.items(), *(("vm", str(vm.uuid)) for vm in vms)])


def form(html: Any) -> dict[str, list[str]]:
    """The hidden fields of the form that a preview shows."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html.content.decode()):
        if name != "csrfmiddlewaretoken":
            found.setdefault(name, []).append(unescape(value))
    return found


def preview(client: Client, vms: list[VM], **other: Any) -> tuple[str, dict[str, Any]]:
    response = client.get(f"{CONFIRM}?{link(vms, **other)}")
    assert response.status_code == 200, text(response)
    return text(response), form(response)


def live_running(cast: Cast, vms: list[VM]) -> Ticket:
    ticket = request(cast, vms, "live")
    say_yes(cast, ticket)
    work.drive()
    assert set(states(ticket)) == {"running"}
    return ticket
