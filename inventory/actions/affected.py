"""What an outage means: whose virtual machines it is about, in the groups of the product's words, and when it was.

Everything here is read from the columns of VM rows, by one grouped statement however many they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Q, QuerySet

from accounts.models import Permission, TenantQuerySet
from ampdr import clock
from ampdr.lifecycle import Actor
from inventory.models import VM, Outage, OutageTold, Role, Site

# With these words in the column `protection` a copy exists that a failover can start from.
COPIED = ("protected", "rpo_behind", "source_unreachable", "resynchronising")
NOT_COPYING = ("none", "paused", "stopping", "stopped")
IN_PLACE = Q(role=Role.PRIMARY, shown=True)
ELSEWHERE = Q(role=Role.PRIMARY, shown=False)  # the original of a live failover that runs
COPYING = IN_PLACE & ~Q(protection__in=NOT_COPYING)
KEPT_FOR = timedelta(days=90)


class Counts(NamedTuple):
    """An account's VMs that an outage of a site is about.

    on_it: primary there and not running elsewhere; `protected` of these can be failed over. running_there: stand-ins
    there, live and test. protected_towards: primaries elsewhere whose copies go there and can't grow. `elsewhere` is
    told beside, and isn't among the affected: primary there, running elsewhere in a live failover already.
    """

    on_it: int = 0
    protected: int = 0
    running_there: int = 0
    protected_towards: int = 0
    elsewhere: int = 0

    @property
    def affected(self) -> int:
        return self.on_it + self.running_there + self.protected_towards


def groups(site: Site) -> dict[str, Q]:
    """The groups of `Counts`, each as a filter of VM rows: `VM.objects.visible_to(...).filter(groups(site)["on_it"])`.

    They are of replication, and so for whoever may read that.
    """
    here = Q(site=site)
    return {
        "on_it": here & IN_PLACE,
        "protected": here & IN_PLACE & Q(protection__in=COPIED),
        "running_there": here & ~Q(role=Role.PRIMARY),
        "protected_towards": COPYING & Q(protected_to=site.code) & ~here,
        "elsewhere": here & ELSEWHERE,
    }


def affected(site: Site, accounts: Collection[int] | None = None) -> dict[int, Counts]:
    """Account -> its numbers, as they are now, in one statement. Accounts about which the outage isn't are left out."""
    return {account: counts for (account, _), counts in _counted([site], accounts).items()}


def affected_here(actor: Actor) -> list[tuple[Outage, Counts]]:
    """The open outages that are about VMs of the actor's account, oldest first, with its numbers: two statements.

    Raises Forbidden: the numbers are of replication.
    """
    actor.need(Permission.READ_REPLICATION)
    outages = list(Outage.objects.filter(over_at=None).select_related("site").order_by("started_at", "pk"))
    counted = _counted([outage.site for outage in outages], [actor.account_id]) if outages else {}
    found = ((outage, counted.get((actor.account_id, outage.site_id))) for outage in outages)
    return [(outage, counts) for outage, counts in found if counts]


def told(actor: Actor) -> TenantQuerySet[OutageTold]:
    """The outages that the actor's account was told of, open or over within 90 days, each with its numbers then.

    Whoever may see VMs may know that their site is down. The numbers are of replication, and so is an outage that is
    about an account's copies alone: both are for whoever may read that (rule 4). Raises Forbidden.
    """
    mine = OutageTold.objects.visible_to(actor, Permission.READ_VMS)
    since = clock.now() - KEPT_FOR
    lately = mine.filter(Q(outage__over_at=None) | Q(outage__over_at__gte=since))
    if actor.can(Permission.READ_REPLICATION):
        return lately
    return lately.filter(Q(on_it__gt=0) | Q(running_there__gt=0))


def outages_of(site: Site | str, since: datetime, until: datetime) -> QuerySet[Outage]:
    """The outages of a site (or of its code) of which some part lies in this span: what charts shade. Oldest first."""
    mine = Q(site=site) if isinstance(site, Site) else Q(site__code=site)
    in_span = Q(started_at__lt=until) & (Q(over_at=None) | Q(over_at__gt=since))
    return Outage.objects.filter(mine & in_span).order_by("started_at", "pk")


def _counted(sites: Collection[Site], accounts: Collection[int] | None) -> dict[tuple[int, int], Counts]:
    """(account, site) -> numbers. Rows are grouped by where they are and where their copies go, and added up here."""
    about = VM.objects.filter(Q(site__in=[site.pk for site in sites]) | Q(protected_to__in=[one.code for one in sites]))
    about = about if accounts is None else about.filter(account__in=accounts)
    rows = about.order_by().values_list("account", "site", "protected_to").annotate(
        in_place=Count("pk", filter=IN_PLACE), copied=Count("pk", filter=IN_PLACE & Q(protection__in=COPIED)),
        standing_in=Count("pk", filter=~Q(role=Role.PRIMARY)), hidden=Count("pk", filter=ELSEWHERE),
        copying=Count("pk", filter=COPYING),
    )  # fmt: skip
    found: dict[tuple[int, int], list[Counts]] = defaultdict(list)
    for account, at, towards, in_place, copied, standing_in, hidden, copying in rows:
        for site in sites:
            if site.pk == at:
                found[account, site.pk].append(Counts(in_place, copied, standing_in, 0, hidden))
            elif site.code == towards:
                found[account, site.pk].append(Counts(protected_towards=copying))
    added = {key: Counts(*map(sum, zip(*parts, strict=True))) for key, parts in found.items()}
    return {key: counts for key, counts in added.items() if any(counts)}
