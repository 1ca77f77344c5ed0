"""Loads a world from a JSON file (docs/world.md): sites, staff, accounts, people, VMs and a believable past.

The whole file is checked before anything is written. What is there already is left alone, so a second run changes
nothing; the past of an account is played once, through the very verbs and workers, with the clock set back.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.text import slugify

from accounts.actions import STAFF_MAY, add_token, create_account, enter, list_authorized, support
from accounts.actions.second_factor import add_factor, is_totp_secret
from accounts.models import Account, AuthorizedUser, Membership, Permission, Person, Role, Token
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, Actor, changes
from failover import actions
from failover.models import Launch, Ticket
from inventory.actions import count_new
from inventory.models import VM, Site
from notices.actions import Opening, open_conversation, write
from notices.models import Conversation
from replication.actions import place_order
from replication.models import Order, RecoveryPoint, Replication
from replication.providers.sites import provider_of
from replication.tasks import caught_up

World = dict[str, Any]
POINTS = timedelta(hours=3)  # how far back the recovery points of a loaded past reach
EVERY = timedelta(minutes=5)
POINT_AGE = timedelta(seconds=40)  # of the newest point when a failover of the past started


class Command(BaseCommand):
    help = "Loads a world from a JSON file, idempotently."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        world = read(options["file"])
        with transaction.atomic():
            add_sites(world.get("sites", []))
            demo = world.get("demo") is True
            for person in world.get("staff", []):
                add_person(person, demo, is_staff=True)
        loaded = [(add_account(account, demo), account) for account in world.get("accounts", [])]
        play([(new, said) for new, said in loaded if not Order.objects.filter(account=new).exists()])
        self.stdout.write(f"{options['file'].name}: {VM.objects.filter(role='primary').count()} VMs are there.")


# ---- The file --------------------------------------------------------------------------------------------------------

KEYS = {
    "world": {"about", "demo", "sites", "staff", "accounts", "demo_sign_ins"},
    "site": {"code", "city", "failover_site", "provider"},
    "person": {"email", "name", "password", "time_zone", "roles", "groups", "totp_secret"},
    "account": {
        "slug", "name", "number", "roles", "people", "authorized_users", "tokens", "vms", "history", "conversations",
    },
    "vm": {
        "name", "site", "os", "address", "disk_gb", "power", "generation", "fim_hours_ago", "fim_changes",
        "cannot_replicate", "behind_minutes",
    },
    "history": {
        "hours_ago", "order", "test", "live", "by", "approved_by", "reason",
        "started_in_minutes", "terminated_after_hours", "undriven",
    },
    "conversation": {"hours_ago", "kind", "title", "vm", "messages"},
    "message": {"by", "text", "minutes_later"},
}  # fmt: skip
NEEDED = {
    "site": {"code", "city"}, "person": {"email", "name"}, "account": {"slug", "name", "number"},
    "vm": {"name", "site"}, "history": {"hours_ago", "by"},
    "conversation": {"hours_ago", "messages"}, "message": {"by", "text"},
}  # fmt: skip


def read(file: Path) -> World:
    """The world in the file. Raises CommandError that names every fault; nothing is written then."""
    try:
        world = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{file}: {error}") from error
    if faults := list(check(world)):
        raise CommandError(f"{file} can't be loaded; nothing was written.\n" + "\n".join(faults))
    return dict(world)


def check(world: Any) -> list[str]:
    """Everything that is wrong with a world, in words."""
    if not isinstance(world, dict):
        return ["The file must hold one JSON object."]
    found = _keys("world", "The world", world)
    sites = [site.get("code") for site in world.get("sites", [])]
    found += _twice("Site", sites)
    for site in world.get("sites", []):
        found += _keys("site", f"Site {site.get('code')}", site)
        if site.get("failover_site") and site["failover_site"] not in sites:
            found.append(f"Site {site.get('code')}: its failover site {site['failover_site']} is not in the file.")
    found += _check_people("The staff", world.get("staff", []))
    found += _twice("Account", [account.get("slug") for account in world.get("accounts", [])])
    staff = {person.get("email") for person in world.get("staff", [])}
    for account in world.get("accounts", []):
        found += _check_account(account, set(sites), staff)
    return found


def _check_account(account: World, sites: set[Any], staff: set[Any]) -> list[str]:
    whose = f"Account {account.get('slug')}"
    found = _keys("account", whose, account)
    vms = [vm.get("name") for vm in account.get("vms", [])]
    found += _twice(f"{whose}, VM", vms)
    for vm in account.get("vms", []):
        found += _keys("vm", f"{whose}, VM {vm.get('name')}", vm)
        if vm.get("site") not in sites:
            found.append(f"{whose}, VM {vm.get('name')}: there is no site {vm.get('site')} in the file.")
    found += _check_people(whose, account.get("people", []))
    people = {person.get("email") for person in account.get("people", [])}
    for listed in [*account.get("authorized_users", []), *account.get("tokens", [])]:
        if listed.get("email") not in people:
            found.append(f"{whose}: {listed.get('email')} is not one of its people.")
    for event in account.get("history", []):
        found += _check_event(whose, event, set(vms), people, staff)
    for talk in account.get("conversations", []):
        found += _keys("conversation", f"{whose}, conversation", talk)
        for message in talk.get("messages", []):
            found += _keys("message", f"{whose}, message", message)
            if message.get("by") not in people | staff:
                found.append(f"{whose}, message: {message.get('by')} is nobody of the file.")
    return found


def _check_people(whose: str, people: list[World]) -> list[str]:
    found = _twice(f"{whose}, person", [person.get("email") for person in people])
    for person in people:
        who = f"{whose}, person {person.get('email')}"
        found += _keys("person", who, person)
        if "totp_secret" in person and not is_totp_secret(person["totp_secret"]):
            found.append(f"{who}: “totp_secret” must be 32 letters A to Z and digits 2 to 7.")
        strangers = sorted(set(person.get("groups", [])) - set(STAFF_MAY))
        found += [f"{who}: there is no group “{name}”. There are {', '.join(STAFF_MAY)}." for name in strangers]
    return found


def _check_event(whose: str, event: World, vms: set[Any], people: set[Any], staff: set[Any]) -> list[str]:
    found = _keys("history", f"{whose}, history", event)
    named = event.get("order") or event.get("test") or event.get("live") or []
    found += [f"{whose}, history: there is no VM {name}." for name in named if name not in vms]
    if event.get("by") not in people:
        found.append(f"{whose}, history: {event.get('by')} is not one of its people.")
    if "order" not in event and event.get("approved_by") not in {*staff, None}:
        found.append(f"{whose}, history: {event.get('approved_by')} is not one of the staff.")
    return found


def _keys(kind: str, what: str, said: World) -> list[str]:
    """What is missing, and what is not known."""
    missing = [f"{what}: “{key}” is missing." for key in sorted(NEEDED.get(kind, set()) - said.keys())]
    known = ", ".join(sorted(KEYS[kind]))
    return missing + [f"{what}: “{key}” is not known. Known are {known}." for key in sorted(said.keys() - KEYS[kind])]


def _twice(what: str, names: list[Any]) -> list[str]:
    return [f"{what} {name} stands in the file {n} times." for name, n in Counter(names).items() if n > 1]


# ---- What is there ---------------------------------------------------------------------------------------------------


def add_sites(sites: list[World]) -> None:
    for site in sites:
        facts = {"city": site["city"], **({"provider": site["provider"]} if "provider" in site else {})}
        Site.objects.get_or_create(code=site["code"], defaults=facts)
    for site in sites:
        if site.get("failover_site"):
            pair = Site.objects.get(code=site["failover_site"])
            Site.objects.filter(code=site["code"], failover_site=None).update(failover_site=pair)


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


def _vm(account: Account, site: Site, said: World) -> VM:
    hours = said.get("fim_hours_ago")
    facts = {
        key: said[key] for key in ("os", "address", "disk_gb", "power", "generation", "fim_changes") if key in said
    }
    return VM(
        account=account, site=site, name=said["name"], slug=slugify(said["name"]), **facts,
        fim_report_at=None if hours is None else clock.now() - timedelta(hours=hours),
        made_at=clock.now() - timedelta(days=90), cannot_replicate=said.get("cannot_replicate", ""),
    )  # fmt: skip


# ---- The past --------------------------------------------------------------------------------------------------------


def play(accounts: list[tuple[Account, World]]) -> None:
    """Plays the past of these accounts, each in order of time; then what was left for the running workers."""
    with without_delays():
        for account, said in accounts:
            for event in sorted(said.get("history", []), key=lambda event: -event["hours_ago"]):
                if not event.get("undriven"):
                    _play_event(account, event)
            behind = {vm["name"]: vm["behind_minutes"] for vm in said.get("vms", []) if "behind_minutes" in vm}
            _add_points(account, behind)
    for account, said in accounts:
        for talk in said.get("conversations", []):
            _play_talk(account, talk)
        for event in said.get("history", []):
            if event.get("undriven"):
                _play_event(account, event)


@contextmanager
def without_delays() -> Iterator[None]:
    """The simulated provider of this process does everything at once meanwhile."""
    scales = {name: os.environ.get(name) for name in ("SIMULATION_TIME_SCALE", "SIMULATION_FAILOVER_TIME_SCALE")}
    os.environ.update(dict.fromkeys(scales, "0"))
    provider_of.cache_clear()
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in scales.items() if value is not None})
        for name in [name for name, value in scales.items() if value is None]:
            del os.environ[name]
        provider_of.cache_clear()


def _play_event(account: Account, event: World) -> None:
    with clock.ahead(-timedelta(hours=event["hours_ago"])):
        names = event.get("order") or event.get("test") or event.get("live") or []
        vms = list(VM.objects.filter(account=account, role="primary", name__in=names).values_list("uuid", flat=True))
        actor = as_then(enter(Person.objects.get(email=event["by"]), account.slug)[0])
        key = f"world:{event['hours_ago']}:{names[0]}"
        if "order" in event:
            place_order(actor, vms, key)
        else:
            _fail_over(actor, event, vms, key)
        if not event.get("undriven"):
            work.drive()


def as_then(actor: Actor) -> Actor:
    """A person of the past, who proved his second factor where a step of that time asked for it."""
    return replace(actor, proved_at=clock.now(), proved_by="totp")


def _fail_over(actor: Actor, event: World, vms: list[Any], key: str) -> None:
    kind = "test" if "test" in event else "live"
    target = VM.objects.get(uuid=vms[0]).protected_to
    wish = actions.Wish(kind, vms, reason=event.get("reason", ""), site_code=target)
    ticket = actions.request_failover(actor, wish, key)
    if not event.get("approved_by"):
        return
    with clock.ahead(timedelta(minutes=4)):
        _approve(ticket, event)
        work.drive(limit=1)  # the ticket alone: its lines are starting now
        started_at = clock.now()
    with clock.ahead(timedelta(minutes=event.get("started_in_minutes", 15))):
        work.drive()
    # The simulated provider lives today: the point it used must lie in that past too.
    used = {"point_at": started_at - POINT_AGE, **({"loss_seconds": POINT_AGE.seconds} if kind == "test" else {})}
    Launch.objects.filter(failover__ticket=ticket).update(**used)
    if hours := event.get("terminated_after_hours"):
        with clock.ahead(timedelta(hours=hours)):
            _terminate(actor, ticket, event, f"{key}:end")


def _terminate(actor: Actor, ticket: Ticket, event: World, key: str) -> None:
    end = actions.request_termination(as_then(actor), ticket, "Finished", ticket.source, key)
    _approve(end, event)
    work.drive()


def _approve(ticket: Ticket, event: World) -> None:
    by = as_then(support(Person.objects.get(email=event["approved_by"])))
    actions.approve(by, ticket, event.get("reason") or "Agreed by phone", actions.version_of(ticket))


def _play_talk(account: Account, said: World) -> None:
    """One conversation; with a `vm`, that of the ticket that holds it now."""
    talk = None
    if "vm" in said:
        talk = Conversation.objects.get(number=VM.objects.get(account=account, role="primary", name=said["vm"]).held_by)
    for n, message in enumerate(said["messages"]):
        ago = timedelta(minutes=message.get("minutes_later", 0)) - timedelta(hours=said["hours_ago"])
        speaker, key = _speaker(account, message["by"]), f"world:{said['hours_ago']}:message:{n}"
        with clock.ahead(ago):
            if talk is None:
                first = Opening(said.get("kind", "other"), said["title"], message["text"])
                talk = open_conversation(speaker, first, key, account.pk)
            else:
                write(speaker, talk, message["text"], key)


def _speaker(account: Account, email: str) -> Actor:
    person = Person.objects.get(email=email)
    return support(person) if person.is_staff else enter(person, account.slug)[0]


def _add_points(account: Account, behind: dict[str, int]) -> None:
    """Recovery points of the last hours; for those that are behind, up to so many minutes ago."""
    now = clock.now().replace(microsecond=0)
    mine = Replication.objects.filter(vm__account=account, state="protected").select_related("vm")
    rows = []
    for replication in mine:
        newest = now - timedelta(minutes=behind.get(replication.vm.name, 0), seconds=replication.pk * 37 % 240 + 20)
        rows += [RecoveryPoint(replication=replication, at=at) for at in _moments(newest)]
    RecoveryPoint.objects.filter(replication__in=mine).delete()
    RecoveryPoint.objects.bulk_create(rows, batch_size=5 * work.BATCH)
    with changes(PORTAL) as change:
        caught_up(change, Replication.objects.filter(pk__in=[replication.pk for replication in mine]))
    work.drive()  # raises the flag of those that are behind


def _moments(newest: datetime) -> list[datetime]:
    return [newest - EVERY * n for n in range(POINTS // EVERY)]
