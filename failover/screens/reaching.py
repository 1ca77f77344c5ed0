"""How an account's virtual machines are reached over SSL/VPN: through which gateway, and what runs behind each.

A failover VM is reached only through its recovery environment's (rule 18): that a VM runs in a failover is read from
its row, for whoever may see VMs; by which ticket, for whoever may read replication.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import JSONObject

from accounts.models import Membership, Permission
from ampdr.errors import Absent
from ampdr.lifecycle import Actor, State
from failover.screens.query import ORDER
from inventory.actions.affected import told
from inventory.models import VM, Role, Site, VpnClient, VpnGateway, VpnMember

FEW = 6
OF_CLIENT = ("system", "generation", "name", "version", "download_url")
STAND_INS = ("live", "tests")  # the groups of VMs that failovers made
NORMAL = State("normal", "Normal", "ok", "circle-check")
DOWN = State("down", "Outage", "bad", "octagon-alert")


@dataclass(frozen=True)
class Behind:
    """The account's failover VMs at one site: how many, and by which tickets."""

    live: int = 0
    tests: int = 0
    tickets: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return self.live + self.tests

    @property
    def words(self) -> str:
        parts = [(self.live, "VM"), (self.tests, "test")]
        return ", ".join(f"{n:,} {word}{'' if n == 1 else 's'}" for n, word in parts if n)


@dataclass(frozen=True)
class Place:
    """A gateway as the page offers it. `mine`: the reader has its profile; `own`: the uuid of his membership."""

    gateway: VpnGateway
    name: str
    about: str
    mine: bool
    own: uuid.UUID
    state: State
    behind: Behind
    clients: list[dict[str, Any]]

    @property
    def use_now(self) -> bool:
        return self.behind.live > 0

    @property
    def sorted_by(self) -> tuple[Any, ...]:
        """What runs in a failover first; in calm the primary sites."""
        return not self.behind.live, not self.behind.tests, self.gateway.recovery, self.name


def behind(actor: Actor) -> dict[int, Behind]:
    """Site -> the failover VMs there, in one statement."""
    if not actor.can(Permission.READ_VMS):
        return {}
    made = VM.objects.visible_to(actor, Permission.READ_VMS).filter(shown=True, group__in=STAND_INS)
    counted = made.order_by().values_list("site", "group").annotate(
        n=Count("pk"), tickets=ArrayAgg("held_by", filter=~Q(held_by=""), distinct=True, default=[])
    )  # fmt: skip
    tells = actor.can(Permission.READ_REPLICATION)
    found: dict[int, dict[str, int]] = defaultdict(dict)
    numbers: dict[int, set[str]] = defaultdict(set)
    for site, group, n, tickets in counted:
        found[site][group] = n
        numbers[site].update(tickets if tells else ())
    return {site: Behind(**groups, tickets=_in_order(numbers[site])) for site, groups in found.items()}


def _in_order(numbers: set[str]) -> tuple[str, ...]:
    return tuple(sorted(numbers, key=lambda number: (len(number), number)))


def places(actor: Actor, found: dict[int, Behind]) -> list[Place]:
    """The gateways that concern this account, in the order of the page, in one statement. Raises Forbidden."""
    actor.need(Permission.READ_VPN)
    offered = [_place(gateway, found.get(gateway.site_id, Behind())) for gateway in _gateways(actor)]
    return sorted(offered, key=lambda place: place.sorted_by)


def _gateways(actor: Actor) -> QuerySet[VpnGateway]:
    """Of sites where it has VMs, or to which these fail over, or where its people are let in already.

    Whoever may not see VMs isn't told by this list where they are: for him it has every gateway.
    """
    theirs = VpnMember.objects.filter(gateway=OuterRef("pk"), membership__account=actor.account_id)
    feeding = Site.objects.filter(failover_site=OuterRef("site")).order_by("code")
    clients = VpnClient.objects.filter(gateway=OuterRef("pk")).order_by("system", "-generation")
    own = Membership.objects.filter(account=actor.account_id, person=actor.person_id).values("uuid")[:1]
    found = VpnGateway.objects.select_related("site").annotate(
        own=Subquery(own),
        mine=Exists(theirs.standing().filter(membership__person=actor.person_id)),
        down=_down(actor),
        feeding=ArraySubquery(feeding.values("city")),
        kept=ArraySubquery(clients.values(found=JSONObject(**{name: name for name in OF_CLIENT}))),
    )
    if not actor.can(Permission.READ_VMS):
        return found
    vms = VM.objects.visible_to(actor, Permission.READ_VMS)
    here = Exists(vms.filter(site=OuterRef("site"), role=Role.PRIMARY))
    towards = Exists(vms.filter(site__failover_site=OuterRef("site"), role=Role.PRIMARY))
    made = Exists(vms.filter(site=OuterRef("site")).exclude(role=Role.PRIMARY))
    return found.filter(Exists(theirs) | Q(here, recovery=False) | (Q(recovery=True) & (Q(towards) | Q(made))))


def _down(actor: Actor) -> Exists | Value:
    """Whether the account was told of an open outage of the site, and the reader may know it."""
    if not actor.can(Permission.READ_VMS):
        return Value(False)
    return Exists(told(actor).filter(outage__site=OuterRef("site"), outage__over_at=None))


def _place(gateway: Any, made: Behind) -> Place:
    site = gateway.site
    if not gateway.recovery:
        about = f"{site.city}, primary VMs"
    elif gateway.feeding:
        about = f"For VMs of {' and '.join(gateway.feeding)} that run in {site.city}"
    else:
        about = f"For failover VMs in {site.city}"
    return Place(
        gateway, gateway.name, about, gateway.mine, gateway.own, DOWN if gateway.down else NORMAL,
        made if gateway.recovery else Behind(), gateway.kept,
    )  # fmt: skip


def running_at(actor: Actor, site: Site) -> Sequence[VM]:
    """The first few failover VMs at this site, as lists order them."""
    made = VM.objects.visible_to(actor, Permission.READ_VMS).filter(shown=True, site=site, group__in=STAND_INS)
    return list(made.order_by(*ORDER)[:FEW])


def asked_for(actor: Actor, text: str) -> VM | None:
    """The VM of this slug or uuid; while a live failover runs, what runs in its place. Raises Forbidden and Absent."""
    if not text:
        return None
    found = (
        VM.objects.visible_to(actor, Permission.READ_VMS).filter(shown=True).select_related("site", "original__site")
    )
    try:
        key = uuid.UUID(text)
        found = found.filter(Q(uuid=key) | Q(original__uuid=key, role=Role.LIVE))
    except ValueError:
        found = found.filter(slug=text.replace("\0", ""), role__in=(Role.PRIMARY, Role.LIVE))
    vm = found.order_by("rank").first()
    if vm is None:
        raise Absent
    return vm


def people(actor: Actor) -> QuerySet[Any]:
    """Who can connect where: those with any profile; for who lets people in, every member who gets in at all."""
    theirs = VpnMember.objects.filter(membership=OuterRef("pk"))
    used = theirs.order_by("-last_used_at").filter(last_used_at__isnull=False).values("last_used_at")[:1]
    found = Membership.objects.visible_to(actor, Permission.READ_VPN).filter(enabled=True, person__is_active=True)
    found = found.annotate(has=ArraySubquery(theirs.values("gateway")), used=Subquery(used))
    return found if actor.can(Permission.WRITE_VPN) else found.filter(Exists(theirs))
