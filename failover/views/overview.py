"""Overview: in five seconds, is everything safe, what runs, what needs the reader. Calm, and in an outage.

Every member may open it. What it tells of replication is for who may read of that, what it tells of VMs for who may see
them (rule 4); each number is a kept counter or a sum of one grouped statement, whatever the size of the account.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.urls import reverse

from accounts.actions import administrators
from accounts.models import Head, Permission
from accounts.views import Visit
from ampdr.lifecycle import Actor
from ampdr.views import page_or_part
from failover.screens.census import Census, Down, census, down, pairs, readable_as, told_by_replication
from failover.screens.events import last_events
from failover.screens.examples import examples
from failover.screens.needs import AT_MOST, needs, tests_due, ways
from failover.screens.outages import Shown, shown
from failover.screens.protection import SPANS, protection_chart, span_of
from failover.screens.running import running
from failover.screens.security import SECURITY, readable
from failover.screens.sentence import calm, outage, split, without_read
from failover.views.security import period, still_so, tally
from inventory.models import Outage

SHOWN = 6  # running and waiting tickets


def overview(request: Visit) -> HttpResponse:
    if still_so(request):
        return HttpResponse(status=204)
    actor, span = request.actor, span_of(request.GET.get("span", ""))
    query = {"version": str(request.head.version), "at": period(), "span": span}
    permission = readable_as(actor)
    counted = census(actor, permission, request.head) if permission else Census([], tells=False)
    strips = shown(request, counted.numbers)
    downs = [down(outage, counted) for outage in open_outages(request, strips)]
    context: dict[str, Any] = {
        "poll": f"{request.path}?{urlencode(query)}", "tells": counted.tells, "downs": downs,
        "strips": strips, "sites": pairs(counted, downs), "events": last_events(actor), "links": ways(actor),
    }  # fmt: skip
    told = _of_replication(actor, request.head, counted, downs, span) if counted.tells else _locked(request, downs)
    return page_or_part(request, "failover/overview.html", "failover/parts/overview.html", context | told)


def open_outages(request: Visit, strips: Shown) -> list[Outage]:
    """Those that the strips of this page tell of, so that the two never part."""
    if request.actor.can(Permission.READ_VMS) or not request.head.outages:
        return [one.outage for one in strips.strips if one.open]
    return told_by_replication(request.actor) if request.actor.can(Permission.READ_REPLICATION) else []


def _of_replication(actor: Actor, head: Head, counted: Census, downs: list[Down], span: str) -> dict[str, Any]:
    """For who may read of it: everything that the page is for."""
    told, tickets = examples(actor, counted), running(actor, counted)
    cities = {place.code: place.city for pair in pairs(counted, downs) for place in pair.places}
    listed, wanted = told.get("listed", ()), needs(actor, head, counted, told, tickets)
    return {
        "sentence": outage(actor, downs, listed) if downs else calm(actor, head, counted, told, tickets),
        "split": [split(down, cities, tickets) for down in downs if _concerns(down)],
        "tiles": tiles(actor, head, counted) if head.all_vms else (),
        "needs": wanted[:AT_MOST], "wanted": len(wanted),
        "running": [one for one in tickets if one.open][:SHOWN], "due": tests_due(actor, told),
        "chart": protection_chart(actor, span, counted.lasting, counted.originals) if head.all_vms else None,
        "span": span, "spans": [(key, one.word) for key, one in SPANS.items()],
    }  # fmt: skip


def _concerns(down: Down) -> bool:
    return bool(down.counts.protected or down.counts.elsewhere)


def tiles(actor: Actor, head: Head, counted: Census) -> list[dict[str, Any]]:
    """Four numbers; each leads to the list that shows as many."""
    there = ways(actor)
    tickets = reverse("failovers", args=[actor.account_slug])

    def tile(count: object, label: str, query: str, tone: str, icon: str, other: str) -> dict[str, Any]:
        return {
            "count": count, "label": label, "tone": tone, "icon": icon,
            "href": f"{there.vms}{query}" if there.vms else other,
        }  # fmt: skip

    protected = f"{head.protected:,} of {head.all_vms:,}"
    behind, overdue = counted.behind, counted.overdue
    is_behind = "behind its RPO target" if behind == 1 else "behind their RPO target"
    is_overdue = "test overdue" if overdue == 1 else "tests overdue"
    live = "live failover" if head.live == 1 else "live failovers"
    return [
        tile(protected, "VMs protected", "?state=protected", "ok", "circle-check", there.replication),
        tile(behind, is_behind, "?only=behind", "warn" if behind else "", "triangle-alert", there.replication),
        tile(overdue, is_overdue, "?only=overdue", "warn" if overdue else "", "calendar-clock", there.replication),
        tile(head.live, live, "?state=live", "", "arrow-right-left", tickets),
    ]  # fmt: skip


def _locked(request: Visit, downs: list[Down]) -> dict[str, Any]:
    """For who may not: the VMs, their sites and their security as far as he may know them, and whom to ask."""
    actor, head = request.actor, request.head
    return {
        "sentence": without_read(head, downs, actor.can(Permission.READ_VMS)),
        "security": [(part, _statuses(actor, part)) for part in readable(actor)],
        "ask": administrators(head.account_id or 0), "sees": actor.can(Permission.READ_VMS),
        "reads": (Permission.READ_REPLICATION.label, Permission.READ_VMS.label),
    }  # fmt: skip


def _statuses(actor: Actor, part: Any) -> list[tuple[Any, int]]:
    found = tally(actor, part)
    return [(state, found[name]) for name, state in SECURITY.items() if found[name]]
