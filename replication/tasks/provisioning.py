"""Ordered -> Provisioning -> Protected and Stopping -> Stopped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet

from ampdr import clock, work
from ampdr.lifecycle import Change, changes
from ampdr.work import NOTHING_TO_DO, Duty, WaitingOn, fresh
from replication.models import RecoveryPoint, Replication
from replication.providers.base import Kind, Progress, Request
from replication.providers.sites import provider_of
from replication.tasks.asking import ProviderDuty, keys_of
from replication.tasks.listing import UNPROTECTED, list_as, list_lines
from replication.tasks.points import watch

SPAN = timedelta(minutes=15)  # over which a speed is measured
SETTLED: dict[str, Any] = {**NOTHING_TO_DO, "flag": "", "question": ""}
ANEW: dict[str, Any] = dict.fromkeys(("bytes_done", "bytes_total", "speed", "speed_from", "speed_bytes"))


@work.register
class Accept(Duty):
    """Ordered -> Provisioning: nobody approves orders."""

    name, model, priority = "accept", Replication, 30

    def due(self) -> QuerySet[Replication]:
        return super().due().filter(state="ordered")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        change.fire(mine, "accept", **fresh(Kind.PROTECT, F("source")))
        list_lines(change, mine)
        watch(set(mine.values_list("source", flat=True)))


@work.register
class Provision(ProviderDuty):
    """Provisioning -> Protected and Stopping -> Stopped, through the provider of the source site."""

    name, model, priority = "provision", Replication, 40

    columns = ("source", "target", "retention_hours", "rpo_target", "bytes_total", "speed_from", "speed_bytes")

    def request(self, row: Any) -> Request:
        return Request(
            key=f"{row.uuid}:{row.verb}:{row.generation}", kind=Kind(row.verb), subject=str(row.uuid),
            vm=str(row.vm__uuid), name=row.vm__name, source=row.source, target=row.target, disk_gb=row.vm__disk_gb,
            retention_hours=row.retention_hours, rpo_target_seconds=int(row.rpo_target.total_seconds()),
        )  # fmt: skip

    def done(self, change: Change, rows: list[Any], progress: Mapping[int, Progress]) -> None:
        ready = _in_state(rows, "provisioning")
        if ready:
            facts = {**SETTLED, "protected_at": change.at, "newest_point_at": change.at, "percent": 100}
            fired = change.fire(ready, "protect", **facts)
            ready.update(next_step_at=F("newest_point_at") + F("rpo_target"))
            list_as(change, [row.vm_id for row in fired], "protected", newest_point_at=change.at)
        if stopped := _in_state(rows, "stopping"):
            fired = change.fire(stopped, "finish", **SETTLED)
            RecoveryPoint.objects.filter(replication__in=[row.pk for row in fired]).delete()
            list_as(change, [row.vm_id for row in fired], "none", **UNPROTECTED)

    def moved(self, rows: list[Any], progress: Mapping[int, Progress]) -> None:
        super().moved(rows, progress)
        measure([row for row in rows if progress[row.pk].bytes_total], progress)
        begin_to_measure(keys_of([row for row in rows if not (row.speed_from or progress[row.pk].bytes_total)]))

    def unknown(self, change: Change, rows: list[Any], silence: str) -> None:
        super().unknown(change, rows, silence)
        if not provider_of(rows[0].step_site).remembers_keys:
            self.rows.filter(pk__among=keys_of(rows)).update(flag="outcome_unknown")
            list_as(change, [row.vm_id for row in rows], "outcome_unknown")

    def failed(self, change: Change, rows: list[Any], reason: str) -> None:
        facts = {**SETTLED, "last_error": reason, "waiting_on": WaitingOn.SUPPORT, "failed_in": F("state")}
        mine = Replication.objects.filter(pk__among=keys_of(rows))
        with changes(change.actor, reason) as told:
            fired = told.fire(mine, "fail", **facts)
        list_as(change, [row.vm_id for row in fired], "failed")


def measure(rows: list[Any], progress: Mapping[int, Progress]) -> None:
    """How many bytes of each first sync are there, and, every quarter of an hour, how fast they came."""
    said = [(row, progress[row.pk].bytes_done or 0, progress[row.pk].bytes_total) for row in rows]
    counted = [Replication(pk=row.pk, bytes_done=done, bytes_total=total) for row, done, total in said]
    Replication.objects.bulk_update(counted, ["bytes_done", "bytes_total"])
    now = clock.now()
    spans = [
        Replication(pk=row.pk, speed=_speed(row, done, now), speed_from=now if done else None, speed_bytes=done)
        for row, done, _ in said if _unmeasured(row) or (done and now - row.speed_from >= SPAN)
    ]  # fmt: skip
    Replication.objects.bulk_update(spans, ["speed", "speed_from", "speed_bytes"])


def _speed(row: Any, done: int, now: datetime) -> int | None:
    """Bytes a second since the span began; unknown when the first one begins."""
    if _unmeasured(row):
        return None
    return max(0, int((done - (row.speed_bytes or 0)) / (now - row.speed_from).total_seconds()))


def _unmeasured(row: Any) -> bool:
    """What was measured before it told bytes was its percent."""
    return row.speed_from is None or row.bytes_total is None


def begin_to_measure(keys: list[int]) -> None:
    """Of a provider that tells no bytes: since when it goes without a halt, and from which percent on."""
    begun = Replication.objects.filter(pk__among=keys, state="provisioning") if keys else Replication.objects.none()
    begun.update(speed_from=clock.now(), speed_bytes=F("percent"))


def _in_state(rows: list[Any], state: str) -> QuerySet[Replication] | None:
    keys = [row.pk for row in rows if row.state == state]
    return Replication.objects.filter(pk__among=keys) if keys else None
