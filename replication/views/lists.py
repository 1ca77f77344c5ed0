"""The three lists of Replication: what is protected, what is ordered, what could be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.utils.safestring import SafeString

from accounts.actions import administrators
from accounts.models import Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.lifecycle import State
from ampdr.views import page_or_part, unchanged
from inventory.models import PROTECTIONS, VM, Role
from replication.actions import Progress, kept_hours, progress_of_orders
from replication.models import Order, Replication
from replication.views.answers import Reason, need_read, why_nothing
from replication.views.chart import rpo_line
from replication.views.paging import Page, page_of, without

LIST = ("rank", "name_key", "family", "role")
# The service appears when provisioning is complete; what is ordered, being set up or failed is on its order.
SERVICE = ("protected", "rpo_behind", "source_unreachable", "resynchronising", "outcome_unknown", "paused")


def protected(request: Visit) -> HttpResponse:
    need_read(request.actor)
    if unchanged(request):
        return HttpResponse(status=204)
    q, state = asked(request)
    found: QuerySet[VM] = VM.objects.visible_to(request.actor, Permission.READ_REPLICATION).filter(shown=True)
    found = having(found, state).select_related("site", "original__site").annotate(**kept_hours())
    page = page_of(named(found, q), LIST, request.GET)
    nothing = not (page.rows or q or state or "after" in request.GET or "before" in request.GET)
    context = frame(request, "protected", page) | {
        "rows": [protected_row(vm) for vm in page.rows], "q": q, "state": state, "nothing": nothing,
        "states": [PROTECTIONS[name] for name in SERVICE],
        "reasons": three_reasons(request) if nothing else (),
    }  # fmt: skip
    return page_or_part(request, "replication/protected.html", "replication/parts/protected.html", context)


def three_reasons(request: Visit) -> list[Reason]:
    return why_nothing(request.actor, request.head, administrators(request.head.account_id or 0))


def having(found: QuerySet[VM], state: str) -> QuerySet[VM]:
    """A running live failover stands for its original, whose replication is paused meanwhile."""
    live = Q(role=Role.LIVE)
    if not state:
        return found.filter(live | Q(role=Role.PRIMARY, protection__in=SERVICE))
    if state == "paused":
        return found.filter(live | Q(role=Role.PRIMARY, protection=state))
    return found.filter(role=Role.PRIMARY, protection=state)


@dataclass(frozen=True)
class Row:
    vm: VM
    state: State
    route: tuple[str, str]
    live: bool
    line: SafeString


def protected_row(vm: VM) -> Row:
    original = vm.original if vm.role == Role.LIVE and vm.original else vm
    state = PROTECTIONS["paused" if vm.role == Role.LIVE else vm.protection]
    return Row(vm, state, (original.site.code, original.protected_to), vm.role == Role.LIVE, rpo_line(vm))


def asked(request: Visit) -> tuple[str, str]:
    """The filters in force. What means nothing is as if not sent."""
    state = request.GET.get("state", "")
    return request.GET.get("q", "").replace("\0", "").strip()[:120], state if state in SERVICE else ""


def named(found: QuerySet[VM], q: str) -> QuerySet[VM]:
    return found.filter(name_key__startswith=Lower(Value(q))) if q else found


def frame(request: Visit, tab: str, page: Page[Any]) -> dict[str, Any]:
    """What the three lists need around their rows."""
    version = without(request.GET, "version")
    version["version"] = str(request.head.version)
    return {
        "tab": tab, "page": page, "unprotected": request.head.unprotected,
        "poll": f"{request.path}?{version.urlencode()}",
        "may_order": request.actor.can(Permission.WRITE_REPLICATION),
        "may_pick": request.actor.can(Permission.WRITE_REPLICATION) and request.actor.can(Permission.READ_VMS),
    }  # fmt: skip


# ---- Orders ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderRow:
    order: Order
    progress: Progress
    routes: list[tuple[str, str]]
    bar: str
    waiting: str
    late: bool


def orders(request: Visit) -> HttpResponse:
    """Newest first. What their lines say of all orders of the page is two statements, whatever their number."""
    need_read(request.actor)
    if unchanged(request):
        return HttpResponse(status=204)
    found = Order.objects.visible_to(request.actor, Permission.READ_REPLICATION).select_related("ordered_by")
    page = page_of(found, ("pk",), request.GET, newest_first=True)
    keys = [order.pk for order in page.rows]
    stand, routes = progress_of_orders(keys), routes_of(keys)
    rows = [order_row(order, stand[order.pk], routes[order.pk]) for order in page.rows]
    context = frame(request, "orders", page) | {"rows": rows}
    return page_or_part(request, "replication/orders.html", "replication/parts/orders.html", context)


def routes_of(orders: list[int]) -> dict[int, list[tuple[str, str]]]:
    lines = Replication.objects.filter(order__in=orders).order_by().values_list("order", "source", "target").distinct()
    found: dict[int, list[tuple[str, str]]] = {order: [] for order in orders}
    for order, source, target in lines:
        found[order or 0].append((source, target))
    return {order: sorted(routes) for order, routes in found.items()}


def order_row(order: Order, progress: Progress, routes: list[tuple[str, str]]) -> OrderRow:
    waiting = "You" if progress.waiting else "Support" if progress.counts.get("failed") else "Automatic"
    return OrderRow(
        order=order, progress=progress, routes=routes, waiting=waiting if progress.open else "",
        bar="stall" if progress.waiting or progress.counts.get("failed") else "" if progress.open else "done",
        late=progress.late(order, clock.now()),
    )  # fmt: skip


# ---- Not protected ---------------------------------------------------------------------------------------------------


def not_protected(request: Visit) -> HttpResponse:
    """Every VM of the group "Not protected", and whether it can be ordered or why not, in the order's own words."""
    need_read(request.actor)
    if unchanged(request):
        return HttpResponse(status=204)
    q, _ = asked(request)
    found = VM.objects.visible_to(request.actor, Permission.READ_REPLICATION).filter(shown=True, group="unprotected")
    page = page_of(named(found.select_related("site__failover_site"), q), LIST, request.GET)
    rows = [(vm, vm.why_not_orderable) for vm in page.rows]
    one_page, all_of_them = not (page.previous or page.next), None if q else request.head.unprotected
    may_order = request.actor.can(Permission.WRITE_REPLICATION)
    context = frame(request, "none", page) | {
        "rows": rows, "q": q, "hidden": [("state", "unprotected"), ("q", q)],
        "matching": len(rows) if one_page else all_of_them,
        "ask": () if may_order else administrators(request.head.account_id or 0),
    }  # fmt: skip
    return page_or_part(request, "replication/none.html", "replication/parts/none.html", context)
