"""What every page shows around its content: the menu with its counts, the account, Support, the theme, the time."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from accounts.models import Membership, Person
from ampdr import clock
from ampdr.lifecycle import Actor
from ampdr.views import chosen_theme, support
from failover.models import Kind, Ticket
from failover.screens import outages


@dataclass(frozen=True)
class Screen:
    """A menu item. Its address is the URL `name` with the account's slug; without such a URL it isn't on the menu.

    `permission` is what opens it (empty: any member); `counter` names a count of `counts`.
    """

    label: str
    name: str
    icon: str
    permission: str = ""
    counter: str = ""


MENU: tuple[tuple[str, tuple[Screen, ...]], ...] = (
    ("", (Screen("Overview", "overview", "layout-dashboard"),)),
    (
        "Infrastructure",
        (
            Screen("Virtual Machines", "vms", "server", "read_vms", "vms"),
            Screen("Replication", "replication", "copy", "read_replication"),
            Screen("Failovers", "failovers", "arrow-right-left", "read_replication", "failovers"),
            Screen("SSL/VPN", "vpn", "key-round", "read_vpn"),
        ),
    ),
    (
        "Security",
        (
            Screen("FIM", "fim", "file-check-2", "read_fim"),
            Screen("Malware Protection", "malware", "bug", "read_avam"),
            Screen("Patching", "patching", "package-check", "read_packages"),
        ),
    ),
    (
        "Support",
        (
            Screen("Tickets", "tickets", "life-buoy", "read_tickets"),
            Screen("Notifications", "notifications", "bell", counter="unread"),
        ),
    ),
    (
        "Account",
        (
            Screen("Users", "users", "users", "read_identity"),
            Screen("Roles + Permissions", "roles", "user-cog", "read_identity"),
            Screen("Authorized users", "authorized-users", "user-check", "read_identity"),
            Screen("Activity", "activity", "history", "view_activity"),
        ),
    ),
)


NOTES = {"failovers": "running or waiting", "unread": "unread"}  # what a number on the menu counts


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor of every page. Outside of an account (sign-in, admin, errors) the menu is empty."""
    actor: Actor | None = getattr(request, "actor", None)
    return {
        "actor": actor,
        "menu": menu(request, actor) if actor else [],
        "account": {"name": actor.account_name, "slug": actor.account_slug} if actor else None,
        "accounts": getattr(request, "accounts", ()),
        "support": support(),
        "theme": chosen_theme(request),
        "now": clock.now(),
        "desk": SimpleLazyObject(partial(desk, request)),
        "strips": partial(outages.shown, request),
    }


def desk(request: HttpRequest) -> dict[str, Any]:
    """For admin's header alone, in one statement: how many live requests wait, terminations of live failovers among
    them (more than 99 are not counted), and whether the person is a member of an account."""
    live = Q(kind=Kind.LIVE) | Q(kind=Kind.TERMINATE, about__kind=Kind.LIVE)
    waiting = Ticket.objects.filter(live, state="waiting").values("pk")[:99]
    member = Exists(Membership.objects.filter(person=OuterRef("pk")))
    found = Person.objects.filter(pk=request.user.pk or 0).values(waiting=ArraySubquery(waiting), member=member).first()
    return {"waiting": len(found["waiting"]), "member": found["member"]} if found else {}


def menu(request: HttpRequest, actor: Actor) -> list[dict[str, Any]]:
    """The groups with their items, as the side menu prints them."""
    shown = counts(request)
    groups = [(title, [item(request, actor, screen, shown) for screen in screens]) for title, screens in MENU]
    return [{"title": title, "items": [one for one in items if one]} for title, items in groups if any(items)]


def item(request: HttpRequest, actor: Actor, screen: Screen, shown: dict[str, int]) -> dict[str, Any] | None:
    """One menu item. Locked ones stay, without a count: people learn what exists, and the page says whom to ask."""
    try:
        href = reverse(screen.name, args=[actor.account_slug])
    except NoReverseMatch:
        return None
    locked = bool(screen.permission) and not actor.can(screen.permission)
    return {
        "label": screen.label,
        "href": href,
        "icon": screen.icon,
        "locked": locked,
        "current": request.path == href or (screen.name != "overview" and request.path.startswith(href)),
        "count": 0 if locked else shown.get(screen.counter, 0),
        "note": NOTES.get(screen.counter, ""),
        "hot": not locked and screen.counter == "failovers" and shown.get("live", 0) > 0,
    }


def counts(request: HttpRequest) -> dict[str, int]:
    """The menu's numbers, from the account's kept counters. Yellow: a live failover runs, not: one was asked for."""
    head = getattr(request, "head", None)
    if head is None:
        return {}
    unread = request.actor.unread  # type: ignore[attr-defined]
    return {"vms": head.all_vms, "failovers": head.running + head.waiting, "live": head.live, "unread": unread}
