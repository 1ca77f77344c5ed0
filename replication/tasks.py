"""What workers do for replications: accept, provision, stop, collect recovery points, raise flags.

`ProviderDuty` is the one way in which driven rows talk to a provider; failovers use it too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf

from ampdr import clock, work
from ampdr.lifecycle import Change, changes
from ampdr.work import NOTHING_TO_DO, Duty, WaitingOn, fresh
from inventory.actions import relist
from inventory.models import VM
from replication.models import PointFeed, RecoveryPoint, Replication
from replication.providers.base import Kind, Points, Progress, Provider, Request, Unreachable
from replication.providers.sites import provider_of

T = TypeVar("T")

DRIVEN = (
    "pk", "uuid", "state", "verb", "generation", "attempts", "refusals", "accepted_at", "claim", "step_site", "vm_id",
    "vm__uuid", "vm__name", "vm__disk_gb",
)  # fmt: skip

REFUSALS_ALLOWED = 2
POINTS_EVERY = timedelta(seconds=15)


@dataclass
class Answers:
    """What a provider said of a batch: primary key -> progress. A row that is absent is unknown."""

    progress: dict[int, Progress]
    silence: str = ""


class ProviderDuty(Duty):
    """Rows whose `verb` is a request to the provider of `step_site`."""

    columns: ClassVar[tuple[str, ...]] = ()  # what `request` reads beside the driven columns and the VM's

    def due(self) -> QuerySet[Any]:
        return super().due().exclude(verb="")

    def size_at(self, site: str) -> int:
        """A provider that can't be had holds up its own site alone: the call says why, on the rows."""
        try:
            return min(self.size, provider_of(site).batch)
        except Exception:
            return self.size

    def load(self, keys: Sequence[int]) -> list[Any]:
        """Named tuples in key order: a thousand instances would cost more than the rest of the batch."""
        rows = self.rows.filter(pk__among=keys).order_by("pk")
        return list(rows.values_list(*DRIVEN, *self.columns, named=True))

    @abstractmethod
    def request(self, row: Any) -> Request:
        """What the row asks of the provider now. Its key is the same until a definite refusal."""

    @abstractmethod
    def done(self, change: Change, rows: list[Any], progress: Mapping[int, Progress]) -> None:
        """What follows when the provider has done what these rows asked."""

    @abstractmethod
    def failed(self, change: Change, rows: list[Any], reason: str) -> None:
        """What follows when it refused these rows for the third time, all with the same words."""

    def raise_generation(self, rows: list[Any]) -> None:
        """A definite refusal: the next request bears a new key."""
        self.rows.filter(pk__among=_keys(rows)).update(generation=F("generation") + 1)

    def call(self, site: str, rows: list[Any]) -> Answers:
        provider = provider_of(site)
        requests = {row.pk: self.request(row) for row in rows}
        accepted = {row.pk for row in rows if row.accepted_at}
        if not provider.remembers_keys:
            mine = accepted | self.announce([row for row in rows if not row.accepted_at])
            requests = {pk: request for pk, request in requests.items() if pk in mine}
        return ask(provider, requests, accepted)

    def announce(self, rows: list[Any]) -> set[int]:
        """Before a provider that forgets keys is asked, it is written down that it may have been. What may be sent.

        Whoever takes these rows over only looks; whoever was frozen until they were taken over sends nothing.
        """
        if not rows:
            return set()
        now = clock.now()
        mine = self.model._default_manager.filter(pk__among=_keys(rows), claim=rows[0].claim)
        mine.filter(accepted_at=None).update(accepted_at=now)
        return set(mine.filter(accepted_at=now).values_list("pk", flat=True))

    def commit(self, change: Change, mine: QuerySet[Any], answer: Answers) -> None:
        """Sorts the rows by what was said of them; each sort is written for all of its rows at once."""
        sorts: dict[str, list[Any]] = defaultdict(list)
        for row in self.load(list(mine.values_list("pk", flat=True))):
            sorts[_sort(row, answer.progress.get(row.pk))].append(row)
        if sorts["done"]:
            self.done(change, sorts["done"], answer.progress)
        for reason, rows in _by_reason(sorts["failed"], answer.progress).items():
            self.failed(change, rows, reason)
        for reason, rows in _by_reason(sorts["refused"], answer.progress).items():
            self.ask_anew(rows, reason)
        if sorts["moving"]:
            self.moved(sorts["moving"], answer.progress)
        if sorts["unknown"]:
            self.unknown(change, sorts["unknown"], answer.silence)

    def ask_anew(self, rows: list[Any], reason: str) -> None:
        self.raise_generation(rows)
        self.rows.filter(pk__among=_keys(rows)).update(
            refusals=F("refusals") + 1, accepted_at=None, last_error=reason, claim=None,
            next_step_at=clock.db_now(work.pause_after(1)),
        )  # fmt: skip

    def moved(self, rows: list[Any], progress: Mapping[int, Progress]) -> None:
        """Under way: facts that differ from row to row, so one UPDATE with a case for each."""
        now = clock.now()
        columns = ("step", "percent", "attempts", "last_error", "waiting_on", "accepted_at", "next_step_at")
        moved = []
        for row in rows:
            said = progress[row.pk]
            look = now + timedelta(seconds=said.look_in)
            facts = (said.step, said.percent, 0, "", WaitingOn.NOBODY, row.accepted_at or now, look)
            moved.append(self.model(pk=row.pk, **dict(zip(columns, facts, strict=True))))
        self.model._default_manager.bulk_update(moved, columns)

    def unknown(self, change: Change, rows: list[Any], silence: str) -> None:
        """The same key again after a pause; with a provider that forgets keys, halt and ask a person."""
        mine = self.rows.filter(pk__among=_keys(rows))
        error = silence or "The provider did not say how it stands."
        if provider_of(rows[0].step_site).remembers_keys:
            pause = work.pause_after(max(row.attempts for row in rows))
            mine.update(
                attempts=F("attempts") + 1, accepted_at=None, last_error=error, claim=None,
                next_step_at=clock.db_now(pause),
            )  # fmt: skip
            return
        mine.update(
            next_step_at=None, claim=None, accepted_at=None, last_error=error, waiting_on=WaitingOn.SUPPORT
        )  # fmt: skip
        change.note(mine, f"{self.model.LIFECYCLE.kind}.outcome_unknown")


