"""The list of virtual machines, and what the screens of security share with it: rows from the one query of rule 11."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.http import HttpResponse

from accounts.actions import administrators
from accounts.models import Head, Permission
from accounts.views import Visit
from ampdr.lifecycle import Actor, State
from ampdr.views import page_or_part, unchanged
from failover.screens import row
from failover.screens.markup import Line, vms_row
from failover.screens.query import ONLY, SIZES, Filters, Page, rows, sites
from inventory.models import GROUPS, VM, Role

ORDERABLE = ("none", "stopped")
WITHOUT_ORIGINALS = ("live", "tests")  # groups of stand-ins alone


def vms(request: Visit) -> HttpResponse:
    """Every server of the account and how well it is protected; of the latter nothing without Read."""
    if unchanged(request):
        return HttpResponse(status=204)
    actor, tells = request.actor, request.actor.can(Permission.READ_REPLICATION)
    filters = Filters.read(request.GET, {"site", "q"} | ({"state", "only"} if tells else set()))
    page = rows(actor, Permission.READ_VMS, filters, rpo=tells)
    picks = {"orders": actor.can(Permission.WRITE_REPLICATION), "requests": actor.listed} if tells else {}
    context = frame(request, filters, page, GROUPS) | {
        **picks, "tells": tells, "picks": any(picks.values()), "sites": list(sites(actor, Permission.READ_VMS)),
        "tiles": tiles(request.head, filters) if tells else (),
        "lines": [vms_row(line, any(picks.values()), tells) for line in lines(actor, page.rows)],
        "ask": administrators(request.head.account_id or 0) if tells and not picks["orders"] else (),
        "total": request.head.all_vms, "matching": how_many(request.head, filters, page),
        "hidden": [(name, getattr(filters, name)) for name in ("state", "only", "site", "q")],
    }  # fmt: skip
    return page_or_part(request, "failover/vms.html", "failover/parts/vms.html", context)


def how_many(head: Head, filters: Filters, page: Page) -> int | None:
    """How many VMs "all that match" are, where a kept counter or the page itself knows it; None where nobody does."""
    if not (page.previous or page.next):
        return sum(vm.role == Role.PRIMARY for vm in page.rows)
    if filters.state in WITHOUT_ORIGINALS:
        return 0
    if filters.site or filters.q or filters.only:
        return None
    counted: int = getattr(head, filters.state) if filters.state else head.all_vms - head.live
    return counted


def frame(request: Visit, filters: Filters, page: Page, words: dict[str, State], **also: str) -> dict[str, Any]:
    """What all lists need around their rows: the way to other pages and filters, and the address that is polled."""
    same = filters.link(after=filters.after, before=filters.before, version=str(request.head.version), **also)
    chosen = words.get(filters.state or filters.status)
    return {
        "filters": filters, "chips": chips(filters, chosen), "chosen": chosen, "sizes": SIZES,
        "on_page": f"{len(page.rows)} row{'' if len(page.rows) == 1 else 's'} on this page",
        "previous": filters.link(before=page.previous) if page.previous else "",
        "next": filters.link(after=page.next) if page.next else "",
        "poll": request.path + same,
    }  # fmt: skip


def chips(filters: Filters, chosen: State | None) -> list[dict[str, str]]:
    """The filters in force, each with the address of the list without it."""
    found = []
    if chosen:
        found.append({"label": chosen.word, "href": filters.link(state="", status="")})
    if filters.failover:
        found.append({"label": "In failover", "href": filters.link(failover="")})
    if filters.only:
        found.append({"label": ONLY[filters.only].label, "href": filters.link(only="")})
    if filters.site:
        found.append({"label": filters.site, "href": filters.link(site="")})
    if filters.q:
        found.append({"label": f"“{filters.q}”", "href": filters.link(q="")})
    return found


def lines(actor: Actor, found: Sequence[VM]) -> list[Line]:
    above = [0, *(vm.family for vm in found)]
    return [line(actor, vm, beneath=vm.role == Role.TEST and above[at] == vm.family) for at, vm in enumerate(found)]


def line(actor: Actor, vm: VM, beneath: bool) -> Line:
    return Line(
        vm=vm, href=row.address(actor, vm), location=row.location(vm), course=row.course(vm), pills=row.pills(vm),
        way=row.way(actor, vm), beneath=beneath,
        why_not=vm.why_not_orderable if vm.protection in ORDERABLE and vm.role == Role.PRIMARY else "",
        failover=row.failover_page(actor, vm),
    )  # fmt: skip


def tiles(head: Head, filters: Filters) -> list[dict[str, Any]]:
    """The states that add up to all VMs, tests beside them, from the kept counters. A tile leads to as many rows."""
    bare = replace(Filters(), size=filters.size)
    found = [tile("All VMs", head.all_vms, bare.link(), not filters.state)]
    for name, state in GROUPS.items():
        found.append(tile(state.word, getattr(head, name), bare.link(state=name), filters.state == name, state))
    return found


def tile(label: str, count: int, href: str, current: bool, state: State | None = None) -> dict[str, Any]:
    """Yellow means a live failover VM and nothing else: its tile stays uncoloured."""
    tone = state.tone if state and state.tone != "live" else ""
    icon = state.icon if state else ""
    return {"label": label, "count": count, "href": href, "current": current, "tone": tone, "icon": icon}
