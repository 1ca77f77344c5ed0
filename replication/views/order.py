"""The page of an order, RO-n: the five steps, how many VMs are ready, and each VM with what it waits for.

Its part that updates itself is looked at every 3 s in the first quarter of an hour, every 15 s after that, and every
30 s once nothing moves. A percent or step that a worker writes doesn't raise the account's version (a thousand VMs in
their first sync would make every open page of the account look again every second); so while lines move, the version
that the part sends carries a mark besides: a digest of one grouped statement over the order's lines. Once nothing moves
it is the account's version alone, which answers before any statement.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Case, Count, Max, Q, QuerySet, Sum, When
from django.db.models.functions import Length
from django.http import HttpResponse
from django.utils.html import format_html

from accounts.models import Permission
from accounts.views import Visit
from ampdr import clock
from ampdr.lifecycle import State
from ampdr.templatetags.ampdr import disk, whole
from ampdr.views import page_or_part, unchanged
from ampdr.work import WaitingOn
from inventory.models import PROTECTIONS
from replication.actions import Progress, progress_of
from replication.models import BEFORE_READY, UNREADY, Order, Replication
from replication.views.answers import need_read, order_of
from replication.views.paging import page_of, without
from replication.views.questions import questions_of

FIRST_MINUTES = timedelta(minutes=15)
STILL = timedelta(minutes=5)  # what hasn't moved for so long says why (P5); from less no estimate is made
GB = 2**30
OVERDUE = timedelta(minutes=1)
PENDING = ("ordered", "provisioning")
MOVING = (*PENDING, "stopping")
READY = ("protected", "paused")
# A provider's words tell where a provisioning stands: "Reserving capacity", "First sync", "Checking the first ...".
SYNCING = Q(state="provisioning") & (Q(step__icontains="sync") | Q(step__icontains="recovery point"))
ATTENTION = Case(
    When(Q(state="failed") | ~Q(waiting_on=""), then=0), When(state__in=MOVING, then=1),
    When(state__in=READY, then=2), default=3,
)  # fmt: skip
LATE = State("late", "Later than promised", "warn", "triangle-alert")
WAITS_FOR_SUPPORT = State("waiting", "Waiting for Support", "warn", "clock")


def detail(request: Visit, number: str) -> HttpResponse:
    need_read(request.actor)
    if unchanged(request):
        return HttpResponse(status=204)
    order = order_of(request, number)
    now = clock.now()
    stands = standing(order, now)
    version = f"{request.head.version}-{stands.mark}" if stands.moving else str(request.head.version)
    if request.headers.get("HX-Request") and request.GET.get("version") == version:
        return HttpResponse(status=204)
    context = shown(request, order, stands, now) | {"poll": poll(request, version)}
    return page_or_part(request, "replication/order.html", "replication/parts/order.html", context)


def shown(request: Visit, order: Order, stands: Standing, now: datetime) -> dict[str, Any]:
    found = Replication.objects.filter(order=order).select_related("vm").annotate(attention=ATTENTION)
    page = page_of(found, ("attention", "vm__name_key", "pk"), request.GET)
    return {
        "order": order, "stands": stands, "progress": stands.progress, "steps": steps(order, stands), "page": page,
        "lines": [line_of(row, now, now > order.ready_by) for row in page.rows], "late": LATE,
        "many": order.vm_count > len(page.rows),
        "questions": questions_of(request.actor, order) if stands.progress.waiting else (),
        "promised": order.ready_by, "every": every(order, stands, now),
        "may_cancel": request.actor.can(Permission.WRITE_REPLICATION) and stands.remaining > 0,
    }  # fmt: skip


def poll(request: Visit, version: str) -> str:
    asked = without(request.GET, "version")
    asked["version"] = version
    return f"{request.path}?{asked.urlencode()}"


def every(order: Order, stands: Standing, now: datetime) -> int:
    """Seconds between two looks."""
    if not stands.moving:
        return 30
    return 3 if now < order.ordered_at + FIRST_MINUTES else 15


# ---- The order as a whole --------------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """All that the page says of the order as a whole, from one grouped statement."""

    progress: Progress
    syncing: int
    running: int  # waiting for the customer, a VM is neither running nor failed
    failed: int
    late: bool
    routes: list[tuple[str, str]]
    disk_gb: int
    ready_in: timedelta | None  # once nothing is open
    mark: str

    def count(self, *states: str) -> int:
        return sum(self.progress.counts.get(state, 0) for state in states)

    @property
    def moving(self) -> bool:
        return self.count(*MOVING) > 0

    @property
    def building(self) -> int:
        return self.count(*PENDING)

    @property
    def stopping(self) -> int:
        return self.count("stopping")

    @property
    def remaining(self) -> int:
        return self.count(*BEFORE_READY)

    @property
    def stopped(self) -> int:
        return self.count("stopped")


def standing(order: Order, now: datetime) -> Standing:
    by = ("state", "waiting_on", "source", "target")
    rows = list(_grouped(Replication.objects.filter(order=order).order_by(*by).values(*by)))
    progress = progress_of((row["state"], row["waiting_on"], row["n"], row["unready"]) for row in rows)
    ready_at = max((row["ready_at"] for row in rows if row["ready_at"]), default=None)
    facts = [tuple(row.values()) for row in rows]
    return Standing(
        progress=progress,
        syncing=sum(row["syncing"] for row in rows),
        running=sum(row["n"] for row in rows if row["state"] in PENDING and row["waiting_on"] != WaitingOn.CUSTOMER),
        failed=sum(row["n"] for row in rows if row["state"] == "failed" and row["waiting_on"] != WaitingOn.CUSTOMER),
        late=progress.late(order, now),
        routes=sorted({(row["source"], row["target"]) for row in rows}),
        disk_gb=sum(row["disk_gb"] for row in rows),
        ready_in=ready_at - order.ordered_at if ready_at and not progress.open else None,
        # Minutes are in it: lateness and "hasn't moved for 5 min" come by the clock alone.
        mark=hashlib.sha256(repr((facts, int(now.timestamp()) // 60)).encode()).hexdigest()[:12],
    )  # fmt: skip


def _grouped(lines: QuerySet[Replication, dict[str, Any]]) -> QuerySet[Replication, dict[str, Any]]:
    return lines.annotate(
        n=Count("pk"), unready=Count("pk", filter=UNREADY), syncing=Count("pk", filter=SYNCING),
        disk_gb=Sum("vm__disk_gb"), percents=Sum("percent"), copied=Sum("bytes_done"),
        words=Sum(Length("step") + Length("last_error")), since=Max("state_since"), ready_at=Max("protected_at"),
    )  # fmt: skip


class Step(NamedTuple):
    """`mark`: dn, now, or empty for what comes."""

    name: str
    mark: str
    done: int = 0


def steps(order: Order, stands: Standing) -> list[Step]:
    """The first step that a VM has still to finish is the present one; VMs that were cancelled don't count.

    Who orders is told at once what can't be: what was recorded is accepted.
    """
    ready = stands.progress.ready
    accepted = stands.count("ordered", "provisioning", "failed") + ready
    passed = [accepted, accepted, stands.syncing + ready, ready, ready]
    names = ("Ordered", "Accepted", "Provisioning", "First sync", "Protected")
    found, open_step = [], passed[0] > 0
    for name, done in zip(names, passed, strict=True):
        finished = open_step and done == passed[0]
        found.append(Step(name, "dn" if finished else "now" if open_step else "", done))
        open_step = finished
    return found if passed[0] else [found[0]._replace(mark="dn"), *found[1:]]


# ---- One VM of it ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A VM of the order as its row prints it."""

    row: Replication
    pills: list[State]
    word: str  # instead of the first pill's own
    waiting: str
    question: str  # the conversation in which it is answered
    bar: str  # the progress element's class
    copied: str
    left: timedelta | None
    estimating: bool
    why: str
    next_try: datetime | None


