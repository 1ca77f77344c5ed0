"""Lines: moving them, telling the lower apps, and carrying them through the provider.

The change of rows on every VM-keyed screen is the same transaction as the change of state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import product
from time import monotonic
from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from ampdr import clock, work
from ampdr.lifecycle import PORTAL, Change, changes
from ampdr.sets import insert_rows
from ampdr.work import NOTHING_TO_DO, Duty, WaitingOn, fresh
from failover.lifecycle import ENDED, FAILOVER, OPEN
from failover.models import Failover, Kind, Launch, Named
from failover.tasks.waiting import look_at_once
from failover.tasks.words import retell
from inventory.actions import add, relist, remove
from inventory.models import VM, Role, Site
from replication.models import Replication
from replication.providers.base import Kind as Ask
from replication.providers.base import Progress, Request, Result, Unreachable
from replication.providers.punctual import in_time
from replication.providers.sites import provider_of
from replication.tasks import CALM, Answers, ProviderDuty, deny_what_remains, end_gaps

REMINDED_BEFORE = timedelta(hours=24)  # a test's people of its end date
LOOK_AGAIN = timedelta(seconds=5)

# ---- Moving lines, and what the lower apps must know of it -----------------------------------------------------------

# What nobody knows is the outcome of one step: a line that goes on to another one doesn't wait for that any more.
_TO_OTHER_STEPS = ("start", "retry_start", "give_up", "terminate", "retry_termination")
# A source that was seen running stays flagged until the inventory tells that it is off (two_places.py).
_SEEN_ON = When(kind=Kind.LIVE, reminded_at__isnull=False, then=Value("two_places"))
WITHOUT_UNKNOWN = Case(When(~Q(flag="outcome_unknown"), then=F("flag")), _SEEN_ON, default=Value(""))


def fire(change: Change, lines: QuerySet[Failover], move: str, listed: Any = None, **facts: Any) -> list[Any]:
    """Moves lines of one kind, and tells the lower apps. `listed`: further columns of the VMs' rows."""
    if move in _TO_OTHER_STEPS:
        facts.setdefault("flag", WITHOUT_UNKNOWN)
    rows = change.fire(lines, move, **facts)
    if not rows:
        return rows
    change.finish(retell, {row.ticket_id for row in rows})
    if move in ("terminate", "end"):
        look_at_once([row.pk for row in rows])
    state = FAILOVER.moves[move].target
    if state in ENDED:
        tell(change, vms_of(rows))
    else:
        relist(change, _rows_that_show(state, rows), failover_state=_shown_word(state, rows), **(listed or {}))
    return rows


def _rows_that_show(state: str, rows: Sequence[Any]) -> QuerySet[VM]:
    """A test that ends shows it on its stand-in alone: its original may bear a live request's state by then."""
    family = _family(vms_of(rows))
    ending_test = rows[0].kind == Kind.TEST and state in ("terminating", "termination_failed")
    return family.filter(role=Role.TEST) if ending_test else family


def _shown_word(state: str, rows: Sequence[Any]) -> str:
    """The original of a running test stands untouched."""
    return "" if rows[0].kind == Kind.TEST and state == "running" else state


