"""How tests tell the inventory of VMs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from accounts.models import Activity
from ampdr.lifecycle import Actor
from inventory.actions import Feed, Outcome, upsert
from inventory.models import VM
from tests.cast import Cast

MACHINE = Actor("Collector", via="machine")


def identity(n: int) -> str:
    """The n-th uuid: they differ in their ends alone."""
    return str(uuid.UUID(int=0xA0000000_0000_4000_8000_000000000000 + n))


def row(n: int, name: str = "", **facts: Any) -> dict[str, Any]:
    """The n-th VM, Northwind's."""
    return {"uuid": identity(n), "account": "northwind", "name": name or f"vm-{n:04}", "disks_gb": [40, 60], **facts}


def site(cast: Cast, code: str = "DFW01") -> Feed:
    return Feed(site=cast.sites[code])


def tell(
    feed: Feed,
    rows: Sequence[Mapping[str, Any]],
    round_id: uuid.UUID | None = None,
    *,
    complete: bool = False,
    **how: Any,
) -> Outcome:
    """One call; `complete`: the last one of its round."""
    sites = [feed.site.code] if complete and feed.site else how.pop("sites", [])
    return upsert(MACHINE, feed, rows, round_id or uuid.uuid4(), complete=sites, **how)


def vm(n: int) -> VM:
    return VM.objects.get(uuid=identity(n))


def events(**only: Any) -> list[tuple[str, str]]:
    """Event and name of the VM of each Activity row about VMs, in order."""
    return list(Activity.objects.filter(kind="vm", **only).order_by("pk").values_list("event", "vm_name"))
