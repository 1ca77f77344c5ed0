"""SSL/VPN: which client reaches which of the account's virtual machines, and who can connect where."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Membership, Permission, Person, Role
from accounts.views import Visit
from accounts.views.users import initials
from ampdr.errors import Absent, Forbidden, Invalid
from ampdr.lifecycle import Actor
from ampdr.pages import Cut, cut
from failover.screens import reaching
from failover.screens.reaching import Place
from inventory.actions import gateway_named, keepers, let_in, let_out, profile_count
from inventory.models import VM, VpnClient, VpnGateway
from inventory.models import Role as VmRole

System = VpnClient.System
# What a browser says of its computer. A telephone has none of the clients: nothing is guessed of it.
TELEPHONES = re.compile(r"Android|iPhone|iPad|Mobile")
COMPUTERS = (("Windows", System.WINDOWS), ("Macintosh", System.MACOS), ("Linux", System.LINUX))
NAME = re.compile(r"[A-Za-z0-9._-]{1,20}")
LONGEST = 120
COLUMNS = ("uuid", "name", "name_key", "role_names", "has", "used", "person_id")


class Asked(NamedTuple):
    """What the page was asked for: a gateway by name, a kind of computer, a VM, a part of a person's name."""

    site: str
    os: str
    vm: str
    q: str

    def link(self, part: str = "", **other: str) -> str:
        asked = {name: value for name, value in (self._asdict() | other).items() if value}
        return f"?{urlencode(asked)}{part}"


@require_safe
def vpn(request: Visit) -> HttpResponse:
    """The site first, then the client for it. Asked for a VM in a failover: the client of its recovery environment."""
    actor, asked = request.actor, _asked(request.GET)
    actor.need(Permission.READ_VPN)
    vm = reaching.asked_for(actor, asked.vm)
    stirs = request.head.live or request.head.tests  # in calm nothing is asked
    found = reaching.places(actor, reaching.behind(actor) if stirs else {})
    chosen, missing = choose(found, asked.site, vm)
    bound = vm is not None and vm.role != VmRole.PRIMARY
    context = {
        "asked": asked, "vm": vm, "bound": bound, "chosen": chosen, "missing": missing,
        "sites": [(place, asked.link("#site", site=place.name)) for place in found if not bound or place == chosen],
        "busy": [] if bound else [place for place in found if place.behind.total], "all": request.path,
        "running": running(actor, vm, chosen), "may_give": actor.can(Permission.WRITE_VPN),
    }  # fmt: skip
    context |= computers(request, asked, chosen) if chosen else {}
    return render(request, "failover/vpn.html", context | connecting(request, asked, found, chosen))


def _asked(query: Mapping[str, str]) -> Asked:
    sent = {name: query.get(name, "").replace("\0", "").strip()[:LONGEST] for name in Asked._fields}
    site = sent["site"] if NAME.fullmatch(sent["site"]) else ""
    return Asked(site, sent["os"] if sent["os"] in System.values else "", sent["vm"], sent["q"])


def choose(found: Sequence[Place], site: str, vm: VM | None) -> tuple[Place | None, str]:
    """The gateway that the page offers, and the name of the one that it should offer and nobody keeps.

    A VM says which it is: another site's wouldn't reach it. Otherwise what was asked for, else the first one.
    """
    if vm is not None and (site == "" or vm.role != VmRole.PRIMARY):
        site = vm.site.code if vm.role == VmRole.PRIMARY else vm.site.recovery_environment
    named = next((place for place in found if place.name == site), None)
    if site and named is None:
        return None, site
    return named or (found[0] if found else None), ""


def running(actor: Actor, vm: VM | None, chosen: Place | None) -> Sequence[VM]:
    """The failover VMs that the chosen gateway reaches, as far as the page names them."""
    if vm is not None and vm.role != VmRole.PRIMARY:
        return [vm]
    return reaching.running_at(actor, chosen.gateway.site) if chosen and chosen.behind.total else []


def computers(request: Visit, asked: Asked, chosen: Place) -> dict[str, Any]:
    """The kinds of computer with the newest client for each, and beneath it an older one where Support keeps one."""
    kept = {(one["system"], one["generation"]): one for one in chosen.clients}
    system = asked.os or guessed(request.headers.get("User-Agent", "")) or System.WINDOWS.value
    offered = [(one, kept.get((one.value, 4)), asked.link("#computer", os=one.value)) for one in System]
    return {
        "system": System(system), "systems": offered, "client": kept.get((system, 4)),
        "older": kept.get((system, 3)), "ask": keepers_to_ask(request.actor, chosen),
    }  # fmt: skip