def line_of(row: Replication, now: datetime, late: bool) -> Line:
    state, word = stage(row)
    provisioning = row.state == "provisioning"
    age = now - row.state_since
    left = time_left(row, now) if provisioning else None
    reason = why(row, now)
    speaks = bool(reason) or (row.state in MOVING and age > STILL)
    return Line(
        row=row, pills=[state, LATE] if late and row.state in PENDING else [state], word=word,
        waiting=waits_for(row), question=row.question,
        bar="done" if row.state in READY else "stall" if reason else "", copied=copied(row),
        left=left, estimating=provisioning and not left and not reason, why=reason,
        next_try=row.next_step_at if speaks and row.next_step_at and row.next_step_at > now else None,
    )  # fmt: skip


def time_left(row: Replication, now: datetime) -> timedelta | None:
    """From the bytes that are left and the speed of the last quarters of an hour; of a provider that tells no bytes,
    from its percent since it was last set going. None from too little.
    """
    if row.bytes_total is None:
        gained = row.percent - (row.speed_bytes or 0)
        age = now - row.speed_from if row.speed_from else timedelta()
        return age * (100 - row.percent) / gained if gained > 0 and age > STILL else None
    speed = float(row.speed or 0)
    if row.speed is None and row.speed_from and now - row.speed_from > STILL:
        speed = ((row.bytes_done or 0) - (row.speed_bytes or 0)) / (now - row.speed_from).total_seconds()
    return timedelta(seconds=(row.bytes_total - (row.bytes_done or 0)) / speed) if speed >= 1 else None


