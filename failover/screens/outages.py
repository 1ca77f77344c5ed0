"""The strips beneath the top bar: what is down, with the account's own numbers; afterwards, what still runs elsewhere.

They tell, and move nothing (product rule 9). A calm page pays no statement for them; otherwise it is two at most,
however many sites are down and VMs affected. Without Read Server Replication a strip says that a site is down, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, JSONObject
from django.http import HttpRequest
from django.utils.text import get_text_list

from accounts.models import AuthorizedUser, Head, Permission
from ampdr import clock
from ampdr.lifecycle import Actor
from failover.actions import ending_of
from failover.lifecycle import SHOWN
from failover.models import Kind, Ticket
from inventory.actions import Counts, at_sites
from inventory.actions.affected import KEPT_FOR, told
from inventory.models import Outage, OutageTold

BEFORE = ("requested", "starting", "start_failed", "undoing")  # asked for, and not running
FEW = 3
EVER = datetime.max.replace(tzinfo=UTC)
CALM = "calm"
POLLED = "outage-strips"  # the URL at which an open page looks again
Numbers = Callable[[int, Collection[str]], dict[str, tuple[Counts, int]]]  # as `at_sites` counts
ONE_LINE = ("failover", "outage", "overview")  # pages that say more of it themselves, by how their URL names begin


@dataclass(frozen=True)
class Asked:
    """A live request out of the site: how many of its VMs don't run yet, and how many do.

    `ending`: the request of its termination that waits or is being carried out.
    """

    number: str
    target: str
    before: int
    running: int
    ending: str = ""


@dataclass(frozen=True)
class Strip:
    """One outage as a reader may know it. `counts`: as they are now; None without Read Server Replication.

    `free`: of so many VMs a live failover can be requested. `names`: who may. After it, `asked` are the requests made
    before it was over.
    """

    outage: Outage
    counts: Counts | None = None
    free: int = 0
    asked: tuple[Asked, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def city(self) -> str:
        return f"{self.outage.site.city} ({self.outage.site.code})"

    @property
    def open(self) -> bool:
        return self.outage.over_at is None

    @property
    def waiting(self) -> list[Asked]:
        return [one for one in self.asked if one.before]

    @property
    def running(self) -> list[Asked]:
        return [one for one in self.asked if one.running]

    @property
    def unasked(self) -> list[Asked]:
        """Those that run, and whose termination can be requested."""
        return [one for one in self.running if not one.ending]

    @property
    def ending(self) -> list[str]:
        """The terminations that are requested already."""
        return [one.ending for one in self.running if one.ending]

    @property
    def waiting_vms(self) -> int:
        return sum(one.before for one in self.asked)

    @property
    def running_vms(self) -> int:
        return sum(one.running for one in self.asked)

    @property
    def there(self) -> str:
        """Where what was failed over runs."""
        return get_text_list(sorted({one.target for one in self.running}), "and")

    @property
    def who(self) -> str:
        """The names of who may request it, the first few of many."""
        more = len(self.names) - FEW
        names = [*self.names[:FEW], f"{more} more"] if more > 0 else [*self.names]
        return get_text_list(names, "and")

    @property
    def groups(self) -> str:
        """The affected VMs in their three groups, in words; empty where all are on it."""
        if self.counts is None:
            return ""
        on_it, running_there, towards = self.counts.on_it, self.counts.running_there, self.counts.protected_towards
        if not (running_there or towards):
            return ""
        said = {
            "on it": on_it, "running there in a failover": running_there, "protected towards it": towards
        }  # fmt: skip
        return get_text_list([f"{n:,} {words}" for words, n in said.items() if n], "and")


@dataclass(frozen=True)
class Shown:
    """All strips of a page. `mark` tells an open page whether they may have changed; `mini`: in one line each."""

    strips: list[Strip]
    mark: str
    mini: bool


def shown(request: HttpRequest, numbers: Numbers = at_sites) -> Shown:
    """The strips of this page. Those of an account alone, and of a reader who may know of them. `numbers`: of a page
    that has counted already."""
    actor: Actor | None = getattr(request, "actor", None)
    head: Head | None = getattr(request, "head", None)
    if actor is None or head is None:
        return Shown([], CALM, mini=True)
    match = request.resolver_match
    name = match.url_name or "" if match else ""
    mini = "mini" in request.GET if name == POLLED else name.startswith(ONE_LINE)
    return Shown(strips(actor, head, numbers), mark(head), mini)


def mark(head: Head) -> str:
    """While nothing is down and nothing runs elsewhere, whatever else happens changes no strip."""
    return str(head.version) if head.outages or head.live else CALM


def strips(actor: Actor, head: Head, numbers: Numbers = at_sites) -> list[Strip]:
    """Open ones, newest first, then the newest that is over of each site out of which VMs still run elsewhere."""
    if mark(head) == CALM or not actor.can(Permission.READ_VMS):
        return []
    if not head.outages and never_lately(actor.account_id, head.version, head.hash):
        return []
    rows = of_reader(actor)
    if not head.outages:
        rows = rows.exclude(outage__over_at=None)
    if not (head.live and actor.can(Permission.READ_REPLICATION)):
        rows = rows.filter(outage__over_at=None)
    found = [strip_of(row) for row in rows.order_by(F("outage__over_at").desc(nulls_first=True), "-outage__started_at")]
    open_ones = with_numbers(actor, [one for one in found if one.open], numbers)
    seen = {one.outage.site_id for one in open_ones}
    return open_ones + [one for one in found if not one.open and one.running and _first(one, seen)]


@lru_cache(maxsize=1024)
def never_lately(account: int, version: int, seal: str) -> bool:
    """Whether none of the account's outages ended lately: asked once by each process for a version of its head.

    An account whose failover runs for weeks then pays nothing for it on its pages.
    """
    return not OutageTold.objects.filter(account=account, outage__over_at__gte=clock.now() - KEPT_FOR).exists()


def _first(one: Strip, seen: set[int]) -> bool:
    """Of its site; notes that it was."""
    new = one.outage.site_id not in seen
    seen.add(one.outage.site_id)
    return new


def of_reader(actor: Actor) -> QuerySet[OutageTold]:
    """The outages that the account was told of, each with its live requests and with who may make one, for who may
    know that. Raises Forbidden."""
    rows = told(actor).select_related("outage__site")
    if not actor.can(Permission.READ_REPLICATION):
        return rows
    names = AuthorizedUser.objects.filter(account=OuterRef("account")).standing().order_by("person__name")
    return rows.annotate(asked=_asked(), names=ArraySubquery(names.values("person__name")))


def _asked() -> ArraySubquery:
    """Live requests with VMs that don't run in their place; of an outage that is over, those made before that."""
    mine = Ticket.objects.filter(
        account=OuterRef("account"), source=OuterRef("outage__site__code"), kind=Kind.LIVE,
        state__in=("waiting", "approved"), requested_at__lte=Coalesce(OuterRef("outage__over_at"), Value(EVER)),
    )  # fmt: skip
    counted = mine.annotate(
        before=Count("lines", filter=Q(lines__state__in=BEFORE)),
        running=Count("lines", filter=Q(lines__state__in=SHOWN)),
    ).filter(Q(before__gt=0) | Q(running__gt=0))
    ending = Coalesce(Subquery(ending_of(OuterRef("pk"))), Value(""))
    facts = JSONObject(number="number", target="target", before="before", running="running", ending=ending)
    return ArraySubquery(counted.order_by("pk").values(found=facts))


def strip_of(row: OutageTold) -> Strip:
    asked = tuple(Asked(**one) for one in getattr(row, "asked", ()))
    return Strip(row.outage, asked=asked, names=tuple(getattr(row, "names", ())))


def with_numbers(actor: Actor, found: Iterable[Strip], numbers: Numbers = at_sites) -> list[Strip]:
    """Each with the account's numbers as they are now; one that is about none of its VMs any more is left out."""
    found = list(found)
    if not found or not actor.can(Permission.READ_REPLICATION):
        return found
    at = numbers(actor.account_id or 0, {one.outage.site.code for one in found})
    counted = [(one, *at[one.outage.site.code]) for one in found]
    return [replace(one, counts=counts, free=free) for one, counts, free in counted if any(counts)]