def ask(provider: Provider, requests: Mapping[int, Request], accepted: set[int]) -> Answers:
    """Observes what was accepted and submits the rest; what the provider doesn't know of is submitted again.

    Raises Unreachable when it doesn't answer, unless it forgets keys: then what it didn't answer of is unknown.
    To look is harmless, whatever it remembers: a look that wasn't answered is repeated.
    """
    heard: dict[str, Progress] = {}
    keys = {request.key: pk for pk, request in requests.items()}
    for known in _parts([requests[pk].key for pk in requests if pk in accepted], provider.batch):
        heard |= provider.observe(known)
    try:
        again = [] if not provider.remembers_keys else [pk for pk in accepted if requests[pk].key not in heard]
        for part in _parts([requests[pk] for pk in requests if pk not in accepted or pk in again], provider.batch):
            heard |= provider.submit(part)
    except Unreachable as silence:
        if provider.remembers_keys:
            raise
        return Answers({keys[key]: said for key, said in heard.items()}, str(silence))
    return Answers({keys[key]: said for key, said in heard.items() if key in keys})


def _parts(things: Sequence[T], size: int) -> list[Sequence[T]]:
    return [things[start : start + size] for start in range(0, len(things), size)]


def _keys(rows: Sequence[Any]) -> list[int]:
    return [row.pk for row in rows]


def _sort(row: Any, said: Progress | None) -> str:
    if said is None:
        return "unknown"
    if said.refused:
        return "failed" if row.refusals >= REFUSALS_ALLOWED else "refused"
    return "done" if said.done else "moving"


def _by_reason(rows: list[Any], progress: Mapping[int, Progress]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[progress[row.pk].refused].append(row)
    return found


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
        mine = Replication.objects.filter(pk__among=_keys(rows))
        with changes(change.actor, reason) as told:
            fired = told.fire(mine, "fail", **facts)
        list_as(change, [row.vm_id for row in fired], "failed")


UNPROTECTED: dict[str, Any] = {"protected_to": "", "order_number": "", "newest_point_at": None}


def _in_state(rows: list[Any], state: str) -> QuerySet[Replication] | None:
    keys = [row.pk for row in rows if row.state == state]
    return Replication.objects.filter(pk__among=keys) if keys else None


def list_as(change: Change, vms: Sequence[int], protection: str, **columns: Any) -> None:
    """What lists show of these VMs' protection."""
    relist(change, VM.objects.filter(pk__among=vms), protection=protection, **columns)


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
