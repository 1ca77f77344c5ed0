"""The file of a world (docs/world.md): read and checked whole, before anything is written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from accounts.actions import STAFF_MAY
from accounts.actions.second_factor import is_totp_secret
from inventory.models.vpn import VpnClient, check_host, check_https

World = dict[str, Any]

KEYS = {
    "world": {"about", "demo", "sites", "gateways", "staff", "accounts", "outages", "demo_sign_ins"},
    "site": {"code", "city", "failover_site", "provider"},
    "gateway": {"site", "recovery", "host", "port", "clients"},
    "client": {"system", "generation", "name", "version", "download_url"},
    "vpn": {"email", "profiles"},
    "person": {"email", "name", "password", "time_zone", "roles", "groups", "totp_secret"},
    "account": {
        "slug", "name", "number", "roles", "people", "authorized_users", "vpn", "tokens", "vms", "history",
        "conversations",
    },
    "vm": {
        "name", "site", "os", "address", "disk_gb", "power", "generation", "fim_hours_ago", "fim_changes",
        "disks_gb", "other_addresses",
        "malware_hours_ago", "malware_agent", "scan_days_ago", "findings", "patch_hours_ago", "patches_missing",
        "patches_critical", "cannot_replicate", "behind_minutes",
    },
    "history": {
        "hours_ago", "order", "test", "live", "by", "approved_by", "reason",
        "started_in_minutes", "passed", "terminated_after_hours", "undriven", "asked", "refused",
    },
    "asked": {"vm", "by", "text", "answers"},
    "conversation": {"hours_ago", "kind", "title", "vm", "messages"},
    "message": {"by", "text", "minutes_later"},
    "outage": {"site", "title", "text", "by", "hours_ago", "over_after_hours", "over_text"},
}  # fmt: skip
NEEDED = {
    "site": {"code", "city"}, "gateway": {"site", "host"}, "client": {"system", "name"}, "vpn": {"email", "profiles"},
    "person": {"email", "name"}, "account": {"slug", "name", "number"},
    "vm": {"name", "site"}, "history": {"hours_ago", "by"},
    "conversation": {"hours_ago", "messages"}, "message": {"by", "text"}, "asked": {"vm", "by", "text"},
    "outage": {"site", "title", "text", "by", "hours_ago"},
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
    profiles = {_profile(gateway) for gateway in world.get("gateways", [])}
    for gateway in world.get("gateways", []):
        found += _check_gateway(gateway, set(sites))
    found += _check_people("The staff", world.get("staff", []))
    found += _twice("Account", [account.get("slug") for account in world.get("accounts", [])])
    staff = {person.get("email") for person in world.get("staff", [])}
    for account in world.get("accounts", []):
        found += _check_account(account, set(sites), staff, profiles)
    for outage in world.get("outages", []):
        found += _keys("outage", "The outages", outage)
        found += [f"The outages: there is no site {outage.get('site')}."] * (outage.get("site") not in sites)
        found += [f"The outages: {outage.get('by')} is not one of the staff."] * (outage.get("by") not in staff)
    return found


def _check_account(account: World, sites: set[Any], staff: set[Any], profiles: set[str]) -> list[str]:
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
    for user in account.get("vpn", []):
        found += _keys("vpn", f"{whose}, SSL/VPN", user)
        found += [f"{whose}, SSL/VPN: {user.get('email')} is not one of its people."] * (
            user.get("email") not in people
        )
        strangers = sorted(set(user.get("profiles", {})) - profiles)
        found += [f"{whose}, SSL/VPN: there is no gateway {name} in the file." for name in strangers]
    for event in account.get("history", []):
        found += _check_event(whose, event, set(vms), people, staff)
    for talk in account.get("conversations", []):
        found += _keys("conversation", f"{whose}, conversation", talk)
        for message in talk.get("messages", []):
            found += _keys("message", f"{whose}, message", message)
            if message.get("by") not in people | staff:
                found.append(f"{whose}, message: {message.get('by')} is nobody of the file.")
    return found


def _profile(gateway: World) -> str:
    """The name that people know a gateway by."""
    return f"{gateway.get('site')}{'-Recovery' if gateway.get('recovery') else ''}"


def _check_gateway(gateway: World, sites: set[Any]) -> list[str]:
    whose = f"Gateway {_profile(gateway)}"
    found = _keys("gateway", whose, gateway)
    found += [f"{whose}: there is no such site in the file."] * (gateway.get("site") not in sites)
    found += _fault(whose, check_host, gateway.get("host", "host.example"))
    for client in gateway.get("clients", []):
        found += _keys("client", f"{whose}, client", client)
        found += _fault(f"{whose}, client", check_https, client.get("download_url") or "https://empty.example")
        if client.get("system") not in VpnClient.System.values:
            found.append(f"{whose}, client: “system” is one of {', '.join(VpnClient.System.values)}.")
    return found


def _fault(what: str, check: Callable[[str], None], value: str) -> list[str]:
    try:
        check(value)
    except ValidationError as error:
        return [f"{what}: “{value}”: {' '.join(error.messages)}"]
    return []


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
    asked = event.get("asked")
    about = [*event.get("refused", []), *([asked.get("vm")] if asked else [])]
    found += [f"{whose}, history: {name} is not in this order." for name in about if name not in event.get("order", [])]
    if asked:
        found += _keys("asked", f"{whose}, history, asked", asked)
        found += [f"{whose}, history: {asked.get('by')} is not one of the staff."] * (asked.get("by") not in staff)
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
