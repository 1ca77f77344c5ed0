"""Generation 3 brought in: VMs that had the service as Protected, without an order; the others as VMs to be ordered."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError
from django.db.models import OuterRef, Subquery

from ampdr import work
from ampdr.errors import Conflict
from ampdr.lifecycle import Actor, Change, changes
from inventory.actions import make, relist
from inventory.models import VM
from replication.actions.arrivals import GENERATION, PROTECTED, THERE, Arrival, Judge, Known
from replication.actions.entries import Entry
from replication.lifecycle import REPLICATION
from replication.models import Replication
from replication.tasks import watch

REASON = "Import from Generation 3"


def import_generation3(actor: Actor, entries: Sequence[Entry], *, dry_run: bool = False) -> list[Arrival]:
    """What becomes of each line; all of it is written, or nothing if one line is bad. What is there stays as it is.

    Imports wait for each other: each holds the accounts that it names from its first look to its end.
    Raises Conflict when such VMs came by another door meanwhile.
    """
    try:
        with changes(actor, REASON) as change:
            judge = Judge(Known.now(entries, hold=not dry_run))
            arrivals = [judge.judge(entry) for entry in entries]
            if not (dry_run or any(one.faults for one in arrivals)):
                _bring(change, [one for one in arrivals if one.outcome != THERE])
    except IntegrityError as race:
        raise Conflict("Such VMs came by another door meanwhile: nothing was imported. Run it again.") from race
    return arrivals


def _bring(change: Change, arrivals: Sequence[Arrival]) -> None:
    new = [one for one in arrivals if one.vm is None]
    keys = dict(zip((one.entry.line for one in new), make(change, [_machine(one) for one in new]), strict=True))
    if served := [one for one in arrivals if one.outcome == PROTECTED]:
        _serve(change, served, [one.vm or keys[one.entry.line] for one in served])
        work.ring()


def _machine(one: Arrival) -> VM:
    said = one.entry.said
    assert one.account and one.site
    return VM(
        account=one.account, site=one.site, name=said["name"], uuid=said.get("uuid") or uuid.uuid4(),
        os=said.get("os") or "", address=said.get("address"), disk_gb=said["disk_gb"], power=said.get("power") or "on",
        generation=GENERATION, last_test_at=said.get("last_test"),
    )  # fmt: skip


def _serve(change: Change, arrivals: Sequence[Arrival], vms: Sequence[int]) -> None:
    """Their replications, and what lists show of them; the first flag is due one RPO target after the newest point.

    Without a known point the provider has one target from now to tell of one.
    """
    pairs = sorted(zip(arrivals, vms, strict=True), key=lambda pair: pair[1])  # as orders do: none waits in a circle
    rows = [_replication(one, vm, change) for one, vm in pairs]
    made = Replication.objects.bulk_create(rows, batch_size=work.BATCH)
    change.adopt(Replication.objects.filter(pk__among=[row.pk for row in made]), "import")
    mine = Replication.objects.filter(vm=OuterRef("pk")).exclude(state="stopped")
    shown: dict[str, Any] = {name: Subquery(mine.values(name)[:1]) for name in ("rpo_target", "newest_point_at")}
    shown["protected_to"] = Subquery(mine.values("target")[:1])
    relist(change, VM.objects.filter(pk__among=vms), protection="protected", order_number="", **shown)
    _tested(arrivals)
    watch({row.source for row in rows})


def _replication(one: Arrival, vm: int, change: Change) -> Replication:
    said, site = one.entry.said, one.site
    assert site and site.failover_site
    since, newest = said["protected_since"], said.get("newest_point")
    begins: dict[str, Any] = {"state": REPLICATION.adopted, "state_since": since}
    begins["resumed_at"] = None if newest else change.at  # how old its points were before, nobody here knows
    return Replication(
        vm_id=vm, source=site.code, target=site.failover_site.code, step_site=site.code, service_level=one.level,
        rpo_target=one.rpo_target, retention_hours=one.retention_hours, ordered_at=since, protected_at=since,
        newest_point_at=newest, percent=100, next_step_at=(newest or change.at) + one.rpo_target, **begins,
    )  # fmt: skip


def _tested(arrivals: Sequence[Arrival]) -> None:
    """The last test of VMs that were there already; that of new ones came with them."""
    rows = [
        VM(pk=one.vm, last_test_at=one.entry.said["last_test"])
        for one in arrivals
        if one.vm and one.entry.said.get("last_test")
    ]
    VM.objects.bulk_update(rows, ["last_test_at"], batch_size=work.BATCH)
