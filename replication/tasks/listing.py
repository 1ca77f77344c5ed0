"""What lists show of the protection of VMs: written with every change of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.db.models.expressions import Combinable

from ampdr.lifecycle import Change
from ampdr.work import WaitingOn
from inventory.actions import relist
from inventory.models import VM
from replication.models import Replication

UNPROTECTED: dict[str, Any] = {"protected_to": "", "order_number": "", "newest_point_at": None}


def list_as(change: Change, vms: Sequence[int], protection: str | Combinable, **columns: Any) -> None:
    """What lists show of these VMs' protection."""
    relist(change, VM.objects.filter(pk__among=vms), protection=protection, **columns)


def list_lines(change: Change, lines: QuerySet[Replication]) -> None:
    """What lists show of these lines' VMs, read from how each line stands; the lines are locked already."""
    by_word: dict[str, list[int]] = defaultdict(list)
    for vm, *stands in lines.values_list("vm_id", "state", "waiting_on", "flag"):
        by_word[_word(*stands)].append(vm)
    if len(by_word) > 1:  # locked one word after the other, they wouldn't be locked in key order
        vms = VM.objects.filter(pk__among=[vm for found in by_word.values() for vm in found]).order_by("pk")
        list(vms.select_for_update(no_key=True, of=("self",)).values_list("pk"))
    for word, found in by_word.items():
        list_as(change, found, word)


def _word(state: str, waiting_on: str, flag: str) -> str:
    """What the customer must do, and what Support must look into, is said before that it is late."""
    if waiting_on == WaitingOn.CUSTOMER:
        return "needs_input"
    return state if state == "failed" else flag or state
