"""Priya, signed in; three protected VMs; tickets in seven states."""

from __future__ import annotations

import pytest
from django.test import Client

from failover.actions import (
    confirm,
    reject,
    version_of,
)
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, say_yes, sign_in
from tests.test_ticket_page.seen import end, fault, push


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    sign_in(client, cast.priya)
    return client


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, made)
    return made


@pytest.fixture
def seven(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> dict[str, Ticket]:
    """Tickets in seven states, each of one VM that bears its name."""
    names = ["waiting", "rejected", "running", "confirmed", "failed", "terminated", "testing"]
    made = {vm.name: vm for vm in make_vms(cast.northwind, cast.sites["DFW01"], [f"{name}-01" for name in names])}
    protect(cast, list(made.values()))
    fault(monkeypatch, {"fault": "refuse", "kind": "start_live", "vm": "failed-01"})
    found: dict[str, Ticket] = {}
    for name in names:
        kind = "test" if name in ("testing", "rejected") else "live"
        found[name] = request(cast, [made[f"{name}-01"]], kind, key=f"key-of-{name}")
        if name == "rejected":
            reject(cast.actor("mary"), found[name], "No", version_of(found[name]))
        elif name != "waiting":
            say_yes(cast, found[name])
    push()
    confirm(cast.actor("priya"), found["confirmed"])
    found["ending"] = end(cast, found["terminated"])
    say_yes(cast, found["ending"])
    push()
    return found
