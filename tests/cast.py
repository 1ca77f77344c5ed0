"""The small cast of the tests: who may, who may only look, one of another account, two of Support."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.actions import SUPPORT, create_account, enter, list_authorized, support
from accounts.models import Account, Membership, Permission, Person, Role
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, Actor, changes
from failover.actions import Wish, approve, request_failover, version_of
from failover.models import Failover, Ticket
from inventory.actions import count_new
from inventory.models import VM, Site
from replication.actions import place_order
from replication.models import Order, Replication
from replication.providers.sites import provider_of

PASSWORD = "correct horse battery"


def make_person(email: str, name: str, **facts: Any) -> Person:
    return Person.objects.create_user(email, name, PASSWORD, **facts)


def make_sites() -> dict[str, Site]:
    """DFW01 and PHX01, each the other's failover site, and LHR01, which has none."""
    cities = {"DFW01": "Dallas", "PHX01": "Phoenix", "LHR01": "London"}
    sites = {code: Site.objects.get_or_create(code=code, defaults={"city": city})[0] for code, city in cities.items()}
    for code, other in (("DFW01", "PHX01"), ("PHX01", "DFW01")):
        Site.objects.filter(code=code).update(failover_site=sites[other])
    return {site.code: site for site in Site.objects.all()}


def join(person: Person, account: Account, *roles: str) -> Membership:
    membership = Membership.objects.create(person=person, account=account)
    membership.roles.set(Role.objects.filter(account=None, name__in=roles))
    return membership


def make_vms(account: Account, site: Site, names: Sequence[str], **facts: Any) -> list[VM]:
    with changes(PORTAL) as change:
        vms = VM.objects.bulk_create(
            VM(account=account, site=site, name=name, slug=name, os="Debian 12", disk_gb=40, **facts) for name in names
        )
        count_new(change, VM.objects.filter(pk__in=[vm.pk for vm in vms]))
    return vms


def sign_in(client: Client, person: Person, *, factor: bool = True) -> Client:
    """The client as this person's browser, signed in; with a second factor proved a moment ago, unless told."""
    client.force_login(person)
    if factor:
        proof = {"method": "mfa", "type": "totp", "id": 0, "at": time.time()}
        session = client.session
        session[METHODS] = [proof]
        session[f"{METHODS}_user"] = str(person.pk)
        session.save()
    return client


METHODS = "account_authentication_methods"


@dataclass
class Cast:
    """Northwind with Priya (may do everything and is listed), Ravi (may only look), Oscar (may order, not listed);
    Contoso with Olga; Mary and Tom are staff, Mary in the group Support."""

    northwind: Account
    contoso: Account
    priya: Person
    ravi: Person
    oscar: Person
    olga: Person
    mary: Person
    tom: Person
    sites: dict[str, Site]

    def actor(self, name: str) -> Actor:
        """The person as an actor who has just proved his second factor."""
        person: Person = getattr(self, name)
        account = self.contoso if name == "olga" else self.northwind
        actor = support(person) if person.is_staff else enter(person, account.slug)[0]
        return replace(actor, proved_at=clock.now(), proved_by="totp")


def make_cast() -> Cast:
    sites = make_sites()
    northwind = create_account(PORTAL, "northwind", "Northwind Health", 4101)
    contoso = create_account(PORTAL, "contoso", "Contoso Freight", 4102)
    people = {
        name: make_person(f"{name}@example.com", full, is_staff=name in ("mary", "tom"))
        for name, full in (
            ("priya", "Priya Raman"), ("ravi", "Ravi Patel"), ("oscar", "Oscar Lind"), ("olga", "Olga Berg"),
            ("mary", "Mary Osei"), ("tom", "Tom Ueda"),
        )
    }  # fmt: skip
    join(people["priya"], northwind, "Admin")
    join(people["oscar"], northwind, "Technical")
    join(people["olga"], contoso, "Admin")
    viewer = Role.objects.create(
        account=northwind,
        name="Viewer",
        permissions=[Permission.READ_VMS, Permission.READ_FIM, Permission.READ_REPLICATION],
    )
    join(people["ravi"], northwind).roles.set([viewer])
    people["mary"].groups.add(Group.objects.get(name=SUPPORT))
    mary = support(people["mary"])
    list_authorized(mary, northwind, people["priya"], phone="+1 555 0142")
    list_authorized(mary, contoso, people["olga"], phone="+1 555 0143")
    return Cast(northwind=northwind, contoso=contoso, sites=sites, **people)


def protect(cast: Cast, vms: Sequence[VM], key: str = "order-key-1", who: str = "priya") -> Order:
    """Orders replication for these VMs and drives it to its end (with a time scale of 0)."""
    order = place_order(cast.actor(who), [vm.uuid for vm in vms], key)
    work.drive()
    assert not Replication.objects.filter(order=order).exclude(state="protected").exists()
    return order


def request(cast: Cast, vms: Sequence[VM], kind: str = "test", who: str = "priya", key: str = "request-key") -> Ticket:
    """A ticket of `kind`, waiting for Support."""
    wish = Wish(kind, [vm.uuid for vm in vms], reason="Clinic sign-in is down", site_code="phx01")
    return request_failover(cast.actor(who), wish, f"{key}-{kind}")


def say_yes(cast: Cast, ticket: Ticket, who: str = "mary") -> None:
    """Support approves the ticket; nothing is driven yet."""
    ticket.refresh_from_db()
    approve(cast.actor(who), ticket, "Outage confirmed", version_of(ticket))


def states(ticket: Ticket) -> list[str]:
    return list(Failover.objects.filter(ticket=ticket).order_by("pk").values_list("state", flat=True))


def rows(cast: Cast, account: Account | None = None) -> list[tuple[str, str]]:
    """What every VM-keyed screen lists: name and role of each row."""
    shown = VM.objects.filter(account=account or cast.northwind, shown=True)
    return [(vm.display_name, vm.role) for vm in shown.order_by("rank", "name_key", "family", "role")]


def refuse(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    """From now on the provider refuses these kinds of request, always; without kinds none."""
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps([{"fault": "refuse", "kind": kind} for kind in kinds]))
    provider_of.cache_clear()


def drive_to(ticket: Ticket, state: str) -> str:
    """Drives, without waiting for the pauses between tries, until all lines of the ticket are in this state."""
    for _ in range(8):
        work.drive()
        if set(states(ticket)) == {state}:
            return state
        Failover.objects.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
    raise AssertionError(f"{states(ticket)}, never {state}")
