"""G1, G3, G4, G5: what a list costs per request, in this process, through the WSGI handler."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.core.signing import Signer
from django.db import connection
from django.test import Client, override_settings

from accounts.models import Person
from bench.clocks import Cost, interleaved
from bench.report import Figure
from bench.settings import BARE_MIDDLEWARE, MIDDLEWARE
from inventory.models import VM

REQUESTS = 60  # of each page in each round
PORTAL, BARE = "portal", "bare"


def handler(middleware: list[str]) -> WSGIHandler:
    with override_settings(MIDDLEWARE=middleware):
        return WSGIHandler()


class Browser:
    """A signed-in person, without the test client's own cost."""

    def __init__(self, person: Person) -> None:
        client = Client()
        client.force_login(person)
        self.cookie = "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())
        self.handlers = {PORTAL: handler(MIDDLEWARE), BARE: handler(BARE_MIDDLEWARE)}

    def get(self, address: str, kind: str = PORTAL) -> bytes:
        """The body; a status other than 200 is an error."""
        said: list[str] = []

        def start(status: str, headers: Any, info: Any = None, /) -> Callable[[bytes], object]:
            said.append(status)
            return said.append  # type: ignore[return-value]

        path, _, query = address.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "testserver",
            "SERVER_PORT": "80", "HTTP_HOST": "testserver", "HTTP_COOKIE": self.cookie, "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "SERVER_PROTOCOL": "HTTP/1.1",
        }  # fmt: skip
        response = self.handlers[kind](environ, start)
        body = b"".join(response)
        response.close()
        if not said[0].startswith("200"):
            raise RuntimeError(f"{address} answered {said[0]}")
        return body


@contextmanager
def counted() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        statements.append(sql)
        return execute(sql, *more)

    with connection.execute_wrapper(note):
        yield statements


def last_page(slug: str) -> str:
    """The address of the deepest page of Virtual Machines: the one that ends the list."""
    rows = VM.objects.filter(account__slug=slug, shown=True).order_by("-rank", "-name_key", "-family", "-role")
    place = list(rows.values_list("rank", "name_key", "family", "role")[50])
    return f"/{slug}/vms/?after={Signer(sep='.', salt='place in a list').sign_object(place)}"


def measure(person: Person, slug: str, rounds: int) -> list[Figure]:
    browser = Browser(person)
    deep = last_page(slug)
    found = browser.get(deep)
    if b'rel="prev"' not in found or b'rel="next"' in found or found.count(b'<tr role="row" id="vm-') != 50:
        raise RuntimeError("this is not the last page")
    asked = {
        "floor": (f"/yardstick/{slug}/floor/", BARE), "template": (f"/yardstick/{slug}/template/", BARE),
        "vms": (f"/{slug}/vms/", PORTAL), "fim": (f"/{slug}/security/fim/", PORTAL), "deep": (deep, PORTAL),
        "malware": (f"/{slug}/security/malware/", PORTAL), "patching": (f"/{slug}/security/patching/", PORTAL),
        "values": (f"/yardstick/{slug}/api/", BARE), "api": (f"/api/v1/accounts/{slug}/vms/", PORTAL),
    }  # fmt: skip
    calls = [partial(browser.get, address, kind) for address, kind in asked.values()]
    costs = dict(zip(asked, interleaved(calls, rounds, REQUESTS), strict=True))
    return [*times(costs), *statements(browser, asked)]


def times(costs: dict[str, Cost]) -> list[Figure]:
    template, floor, values = costs["template"], costs["floor"], costs["values"]

    def beside(goal: str, what: str, name: str, yardstick: Cost, words: str, limit: float) -> Figure:
        ratio = costs[name].cpu / yardstick.cpu
        both = (
            f"{ms(costs[name].cpu)} CPU, {ms(costs[name].wall)}",
            f"{words}: {ms(yardstick.cpu)} CPU, {ms(yardstick.wall)}",
        )
        return Figure(goal, what, *both, f"{ratio:.2f} x", f"<= {limit} x", ratio <= limit)

    depth = costs["deep"].wall / costs["vms"].wall
    return [
        beside("G1", "Virtual Machines, 50 rows", "vms", template, "template over values()", 1.5),
        beside("G1", "FIM, 50 rows", "fim", template, "template over values()", 1.5),
        beside("G1", "Malware Protection, 50 rows", "malware", template, "template over values()", 1.5),
        beside("G1", "Patching, 50 rows", "patching", template, "template over values()", 1.5),
        beside("G1, reach for", "Virtual Machines, 50 rows", "vms", floor, "one string per row", 1.5),
        beside("G3", "API list of VMs, 50 rows", "api", values, "REST framework over values()", 1.5),
        Figure(
            "G4", "deepest page of Virtual Machines", ms(costs["deep"].wall), f"first page: {ms(costs['vms'].wall)}",
            f"{depth:.2f} x", "<= 1.15 x", depth <= 1.15,
        ),
    ]  # fmt: skip


def statements(browser: Browser, asked: dict[str, tuple[str, str]]) -> list[Figure]:
    found = {}
    names = {
        "vms": "Virtual Machines", "fim": "FIM", "malware": "Malware Protection", "patching": "Patching",
        "deep": "deepest page", "api": "API list",
    }  # fmt: skip
    for name in names:
        with counted() as said:
            browser.get(*asked[name])
        found[name] = len(said)
    words = ", ".join(f"{names[name]} {n}" for name, n in found.items())
    return [
        Figure("G5", "SQL statements of a list", words, "", str(max(found.values())), "<= 6", max(found.values()) <= 6)
    ]


def ms(seconds: float) -> str:
    return re.sub(r"\.0$", "", f"{seconds * 1000:.1f}") + " ms"
