"""What people may do with replication: order it, stop it, and, as Support, retry what failed."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from django.contrib.postgres.functions import RandomUUID
from django.db import IntegrityError
from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Value
from django.urls import reverse
from django.utils.text import get_text_list

from accounts.actions import receive
from accounts.models import Permission, forbid_customer
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes
from ampdr.numbers import next_number
from ampdr.sets import insert_select
from ampdr.work import NOTHING_TO_DO, WaitingOn, fresh
from inventory.actions import relist
from inventory.models import VM
from notices.tasks import Happened, Letter, Member, Per, declare, register
from notices.tasks import Kind as Sort
from replication.lifecycle import REPLICATION
from replication.models import RETENTION_HOURS, RPO_TARGET, Order, Replication
from replication.providers.base import Kind
from replication.tasks import UNPROTECTED, list_as

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


def _refuse_nothing(vms: QuerySet[VM]) -> None:
    if not vms.exists():
        raise Invalid("Choose at least one VM.", fields={"vms": ["Choose at least one VM."]})


def place_order(actor: Actor, vm_uuids: Sequence[uuid.UUID | str], key: str) -> Order:
    """One order for these VMs, all or none. The same key gets the same order.

    Nothing is locked while the choice is checked: of two who order one VM at one moment, the unique constraint on open
    replications lets one through, and the other learns here who was first.
    Raises Forbidden, Absent (an unknown VM), Invalid, and Conflict (`cannot_replicate`, naming each VM and why).
    """
    vms = choose(actor, vm_uuids)
    _refuse_nothing(vms)
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


def stop_replication(actor: Actor, vm_uuids: Sequence[uuid.UUID | str], key: str = "") -> int:
    """Ends the service on these VMs at once, all or none; the provider's clean-up follows. Returns how many VMs.

    With a key, a repeat does nothing and gets the same answer. Raises Forbidden, Absent, Invalid, IllegalTransition,
    and Conflict: `not_replicated`, or `held_by_failover`, naming the ticket of a VM that is in an open failover.
    """
    vms = choose(actor, vm_uuids, Permission.READ_REPLICATION)
    _refuse_nothing(vms)
    with changes(actor) as change:
        wanted = dict(vms.values_list("pk", "uuid"))
        receipt = receive(actor, key, ["stop", sorted(map(str, wanted.values()))]) if key else None
        if receipt is None or not receipt.made:
            _stop(change, _stoppable(wanted.keys()))
        if receipt:
            receipt.made = "stopped"
            receipt.save(update_fields=["made"])
    return len(wanted)


def _stop(change: Change, keys: Sequence[int]) -> None:
    """What was not begun is over at once; the rest is stopped by the provider. The rows are locked already."""
    not_begun = Replication.objects.filter(pk__in=keys, state="ordered")
    cancelled = change.fire(not_begun, "cancel", **NOTHING_TO_DO)
    under_way = Replication.objects.filter(pk__in=keys).exclude(pk__in=[row.pk for row in cancelled])
    stopping = change.fire(under_way, "stop", **fresh(Kind.UNPROTECT, F("source")), flag="", failed_in="")
    list_as(change, [row.vm_id for row in cancelled], "none", **UNPROTECTED)
    list_as(change, [row.vm_id for row in stopping], "stopping")
    work.ring()


def _stoppable(vms: Collection[int]) -> list[int]:
    """The open replications of these VMs, locked in key order; a failover that wants one of them waits for us."""
    rows = Replication.objects.filter(vm__in=vms).exclude(state="stopped").order_by("pk")
    held = list(rows.select_for_update(no_key=True, of=("self",)).values_list("pk", "vm_id", "held_by"))
    if bare := set(vms) - {vm for _, vm, _ in held}:
        name = VM.objects.filter(pk__in=bare).order_by("name_key").values_list("name", flat=True)[0]
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise Conflict(
            f"Nothing was stopped: {name}{more} has no replication.",
            code="not_replicated", title="Nothing to stop here",
        )  # fmt: skip
    if tickets := sorted({number for *_, number in held if number}):
        verb = "holds" if len(tickets) == 1 else "hold"
        raise Conflict(
            f"Nothing was stopped: {get_text_list(tickets, 'and')} {verb} it. End the failover first, or withdraw it.",
            code="held_by_failover", title="A failover is open", tickets=tickets,
        )  # fmt: skip
    return [pk for pk, *_ in held]


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
    waiting: int = 0

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def open(self) -> int:
        """Lines on which something is still to be done."""
        return sum(self.counts.get(state, 0) for state in UNFINISHED)


UNFINISHED = ("ordered", "provisioning", "stopping", "failed")


def progress(lines: QuerySet[Replication]) -> Progress:
    """How these lines of one order stand, in one statement whatever their number."""
    return progress_of(lines.order_by().values_list("state", "waiting_on").annotate(n=Count("pk")))


def progress_of_orders(orders: Iterable[int]) -> dict[int, Progress]:
    """The same for many orders, by primary key, also in one statement."""
    lines = Replication.objects.filter(order__in=list(orders)).order_by()
    by_order: dict[int, list[tuple[str, str, int]]] = defaultdict(list)
    for order, *counted in lines.values_list("order", "state", "waiting_on").annotate(n=Count("pk")):
        by_order[order].append((counted[0], counted[1], counted[2]))
    return {order: progress_of(counted) for order, counted in by_order.items()}


def progress_of(counted: Iterable[tuple[str, str, int]]) -> Progress:
    """From lines counted by state and by whom they wait for."""
    counts: Counter[str] = Counter()
    waiting = 0
    for state, waiting_on, n in counted:
        counts[state] += n
        waiting += n if waiting_on == WaitingOn.CUSTOMER else 0
    ready = counts["protected"] + counts["paused"]
    return Progress(*_order_word(counts, waiting, ready), ready, dict(counts), waiting)


def _order_word(counts: Counter[str], waiting: int, ready: int) -> tuple[str, str, str]:
    if waiting:
        return "Needs you", "warn", "triangle-alert"
    if counts["failed"]:
        return f"{counts['failed']} failed", "bad", "octagon-alert"
    if counts["ordered"] + counts["provisioning"] + counts["stopping"]:
        return f"{ready} of {counts.total()} ready", "info", "loader-circle"
    return ("Ready", "ok", "circle-check") if ready else ("Stopped", "off", "circle-x")


# ---- What is told of orders ------------------------------------------------------------------------------------------

ORDERS = Sort(
    "orders", "Orders and replication", "An order is ready, or something of it failed; replication was stopped",
    permission=Permission.READ_REPLICATION,
)  # fmt: skip


def register_notices() -> None:
    declare(ORDERS)
    for event in ("protect", "fail"):
        register(f"replication.{event}", order_ready, Per.ABOUT)
    for event in ("stop", "cancel"):
        register(f"replication.{event}", order_stopped, Per.BATCH)


def order_ready(event: Happened) -> Iterator[Letter]:
    """Once when every line is protected or failed; anew when Support's retry got further.

    How many ever were protected only grows, so that who reads the record again tells nothing again.
    """
    order = Order.objects.filter(number=event.about).first()
    if order is None or event.from_state == "stopping":
        return  # an imported one has no order; that stopping failed is Support's to mend
    lines = Replication.objects.filter(order=order)
    counted = Counter(dict(lines.order_by().values_list("state").annotate(n=Count("pk"))))
    stuck = lines.filter(state="provisioning", waiting_on=WaitingOn.SUPPORT).count()
    if counted["ordered"] + counted["provisioning"] - stuck:
        return
    ready, failed = counted["protected"] + counted["paused"], counted["failed"] + stuck
    once = f"order.ready:{order.number}:{lines.exclude(protected_at=None).count()}"
    if ready or failed:
        yield _letter(event, order, "order_ready", once=once, ready=ready, failed=failed, total=ready + failed)


def order_stopped(event: Happened) -> Iterator[Letter]:
    order = Order.objects.filter(number=event.about).first()
    if order:
        yield _letter(event, order, "order_stopped")


def _letter(event: Happened, order: Order, template: str, once: str = "", **words: Any) -> Letter:
    path = reverse("order", args=[event.account_slug, order.number])
    return Letter(ORDERS.name, template, to=_concerned(order), words=words, path=path, once=once)


def _concerned(order: Order) -> Callable[[Member], bool]:
    """Whoever ordered it, and all who may order and stop."""
    return lambda one: Permission.WRITE_REPLICATION in one.permissions or one.person_id == order.ordered_by_id
