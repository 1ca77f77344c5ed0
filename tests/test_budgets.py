"""What pages cost in SQL statements: the same for 1, 50 and 200 rows. What they cost in time: `make bench`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from functools import partial

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.actions import create_account, enter, list_authorized
from accounts.models import Account, AuthorizedUser, Head, Invitation, Membership, Person, Role
from ampdr import clock, work
from ampdr.lifecycle import PORTAL
from failover.actions import Wish, request_failover
from failover.models import Failover, Ticket
from inventory.actions import declare
from inventory.models import VM
from notices.models import Conversation, Message
from replication.actions import place_order
from replication.models import Order, Replication
from tests.cast import Cast, join, make_person, make_vms, say_yes, sign_in

LISTS = (
    "vms", "fim", "malware", "patching", "replication", "replication-none", "orders", "failovers", "tickets",
    "notifications", "activity",
)  # fmt: skip
STILL = ("users", "roles", "authorized-users")  # lists that don't look again by themselves
LIST, PAGE, STAFF, SAME = 6, 10, 12, 3  # SAME: session, person, membership with the account's head
API = ("api-vms", "api-orders", "api-replications", "api-tickets")


@dataclass(frozen=True)
class Filled:
    """An account with `rows` rows on each list, and one order, ticket and outage-sized failover of as many VMs."""

    slug: str
    person: Person
    order: str
    ticket: str
    running: str
    vm: VM
    talk: str


def fill(cast: Cast, rows: int) -> Filled:
    account = create_account(PORTAL, f"account-{rows}", f"Account of {rows}", 5000 + rows)
    person = make_person(f"admin-{rows}@example.com", f"Ada {rows}")
    join(person, account, "Admin")
    list_authorized(cast.actor("mary"), account, person)
    make = partial(make_vms, account, cast.sites["DFW01"])
    make([f"bare-{n:03}" for n in range(rows)])
    order, ticket = requested(person, account, vms := make([f"vm-{n:03}" for n in range(rows)]), "together")
    _, live = requested(person, account, make([f"live-{n:03}" for n in range(rows)]), "running", "live")
    say_yes(cast, live)
    work.drive()
    each_its_own(*requested(person, account, make([f"apart-{n:03}" for n in range(rows)]), "apart"))
    members(account, rows)
    talk = written(account, person, rows)
    return Filled(account.slug, person, order.number, ticket.number, live.number, vms[0], talk.number)


def written(account: Account, person: Person, rows: int) -> Conversation:
    """So many conversations with Support, and so many messages in the last of them."""
    facts = {"account": account, "kind": "other", "title": "A question", "opened_by": person}
    made = Conversation.objects.bulk_create([Conversation(number=f"T-{rows}-{n}", **facts) for n in range(rows)])
    said = {"conversation": made[-1], "person": person, "author": person.name, "text": "And its text"}
    Message.objects.bulk_create([Message(**said) for _ in range(rows)])
    return made[-1]


def members(account: Account, rows: int) -> None:
    """So many members, each listed and with a role of his own, and so many invitations."""
    who = [Person(email=f"{n}@{account.slug}.example", name=f"Vmember {n:03}") for n in range(rows)]
    joined = Membership.objects.bulk_create(
        Membership(account=account, person=one) for one in Person.objects.bulk_create(who)
    )
    roles = [Role(account=account, name=f"Role {n}", slug=f"role-{n}", permissions=["read_vms"]) for n in range(rows)]
    pairs = zip(joined, Role.objects.bulk_create(roles), strict=True)
    Membership.roles.through.objects.bulk_create(
        Membership.roles.through(membership=one, role=role) for one, role in pairs
    )
    AuthorizedUser.objects.bulk_create(AuthorizedUser(account=account, person=one) for one in who)
    Invitation.objects.bulk_create(
        Invitation(account=account, email=f"vm{n}@new.example", expires_at=clock.now()) for n in range(rows)
    )


def requested(person: Person, account: Account, vms: list[VM], key: str, kind: str = "test") -> tuple[Order, Ticket]:
    """One order and one ticket for all of these."""
    actor = enter(person, account.slug)[0]
    order = place_order(actor, [vm.uuid for vm in vms], f"order-{key}")
    work.drive()
    wish = Wish(kind, [vm.uuid for vm in vms], "Drill", "PHX01")
    return order, request_failover(replace(actor, proved_at=clock.now()), wish, f"ticket-{key}")


def each_its_own(order: Order, ticket: Ticket) -> None:
    """Splits an order and a ticket of many VMs: for lists of them it doesn't matter how they came to be."""
    split = ((order, Replication, "order", "RO"), (ticket, Failover, "ticket", "FO"))
    for one, model, name, kind in split:
        lines = list(model._default_manager.filter(**{name: one}))
        columns = {field.attname: getattr(one, field.attname) for field in one._meta.concrete_fields}
        for line in lines[1:]:
            new = columns | {"id": None, "number": f"{kind}-{100_000 + line.pk}", "vm_count": 1}
            model._default_manager.filter(pk=line.pk).update(**{name: type(one)._default_manager.create(**new)})


