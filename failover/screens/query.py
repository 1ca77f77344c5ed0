"""The one query of rule 11: the rows of every VM-keyed screen, of the API and of exports.

A live failover's stand-in is listed in place of its original (`shown`), a test beneath it. Pages are cut by keyset:
a page begins behind the last row of the one before it, so that nothing is counted, skipped over or seen twice.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from django.core.signing import BadSignature, Signer
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Lower

from accounts.models import Permission
from ampdr import clock
from ampdr.errors import Invalid
from ampdr.lifecycle import Actor
from ampdr.pages import Place
from failover.models import Failover, Kind
from failover.screens.row import BACK_FOR, NEVER, OVERDUE, REPLICATED, readiness_name
from failover.screens.security import BY_PERMISSION, SECURITY, Part, readable
from inventory.models import GROUPS, VM, Role, Site
from replication.actions import kept_hours

SIZES = (25, 50, 100)
SIZE = 50
ORDER = ("rank", "name_key", "family", "role")
LONGEST = 120
# What lists and the API tell of a stand-in's original; the other columns of the joined row stay unread.
OF_ORIGINAL = ("id", "uuid", "site", "last_test_at", "last_test_result", "resized_at")
UNREAD = [f"original__{field.name}" for field in VM._meta.concrete_fields if field.name not in OF_ORIGINAL]
_signer = Signer(sep=".", salt="place in a list")


class Only(NamedTuple):
    """What Overview counts and this list shows. `tested` in the rule: the name of a VM's readiness."""

    label: str
    rule: Q


COPIED = Q(protection__in=REPLICATED)
ONLY: dict[str, Only] = {
    "behind": Only("RPO behind", Q(protection__in=("rpo_behind", "source_unreachable"))),
    "overdue": Only("Test overdue", COPIED & Q(tested=OVERDUE.name)),
    "never": Only("Never tested", COPIED & Q(tested=NEVER.name)),
}


@dataclass(frozen=True)
class Filters:
    """What a list was asked for. `after` and `before` are places: opaque, made by this module alone."""

    state: str = ""
    status: str = ""
    failover: str = ""  # "yes": only VMs that a failover made
    only: str = ""  # one of ONLY: originals of which this is so
    site: str = ""
    q: str = ""
    size: int = SIZE
    after: str = ""
    before: str = ""
    strict: bool = False  # the API's: who follows places to the end must not find himself at the beginning again

    @classmethod
    def read(cls, query: Mapping[str, str], offered: Set[str] = frozenset({"site", "q"})) -> Self:
        """From a query string. What the screen doesn't offer, and a value that means nothing, is as if not sent."""
        asked = {name: query.get(name, "").replace("\0", "").strip()[:LONGEST] for name in offered}
        size = query.get("size", "")
        return cls(
            state=_known(asked.get("state", ""), GROUPS), status=_known(asked.get("status", ""), SECURITY),
            failover=_known(asked.get("failover", ""), {"yes": True}), only=_known(asked.get("only", ""), ONLY),
            site=asked.get("site", "").upper(), q=asked.get("q", ""),
            after=query.get("after", ""), before=query.get("before", ""),
            size=next((one for one in SIZES if str(one) == size), SIZE),
        )  # fmt: skip

    def link(self, **other: Any) -> str:
        """The query string of these filters with some of them changed, from the first page on."""
        asked = asdict(replace(self, after="", before="", strict=False)) | other
        return "?" + urlencode(
            {name: value for name, value in asked.items() if value and (name, value) != ("size", 50)}
        )

    def __bool__(self) -> bool:
        return bool(self.state or self.status or self.failover or self.only or self.site or self.q)


def _known(value: str, words: Mapping[str, Any]) -> str:
    return value if value in words else ""


@dataclass(frozen=True)
class Page:
    """One page of rows. `previous` and `next` are places for `Filters.before` and `.after`, or empty."""

    rows: list[VM]
    previous: str
    next: str


def rows(
    actor: Actor, permission: str, filters: Filters, rpo: bool = False, parts: Sequence[Part] | None = None
) -> Page:
    """One page of the rows that this actor may see under `permission`, in one statement whatever their number.

    `rpo`: with what a row's line of RPO is drawn from, and since when it is back from a live failover, for who may
    know it. `parts`: as `listed` has it; unless told,
    the one that the permission opens.
    """
    found = matching(actor, permission, filters, parts).defer(*UNREAD)
    return _cut(found.annotate(**kept_hours(), back_at=_back_at()) if rpo else found, filters)


def _back_at() -> Subquery:
    """Of an original whose live failover was terminated within a day: when."""
    mine = Failover.objects.filter(vm=OuterRef("pk"), kind=Kind.LIVE, state="terminated")
    return Subquery(mine.filter(ended_at__gt=clock.now() - BACK_FOR).order_by("-pk").values("ended_at")[:1])


