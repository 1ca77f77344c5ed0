"""Recovery points: collected from the provider, forgotten when it forgets them; and the flags that they raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf

from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import Duty
from inventory.models import VM
from replication.models import PointFeed, RecoveryPoint, Replication
from replication.providers.base import Points
from replication.providers.sites import provider_of
from replication.tasks.listing import list_as

POINTS_EVERY = timedelta(seconds=15)


@work.register
class RaiseFlags(Duty):
    """Protected, and its newest point got older than the target: RPO behind."""

    name, model, priority = "raise flags", Replication, 60

    def due(self) -> QuerySet[Replication]:
        return super().due().filter(state="protected", verb="")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        """Due again only when a new point has come (`Collect`)."""
        vms = list(mine.values_list("vm_id", flat=True))
        mine.update(flag="rpo_behind", next_step_at=None, claim=None)
        change.note(mine, "replication.rpo_behind")
        list_as(change, vms, "rpo_behind")


def watch(sites: set[str]) -> None:
    """Sees to it that the recovery points of these sites are collected from now on."""
    feeds = [PointFeed(site=site, next_step_at=clock.now(), step_site=site) for site in sorted(sites)]
    PointFeed.objects.bulk_create(feeds, ignore_conflicts=True)


@dataclass
class Collected:
    points: dict[str, Points]
    replications: dict[str, int]  # VM uuid -> key of its replication
    last: int  # where the next batch begins; 0: the round is done


@work.register
class Collect(Duty):
    """Asks a site's provider for new recovery points and writes them, with everything that lists show of them."""

    name, model, priority, size = "collect points", PointFeed, 50, 1

    def call(self, site: str, rows: list[Any]) -> Collected:
        provider, feed = provider_of(site), rows[0]
        batch = min(provider.batch, work.BATCH)
        found = Replication.objects.filter(source=site, state="protected", pk__gt=feed.cursor).order_by("pk")
        known = NullIf("newest_point_at", "protected_at")  # right after the first sync no point is known yet
        asked = list(found.values_list("pk", "vm__uuid", known)[:batch])
        points = provider.recovery_points({str(vm): newest for _, vm, newest in asked}) if asked else {}
        return Collected(points, {str(vm): pk for pk, vm, _ in asked}, asked[-1][0] if len(asked) == batch else 0)

    def commit(self, change: Change, mine: QuerySet[Any], answer: Collected) -> None:
        with_new = {answer.replications[vm]: points for vm, points in answer.points.items() if points.new}
        if with_new:
            self.write(change, with_new)
        pause = timedelta() if answer.last else POINTS_EVERY
        mine.update(
            cursor=answer.last, next_step_at=clock.db_now(pause), claim=None, attempts=0, last_error="",
            accepted_at=clock.now(),
        )  # fmt: skip

    def write(self, change: Change, points: Mapping[int, Points]) -> None:
        held = Replication.objects.filter(pk__among=points, state="protected").order_by("pk")
        keys = list(held.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
        new = ((pk, point) for pk in keys for point in points[pk].new)
        RecoveryPoint.objects.bulk_create(
            [RecoveryPoint(replication_id=pk, at=point.at, consistent=point.consistent) for pk, point in new],
            ignore_conflicts=True,
        )
        prune({pk: points[pk].oldest_kept for pk in keys})
        caught_up(change, Replication.objects.filter(pk__among=keys))


def prune(kept: Mapping[int, datetime | None]) -> None:
    """Forgets points that the provider no longer keeps; the moment differs from replication to replication."""
    rows = [Replication(pk=pk, kept_since=moment) for pk, moment in kept.items()]
    Replication.objects.bulk_update(rows, ["kept_since"])
    gone = RecoveryPoint.objects.filter(replication_id__among=list(kept), at__lt=F("replication__kept_since"))
    # By key: one DELETE with the join inside takes minutes while PostgreSQL still takes the table for an empty one.
    RecoveryPoint.objects.filter(pk__among=list(gone.values_list("pk", flat=True))).delete()


def caught_up(change: Change, replications: QuerySet[Replication]) -> None:
    """New points came: newest point, next flag and lists follow; a flag that no longer holds is taken down."""
    newest = RecoveryPoint.objects.filter(replication=OuterRef("pk")).order_by("-at").values("at")[:1]
    replications.update(newest_point_at=Coalesce(Subquery(newest), F("newest_point_at")))
    in_time = replications.filter(newest_point_at__gt=Value(change.at) - F("rpo_target"))
    recovered = list(in_time.exclude(flag="").values_list("pk", "vm_id"))
    due = F("newest_point_at") + F("rpo_target")
    vms = VM.objects.filter(replications__in=replications).order_by("pk")
    held = list(vms.select_for_update(no_key=True, of=("self",)).values_list("pk", "account_id"))
    in_time.update(next_step_at=due, claim=None, flag="")  # whoever was about to flag it doesn't hold it any more
    if recovered:
        change.note(Replication.objects.filter(pk__among=[pk for pk, _ in recovered]), "replication.caught_up")
        list_as(change, [vm for _, vm in recovered], "protected")
    newest_of_vm = Replication.objects.filter(vm=OuterRef("pk")).exclude(state="stopped").values("newest_point_at")[:1]
    VM.objects.filter(pk__among=[pk for pk, _ in held]).update(newest_point_at=Subquery(newest_of_vm))
    change.touch(account for _, account in held)