@pytest.fixture
def filled(cast: Cast) -> list[Filled]:
    return [fill(cast, rows) for rows in (1, 50, 200)]


def statements(client: Client, address: str, status: int = 200, **headers: str) -> int:
    with CaptureQueriesContext(connection) as caught:
        response = client.get(address, headers=headers)
    assert response.status_code == status, address
    return len(caught)


def pages(of: Filled) -> dict[str, str]:
    """Every page of an account that shows rows, with a name that doesn't depend on the account."""
    found = {name: reverse(name, args=[of.slug]) for name in (*LISTS, *STILL, *API)}
    for name in (*LISTS, *STILL):
        found[f"{name}, found"] = f"{found[name]}?q=vm&size=100"
    found["order"] = reverse("order", args=[of.slug, of.order])
    found["ticket"] = reverse("failover", args=[of.slug, of.ticket])
    found["running"] = reverse("failover", args=[of.slug, of.running])
    found["conversation"] = reverse("conversation", args=[of.slug, of.talk])
    found["ticket-new"] = reverse("ticket-new", args=[of.slug])
    found["user"] = reverse("user", args=[of.slug, of.person.memberships.get().uuid])
    found["role"] = reverse("role", args=[of.slug, "admin"])
    found["overview"] = reverse("overview", args=[of.slug])
    found["vpn"] = reverse("vpn", args=[of.slug])
    found["vm"] = reverse("vm", args=[of.slug, of.vm.slug])
    found["vm-points"] = reverse("vm-points", args=[of.slug, of.vm.slug])
    found["api-rpo"] = reverse("api-rpo", args=[of.slug, of.vm.uuid])
    found["order-new"] = reverse("order-new", args=[of.slug])
    found["failover-new"] = reverse("failover-new", args=[of.slug])
    found["stop"] = reverse("replication-stop", args=[of.slug]) + f"?vm={of.vm.uuid}"
    found["terminate"] = reverse("failover-terminate", args=[of.slug, of.running])
    found["api-billable"] = reverse("api-billable", args=[of.slug]) + f"?month={clock.now():%Y-%m}"
    for name in ("api-order", "api-ticket", "api-failovers"):
        found[name] = reverse(name, args=[of.slug, of.order if name == "api-order" else of.running])
    return found


def test_statements_don_t_grow_with_rows(filled: list[Filled], client: Client) -> None:
    costs: dict[str, list[int]] = {}
    for of in filled:
        sign_in(client, of.person)
        client.get(reverse("vms", args=[of.slug]))  # what is made once per process is made
        for name, address in pages(of).items():
            costs.setdefault(name, []).append(statements(client, address))
    budget = {name: LIST if name.split(",")[0] in (*LISTS, *STILL, *API) else PAGE for name in costs}
    assert {name: found for name, found in costs.items() if max(found) > budget[name]} == {}
    assert {name: found for name, found in costs.items() if len(set(found)) > 1} == {}


def test_an_outage_costs_two_more(filled: list[Filled], cast: Cast, client: Client) -> None:
    """On every page of an account, however many of its VMs are affected and whatever was requested of them."""
    costs: dict[str, list[int]] = {}
    outage = declare(cast.actor("mary"), cast.sites["DFW01"], "No power", "Hall A", clock.now(), str(uuid.uuid4()))
    for of in filled:
        sign_in(client, of.person)
        found = pages(of) | {"outage": reverse("outage", args=[of.slug, outage.number])}
        for name in (*LISTS, *STILL, "ticket", "vm", "outage"):
            costs.setdefault(name, []).append(statements(client, found[name]))
    budget = {name: LIST + 2 if name in (*LISTS, *STILL) else PAGE + 2 for name in costs}
    assert {name: found for name, found in costs.items() if max(found) > budget[name]} == {}
    assert {name: found for name, found in costs.items() if len(set(found)) > 1} == {}


def test_a_page_that_is_open_and_didn_t_change_costs_three(filled: list[Filled], client: Client) -> None:
    of = filled[-1]
    sign_in(client, of.person)
    version = Head.objects.get(account__slug=of.slug).version
    addresses = pages(of)
    for name in (*LISTS, "vm", "overview"):
        assert statements(client, f"{addresses[name]}?version={version}", 204, **{"HX-Request": "true"}) == SAME, name


def test_lists_of_support(filled: list[Filled], cast: Cast, client: Client) -> None:
    cast.mary.groups.set(Group.objects.all())  # whoever sees most
    sign_in(client, cast.mary)
    models = [model._meta for model in admin.site._registry]
    addresses = [reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist") for meta in models]
    costs = {address: statements(client, address) for address in addresses}
    assert {address: n for address, n in costs.items() if n > STAFF} == {}