def copied(row: Replication) -> str:
    """ "120 of 400 GB", while bytes are copied."""
    if row.state != "provisioning" or not row.bytes_done or not row.bytes_total:
        return ""
    done, total = disk(row.bytes_done // GB), disk(-(-row.bytes_total // GB))
    unit = total[-3:]
    return f"{done.removesuffix(unit)} of {total}"


def stage(row: Replication) -> tuple[State, str]:
    """The pill of a line, and the words on it where they say more than the state's own."""
    if row.waiting_on == WaitingOn.CUSTOMER:
        return PROTECTIONS["needs_input"], ""
    if row.state == "failed":
        return row.shown_state, f"Failed while {row.failed_in}" if row.failed_in else ""
    if row.waiting_on == WaitingOn.SUPPORT:
        return (PROTECTIONS["outcome_unknown"] if row.flag == "outcome_unknown" else WAITS_FOR_SUPPORT), ""
    if row.state == "protected" and row.flag in PROTECTIONS:
        return PROTECTIONS[row.flag], ""
    return row.shown_state, row.step if row.state == "provisioning" else ""


def waits_for(row: Replication) -> str:
    if row.state in (*READY, "stopped"):
        return ""
    if row.waiting_on == WaitingOn.CUSTOMER and row.question:
        return format_html("You: answer {}", whole(row.question))
    who = WaitingOn.SUPPORT.label if row.state == "failed" else str(WaitingOn(row.waiting_on).label)
    return format_html("{} · {}", who, whole(row.question)) if row.question else who


def why(row: Replication, now: datetime) -> str:
    """Why a line doesn't move; empty for one that does, or that has nothing more to do."""
    if row.state not in (*MOVING, "failed"):
        return ""
    if row.last_error:
        return row.last_error
    if row.question:
        asked = row.waiting_on == WaitingOn.CUSTOMER
        return "Halted until you have answered." if asked else "Support has your answer and sets it going again."
    if row.next_step_at is None:
        return "Nothing is due: it waits until Support has looked." if row.state in MOVING else ""
    return "No worker has taken it up yet." if now > row.next_step_at + OVERDUE else ""
