"""Stopping replication: at once for the customer, then cleaned up by the provider."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db.models import Case, F, PositiveIntegerField, Value, When
from django.db.models.functions import Coalesce
from django.utils.text import get_text_list

from accounts.actions import receive
from accounts.models import Permission
from ampdr import work
from ampdr.errors import Conflict
from ampdr.lifecycle import Actor, Change, changes
from ampdr.work import NOTHING_TO_DO, fresh
from inventory.models import VM
from replication.actions.ordering import choose, refuse_nothing
from replication.models import Replication
from replication.providers.base import Kind
from replication.tasks import UNPROTECTED, list_as


def stop_replication(
    actor: Actor, vm_uuids: Sequence[uuid.UUID | str], key: str = "", only: Collection[str] = ()
) -> int:
    """Ends the service on these VMs at once, all or none; the provider's clean-up follows. Returns how many VMs.

    With `only`, nothing is stopped if one has got beyond these states meanwhile (Conflict: `ready_meanwhile`).
    With a key, a repeat does nothing and gets the same answer. Raises Forbidden, Absent, Invalid, IllegalTransition,
    and Conflict: `not_replicated`, or `held_by_failover`, naming the ticket of a VM that is in an open failover.
    """
    vms = choose(actor, vm_uuids, Permission.READ_REPLICATION)
    refuse_nothing(vms)
    with changes(actor) as change:
        wanted = dict(vms.values_list("pk", "uuid"))
        receipt = receive(actor, key, ["stop", *only, sorted(map(str, wanted.values()))]) if key else None
        if receipt is None or not receipt.made:
            _stop(change, _stoppable(wanted.keys(), only))
        if receipt:
            receipt.made = "stopped"
            receipt.save(update_fields=["made"])
    return len(wanted)


def _stop(change: Change, keys: Sequence[int]) -> None:
    """What was not begun is over at once; the rest is stopped by the provider. The rows are locked already.

    Who stops again what failed on its way out changes no bill: it was cancelled when it was cancelled first. And the
    provider gets a new key: what it refused for the third time stays refused.
    """
    since = Coalesce("cancelled_at", Value(change.at))
    gone: dict[str, Any] = {"cancelled_at": since, "flag": "", "question": "", "failed_in": ""}
    number = PositiveIntegerField()
    key = Case(When(failed_in="stopping", then=F("generation") + 1), default=F("generation"), output_field=number)
    not_begun = Replication.objects.filter(pk__in=keys, state="ordered")
    cancelled = change.fire(not_begun, "cancel", **NOTHING_TO_DO, **gone)
    under_way = Replication.objects.filter(pk__in=keys).exclude(pk__in=[row.pk for row in cancelled])
    stopping = change.fire(under_way, "stop", **fresh(Kind.UNPROTECT, F("source"), generation=key), **gone)
    list_as(change, [row.vm_id for row in cancelled], "none", **UNPROTECTED)
    list_as(change, [row.vm_id for row in stopping], "stopping")
    work.ring()


def _stoppable(vms: Collection[int], only: Collection[str]) -> list[int]:
    """The open replications of these VMs, locked in key order; a failover that wants one of them waits for us."""
    rows = Replication.objects.filter(vm__in=vms).exclude(state="stopped").order_by("pk")
    held = list(rows.select_for_update(no_key=True, of=("self",)).values_list("pk", "vm_id", "state", "held_by"))
    if only:
        _refuse_ready(vm for _, vm, state, _ in held if state not in (*only, "stopping"))
    if bare := set(vms) - {vm for _, vm, *_ in held}:
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


def _refuse_ready(vms: Iterable[int]) -> None:
    names = list(VM.objects.filter(pk__among=list(vms)).order_by("name_key").values_list("name", flat=True))
    if names:
        shown = get_text_list([*names[:3], *([f"{len(names) - 3} more"] if len(names) > 3 else [])], "and")
        raise Conflict(
            f"{shown} became Protected meanwhile. Nothing was stopped: look again at what remains.",
            code="ready_meanwhile", title=f"{len(names)} VM{'' if len(names) == 1 else 's'} became Protected meanwhile",
        )  # fmt: skip
