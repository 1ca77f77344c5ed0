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
IN_PLACE = Q(role=Role.PRIMARY, shown=True)
ELSEWHERE = Q(role=Role.PRIMARY, shown=False)  # the original of a live failover that runs
KEPT_FOR = timedelta(days=90)
NUMBERS = {
    "in_place": Count("pk", filter=IN_PLACE), "copied": Count("pk", filter=IN_PLACE & Q(protection__in=COPIED)),
    "standing_in": Count("pk", filter=~Q(role=Role.PRIMARY)), "hidden": Count("pk", filter=ELSEWHERE),
}  # fmt: skip
FREE = IN_PLACE & Q(protection__in=COPIED, failover_state="")  # what a live failover can be requested of now


class Counts(NamedTuple):
    """An account's VMs that an outage of a site is about.

    on_it: primary there and not running elsewhere; `protected` of these can be failed over. running_there: stand-ins
    there, live and test. protected_towards: primaries elsewhere whose copies are there and can't grow. `elsewhere` is
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


def affected(site: Site, accounts: Collection[int] | None = None) -> dict[int, Counts]:
    """Account -> its numbers, as they are now, in one statement. Accounts about which the outage isn't are left out."""
    about = VM.objects.filter(Q(site=site) | Q(protected_to=site.code))
    about = about if accounts is None else about.filter(account__in=accounts)
    rows = about.order_by().values_list("account", "site").annotate(**NUMBERS)
    found: dict[int, list[Counts]] = defaultdict(list)
    for account, at, in_place, copied, standing_in, hidden in rows:
        here = Counts(in_place, copied, standing_in, 0, hidden)
        found[account].append(here if at == site.pk else Counts(protected_towards=copied))
    added = {account: Counts(*map(sum, zip(*parts, strict=True))) for account, parts in found.items()}
    return {account: counts for account, counts in added.items() if any(counts)}


def at_sites(account: int, codes: Collection[str]) -> dict[str, tuple[Counts, int]]:
    """Site -> the account's numbers, as they are now, and of how many VMs there a live failover can be requested.

    One statement, however many sites are down at once.
    """
    about = VM.objects.filter(Q(site__code__in=codes) | Q(protected_to__in=codes), account=account)
    rows = about.order_by().values_list("site__code", "protected_to")
    found = dict.fromkeys(codes, (Counts(), 0))
    for at, to, in_place, copied, standing_in, hidden, free in rows.annotate(**NUMBERS, free=Count("pk", filter=FREE)):
        here = Counts(in_place, copied, standing_in, 0, hidden)
        for code, numbers, can in {to: (to, Counts(protected_towards=copied), 0), at: (at, here, free)}.values():
            if code in found:
                counts, could = found[code]
                found[code] = Counts(*map(sum, zip(counts, numbers, strict=True))), could + can
    return found


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


def outages_of(site: str, since: datetime, until: datetime) -> QuerySet[Outage]:
    """The outages of the site of this code of which some part lies in this span: what charts shade. Oldest first."""
    found = Outage.objects.filter(Q(over_at=None) | Q(over_at__gt=since), site__code=site, started_at__lt=until)
    return found.order_by("started_at", "pk")