def tell(change: Change, vms: Sequence[int]) -> None:
    """When a line begins or is over: `held_by` of replication and VM, and the original's pill, follow what is open."""
    replications = Replication.objects.filter(vm_id__among=vms).exclude(state="stopped").order_by("pk")
    keys = list(replications.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
    Replication.objects.filter(pk__among=keys).update(held_by=_holder(OuterRef("vm")))
    relist(
        change, VM.objects.filter(pk__among=vms), held_by=_holder(OuterRef("pk")), failover_state=_pill(OuterRef("pk"))
    )  # fmt: skip


def _holder(vm: OuterRef) -> Any:
    """The number of the open ticket of a VM: the started one before the requested one."""
    waits = Case(When(state="requested", then=1), default=0)
    mine = Failover.objects.filter(vm=vm, state__in=OPEN).annotate(waits=waits).order_by("waits")
    return Coalesce(Subquery(mine.values("ticket__number")[:1]), Value(""))


def _pill(vm: OuterRef) -> Any:
    """The state that the original's row shows: a live one's; a running test leaves its original untouched."""
    mine = Failover.objects.filter(vm=vm, state__in=OPEN).exclude(kind=Kind.TEST, state="running")
    return Coalesce(Subquery(mine.order_by("kind").values("state")[:1]), Value(""))


def _lock_family(vms: Sequence[int]) -> None:
    """The open replications of these VMs, then the VMs and their stand-ins, each in key order."""
    replications = Replication.objects.filter(vm_id__among=vms).exclude(state="stopped").order_by("pk")
    list(replications.select_for_update(no_key=True, of=("self",)).values_list("pk"))
    list(_family(vms).order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk"))


def _family(vms: Sequence[int]) -> QuerySet[VM]:
    return VM.objects.filter(Q(pk__among=vms) | Q(original_id__among=vms))


def vms_of(rows: Sequence[Any]) -> list[int]:
    return [row.vm_id for row in rows]


def _tally(change: Change, rows: Sequence[Any], counter: str, sign: int) -> None:
    for account, n in Counter(row.ticket__account_id for row in rows).items():
        change.tally(account, counter, sign * n)


# ---- Lines -----------------------------------------------------------------------------------------------------------


@work.register
class Carry(ProviderDuty):
    """Carries lines through the provider: fence, start, stop, release. Live before test."""

    name, model, priority, order = "carry failovers", Failover, 10, ("kind", "next_step_at", "pk")

    columns = ("kind", "source", "target", "point_at", "fence_generation")

    def request(self, row: Any) -> Request:
        generation = row.fence_generation if row.verb == Ask.FENCE else row.generation
        return Request(
            key=f"{row.uuid}:{row.verb}:{generation}", kind=Ask(row.verb), subject=str(row.uuid),
            vm=str(row.vm__uuid), name=row.vm__name, source=row.source, target=row.target, point=row.point_at,
            disk_gb=row.vm__disk_gb,
        )  # fmt: skip

    def call(self, site: str, rows: list[Any]) -> Answers:
        """A source that doesn't answer doesn't hold a live failover up: those lines go on unplanned."""
        called_at, fencing = monotonic(), any(_awaits_fence(row) for row in rows)
        if fencing and not _answers(site):
            return Answers({}, SOURCE_SILENT)
        try:
            answer = super().call(site, rows)
        except Unreachable:
            if fencing and _in_vain(rows):
                return Answers({}, SOURCE_SILENT)
            raise
        deny_what_remains(provider_of(site), rows, answer.progress, called_at)
        return answer

    def commit(self, change: Change, mine: QuerySet[Any], answer: Answers) -> None:
        """All locks first: the steps of one batch, each in its turn, would take them out of order.

        A bar on a source that is to be left touches its line alone, unless it was refused.
        """
        said = answer.progress.values()
        if any(one.done or one.refused for one in said):
            refused = any(one.refused for one in said)
            told = mine if refused else mine.exclude(state="starting", verb=Ask.FENCE)
            _lock_family(list(told.values_list("vm", flat=True)))
        super().commit(change, mine, answer)

    def unknown(self, change: Change, rows: list[Any], silence: str) -> None:
        unplanned = [row for row in rows if _awaits_fence(row) and (silence == SOURCE_SILENT or _in_vain([row]))]
        if unplanned:
            mine = Failover.objects.filter(pk__among=[row.pk for row in unplanned])
            mine.update(**fresh(Ask.START_LIVE, F("target"), mode="unplanned", fenced="pending"))
            change.note(mine, "failover.source_silent")
        others = [row for row in rows if row not in unplanned]
        if others and silence == SOURCE_SILENT:  # they were not asked: nothing about them is unknown
            waiting = Failover.objects.filter(pk__among=[row.pk for row in others])
            waiting.update(claim=None, next_step_at=clock.db_now(work.pause_after(0)), last_error=silence)
        elif others:
            super().unknown(change, others, silence)
            halted = self.rows.filter(pk__among=[row.pk for row in others], waiting_on=WaitingOn.SUPPORT)
            halted.update(flag="outcome_unknown")  # a provider that forgets keys: Support settles it

    def raise_generation(self, rows: list[Any]) -> None:
        super().raise_generation([row for row in rows if row.verb != Ask.FENCE])
        fences = [row.pk for row in rows if row.verb == Ask.FENCE]
        Failover.objects.filter(pk__among=fences).update(fence_generation=F("fence_generation") + 1)

    def done(self, change: Change, rows: list[Any], progress: Mapping[int, Progress]) -> None:
        for step, keys in _by_step(rows).items():
            _AFTER[step](change, Failover.objects.filter(pk__among=keys), progress)

    def failed(self, change: Change, rows: list[Any], reason: str) -> None:
        """Starting and Terminating fail as states; what can't fail (Undoing, a late fence) waits for Support."""
        facts = {"next_step_at": None, "claim": None, "last_error": reason, "waiting_on": WaitingOn.SUPPORT}
        with changes(PORTAL, reason) as told:
            for kind, (state, move) in product(Kind, _FAIL):
                keys = [row.pk for row in rows if (row.kind, row.state) == (kind, state)]
                fire(told, Failover.objects.filter(pk__among=keys), move, **facts)
        others = [row.pk for row in rows if row.state not in ("starting", "terminating")]
        Failover.objects.filter(pk__among=others).update(**facts)


_FAIL = (("starting", "fail_start"), ("terminating", "fail_termination"))
SOURCE_SILENT = "The source site doesn't answer."
IN_VAIN, ALONE_IN_VAIN = 8, 4  # times that a bar was asked for without an answer before the last one


def _awaits_fence(row: Any) -> bool:
    return (row.verb, row.state) == (Ask.FENCE, "starting")


def _in_vain(rows: Sequence[Any]) -> bool:
    """A site that says it is well and answers of no bar doesn't answer: nobody waits for that all night. Asked for by
    itself, it is its own silence; of several it may be another's, and the batch was made smaller a few times. One that
    forgets keys would be told twice: there it is Support's to settle."""
    if not provider_of(rows[0].step_site).remembers_keys:
        return False
    enough = ALONE_IN_VAIN if len(rows) == 1 else IN_VAIN
    return all(row.attempts >= enough for row in rows)


def _answers(site: str) -> bool:
    """Asked anew for each batch: that it hung an hour ago makes no failover of now unplanned."""
    try:
        provider = provider_of(site)
        return in_time(provider, provider.health).answers
    except Unreachable:
        return False


def _by_step(rows: list[Any]) -> dict[tuple[str, str, str], list[int]]:
    found: dict[tuple[str, str, str], list[int]] = {}
    for row in rows:
        found.setdefault((row.kind, row.state, row.verb), []).append(row.pk)
    return found


Next = Callable[[Change, "QuerySet[Failover]", Mapping[int, Progress]], None]


def _start_after_fence(change: Change, lines: QuerySet[Failover], progress: Mapping[int, Progress]) -> None:
    lines.update(**fresh(Ask.START_LIVE, F("target"), mode="planned", fenced="yes"))
    change.note(lines, "failover.fenced")


def _run(change: Change, lines: QuerySet[Failover], progress: Mapping[int, Progress]) -> None:
    """Running. Live: the original is hidden, the stand-in takes its place, replication pauses."""
    _record_launches(change, lines, progress)
    live = lines.filter(kind=Kind.LIVE).exists()
    listed = (
        {"shown": False, "protection": "paused", "power": "off"}
        if live
        else {"last_test_at": change.at, "last_test_result": ""}
    )
    if live:
        vms = list(lines.values_list("vm", flat=True))
        protected = Replication.objects.filter(vm_id__among=vms, state="protected")
        change.fire(protected, "pause", paused_at=change.at, next_step_at=change.at + CALM, claim=None, flag="")
    rows = fire(change, lines, "run", listed, **NOTHING_TO_DO, running_at=change.at)
    if live:
        lines.filter(fenced="pending").update(**fresh(Ask.FENCE, F("source")))
        _tally(change, rows, "running", 1)
    else:
        lines.update(next_step_at=F("ends_at") - REMINDED_BEFORE)
    _add_stand_ins(change, lines)


def _record_launches(change: Change, lines: QuerySet[Failover], progress: Mapping[int, Progress]) -> None:
    """What was used differs from line to line: it goes into rows of its own."""
    rows = []
    for pk, mode, kind in lines.order_by("pk").values_list("pk", "mode", "kind"):
        used = progress[pk].result or Result()
        since = used.running_since or change.at
        rows.append((pk, mode or kind, since, used.point, used.loss_seconds, used.address or None))
    insert_rows(Launch, ("failover", "mode", "running_since", "point_at", "loss_seconds", "address"), rows)


def _add_stand_ins(change: Change, lines: QuerySet[Failover]) -> None:
    site = Site.objects.filter(code=OuterRef("target")).values("pk")[:1]
    columns = {
        "account": F("vm__account"), "site": Subquery(site), "name": F("vm__name"), "slug": F("vm__slug"),
        "role": Case(When(kind=Kind.LIVE, then=Value(Role.LIVE)), default=Value(Role.TEST)), "original": F("vm"),
        "made_by": F("uuid"), "os": F("vm__os"), "address": F("launch__address"), "uuid": RandomUUID(),
        "generation": F("vm__generation"), "disk_gb": F("vm__disk_gb"), "power": Value("on"),
        "made_at": Value(change.at), "failover_state": Value("running"), "held_by": F("ticket__number"),
    }  # fmt: skip
    made_by = list(lines.values_list("uuid", flat=True))
    rows = lines.order_by("pk").values_list(*columns.values())
    add(change, list(columns), rows, VM.objects.filter(made_by__among=made_by))


def _fenced_late(change: Change, lines: QuerySet[Failover], progress: Mapping[int, Progress]) -> None:
    """The source is stopped. Whoever sees it running from now on sees it in two places (two_places.py); of one that
    was seen so already, the inventory must tell that it is off."""
    unseen = list(lines.filter(reminded_at=None).values_list("vm", flat=True))
    relist(change, VM.objects.filter(pk__among=unseen), power="off")
    lines.update(**NOTHING_TO_DO, fenced="yes", flag=Case(_SEEN_ON, default=Value("")))
    change.note(lines, "failover.fenced")


def _release(change: Change, lines: QuerySet[Failover], progress: Mapping[int, Progress]) -> None:
    """After the failover VM is gone the source is released, also where its fence was refused: it may have been stopped
    by then. Releasing what isn't barred changes nothing."""
    lines.update(**fresh(Ask.RELEASE, F("source")))


def _undone(change: Change, lines: QuerySet[Failover], progress: Mapping[int, Progress]) -> None:
    fire(change, lines, "undone", **NOTHING_TO_DO, ended_at=change.at)


def _end(change: Change, lines: QuerySet[Failover], progress: Mapping[int, Progress]) -> None:
    """Terminated: the stand-in is deleted; after a live one the original is back and its replication goes on."""
    rows = fire(change, lines, "end", **NOTHING_TO_DO, ended_at=change.at, flag="")
    live = rows[0].kind == Kind.LIVE
    if live:
        paused = Replication.objects.filter(vm_id__among=vms_of(rows), state="paused")
        end_gaps(paused.exclude(next_step_at=None))  # what was paused a moment ago alone
        due: dict[str, Any] = {"next_step_at": Value(change.at) + F("rpo_target"), "flag": "resynchronising"}
        change.fire(paused, "resume", resumed_at=change.at, claim=None, **due)
        _tally(change, rows, "running", -1)
    remove(change, VM.objects.filter(made_by__among=list(lines.values_list("uuid", flat=True))))
    if live:
        relist(change, VM.objects.filter(pk__among=vms_of(rows)), shown=True, protection="resynchronising", power="on")


_AFTER: dict[tuple[str, str, str], Next] = {
    (Kind.LIVE, "starting", Ask.FENCE): _start_after_fence,
    (Kind.LIVE, "starting", Ask.START_LIVE): _run,
    (Kind.TEST, "starting", Ask.START_TEST): _run,
    (Kind.LIVE, "running", Ask.FENCE): _fenced_late,
    (Kind.LIVE, "undoing", Ask.STOP): _release,
    (Kind.TEST, "undoing", Ask.STOP): _undone,
    (Kind.LIVE, "undoing", Ask.RELEASE): _undone,
    (Kind.LIVE, "terminating", Ask.STOP): _release,
    (Kind.TEST, "terminating", Ask.STOP): _end,
    (Kind.LIVE, "terminating", Ask.RELEASE): _end,
}


@work.register
class EndTests(Duty):
    """A test ends on the end date that was approved with it. A day before that its people are reminded of it, or at
    once where it is nearer; of another date they are reminded anew."""

    name, model, priority = "end tests", Failover, 25

    def due(self) -> QuerySet[Failover]:
        return super().due().filter(state="running", kind=Kind.TEST, verb="")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        now, extended = clock.db_now(), _extended(mine)
        Failover.objects.filter(pk__among=extended).update(claim=None, next_step_at=clock.db_now(LOOK_AGAIN))
        mine = mine.exclude(pk__in=extended)
        with changes(PORTAL, "Its end date has come") as told:
            fire(told, mine.filter(ends_at__lte=now), "terminate", **fresh(Ask.STOP, F("target")))
        coming = list(mine.filter(ends_at__gt=now).values_list("pk", "reminded_at"))
        lines = Failover.objects.filter(pk__among=[pk for pk, _ in coming])
        lines.update(next_step_at=F("ends_at"), claim=None, attempts=0, last_error="", waiting_on=WaitingOn.NOBODY)
        if new := [pk for pk, reminded in coming if reminded is None]:
            told_now = Failover.objects.filter(pk__among=new)
            told_now.update(reminded_at=change.at)
            change.note(told_now, "failover.ends_soon")


def _extended(lines: QuerySet[Failover]) -> list[int]:
    """Those of which a later end date is approved, and a worker is about to write it. Their locks are held: whoever
    approves takes them too (failover/actions/decisions.py)."""
    approved = Named.objects.filter(kind=Kind.EXTEND, waiting=True, ticket__state="approved")
    return list(lines.filter(pk__in=approved.values("failover")).values_list("pk", flat=True))
