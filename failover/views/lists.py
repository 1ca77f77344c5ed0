"""The lists of virtual machines: Virtual Machines and FIM. Their rows come from the one query of rule 11."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect

from accounts.actions import administrators
from accounts.models import Head, Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.lifecycle import Actor, State
from ampdr.views import page_or_part, unchanged
from failover.screens import row
from failover.screens.markup import Line, fim_row, vms_row
from failover.screens.query import SIZES, Filters, Page, listed, rows, sites
from failover.screens.security import SECURITY
from inventory.models import GROUPS, VM, Role

ORDERABLE = ("none", "stopped")
FIRST = (
    ("vms", Permission.READ_VMS), ("replication", Permission.READ_REPLICATION), ("fim", Permission.READ_FIM),
    ("tickets", Permission.READ_TICKETS), ("users", Permission.READ_IDENTITY), ("activity", Permission.VIEW_ACTIVITY),
)  # fmt: skip
LOOK_AGAIN = 300  # seconds after which a page of FIM looks again although nothing was written: reports grow old


def overview(request: Visit) -> HttpResponse:
    """Until Overview is built, an account begins with the first screen that this person may open."""
    first = next((screen for screen, permission in FIRST if request.actor.can(permission)), "notifications")
    return redirect(first, request.actor.account_slug)


def vms(request: Visit) -> HttpResponse:
    """Every server of the account and how well it is protected; of the latter nothing without Read."""
    if unchanged(request):
        return HttpResponse(status=204)
    actor, tells = request.actor, request.actor.can(Permission.READ_REPLICATION)
    filters = Filters.read(request.GET, {"site", "q"} | ({"state"} if tells else set()))
    page = rows(actor, Permission.READ_VMS, filters)
    picks = {"orders": actor.can(Permission.WRITE_REPLICATION), "requests": actor.listed} if tells else {}
    context = frame(request, filters, page, GROUPS) | {
        **picks, "tells": tells, "picks": any(picks.values()), "sites": list(sites(actor, Permission.READ_VMS)),
        "tiles": tiles(request.head, filters) if tells else (),
        "lines": [vms_row(line, any(picks.values()), tells) for line in lines(actor, page.rows)],
        "ask": administrators(request.head.account_id or 0) if tells and not picks["orders"] else (),
        "total": request.head.all_vms,
    }  # fmt: skip
    return page_or_part(request, "failover/vms.html", "failover/parts/vms.html", context)


def fim(request: Visit) -> HttpResponse:
    """Which servers report their files, and what changed. Reports grow old without a word, so time counts too."""
    now = str(int(clock.now().timestamp()) // LOOK_AGAIN)
    if unchanged(request) and request.GET.get("at", now) == now:
        return HttpResponse(status=204)
    actor = request.actor
    filters = Filters.read(request.GET, {"status", "site", "q"})
    page = rows(actor, Permission.READ_FIM, filters)
    found, tells = tally(actor), actor.can(Permission.READ_REPLICATION)
    context = frame(request, filters, page, SECURITY, at=now) | {
        "tells": tells, "lines": [fim_row(line, tells) for line in lines(actor, page.rows)],
        "tiles": status_tiles(found, filters), "live": found["live"], "tickets": sorted(found["tickets"]),
        "sites": sorted(found["sites"]), "total": request.head.all_vms,
    }  # fmt: skip
    return page_or_part(request, "failover/fim.html", "failover/parts/fim.html", context)


def frame(request: Visit, filters: Filters, page: Page, words: dict[str, State], **also: str) -> dict[str, Any]:
    """What both lists need around their rows: the way to other pages and filters, and the address that is polled."""
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
        failover=row.failover_page(actor, vm), status=SECURITY[vm.fim],  # type: ignore[attr-defined]
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


def tally(actor: Actor) -> dict[str, Any]:
    """What the page of FIM says of all its rows: one statement that reads each of the account's rows once.

    No kept counter could hold it: a status changes by the clock alone, when nothing is written.
    """
    found = listed(actor, Permission.READ_FIM).order_by()
    statuses = {name: Count("pk", filter=Q(fim=name)) for name in SECURITY}
    kinds = {"live": Count("pk", filter=Q(role=Role.LIVE)), "tests": Count("pk", filter=Q(role=Role.TEST))}
    tickets = ArrayAgg("held_by", filter=Q(role=Role.LIVE), distinct=True, default=[])
    return found.aggregate(
        **statuses, **kinds, tickets=tickets, sites=ArrayAgg("site__code", distinct=True, default=[])
    )  # fmt: skip


def status_tiles(found: dict[str, Any], filters: Filters) -> list[dict[str, Any]]:
    """They add up to the rows of the page, tests included."""
    bare, total, tests = replace(Filters(), size=filters.size), sum(found[name] for name in SECURITY), found["tests"]
    vms = f"{total - tests} VM{'' if total - tests == 1 else 's'} and {tests} test{'' if tests == 1 else 's'}"
    shown = [tile(vms if tests else "All VMs", total, bare.link(), not filters.status)]
    for name, state in SECURITY.items():
        shown.append(tile(state.word, found[name], bare.link(status=name), filters.status == name, state))
    return shown
