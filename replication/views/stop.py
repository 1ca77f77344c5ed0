"""Stopping replication: first what follows from it, then one button that says of how many VMs."""

from __future__ import annotations

import uuid
from datetime import UTC, date, timedelta

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render

from accounts.models import Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.errors import Conflict, Invalid
from inventory.models import VM
from replication.actions import choose, stop_replication
from replication.models import BEFORE_READY, Replication
from replication.views.answers import SeeOther, here, named_vms, need_read, order_of


def stop(request: Visit) -> HttpResponse:
    """`?vm=...` chooses VMs, `?order=RO-n` those of an order that are not ready yet."""
    need_read(request.actor)
    if request.method == "POST":
        return carry_out(request)
    number = request.GET.get("order", "")
    wanted = remaining(request, number) if number else named_vms(request.GET)
    vms = choose(request.actor, wanted, Permission.READ_REPLICATION)
    if not wanted:
        return SeeOther(here(request, "order", number) if number else here(request, "replication"))
    lines = Replication.objects.filter(vm__in=vms).exclude(state="stopped").select_related("vm")
    found = list(lines.order_by("vm__name_key", "pk"))
    free = [row for row in found if not row.held_by and (row.allows("stop") or row.allows("cancel"))]
    context = {
        "number": number, "chosen": len(set(wanted)), "found": found, "free": free, "key": uuid.uuid4().hex,
        "held": [row for row in found if row.held_by], "cycle_ends": end_of_cycle(), "back": request.GET.get("order"),
        "ending": [row for row in found if not row.held_by and row not in free], "listed": free[:50],
        "vm": ",".join(str(row.vm.uuid) for row in free), "bare": len(set(wanted)) - len(found),
        "covered": sum(was_protected(row) for row in free),
    }  # fmt: skip
    return render(request, "replication/stop.html", context)


def was_protected(row: Replication) -> bool:
    """What never was has no points and costs nothing; what came with the service was, though nobody wrote down when."""
    return bool(row.protected_at or row.newest_point_at)


def remaining(request: Visit, number: str) -> list[str]:
    """The VMs of an order that can still be taken out of it before they are ready."""
    lines = Replication.objects.filter(order=order_of(request, number), state__in=BEFORE_READY)
    return [str(vm) for vm in lines.values_list("vm__uuid", flat=True)]


def carry_out(request: Visit) -> HttpResponse:
    number = request.POST.get("order", "")
    back = here(request, "order", order_of(request, number).number) if number else here(request, "replication")
    named = named_vms(request.POST)
    try:
        only = BEFORE_READY if number else ()
        n = stop_replication(request.actor, named, request.POST.get("key", ""), only)
    except Conflict as meanwhile:
        meanwhile.facts |= {"href": back, "subject": number or "Replication"}
        raise
    except Invalid as wrong:
        messages.error(request, wrong.message)
        return SeeOther(back)
    return stopped(request, named, n, back)


def stopped(request: Visit, named: list[str], n: int, back: str) -> HttpResponse:
    """One VM leads to its own page, for whoever may see it, unless an order led here."""
    lines = Replication.objects.filter(vm__uuid__in=named)
    vms = list(VM.objects.filter(uuid__in=named)[:2])
    what = vms[0].name if n == 1 else f"{n} VMs"
    word = "being stopped" if lines.filter(state="stopping").exists() else "stopped"
    messages.success(request, f"Replication of {what} is {word}.")
    own = n == 1 and not request.POST.get("order") and request.actor.can(Permission.READ_VMS)
    return SeeOther(here(request, "vm", vms[0].slug) if own else back)


def end_of_cycle() -> date:
    """The billing cycle is the calendar month, UTC: its last day."""
    today = clock.now().astimezone(UTC).date()
    return (today.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
