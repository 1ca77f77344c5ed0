"""An account's virtual machines, counted once for Overview: where they are, how they stand, what was tested.

One statement groups all of them by what is told of them; a few dozen groups come back, however many VMs there are, and
every number of the page is a sum over these. So they agree with each other, whatever moves meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import CharField, Count, F, Max, Min, Q, Value

from accounts.models import Head, Permission
from ampdr import clock
from ampdr.lifecycle import Actor, State
from failover.screens.row import NEVER, OVERDUE, REPLICATED, TEST_TELLS_FOR, readiness_name
from inventory.actions import Counts
from inventory.models import VM, Outage, OutageTold, Role

DUE_SOON = timedelta(days=14)
BEHIND = ("rpo_behind", "source_unreachable")
LASTING = (*REPLICATED, "paused")  # the words of a replication that is complete and not cancelled
MANY = 1000  # VMs of an account, from which on they are counted once for each version of its head
NORMAL = State("normal", "Normal", "ok", "circle-check")
DOWN = State("down", "Outage", "bad", "octagon-alert")


class Group(NamedTuple):
    """So many VM rows, alike in everything that is told of them. `moving`: the state of their failover."""

    site: str
    city: str
    pair: str | None
    pair_city: str | None
    role: str
    shown: bool
    to: str
    protection: str
    moving: str
    tested: str
    n: int
    held: int = 0
    due: int = 0
    oldest: datetime | None = None  # of the newest recovery points
    newest: datetime | None = None

    @property
    def here(self) -> bool:
        """Originals that are listed: not those in whose place a live failover runs."""
        return self.role == Role.PRIMARY and self.shown

    @property
    def copied(self) -> bool:
        return self.here and self.protection in REPLICATED

    @property
    def behind(self) -> bool:
        return self.here and self.protection in BEHIND


class Way(NamedTuple):
    """What is copied from one site to another."""

    source: str
    target: str
    n: int
    oldest: datetime | None
    newest: datetime | None
    cut: bool


@dataclass(frozen=True)
class Place:
    """A site as the map shows it. `runs`: in its recovery environment."""

    code: str
    city: str
    state: State
    since: datetime | None
    vms: int
    copied: int
    live: int
    tests: int


class Down(NamedTuple):
    """An open outage that the account was told of, with what it means now. `free`: nobody asked for them yet."""

    number: str
    site: str
    city: str
    since: datetime
    counts: Counts
    free: int
    oldest: datetime | None = None  # of the newest recovery points of these
    newest: datetime | None = None

    @property
    def asked(self) -> int:
        return self.counts.protected - self.free


@dataclass(frozen=True)
class Census:
    """`tells`: whether the reader may know of replication; else the groups know nothing of it."""

    groups: list[Group]
    tells: bool

    def count(self, fits: Callable[[Group], bool]) -> int:
        return sum(group.n for group in self.groups if fits(group))

    @property
    def originals(self) -> int:
        """With those in whose place a live failover runs."""
        return self.count(lambda group: group.role == Role.PRIMARY)

    @property
    def lasting(self) -> int:
        """Originals whose replication is complete, with those in whose place a live failover runs."""
        return self.count(lambda group: group.role == Role.PRIMARY and group.protection in LASTING)

    @property
    def behind(self) -> int:
        return self.count(lambda group: group.behind)

    @property
    def overdue(self) -> int:
        return self.count(lambda group: group.copied and group.tested == OVERDUE.name)

    @property
    def never(self) -> int:
        return self.count(lambda group: group.copied and group.tested == NEVER.name)

    @property
    def due(self) -> bool:
        return any(group.due for group in self.groups if group.here)

    @property
    def copied(self) -> int:
        return self.count(lambda group: group.copied)

    def in_state(self, *protections: str) -> int:
        return self.count(lambda group: group.here and group.protection in protections)

    @property
    def held(self) -> bool:
        """Whether a failover of any of them is open."""
        return any(group.held for group in self.groups)

    def affected(self, site: str) -> Counts:
        return Counts(
            on_it=self.count(lambda one: one.site == site and one.here),
            protected=self.count(lambda one: one.site == site and one.copied),
            running_there=self.count(lambda one: one.site == site and one.role != Role.PRIMARY),
            protected_towards=self.count(lambda one: one.site != site and one.to == site and one.copied),
            elsewhere=self.count(lambda one: one.site == site and one.role == Role.PRIMARY and not one.shown),
        )

    def numbers(self, account: int, sites: Collection[str]) -> dict[str, tuple[Counts, int]]:
        """`inventory.actions.at_sites` of this account, from the same rows."""
        return {site: (self.affected(site), sum(one.n for one in self.free(site))) for site in sites}

    def free(self, site: str) -> list[Group]:
        """Those of which a live failover can be requested: what the request page takes of this site."""
        return [one for one in self.groups if one.site == site and one.copied and not one.moving]


def due_soon(now: datetime) -> Q:
    """Whose last test tells no more within two weeks."""
    over = now - TEST_TELLS_FOR
    return Q(protection__in=REPLICATED, last_test_at__gte=over, last_test_at__lt=over + DUE_SOON)


def readable_as(actor: Actor) -> Permission | None:
    """By which permission this actor may know of VMs at all: their own screen's, or that of their replication."""
    for permission in (Permission.READ_VMS, Permission.READ_REPLICATION):
        if actor.can(permission):
            return permission
    return None


