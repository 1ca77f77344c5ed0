"""Three protected VMs, and a test of two of them that runs."""

from __future__ import annotations

import pytest

from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, drive_to, make_vms, protect, request, say_yes


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
    protect(cast, made)
    return made


@pytest.fixture
def testing(cast: Cast, vms: list[VM]) -> Ticket:
    ticket = request(cast, vms[:2])
    say_yes(cast, ticket)
    drive_to(ticket, "running")
    ticket.refresh_from_db()
    return ticket


@pytest.fixture
def live(cast: Cast, vms: list[VM]) -> Ticket:
    ticket = request(cast, vms[:2], "live")
    say_yes(cast, ticket)
    drive_to(ticket, "running")
    ticket.refresh_from_db()
    return ticket
