"""What agents in the VMs of a world report: each time it is told, as old as its file says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from accounts.models import Account
from ampdr import clock
from ampdr.lifecycle import PORTAL
from failover.management.commands._world_file import World
from inventory.actions import AT_MOST, report
from inventory.models import VM, Role

AGES = ("fim_hours_ago", "malware_hours_ago", "scan_days_ago", "patch_hours_ago")
Row = dict[str, Any]


def send(account: Account, rows: Sequence[Row]) -> None:
    for start in range(0, len(rows), AT_MOST):
        report(PORTAL, rows[start : start + AT_MOST], VM.objects.filter(account=account))


def of_account(account: Account, said: World) -> list[Row]:
    """What every VM that runs reports now. A failover VM's agents came with it, and report at this moment."""
    by_name = {vm["name"]: vm for vm in said.get("vms", [])}
    running = VM.objects.filter(account=account, shown=True, power="on").values_list("uuid", "name", "role")
    found: list[Row] = []
    for key, name, role in running:
        vm = by_name.get(name, {})
        found += of_vm(key, vm if role == Role.PRIMARY else vm | {age: 0 for age in AGES if age in vm})
    return found


def of_vm(key: uuid.UUID, said: World) -> Iterator[Row]:
    """The reports of one VM; of a kind whose age the file doesn't tell there is none."""
    now, hour = clock.now(), timedelta(hours=1)
    if "fim_hours_ago" in said:
        at = now - said["fim_hours_ago"] * hour
        yield {"vm": key, "kind": "fim", "at": at, "changes": said.get("fim_changes", 0)}
    if "malware_hours_ago" in said:
        at, scanned = now - said["malware_hours_ago"] * hour, now - 24 * said.get("scan_days_ago", 0) * hour
        facts = {"agent": said.get("malware_agent", "Simulated 1.0"), "findings": said.get("findings", 0)}
        yield {"vm": key, "kind": "malware", "at": at, "scan_at": min(at, scanned), **facts}
    if "patch_hours_ago" in said:
        critical = said.get("patches_critical", 0)
        missing = max(critical, said.get("patches_missing", 0))
        at = now - said["patch_hours_ago"] * hour
        yield {"vm": key, "kind": "patch", "at": at, "missing": missing, "critical": critical}
