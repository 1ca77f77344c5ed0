"""What a Support lead sees before a request by phone is filed: the customer's own six facts and warnings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from accounts.models import Account
from ampdr.lifecycle import Actor
from ampdr.templatetags.ampdr import route
from failover.actions.endings import TERMINABLE
from failover.models import Failover, Kind, Ticket
from failover.screens.approval import NOUNS, Seen, facts
from failover.screens.cautions import Caution, of_live, of_test, some
from failover.screens.facts import access, expected, loss
from failover.screens.foreseen import Fact, Start, end_date, foreseen
from failover.screens.hints import open_outages
from inventory.models import VM, Site


@dataclass(frozen=True)
class Preview:
    """`what` as the button says it; `code` the site that the caller has to name, `digest` what was looked at."""

    what: str
    facts: list[Fact]
    warnings: list[Caution]
    code: str
    digest: str


def of_start(caller: Actor, account: Account, vms: list[VM], wish: Any) -> Preview:
    """`vms` are of one route; `wish` names the kind, the chosen recovery point and a test's end."""
    source, target = vms[0].site, Site.objects.get(code=vms[0].protected_to)
    reach = replace(access(caller, target.code), mine=True, whose=account.name)
    live, needed = wish.kind == Kind.LIVE, expected([vm.pk for vm in vms], len(vms))
    return Preview(
        f"{NOUNS[Kind(wish.kind)]} of {_count(len(vms))}",
        foreseen(
            Start(wish.kind, source.code, target.code, loss(vms, wish.point_at), needed, reach.with_it, reach.words),
            Fact("Virtual machines", _count(len(vms)), some([vm.name for vm in vms])),
            Fact("From → to", route(source.code, target.code), f"{source.city} to {target.city}"),
        ) + ([] if live else [end_date(wish.ends_at)]),
        of_live(vms, wish.point_at is None, source, target, reach) if live else of_test(vms, target, reach),
        target.code if live else "", _digest([str(vm.uuid) for vm in vms], wish.point_at),
    )  # fmt: skip


def of_end(about: Ticket) -> Preview:
    """Of the termination of what runs of a live or test ticket."""
    lines = Failover.objects.filter(ticket=about, state__in=TERMINABLE)
    keys = list(lines.order_by("pk").values_list("pk", flat=True))
    asked = Ticket(kind=Kind.TERMINATE, about=about, source=about.source, target=about.target, vm_count=len(keys))
    outages, live = open_outages(about), about.kind == Kind.LIVE
    warnings = []
    if live and about.source in outages:
        words = "The originals can't be started before it is over: neither they nor the failover VMs would run."
        warnings.append(Caution(f"{about.source} is still down", words))
    if live and lines.filter(fenced="pending").exists():
        warnings.append(Caution("Source not fenced.", f"{about.source} didn't answer when this failover started."))
    first = list(lines.select_related("vm").order_by("vm__name_key", "pk")[:3])
    cities = dict(Site.objects.filter(code__in=(about.source, about.target)).values_list("code", "city"))
    what = f"termination of {_count(len(keys))}"
    return Preview(
        what, facts(Seen(asked, first, outages, cities, lines)), warnings, about.source if live else "",
        _digest(map(str, keys), None),
    )  # fmt: skip


def _count(n: int) -> str:
    return "1 VM" if n == 1 else f"{n:,} VMs"


def _digest(keys: Iterable[str], at: datetime | None) -> str:
    return hashlib.sha256(" ".join([*sorted(keys), str(at or "")]).encode()).hexdigest()[:16]
