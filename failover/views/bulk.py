"""What is done with many rows of a list at once: with the ticked ones, or with all that its filters let through."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import NamedTuple

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.models import Permission
from accounts.views import Visit
from ampdr.errors import Absent, Invalid
from ampdr.lifecycle import Actor
from failover.actions import need_listing
from failover.screens.query import Filters, matching
from failover.views import vm
from inventory.actions import keep
from inventory.models import VM, Role

OFFERED = {"state", "only", "site", "q"}


class Purpose(NamedTuple):
    """What VMs are chosen for: the page that goes on with them, and who may."""

    page: str
    need: Callable[[Actor], None]


def need_write(actor: Actor) -> None:
    actor.need(Permission.WRITE_REPLICATION)


PURPOSES = {"order": Purpose("order-new", need_write), "failover": Purpose("failover-new", need_listing)}


def choose(request: Visit) -> HttpResponse:
    """Keeps the choice on the server, however large, and leads to the page that goes on with it."""
    if request.method != "POST":
        return vm.detail(request, "choose")  # a VM may bear this name: its page is looked at, never sent to
    actor = request.actor
    actor.need(Permission.READ_REPLICATION)
    name = next((name for name in PURPOSES if name in request.POST), "order")
    vms = all_that_match(request) if request.POST.get(name) == "all" else ticked(request)
    PURPOSES[name].need(actor)
    try:
        choice = keep(actor, vms)
    except Invalid as nothing:
        nothing.facts["href"] = reverse("vms", args=[actor.account_slug]) + Filters.read(request.POST, OFFERED).link()
        raise
    found = HttpResponseRedirect(f"{reverse(PURPOSES[name].page, args=[actor.account_slug])}?choice={choice.uuid}")
    found.status_code = 303
    return found


def ticked(request: Visit) -> QuerySet[VM]:
    """Raises Absent for what isn't an original of this account."""
    try:
        wanted = set(map(uuid.UUID, request.POST.getlist("vm")))
    except ValueError as error:
        raise Absent from error
    vms = VM.objects.visible_to(request.actor, Permission.READ_VMS).filter(role=Role.PRIMARY, uuid__among=wanted)
    if vms.count() != len(wanted):
        raise Absent
    return vms


def all_that_match(request: Visit) -> QuerySet[VM]:
    """The originals that the list shows under its filters, of whatever page."""
    filters = Filters.read(request.POST, OFFERED)
    return matching(request.actor, Permission.READ_VMS, filters).filter(role=Role.PRIMARY)
