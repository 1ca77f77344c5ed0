"""What lists show of the protection of VMs: written with every change of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ampdr.lifecycle import Change
from inventory.actions import relist
from inventory.models import VM

UNPROTECTED: dict[str, Any] = {"protected_to": "", "order_number": "", "newest_point_at": None}


def list_as(change: Change, vms: Sequence[int], protection: str, **columns: Any) -> None:
    """What lists show of these VMs' protection."""
    relist(change, VM.objects.filter(pk__among=vms), protection=protection, **columns)
