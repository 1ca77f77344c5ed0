"""Ordered -> Provisioning -> Protected and Stopping -> Stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import F, QuerySet

from ampdr import work
from ampdr.lifecycle import Change, changes
from ampdr.work import NOTHING_TO_DO, Duty, WaitingOn, fresh
from replication.models import RecoveryPoint, Replication
from replication.providers.base import Kind, Progress, Request
from replication.providers.sites import provider_of
from replication.tasks.asking import ProviderDuty, keys_of
from replication.tasks.listing import UNPROTECTED, list_as
from replication.tasks.points import watch


@work.register
class Accept(Duty):
    """Ordered -> Provisioning: nobody approves orders."""

    name, model, priority = "accept", Replication, 30

    def due(self) -> QuerySet[Replication]:
        return super().due().filter(state="ordered")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        rows = change.fire(mine, "accept", **fresh(Kind.PROTECT, F("source")))
        list_as(change, [row.vm_id for row in rows], "provisioning")
        watch(set(mine.values_list("source", flat=True)))


@work.register
class Provision(ProviderDuty):
    """Provisioning -> Protected and Stopping -> Stopped, through the provider of the source site."""

    name, model, priority = "provision", Replication, 40

    columns = ("source", "target", "retention_hours", "rpo_target")

    def request(self, row: Any) -> Request:
        return Request(
            key=f"{row.uuid}:{row.verb}:{row.generation}", kind=Kind(row.verb), subject=str(row.uuid),
            vm=str(row.vm__uuid), name=row.vm__name, source=row.source, target=row.target, disk_gb=row.vm__disk_gb,
            retention_hours=row.retention_hours, rpo_target_seconds=int(row.rpo_target.total_seconds()),
        )  # fmt: skip

    def done(self, change: Change, rows: list[Any], progress: Mapping[int, Progress]) -> None:
        ready = _in_state(rows, "provisioning")
        if ready:
            facts = {**NOTHING_TO_DO, "protected_at": change.at, "newest_point_at": change.at, "percent": 100}
            fired = change.fire(ready, "protect", **facts)
            ready.update(next_step_at=F("newest_point_at") + F("rpo_target"))
            list_as(change, [row.vm_id for row in fired], "protected", newest_point_at=change.at)
        if stopped := _in_state(rows, "stopping"):
            fired = change.fire(stopped, "finish", **NOTHING_TO_DO)
            RecoveryPoint.objects.filter(replication__in=[row.pk for row in fired]).delete()
            list_as(change, [row.vm_id for row in fired], "none", **UNPROTECTED)

    def unknown(self, change: Change, rows: list[Any], silence: str) -> None:
        super().unknown(change, rows, silence)
        if not provider_of(rows[0].step_site).remembers_keys:
            list_as(change, [row.vm_id for row in rows], "outcome_unknown")

    def failed(self, change: Change, rows: list[Any], reason: str) -> None:
        facts = {**NOTHING_TO_DO, "last_error": reason, "waiting_on": WaitingOn.SUPPORT, "failed_in": F("state")}
        mine = Replication.objects.filter(pk__among=keys_of(rows))
        with changes(change.actor, reason) as told:
            fired = told.fire(mine, "fail", **facts)
        list_as(change, [row.vm_id for row in fired], "failed")


def _in_state(rows: list[Any], state: str) -> QuerySet[Replication] | None:
    keys = [row.pk for row in rows if row.state == state]
    return Replication.objects.filter(pk__among=keys) if keys else None