def guessed(agent: str) -> str:
    if TELEPHONES.search(agent):
        return ""
    return next((system.value for word, system in COMPUTERS if word in agent), "")


def keepers_to_ask(actor: Actor, chosen: Place) -> list[str]:
    """Who can give the profile, for whoever lacks it and can't take it himself."""
    return [] if chosen.mine or actor.can(Permission.WRITE_VPN) else keepers(actor.account_id)


# ---- Who can connect where -------------------------------------------------------------------------------------------


def connecting(request: Visit, asked: Asked, found: Sequence[Place], chosen: Place | None) -> dict[str, Any]:
    actor = request.actor
    page = members(actor, asked, request.GET)
    columns = sorted(found, key=lambda place: (place.gateway.recovery, place.name))
    same = Asked(chosen.name if chosen else "", asked.os, "", asked.q)
    counted = chosen and profile_count(actor.account_id, chosen.gateway.site.code, recovery=chosen.gateway.recovery)
    return {
        "columns": columns, "counted": counted, "find": bool(asked.q or page.previous or page.next),
        "rows": [
            (row, initials(row.name), [(place, place.gateway.pk in row.has) for place in columns],
             chosen and chosen.gateway.pk in row.has) for row in page.rows
        ],
        "previous": same.link("#people", before=page.previous) if page.previous else "",
        "next": same.link("#people", after=page.next) if page.next else "",
        "people": actor.can(Permission.READ_IDENTITY),
    }  # fmt: skip


def members(actor: Actor, asked: Asked, query: Mapping[str, str]) -> Cut:
    roles = Role.objects.filter(memberships=OuterRef("pk")).order_by("name").values("name")
    found = reaching.people(actor).annotate(
        name=F("person__name"), name_key=Lower("person__name"), role_names=ArraySubquery(roles)
    )
    found = found.filter(person__name__icontains=asked.q) if asked.q else found
    return cut(found.values_list(*COLUMNS, named=True), ("name_key", "uuid"), query)


@require_POST
def member(request: Visit, member: uuid.UUID) -> HttpResponse:
    """Lets a member in to a gateway, or out of it."""
    actor = request.actor
    found = Membership.objects.visible_to(actor, Permission.READ_VPN).select_related("person").filter(uuid=member)
    who = found.first()
    if who is None:
        raise Absent
    actor.need(Permission.WRITE_VPN)
    gateway = gateway_named(request.POST.get("site", ""))
    verb = {"in": let_in, "out": let_out}.get(request.POST.get("do", ""))
    if gateway is None or verb is None:
        raise Invalid("There is no such profile, or no such button, on this page.")
    verb(actor, who, gateway)
    done = "has" if verb is let_in else "doesn't have"
    messages.success(request, f"{who.person.name} {done} {gateway.name}{'' if verb is let_in else ' any more'}.")
    return redirect(f"{reverse('vpn', args=[actor.account_slug])}?{urlencode({'site': gateway.name})}#people")


# ---- The profile -----------------------------------------------------------------------------------------------------


@require_safe
def profile(request: Visit, profile: str) -> HttpResponse:
    """A file for the client: where it connects to, and as whom. It holds no secret."""
    actor = request.actor
    actor.need(Permission.READ_VPN)
    gateway = gateway_named(profile)
    if gateway is None:
        raise Absent
    mine = gateway.members.standing().filter(membership__account=actor.account_id, membership__person=actor.person_id)
    if not mine.exists():
        names = " or ".join(keepers(actor.account_id)) or "an administrator of your account"
        raise Forbidden(f"Ask {names} to give it to you.", title=f"You don't have the profile {gateway.name}")
    person = Person.objects.get(pk=actor.person_id or 0)
    response = HttpResponse(written(actor, gateway, person.email), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{actor.account_slug}-{gateway.name}.conf"'
    return response


def written(actor: Actor, gateway: VpnGateway, user: str) -> str:
    return "\n".join([
        f"# SSL/VPN profile {gateway.name} of {' '.join(actor.account_name.split())}",
        "# It holds no password. Sign in as you do in the portal, with your second factor.",
        f"[{gateway.name}]", f"host = {gateway.host}", f"port = {gateway.port}", f"user = {' '.join(user.split())}", "",
    ])  # fmt: skip
