"""What a preview warns of: each exactly when it is true."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from ampdr import clock
from failover.screens.facts import Access, rpo_behind
from inventory.models import VM, Outage, Site


class Caution(NamedTuple):
    title: str
    text: str
    since: datetime | None = None


def of_test(vms: list[VM], target: Site, access: Access) -> list[Caution]:
    down = _down(target)
    return [*_of_target(target, down), *_of_access(target, access, len(vms))]


def of_live(vms: list[VM], newest: bool, source: Site, target: Site, access: Access) -> list[Caution]:
    """`newest`: no other recovery point was chosen."""
    down = _down(source, target)
    return [
        *_of_source(source, down), *_of_target(target, down), *_of_vms(vms, newest),
        *_of_access(target, access, len(vms)),
    ]  # fmt: skip


def _down(*sites: Site) -> dict[str, datetime]:
    """Which of them have an open outage, and since when."""
    found = Outage.objects.filter(over_at=None, site__code__in=[site.code for site in sites])
    return dict(found.values_list("site__code", "started_at"))


def _of_source(source: Site, down: dict[str, datetime]) -> Iterator[Caution]:
    if source.code not in down:
        yield Caution(f"{source.city} ({source.code}) reports normal.", "Still go on?")


def _of_target(target: Site, down: dict[str, datetime]) -> Iterator[Caution]:
    if since := down.get(target.code):
        yield Caution(
            f"{target.city} ({target.code}) has an outage itself",
            "A failover may not start there, and its copies don't grow.", since,
        )  # fmt: skip


def _of_vms(vms: list[VM], newest: bool) -> Iterator[Caution]:
    if tests := [vm.name for vm in vms if vm.held_by and not vm.failover_state]:
        yield Caution("A test is running.", f"The test of {some(tests)} is terminated first.")
    if untested := [vm.name for vm in vms if vm.last_test_at is None]:
        yield Caution("Never tested:", f"{some(untested)}. Nobody has seen yet whether recovery works.")
    now = clock.now()
    if newest and (behind := [vm.name for vm in vms if rpo_behind(vm, now)]):
        words = "the newest recovery point of {} is older than its target."
        words = words if len(behind) == 1 else "the newest recovery points of {} are older than their targets."
        yield Caution("RPO behind:", words.format(some(behind)))


def _of_access(target: Site, access: Access, n: int) -> Iterator[Caution]:
    name = target.recovery_environment
    if not access.with_it:
        what = "the failover VM" if n == 1 else "the failover VMs"
        yield Caution("No SSL/VPN profile:", f"nobody of {access.whose} has {name}, so nobody reaches {what}.")
    elif not access.mine:
        has = "1 other has it." if access.with_it == 1 else f"{access.with_it:,} others have it."
        yield Caution(f"You don't have the SSL/VPN profile {name}.", has)


def some(found: list[str]) -> str:
    more = len(found) - 3
    return ", ".join(found[:3]) + (f" and {more:,} more" if more > 0 else "")
