"""Ordering replication: for one VM or ten thousand, all or none."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.db import IntegrityError
from django.db.models import F, OuterRef, QuerySet, Subquery, Value

from accounts.actions import receive
from accounts.models import Permission, Receipt
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes
from ampdr.numbers import next_number
from ampdr.sets import insert_select
from inventory.actions import relist
from inventory.models import VM, Site, display_name, why_not_orderable
from replication.actions.levels import Terms, agree
from replication.lifecycle import REPLICATION
from replication.models import PROMISE, Order, Replication

FAILOVER_SITE = Site.objects.filter(pk=OuterRef("site")).values("failover_site__code")[:1]
Named = QuerySet[VM] | Iterable[uuid.UUID | str]
ANY = Terms()
REFUSED = ("uuid", "name", "role", "why")


def choose(actor: Actor, named: Named, permission: str = Permission.READ_VMS) -> QuerySet[VM]:
    """The VMs of an order (or, by another permission, of a cancellation), each once: for the preview and for the verb.

    Named by their uuids, or as a query: then those of them that this actor may read. What is no uuid names nothing,
    like a uuid that nobody has. Raises Forbidden, and Absent if one of them isn't there for this actor. An empty choice
    is the caller's to judge.
    """
    actor.need(Permission.READ_REPLICATION)
    vms = VM.objects.visible_to(actor, permission)
    if isinstance(named, QuerySet):
        keys: Any = named.values("pk")
        found = vms.filter(pk__in=keys)
    else:
        wanted = uuids_of(named)
        found = vms.filter(uuid__among=wanted)
        if found.count() != len(wanted):
            raise Absent
    actor.need(Permission.WRITE_REPLICATION)
    return found


def uuids_of(named: Iterable[uuid.UUID | str]) -> set[uuid.UUID]:
    try:
        return {uuid.UUID(str(vm)) for vm in named}
    except ValueError:
        raise Absent from None


def refuse_nothing(vms: QuerySet[VM]) -> None:
    if not vms.exists():
        raise Invalid("Choose at least one VM.", fields={"vms": ["Choose at least one VM."]})


def place_order(actor: Actor, named: Named, key: str, terms: Terms = ANY) -> Order:
    """One order for these VMs (uuids, or a query), all or none, under these terms. The same key gets the same order.

    Which VMs they are is settled first. Nothing is locked while they are checked: of two who order one VM at one moment
    the unique constraint on open replications lets one through, and the other learns here who was first.
    Raises Forbidden, Absent (an unknown VM), Invalid (vms, service_level, rpo_target_minutes; no key), and Conflict
    (`cannot_replicate`, naming each VM and why).
    """
    found = dict(choose(actor, named).values_list("pk", "uuid"))
    vms = VM.objects.filter(pk__among=list(found))
    if not found:
        refuse_nothing(vms)
    try:
        with changes(actor) as change:
            receipt = receive(actor, key, _body(found.values(), terms))
            return Order.objects.get(number=receipt.made) if receipt.made else _order(change, vms, terms, receipt)
    except IntegrityError as race:
        refuse_unorderable(vms)
        raise Conflict("Someone ordered at the same moment. Look again.") from race


def _body(vms: Iterable[uuid.UUID], terms: Terms) -> list[Any]:
    """What a key stands for."""
    return ["order", sorted(map(str, vms)), *([terms.level, str(terms.rpo_target)] if terms != ANY else [])]


def _order(change: Change, vms: QuerySet[VM], terms: Terms, receipt: Receipt) -> Order:
    level, rpo_target = agree(terms)
    refuse_unorderable(vms)
    actor, promised_at = change.actor, change.at + PROMISE
    order = Order.objects.create(
        number=next_number("RO"), account_id=actor.account_id, ordered_by_id=actor.person_id, ordered_at=change.at,
        service_level=level, rpo_target=rpo_target, retention_hours=level.retention_hours, vm_count=vms.count(),
        promised_at=promised_at, next_step_at=promised_at,
    )  # fmt: skip
    _add_lines(order, vms)
    change.begin(Replication.objects.filter(order=order), "order")
    relist(
        change, vms, protection="ordered", order_number=order.number, rpo_target=order.rpo_target,
        protected_to=Subquery(FAILOVER_SITE),
    )  # fmt: skip
    _refuse_moved(order)  # now that the VMs are locked
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
        "service_level": Value(order.service_level_id),
    }  # fmt: skip
    insert_select(Replication, list(columns), vms.order_by("pk").values_list(*columns.values()))


def _refuse_moved(order: Order) -> None:
    """The inventory may have moved a VM to another site after its line was written; the line says from where to where.

    The caller holds the VMs. Raises Conflict.
    """
    moved = order.lines.exclude(source=F("vm__site__code"), target=F("vm__site__failover_site__code")).order_by("vm")
    if found := moved.values_list("vm__name", "vm__role").first():
        raise Conflict(f"Nothing was ordered. {display_name(*found)} moved to another site meanwhile. Look again.")


def refuse_unorderable(vms: QuerySet[VM]) -> None:
    """Conflict, naming the VMs of the choice that can't be ordered, and why. Names may be equal, so VMs are counted."""
    why = vms.annotate(why=why_not_orderable()).exclude(why="").order_by("name_key", "pk")
    refused = [(str(vm), display_name(name, role), why) for vm, name, role, why in why.values_list(*REFUSED)]
    if refused:
        first = ". ".join(f"{name}: {why.rstrip('.')}" for _, name, why in refused[:5])
        more = f", and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise Conflict(
            f"Nothing was ordered. {first}{more}. Leave {'it' if len(refused) == 1 else 'them'} out and order again.",
            code="cannot_replicate", title="Some VMs can't be ordered",
            reasons=[{"vm": vm, "name": name, "reason": why} for vm, name, why in refused],
        )  # fmt: skip
