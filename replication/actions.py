"""What people may do with replication: order it, stop it, and, as Support, retry what failed."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from django.contrib.postgres.functions import RandomUUID
from django.db import IntegrityError
from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Value
from django.utils.text import get_text_list

from accounts.actions import receive
from accounts.models import Permission, forbid_customer
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes, insert_select
from ampdr.numbers import next_number
from ampdr.work import NOTHING_TO_DO, WaitingOn, fresh
from inventory.actions import relist
from inventory.models import VM
from replication.lifecycle import REPLICATION
from replication.models import RETENTION_HOURS, RPO_TARGET, Order, Replication
from replication.providers.base import Kind
from replication.tasks import UNPROTECTED, list_as

FAILOVER_SITE = VM.objects.filter(pk=OuterRef("pk")).values("site__failover_site__code")[:1]


def place_order(actor: Actor, vm_uuids: Sequence[uuid.UUID | str], key: str) -> Order:
    """One order for these VMs, all or none. The same key gets the same order.

    Raises Absent (an unknown VM), Forbidden, Invalid, and Conflict (`cannot_replicate`, naming each VM and why).
    """
    actor.need(Permission.READ_REPLICATION)
    wanted = {str(vm) for vm in vm_uuids}
    vms = VM.objects.visible_to(actor, Permission.READ_VMS).filter(uuid__in=wanted)
    if vms.count() != len(wanted):
        raise Absent
    actor.need(Permission.WRITE_REPLICATION)
    if not wanted:
        raise Invalid("Choose at least one VM.", fields={"vms": ["Choose at least one VM."]})
    try:
        with changes(actor) as change:
            return _order_once(change, actor, vms, key)
    except IntegrityError as race:
        refuse_unorderable(vms)
        raise Conflict("Someone ordered at the same moment. Look again.") from race


def _order_once(change: Change, actor: Actor, vms: QuerySet[VM], key: str) -> Order:
    receipt = receive(actor, key, ["order", sorted(str(vm) for vm in vms.values_list("uuid", flat=True))])
    if receipt.made:
        return Order.objects.get(number=receipt.made)
    refuse_unorderable(vms)
    order = Order.objects.create(
        number=next_number("RO"), account_id=actor.account_id, ordered_by_id=actor.person_id, vm_count=vms.count(),
        rpo_target=RPO_TARGET, retention_hours=RETENTION_HOURS, ordered_at=change.at,
    )  # fmt: skip
    _add_lines(order, vms)
    change.begin(Replication.objects.filter(order=order), "order")
    relist(
        change, vms, protection="ordered", order_number=order.number, rpo_target=order.rpo_target,
        protected_to=Subquery(FAILOVER_SITE),
    )  # fmt: skip
    receipt.made = order.number
    receipt.save(update_fields=["made"])
    work.ring()
    return order


def _add_lines(order: Order, vms: QuerySet[VM]) -> None:
    """One replication per VM, due at once."""
    columns = {
        "uuid": RandomUUID(), "vm": F("pk"), "order": Value(order.pk), "state": Value(REPLICATION.initial),
        "state_since": Value(order.ordered_at), "ordered_at": Value(order.ordered_at), "source": F("site__code"),
        "target": F("site__failover_site__code"), "step_site": F("site__code"), "next_step_at": clock.db_now(),
        "rpo_target": Value(order.rpo_target), "retention_hours": Value(order.retention_hours),
    }  # fmt: skip
    insert_select(Replication, list(columns), vms.order_by("pk").values_list(*columns.values()))


def refuse_unorderable(vms: QuerySet[VM]) -> None:
    """Conflict, naming every VM of the choice that can't be ordered, and why."""
    reasons = {vm.display_name: why for vm in vms.select_related("site") if (why := vm.why_not_orderable)}
    if reasons:
        first = ". ".join(f"{name}: {why.rstrip('.')}" for name, why in list(reasons.items())[:5])
        more = f", and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        raise Conflict(
            f"Nothing was ordered. {first}{more}. Leave {'it' if len(reasons) == 1 else 'them'} out and order again.",
            code="cannot_replicate", title="Some VMs can't be ordered", reasons=reasons,
        )  # fmt: skip


def stop_replication(actor: Actor, vm_uuids: Sequence[uuid.UUID | str]) -> int:
    """Ends the service on these VMs at once; the provider's clean-up follows. Returns how many were stopped.

    A VM in an open failover can't be stopped: Conflict (`held_by_failover`) names the ticket.
    """
    mine = Replication.objects.visible_to(actor, Permission.READ_REPLICATION).exclude(state="stopped")
    chosen = mine.filter(vm__uuid__in=vm_uuids)
    if chosen.count() != len({str(vm) for vm in vm_uuids}):
        raise Absent
    actor.need(Permission.WRITE_REPLICATION)
    with changes(actor) as change:
        keys = [pk for pk, _ in _unheld(chosen)]
        not_begun = change.fire(Replication.objects.filter(pk__in=keys, state="ordered"), "cancel", **NOTHING_TO_DO)
        under_way = Replication.objects.filter(pk__in=keys).exclude(state="stopped")
        stopping = change.fire(under_way, "stop", **fresh(Kind.UNPROTECT, F("source")), flag="")
        list_as(change, [row.vm_id for row in not_begun], "none", **UNPROTECTED)
        list_as(change, [row.vm_id for row in stopping], "stopping")
        work.ring()
    return len(keys)


def _unheld(chosen: QuerySet[Replication]) -> list[tuple[int, str]]:
    held = list(chosen.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", "held_by"))
    if tickets := sorted({number for _, number in held if number}):
        raise Conflict(
            f"Nothing was stopped: {get_text_list(tickets, 'and')} holds it. End the failover first, or withdraw it.",
            code="held_by_failover", title="A failover is open", tickets=tickets,
        )  # fmt: skip
    return held


def retry_replication(actor: Actor, replication: Replication) -> None:
    """Support tries a failed step again, with a new key."""
    forbid_customer(actor)
    verb, move = (Kind.UNPROTECT, "retry_stopping") if replication.failed_in == "stopping" else (
        Kind.PROTECT, "retry_provisioning",
    )  # fmt: skip
    with changes(actor) as change:
        one = Replication.objects.filter(pk=replication.pk)
        facts = fresh(verb, F("source"), generation=F("generation") + 1, failed_in="")
        rows = change.fire(one, move, **facts)
        list_as(change, [row.vm_id for row in rows], "stopping" if move == "retry_stopping" else "provisioning")
        work.ring()


class Progress(NamedTuple):
    """How an order stands, read from its lines: first match wins (product.md, States)."""

    word: str
    tone: str
    icon: str
    ready: int
    counts: dict[str, int]


def progress(lines: QuerySet[Replication]) -> Progress:
    """How these lines of an order stand, in two statements whatever their number."""
    counts = Counter(dict(lines.order_by().values_list("state").annotate(n=Count("pk"))))
    waiting = lines.filter(waiting_on=WaitingOn.CUSTOMER).count()
    ready = counts["protected"] + counts["paused"]
    return Progress(*_order_word(counts, waiting, ready), ready, dict(counts))


def _order_word(counts: Counter[str], waiting: int, ready: int) -> tuple[str, str, str]:
    if waiting:
        return "Needs you", "warn", "triangle-alert"
    if counts["failed"]:
        return f"{counts['failed']} failed", "bad", "octagon-alert"
    if counts["ordered"] + counts["provisioning"] + counts["stopping"]:
        return f"{ready} of {counts.total()} ready", "info", "loader-circle"
    return ("Ready", "ok", "circle-check") if ready else ("Stopped", "off", "circle-x")