def matching(actor: Actor, permission: str, filters: Filters, parts: Sequence[Part] | None = None) -> QuerySet[VM]:
    """All the rows that these filters let through, of whatever page.

    Raises Forbidden. Without Read Server Replication the filters by state and by failover do nothing: they would tell
    of replication. A status is that of the part of security which `permission` opens.
    """
    own = [BY_PERMISSION[Permission(permission)]] if permission in BY_PERMISSION else []
    found = listed(actor, permission, own if parts is None else parts)
    if filters.state and actor.can(Permission.READ_REPLICATION):
        found = found.filter(group=filters.state)
    if filters.failover and actor.can(Permission.READ_REPLICATION):
        found = found.exclude(role=Role.PRIMARY)
    if filters.only and actor.can(Permission.READ_REPLICATION):
        found = found.annotate(tested=readiness_name(clock.now())).filter(ONLY[filters.only].rule, role=Role.PRIMARY)
    if filters.status and own:
        found = found.filter(**{own[0].name: filters.status})
    if filters.site:
        found = found.filter(site__code=filters.site)
    if filters.q:
        found = found.filter(_named(filters.q))
    return found


def listed(actor: Actor, permission: str, parts: Sequence[Part] | None = None) -> QuerySet[VM]:
    """The VMs as they are listed now, each with its status in these parts of security: unless told, in every one that
    this actor may read.

    For who may know it also a test's end date, and on an original the state of the test beside it.
    """
    found = VM.objects.visible_to(actor, permission).filter(shown=True)
    found = found.annotate(**{part.name: part.status() for part in (readable(actor) if parts is None else parts)})
    if actor.can(Permission.READ_REPLICATION):
        maker = Failover.objects.filter(uuid=OuterRef("made_by"))
        test = VM.objects.filter(original=OuterRef("pk"), role=Role.TEST)
        found = found.annotate(
            ends_at=Subquery(maker.values("ends_at")[:1]), beside=Subquery(test.values("failover_state")[:1])
        )
    return found.select_related("site", "original__site")


def _named(text: str) -> Q:
    """Names that begin so, in any case; a test by the name that it shows; or exactly this address."""
    wanted = Q(name_key__startswith=Lower(Value(text)))
    if text.lower().endswith(" - test"):
        wanted |= Q(role=Role.TEST, name_key=Lower(Value(text[: -len(" - test")])))
    try:
        return wanted | Q(address=str(ipaddress.ip_address(text)))
    except ValueError:
        return wanted


def _cut(found: QuerySet[VM], filters: Filters) -> Page:
    """One row more than the page is read: it tells whether the way goes on."""
    back = bool(filters.before)
    place = _read(filters.before or filters.after)
    if filters.strict and place is None and (filters.before or filters.after):
        raise Invalid("This place isn't one of ours.", fields={"before" if back else "after": ["Not a place."]})
    onward = found
    if place:
        beyond = Q(place__lt=place) if back else Q(place__gt=place)
        onward = found.alias(place=Place(*ORDER)).filter(beyond)
    order = [f"-{name}" for name in ORDER] if back and place else ORDER
    got = list(onward.order_by(*order)[: filters.size + 1])
    if place and not got and not filters.strict:  # what was there is gone meanwhile
        return _cut(found, replace(filters, after="", before=""))
    more, got = len(got) > filters.size, got[: filters.size]
    if back and place:
        return _page(got[::-1], earlier=more, later=True)
    return _page(got, earlier=place is not None, later=more)


def _page(got: list[VM], earlier: bool, later: bool) -> Page:
    if not got:
        return Page([], "", "")
    return Page(got, _write(got[0]) if earlier else "", _write(got[-1]) if later else "")


def _write(vm: VM) -> str:
    """Opens nothing and tells no primary key: a family is named by its original's uuid."""
    family = vm.original.uuid if vm.original else vm.uuid
    return _signer.sign_object([vm.rank, vm.name_key, str(family), vm.role])


def _read(place: str) -> Place | None:
    try:
        rank, name_key, family, role = _signer.unsign_object(place)
        original = Subquery(VM.objects.filter(uuid=family).values("pk")[:1])
        return Place(Value(rank), Value(name_key), original, Value(role))
    except (BadSignature, ValueError):
        return None


def sites(actor: Actor, permission: str) -> QuerySet[Site, str]:
    """The codes of the sites where this actor sees a VM: one look into the index for each site."""
    here = VM.objects.visible_to(actor, permission).filter(shown=True, site=OuterRef("pk"))
    return Site.objects.filter(Exists(here)).order_by("code").values_list("code", flat=True)
