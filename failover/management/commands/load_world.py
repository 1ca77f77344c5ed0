"""Loads a world from a JSON file (docs/world.md): sites, staff, accounts, people, VMs and a believable past.

The whole file is checked before anything is written. What is there already is left alone, so a second run changes
nothing; the past of an account is played once, through the very verbs and workers, with the clock set back.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils.text import slugify

from accounts.actions import add_token, create_account, list_authorized, support
from accounts.actions.second_factor import add_factor
from accounts.models import Account, AuthorizedUser, Membership, Permission, Person, Role, Token
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from ampdr.limits import lift_limits
from failover.management.commands._world_file import World, read
from failover.management.commands._world_past import play
from failover.management.commands._world_reports import of_vm, send
from inventory.actions import count_new, gateway_named
from inventory.models import VM, Site, VpnClient, VpnGateway, VpnMember
from replication.models import Order


class Command(BaseCommand):
    help = "Loads a world from a JSON file, idempotently."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        world = read(options["file"])
        lift_limits()
        with transaction.atomic():
            add_sites(world.get("sites", []))
            add_gateways(world.get("gateways", []))
            demo = world.get("demo") is True
            for person in world.get("staff", []):
                add_person(person, demo, is_staff=True)
        loaded = [(add_account(account, demo), account) for account in world.get("accounts", [])]
        fresh = [(new, said) for new, said in loaded if not Order.objects.filter(account=new).exists()]
        play(fresh, world.get("outages", []))
        self.stdout.write(f"{options['file'].name}: {VM.objects.filter(role='primary').count()} VMs are there.")


def add_sites(sites: list[World]) -> None:
    for site in sites:
        facts = {"city": site["city"], **({"provider": site["provider"]} if "provider" in site else {})}
        Site.objects.get_or_create(code=site["code"], defaults=facts)
    for site in sites:
        if site.get("failover_site"):
            pair = Site.objects.get(code=site["failover_site"])
            Site.objects.filter(code=site["code"], failover_site=None).update(failover_site=pair)


def add_gateways(gateways: list[World]) -> None:
    for said in gateways:
        of = {"site": Site.objects.get(code=said["site"]), "recovery": said.get("recovery", False)}
        gateway, _ = VpnGateway.objects.get_or_create(**of, defaults=_only(said, "host", "port"))
        for client in said.get("clients", []):
            of = {"gateway": gateway, "system": client["system"], "generation": client.get("generation", 4)}
            VpnClient.objects.get_or_create(**of, defaults=_only(client, "name", "version", "download_url"))


def _only(said: World, *keys: str) -> World:
    return {key: said[key] for key in keys if key in said}


def add_person(said: World, demo: bool, **facts: Any) -> Person:
    found = Person.objects.filter(email=said["email"].lower()).first()
    if found:
        return found
    facts |= {"time_zone": said.get("time_zone", "UTC"), "demo": demo}
    person = Person.objects.create_user(said["email"], said["name"], said.get("password"), **facts)
    person.groups.set(Group.objects.filter(name__in=said.get("groups", [])))
    if secret := said.get("totp_secret"):
        add_factor(person, secret)
    return person


def add_account(said: World, demo: bool) -> Account:
    account = Account.objects.filter(slug=said["slug"]).first()
    if account is None:
        account = create_account(PORTAL, said["slug"], said["name"], said["number"])
    for role in said.get("roles", []):
        facts = {"permissions": role["permissions"]}
        Role.objects.get_or_create(account=account, name=role["name"], defaults=facts)
    for person in said.get("people", []):
        add_member(account, person, demo)
    for listed in said.get("authorized_users", []):
        add_listing(account, listed)
    for user in said.get("vpn", []):
        add_profiles(account, user)
    for token in said.get("tokens", []):
        issue(account, token)
    add_vms(account, said.get("vms", []))
    return account


def add_member(account: Account, said: World, demo: bool) -> None:
    person = add_person(said, demo)
    membership, new = Membership.objects.get_or_create(account=account, person=person)
    if new:
        roles = Role.objects.filter(name__in=said.get("roles", []))
        membership.roles.set(roles.filter(account=None) | roles.filter(account=account))


def add_listing(account: Account, said: World) -> None:
    person = Person.objects.get(email=said["email"].lower())
    if not AuthorizedUser.objects.filter(account=account, person=person).exists():
        by = Person.objects.filter(email=said.get("added_by", "").lower()).first()
        list_authorized(support(by) if by else PORTAL, account, person, phone=said.get("phone", ""))


def add_profiles(account: Account, said: World) -> None:
    membership = Membership.objects.get(account=account, person__email=said["email"].lower())
    for name, hours in said["profiles"].items():
        used = None if hours is None else clock.now() - timedelta(hours=hours)
        VpnMember.objects.get_or_create(
            membership=membership, gateway=gateway_named(name), defaults={"last_used_at": used}
        )


def issue(account: Account, said: World) -> None:
    if not Token.objects.filter(prefix=Token.prefix_of(said["secret"])).exists():
        person = Person.objects.get(email=said["email"].lower())
        scopes = said.get("scopes", list(Permission.values))
        add_token(PORTAL, person, account, said["name"], scopes, said["secret"])


def add_vms(account: Account, said: list[World]) -> None:
    """All that are not there yet, in one statement."""
    known = set(VM.objects.filter(account=account, role="primary").values_list("slug", flat=True))
    sites = {site.code: site for site in Site.objects.all()}
    new = [vm for vm in said if slugify(vm["name"]) not in known]
    if not new:
        return
    with changes(PORTAL) as change:
        rows = VM.objects.bulk_create([_vm(account, sites[vm["site"]], vm) for vm in new], batch_size=work.BATCH)
        count_new(change, VM.objects.filter(pk__in=[row.pk for row in rows]))
        send(account, [told for row, vm in zip(rows, new, strict=True) for told in of_vm(row.uuid, vm)])


def _vm(account: Account, site: Site, said: World) -> VM:
    keys = ("os", "address", "other_addresses", "disk_gb", "disks_gb", "power", "generation")
    facts = {"disk_gb": sum(said.get("disks_gb", []))} | {key: said[key] for key in keys if key in said}
    return VM(
        account=account, site=site, name=said["name"], slug=slugify(said["name"]), **facts,
        made_at=clock.now() - timedelta(days=90), cannot_replicate=said.get("cannot_replicate", ""),
    )  # fmt: skip
