"""Reading the lists as a person does: names, icons and pills of each row."""

import re
from collections.abc import Callable
from html import unescape

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ampdr.lifecycle import PORTAL, changes
from inventory.actions import count_new
from inventory.models import VM
from tests.cast import Cast

SECURITY = ("security/fim", "security/malware", "security/patching")
SCREENS = ("vms", *SECURITY)
Row = tuple[str, str, list[str]]
LIVE, TEST = "live", "test"


def get(client: Client, address: str = "vms", **query: str) -> str:
    response = client.get(f"/northwind/{address}/", query)
    assert response.status_code == 200
    return response.content.decode()


def main(html: str) -> str:
    return unescape(html[html.index("<main") : html.index("</main>")])


def listing(html: str) -> list[Row]:
    """Name, icon ("" for an ordinary VM) and pills of each row."""
    found = []
    for part in re.findall(r'<tr role="row" id="vm-.*?</tr>', html, re.S):
        icon = LIVE if 'class="fo"' in part else TEST if 'class="vm t"' in part else ""
        name = re.search(r'<a href="[^"]*"><span class="\w+">([^<]*)', part)
        assert name
        found.append((name[1], icon, re.findall(r'class="pill \w+">.*?</svg>([^<]+)', part)))
    return found


def count(client: Client, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as caught:
        get(client, address)
    return len(caught)


def expect(client: Client, *wanted: Row) -> None:
    """All lists have these rows; the pills are those of Virtual Machines."""
    assert listing(get(client)) == [*wanted]
    for screen in SECURITY:
        assert [row[:2] for row in listing(get(client, screen))] == [row[:2] for row in wanted], screen


DB: Row = ("db-01", "", ["Protected"])


def make_many(cast: Cast, number: int, name: Callable[[int], str]) -> list[VM]:
    with changes(PORTAL) as change:
        site = cast.sites["DFW01"]
        vms = [VM(account=cast.northwind, site=site, name=name(n), slug=f"vm-{n}") for n in range(number)]
        made = VM.objects.bulk_create(vms)
        count_new(change, VM.objects.filter(pk__in=[vm.pk for vm in made]))
    return made