def census(actor: Actor, permission: Permission, head: Head | None = None) -> Census:
    """Those of a large account are counted once for each version of its `head`, and once a minute: what a page tells
    raises the version, and the rest is what time does. Raises Forbidden."""
    actor.need(permission)
    account, tells, now = actor.account_id, actor.can(Permission.READ_REPLICATION), clock.now()
    if head is None or head.all_vms < MANY:
        return Census(_groups(account, tells, now), tells)
    return Census(_kept(account, head.version, head.hash, tells, now.replace(second=0, microsecond=0)), tells)


@lru_cache(maxsize=64)
def _kept(account: int, version: int, seal: str, tells: bool, now: datetime) -> list[Group]:
    """Of this account alone, by whose number it is kept; what is counted is nobody's name."""
    return _groups(account, tells, now)


def _groups(account: int, tells: bool, now: datetime) -> list[Group]:
    nothing = Value("", output_field=CharField())
    told = {
        "copy_to": F("protected_to"), "word": F("protection"), "moving": F("failover_state"),
        "tested": readiness_name(now),
    }  # fmt: skip
    told = told if tells else dict.fromkeys(told, nothing)
    rows = VM.objects.filter(account=account).order_by().annotate(**told)
    columns = ("site__code", "site__city", "site__failover_site__code", "site__failover_site__city", "role", "shown")
    sums: dict[str, Any] = {"n": Count("pk")}
    if tells:
        sums |= {"held": Count("pk", filter=~Q(held_by="")), "due": Count("pk", filter=due_soon(now))}
        sums |= {"oldest": Min("newest_point_at"), "newest": Max("newest_point_at")}
    found: Any = rows.values_list(*columns, *told).annotate(**sums)
    return [Group(*row) for row in found]


def down(outage: Outage, counted: Census) -> Down:
    site, free = outage.site, counted.free(outage.site.code)
    n = sum(one.n for one in free)
    return Down(outage.number, site.code, site.city, outage.started_at, counted.affected(site.code), n, *points(free))


def told_by_replication(actor: Actor) -> list[Outage]:
    """The open outages that the account was told of, for who may read of replication and not of VMs. No strip of a
    page says so to him."""
    mine = OutageTold.objects.visible_to(actor, Permission.READ_REPLICATION).filter(outage__over_at=None)
    return [told.outage for told in mine.select_related("outage__site").order_by("-outage__started_at")]


def points(groups: Iterable[Group]) -> tuple[datetime | None, datetime | None]:
    """The oldest and the newest of their newest recovery points."""
    groups = list(groups)
    oldest = min((one.oldest for one in groups if one.oldest), default=None)
    return oldest, max((one.newest for one in groups if one.newest), default=None)


# ---- The map ---------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Two sites side by side, and what is copied between them."""

    places: list[Place]
    ways: list[Way]


def pairs(counted: Census, downs: Iterable[Down]) -> list[Pair]:
    """The sites of the account, each beside the one that it is copied to; busiest first."""
    since = {down.site: down.since for down in downs}
    cities = {one.pair: one.pair_city for one in counted.groups if one.pair}
    cities |= {one.site: one.city for one in counted.groups}
    joined: dict[frozenset[str], int] = {}
    for one in counted.groups:
        other = one.to or (one.pair if counted.tells else "") or one.site
        key = frozenset((one.site, other))
        joined[key] = joined.get(key, 0) + one.n
    whole = [key for key in joined if not any(key < other for other in joined)]
    found = [sorted(key) for key in sorted(whole, key=lambda key: (-joined[key], sorted(key)))]
    alone = sorted(key[0] for key in found if len(key) == 1)
    beside = [alone[n : n + 2] for n in range(0, len(alone), 2)]
    return [_pair(counted, key, cities, since) for key in (*(key for key in found if len(key) == 2), *beside)]


def _pair(counted: Census, sites: list[str], cities: dict[Any, Any], since: dict[str, datetime]) -> Pair:
    places = [_place(counted, site, cities.get(site) or "", since.get(site)) for site in sites]
    ways = [_way(counted, source, target, source in since or target in since) for source, target in _both(sites)]
    return Pair(places, [way for way in ways if way.n])


def _both(sites: list[str]) -> list[tuple[str, str]]:
    return [(sites[0], sites[1]), (sites[1], sites[0])] if len(sites) == 2 else []


def _place(counted: Census, site: str, city: str, since: datetime | None) -> Place:
    def at(fits: Callable[[Group], bool]) -> int:
        return counted.count(lambda one: one.site == site and fits(one))

    return Place(
        site, city, DOWN if since else NORMAL, since, vms=at(lambda one: one.here), copied=at(lambda one: one.copied),
        live=at(lambda one: one.role == Role.LIVE), tests=at(lambda one: one.role == Role.TEST),
    )  # fmt: skip


def _way(counted: Census, source: str, target: str, cut: bool) -> Way:
    mine = [one for one in counted.groups if one.copied and one.site == source and one.to == target]
    return Way(source, target, sum(one.n for one in mine), *points(mine), cut)
