"""Ordering replication: for one VM or ten thousand, all or none."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.db import IntegrityError
from django.db.models import F, OuterRef, QuerySet, Subquery, Value

from accounts.actions import receive
from accounts.models import Permission
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes
from ampdr.numbers import next_number
from ampdr.sets import insert_select
from inventory.actions import relist
from inventory.models import VM
from replication.lifecycle import REPLICATION
from replication.models import RETENTION_HOURS, RPO_TARGET, Order, Replication

FAILOVER_SITE = VM.objects.filter(pk=OuterRef("pk")).values("site__failover_site__code")[:1]


def choose(actor: Actor, vm_uuids: Iterable[uuid.UUID | str], permission: str = Permission.READ_VMS) -> QuerySet[VM]:
    """The VMs of an order (or, by another permission, of a cancellation), each once: for the preview and for the verb.

    What is no uuid names nothing, like a uuid that nobody has. Raises Forbidden, and Absent if one of them isn't
    there for this actor. An empty choice is the caller's to judge.
    """
    actor.need(Permission.READ_REPLICATION)
    vms = VM.objects.visible_to(actor, permission)
    try:
        wanted = {uuid.UUID(str(vm)) for vm in vm_uuids}
    except ValueError:
        raise Absent from None
    found = vms.filter(uuid__in=wanted) if wanted else vms.none()
    if found.count() != len(wanted):
        raise Absent
    actor.need(Permission.WRITE_REPLICATION)
    return found


def refuse_nothing(vms: QuerySet[VM]) -> None:
    if not vms.exists():
        raise Invalid("Choose at least one VM.", fields={"vms": ["Choose at least one VM."]})


def place_order(actor: Actor, vm_uuids: Sequence[uuid.UUID | str], key: str) -> Order:
    """One order for these VMs, all or none. The same key gets the same order.

    Nothing is locked while the choice is checked: of two who order one VM at one moment, the unique constraint on open
    replications lets one through, and the other learns here who was first.
    Raises Forbidden, Absent (an unknown VM), Invalid, and Conflict (`cannot_replicate`, naming each VM and why).
    """
    vms = choose(actor, vm_uuids)
    refuse_nothing(vms)
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
    columns: dict[str, Any] = {
        "uuid": RandomUUID(), "vm": F("pk"), "order": Value(order.pk), "state": Value(REPLICATION.initial),
        "state_since": Value(order.ordered_at), "ordered_at": Value(order.ordered_at), "source": F("site__code"),
        "target": F("site__failover_site__code"), "step_site": F("site__code"), "next_step_at": clock.db_now(),
        "rpo_target": Value(order.rpo_target), "retention_hours": Value(order.retention_hours),
    }  # fmt: skip
    insert_select(Replication, list(columns), vms.order_by("pk").values_list(*columns.values()))


def refuse_unorderable(vms: QuerySet[VM]) -> None:
    """Conflict, naming the VMs of the choice that can't be ordered, and why. Names may be equal, so VMs are counted."""
    found = vms.select_related("site").order_by("name_key", "pk")
    refused = [(vm, why) for vm in found if (why := vm.why_not_orderable)]
    if refused:
        first = ". ".join(f"{vm.display_name}: {why.rstrip('.')}" for vm, why in refused[:5])
        more = f", and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise Conflict(
            f"Nothing was ordered. {first}{more}. Leave {'it' if len(refused) == 1 else 'them'} out and order again.",
            code="cannot_replicate", title="Some VMs can't be ordered",
            reasons=[{"vm": str(vm.uuid), "name": vm.display_name, "reason": why} for vm, why in refused],
        )  # fmt: skip
