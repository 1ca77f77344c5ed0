"""All recovery points of one VM."""

from __future__ import annotations

from django.http import HttpResponse

from accounts.models import Permission
from accounts.views import Visit
from ampdr.errors import Absent
from ampdr.pages import cut
from ampdr.views import page_or_part, unchanged
from inventory.models import VM, Role
from replication.models import RecoveryPoint, Replication


def points(request: Visit, slug: str) -> HttpResponse:
    """Newest first. Those of the original: what stands in for it has none of its own."""
    actor = request.actor
    actor.need(Permission.READ_REPLICATION)
    if unchanged(request):
        return HttpResponse(status=204)
    vm = VM.objects.visible_to(actor, Permission.READ_VMS).filter(slug=slug, role=Role.PRIMARY).first()
    if vm is None:
        raise Absent
    open_ones = Replication.objects.filter(vm=vm).exclude(state="stopped")
    found = cut(RecoveryPoint.objects.filter(replication__in=open_ones), ("at",), request.GET, down=True)
    query = request.GET.copy()
    query["version"] = str(request.head.version)
    context = {
        "vm": vm, "points": found.rows, "poll": f"{request.path}?{query.urlencode()}",
        "previous": f"?before={found.previous}" if found.previous else "",
        "next": f"?after={found.next}" if found.next else "",
    }  # fmt: skip
    return page_or_part(request, "failover/points.html", "failover/parts/points.html", context)
