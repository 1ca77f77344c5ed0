"""The screens of security: FIM, Malware Protection and Patching. `failover/screens/security.py` has what differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from django.db.models import Case, Count, F, Value, When
from django.http import HttpResponse

from accounts.models import Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.lifecycle import Actor
from ampdr.views import page_or_part, unchanged
from failover.screens.markup import security_row
from failover.screens.query import Filters, listed, rows
from failover.screens.security import SECURITY, Part
from failover.views.lists import frame, lines, tile
from inventory.models import Role

LOOK_AGAIN = 300  # seconds after which an open page looks again although nothing was written: reports grow old


def period() -> str:
    """What a page of statuses sends as `at` when it asks whether it is the newest."""
    return str(int(clock.now().timestamp()) // LOOK_AGAIN)


def still_so(request: Visit) -> bool:
    """Whether an open page of statuses is the newest: nothing was written, and they were judged a moment ago."""
    return unchanged(request) and request.GET.get("at") in (None, period())


def screen(request: Visit, part: Part) -> HttpResponse:
    """Which servers report, and what they said last."""
    if still_so(request):
        return HttpResponse(status=204)
    actor, tells = request.actor, request.actor.can(Permission.READ_REPLICATION)
    filters = Filters.read(request.GET, {"status", "site", "q"} | ({"failover"} if tells else set()))
    page = rows(actor, part.permission, filters)
    found = tally(actor, part)
    context = frame(request, filters, page, SECURITY, at=period()) | {
        "part": part, "tells": tells, "lines": [security_row(line, part, tells) for line in lines(actor, page.rows)],
        "tiles": tiles(found, filters), "live": found["live"], "tickets": sorted(found["tickets"]),
        "sites": sorted(found["sites"]), "total": request.head.all_vms,
    }  # fmt: skip
    return page_or_part(request, "failover/security.html", "failover/parts/security.html", context)


def tally(actor: Actor, part: Part) -> dict[str, Any]:
    """What the page says of all its rows: one statement that judges each of the account's rows once.

    No kept counter could hold it: a status changes by the clock alone, when nothing is written.
    """
    ticket = Case(When(role=Role.LIVE, then=F("held_by")), default=Value(""))
    judged = listed(actor, part.permission, [part]).order_by().annotate(ticket=ticket)
    groups = list(judged.values_list(part.name, "role", "ticket", "site__code").annotate(n=Count("pk")))
    counted: Counter[str] = Counter()
    for status, role, *_, n in groups:
        counted.update({status: n, role: n})
    return {name: counted[name] for name in SECURITY} | {
        "live": counted[Role.LIVE], "tests": counted[Role.TEST],
        "tickets": {number for _, _, number, *_ in groups if number}, "sites": {site for *_, site, _ in groups},
    }  # fmt: skip


def tiles(found: dict[str, Any], filters: Filters) -> list[dict[str, Any]]:
    """They add up to the rows of the page, tests included."""
    bare, total, tests = replace(Filters(), size=filters.size), sum(found[name] for name in SECURITY), found["tests"]
    vms = f"{total - tests} VM{'' if total - tests == 1 else 's'} and {tests} test{'' if tests == 1 else 's'}"
    shown = [tile(vms if tests else "All VMs", total, bare.link(), not filters.status)]
    for name, state in SECURITY.items():
        shown.append(tile(state.word, found[name], bare.link(status=name), filters.status == name, state))
    return shown
