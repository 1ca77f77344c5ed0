"""What a choice of VMs comes to before anything is ordered: sorted by what can be done with each, in three statements
whatever their number."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Sum, Value, When, Window
from django.db.models.functions import RowNumber

from inventory.models import VM, Role, why_not_orderable

LISTED = 50  # VMs of one group that are printed by name
PROTECTED = (
    "protected", "rpo_behind", "source_unreachable", "resynchronising", "outcome_unknown", "paused",
)  # fmt: skip
IN_ORDER = ("ordered", "provisioning", "needs_input", "late", "failed")
KINDS = ("good", "protected", "order", "unfit")


@dataclass
class Group:
    """VMs of one answer. `detail`: the order's number, or why they can't be ordered. `routes`: code and city, twice."""

    kind: str
    detail: str
    n: int = 0
    disk_gb: int = 0
    vms: list[VM] = field(default_factory=list)
    routes: list[tuple[str, str, str, str]] = field(default_factory=list)

    @property
    def more(self) -> int:
        return self.n - len(self.vms)


def groups_of(vms: QuerySet[VM]) -> list[Group]:
    """What can be ordered first; each with its number, its first VMs by name, and where they go."""
    found: dict[tuple[str, str], Group] = {}
    for kind, detail, *route, n, disk_gb in _counted(vms):
        group = found.setdefault((kind, detail), Group(kind, detail))
        group.n, group.disk_gb = group.n + n, group.disk_gb + disk_gb
        group.routes.append((route[0], route[1], route[2] or "", route[3] or ""))
    for vm in _first(vms):
        found[vm.kind, vm.detail].vms.append(vm)  # type: ignore[attr-defined]
    return sorted(found.values(), key=lambda one: (KINDS.index(one.kind), one.detail))


def orderable(vms: QuerySet[VM]) -> dict[int, uuid.UUID]:
    """Those that can be ordered now: primary key -> uuid."""
    return dict(vms.annotate(why=why_not_orderable()).filter(why="").order_by().values_list("pk", "uuid"))


def seen(vms: Iterable[uuid.UUID]) -> str:
    """What a page showed can be ordered, for its form to say again: how many, and which."""
    named = sorted(map(str, vms))
    return f"{len(named)}-{hashlib.sha256(','.join(named).encode()).hexdigest()[:16]}"


def _sorted(vms: QuerySet[VM]) -> QuerySet[VM]:
    """With why each can't be ordered, and the group that it belongs to."""
    original, number = Q(role=Role.PRIMARY), ~Q(order_number="")
    kind = Case(
        When(why="", then=Value("good")),
        When(original & Q(protection__in=PROTECTED), then=Value("protected")),
        When(original & Q(protection__in=IN_ORDER) & number, then=Value("order")),
        default=Value("unfit"), output_field=CharField(),
    )  # fmt: skip
    detail = Case(
        When(kind="order", then=F("order_number")), When(kind="unfit", then=F("why")), default=Value(""),
        output_field=CharField(),
    )  # fmt: skip
    return vms.order_by().annotate(why=why_not_orderable()).annotate(kind=kind).annotate(detail=detail)


def _counted(vms: QuerySet[VM]) -> QuerySet[Any, Any]:
    route = ("site__code", "site__city", "site__failover_site__code", "site__failover_site__city")
    grouped = _sorted(vms).values("kind", "detail", *route).annotate(n=Count("pk"), disk=Sum("disk_gb"))
    found: QuerySet[Any, Any] = grouped.order_by("site__code").values_list("kind", "detail", *route, "n", "disk")
    return found


def _first(vms: QuerySet[VM]) -> QuerySet[VM]:
    place = Window(RowNumber(), partition_by=[F("kind"), F("detail")], order_by=["name_key", "pk"])
    first = _sorted(vms).annotate(place=place).filter(place__lte=LISTED)
    return first.select_related("site__failover_site").order_by("name_key", "pk")
