"""Recovery points: collected from the provider, forgotten when it forgets them; and the flags that they raise."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, NullIf

from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import Duty
from inventory.models import VM
from replication.models import PointFeed, RecoveryPoint, Replication
from replication.providers.base import Points, Unreachable
from replication.providers.punctual import in_time
from replication.providers.sites import provider_of
from replication.tasks.hearing import fit_points
from replication.tasks.history import STANDS, end_gaps, gaps_until, record
from replication.tasks.listing import list_as

log = logging.getLogger("replication.points")
POINTS_EVERY = timedelta(seconds=15)
CALM = timedelta(minutes=1)  # after a live failover runs; its workers have other things to do first


@work.register
class RaiseFlags(Duty):
    """Protected, and its newest point got older than the target: RPO behind, or Source unreachable if that is why."""

    name, model, priority = "raise flags", Replication, 60

    def due(self) -> QuerySet[Replication]:
        return super().due().filter(state="protected", verb="")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        """Due again only when a new point has come, or its source fell silent or answers again (`Collect`)."""
        silent = list(PointFeed.objects.exclude(silent_since=None).values_list("site", flat=True))
        right = Case(When(source__in=silent, then=Value("source_unreachable")), default=Value("rpo_behind"))
        wrong = list(mine.annotate(right=right).exclude(flag=F("right")).values_list("pk", "vm_id", "right"))
        mine.update(flag=right, next_step_at=None, claim=None)
        for flag in sorted({flag for _, _, flag in wrong}):
            keys = [pk for pk, _, found in wrong if found == flag]
            change.note(Replication.objects.filter(pk__among=keys), f"replication.{flag}")
        if wrong:
            flag_of_vm = Replication.objects.filter(vm=OuterRef("pk")).exclude(state="stopped").values("flag")
            list_as(change, [vm for _, vm, _ in wrong], Subquery(flag_of_vm[:1]))


@work.register
class EndGaps(Duty):
    """What counted until a live failover paused it comes into its history when the rush is over."""

    name, model, priority = "end gaps", Replication, 70

    def due(self) -> QuerySet[Replication]:
        return super().due().filter(state="paused")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        end_gaps(mine)
        mine.update(next_step_at=None, claim=None)


def watch(sites: set[str]) -> None:
    """Sees to it that the recovery points of these sites are collected from now on."""
    feeds = [PointFeed(site=site, next_step_at=clock.now(), step_site=site) for site in sorted(sites)]
    PointFeed.objects.bulk_create(feeds, ignore_conflicts=True)


@dataclass
class Collected:
    points: dict[str, Points]
    replications: dict[str, int]  # VM uuid -> key of its replication
    last: int  # where the next batch begins; 0: the round is done
    pause: timedelta = timedelta()  # until then
    silent: bool = False  # the source site doesn't answer
    error: str = ""  # of a call that its provider didn't answer
    misflagged: list[int] = field(default_factory=list)  # behind, and flagged as if it were the other way


@work.register
class Collect(Duty):
    """Asks a site's provider for new recovery points and writes them, with everything that lists show of them.

    A round begins by asking whether the site answers, and so does what comes after a call without an answer: one such
    call alone doesn't make the site silent.
    """

    name, model, priority, size = "collect points", PointFeed, 50, 1

    def call(self, site: str, rows: list[Any]) -> Collected:
        provider, feed = provider_of(site), rows[0]
        batch = min(provider.batch, work.BATCH)
        found = Replication.objects.filter(source=site, state="protected", pk__gt=feed.cursor).order_by("pk")
        known = NullIf("newest_point_at", "protected_at")  # right after the first sync no point is known yet
        asked = list(found.values_list("pk", "vm__uuid", known, "flag")[:batch])
        answer = Collected({}, {str(vm): pk for pk, vm, _, _ in asked}, asked[-1][0] if len(asked) == batch else 0)
        answer.pause = timedelta() if answer.last else POINTS_EVERY
        answer.silent = feed.silent_since is not None
        try:
            if feed.cursor == 0 or feed.attempts:
                answer.silent = True  # until it says otherwise
                answer.silent = not in_time(provider, provider.health, "health").answers
            if asked:
                since = {str(vm): newest for _, vm, newest, _ in asked}
                points = in_time(provider, lambda: provider.recovery_points(since), "recovery points")
                answer.points = fit_points(points, answer.replications)
        except Unreachable as error:
            answer.error = str(error) or type(error).__name__
            answer.last, answer.pause = feed.cursor, work.pause_after(feed.attempts)
            log.warning("%s at %s: no answer: %s", self.name, site, answer.error)
        answer.misflagged = [pk for pk, _, _, flag in asked if flag == WRONG[answer.silent]]
        return answer

    def commit(self, change: Change, mine: QuerySet[Any], answer: Collected) -> None:
        with_new = {answer.replications[vm]: points for vm, points in answer.points.items() if points.new}
        held = hold([*with_new, *answer.misflagged]) if with_new or answer.misflagged else []
        if with_new:
            self.write(change, [row for row in held if row.pk in with_new], with_new)
        if answer.misflagged:
            look_again(answer.misflagged, WRONG[answer.silent])
        since = Coalesce("silent_since", Value(change.at)) if answer.silent else None
        mine.update(
            cursor=answer.last, next_step_at=clock.db_now(answer.pause), claim=None, last_error=answer.error[:2000],
            attempts=F("attempts") + 1 if answer.error else 0, silent_since=since, accepted_at=clock.now(),
        )  # fmt: skip

    def write(self, change: Change, held: Sequence[Any], points: Mapping[int, Points]) -> None:
        new = [(row.pk, point) for row in held for point in points[row.pk].new]
        RecoveryPoint.objects.bulk_create(
            [RecoveryPoint(replication_id=pk, at=point.at, consistent=point.consistent) for pk, point in new],
            ignore_conflicts=True,
        )
        record({row.pk: gaps_until(row, (min(one.at, change.at) for one in points[row.pk].new)) for row in held})
        prune({row.pk: points[row.pk].oldest_kept for row in held})
        caught_up(change, Replication.objects.filter(pk__among=[row.pk for row in held]))


WRONG = {True: "rpo_behind", False: "source_unreachable"}  # by whether the site is silent


def hold(keys: Iterable[int]) -> list[Any]:
    """Those that are still protected, locked in key order, with what history wants to know of them."""
    found = Replication.objects.filter(pk__among=keys, state="protected").order_by("pk")
    return list(found.select_for_update(no_key=True, of=("self",)).values_list("pk", *STANDS, named=True))


def look_again(keys: Sequence[int], flag: str) -> None:
    """`RaiseFlags` finds the right flag for those that bear this one. The caller holds their locks."""
    found = Replication.objects.filter(pk__among=keys, state="protected", verb="", flag=flag)
    found.update(next_step_at=clock.db_now(), claim=None)


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
    since_resumed = Q(resumed_at=None) | Q(newest_point_at__gt=F("resumed_at"))  # until then it is Resynchronising
    in_time = replications.filter(since_resumed, newest_point_at__gt=Value(change.at) - F("rpo_target"))
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
