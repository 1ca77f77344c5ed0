"""What the tests of Support's door say often."""

import json
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import Person
from failover.actions import version_of
from failover.models import Ticket
from inventory.models import VM
from replication.providers.sites import provider_of
from tests.cast import Cast, make_vms, protect, sign_in

QUEUE = "/admin/failover/ticket/"


def signed_in(person: Person) -> Client:
    client = Client()
    sign_in(client, person)
    return client


def vms(cast: Cast, *names: str) -> list[VM]:
    found = make_vms(cast.northwind, cast.sites["DFW01"], names or ["web-01", "web-02", "db-01"])
    protect(cast, found, key=f"order-of-{found[0].name}")
    return found


def page(ticket: Ticket) -> str:
    return reverse("admin:failover_ticket_change", args=[ticket.pk])


def press(client: Client, ticket: Ticket, decision: str, **said: Any) -> Any:
    ticket.refresh_from_db()
    said = {"version": version_of(ticket), "quick": "outage", "reason": "", "decision": decision} | said
    return client.post(page(ticket), said)


def words(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def state(ticket: Ticket) -> str:
    ticket.refresh_from_db()
    return ticket.state


def faults(monkeypatch: pytest.MonkeyPatch, *rules: dict[str, Any]) -> None:
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
    provider_of.cache_clear()


def html(response: Any) -> str:
    return str(response.content.decode())
