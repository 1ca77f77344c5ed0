"""The verbs that write VM rows: everything that lists show goes through here, so that the counters stay right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from ampdr.lifecycle import Actor, Change, changes, insert_select
from inventory.models import VM


def relist(change: Change, vms: QuerySet[VM], **columns: Any) -> None:
    """Writes the same columns on these VMs, in key order, and changes the counters by the difference."""
    keys = [pk for pk, *_ in _counted(change, vms.order_by("pk").select_for_update(no_key=True), -1)]
    rows = VM.objects.filter(pk__in=keys)
    rows.update(**columns)
    _counted(change, rows, +1)


def add(change: Change, columns: Sequence[str], rows: QuerySet[Any, Any], found: QuerySet[VM]) -> None:
    """INSERT ... SELECT of VM rows; `found` finds them afterwards, to be counted."""
    insert_select(VM, columns, rows)
    count_new(change, found)


def count_new(change: Change, vms: QuerySet[VM]) -> None:
    """Counts VM rows that were just inserted."""
    _counted(change, vms, +1)


def remove(change: Change, vms: QuerySet[VM]) -> None:
    """Takes stand-ins away: a failover that ended leaves no row behind."""
    keys = [pk for pk, *_ in _counted(change, vms.exclude(role="primary").order_by("pk").select_for_update(), -1)]
    VM.objects.filter(pk__in=keys).delete()


def _counted(change: Change, vms: QuerySet[VM], sign: int) -> list[tuple[int, int, str]]:
    rows = list(vms.values_list("pk", "account_id", "group"))
    for (account, group), n in Counter((account, group) for _, account, group in rows).items():
        if group != "hidden":
            change.tally(account, group, sign * n)
    return rows


def rename(actor: Actor, vm: VM, name: str) -> None:
    """A new name for a VM and for its stand-ins, at once."""
    with changes(actor) as change:
        VM.objects.filter(family=vm.family).update(name=name)
        change.note(VM.objects.filter(pk=vm.pk), "vm.renamed", before=vm.name)
