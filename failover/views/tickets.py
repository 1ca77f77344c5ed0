"""The list of failover tickets: every request and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Lower
from django.http import HttpResponse

from accounts.models import Permission
from accounts.views import Visit
from ampdr.lifecycle import Actor, State
from ampdr.pages import cut
from ampdr.views import page_or_part, unchanged
from failover.actions import Lines, lines_of, need_read, ticket_word
from failover.models import Failover, Kind, Named, Ticket
from inventory.models import VM

KINDS: dict[str, str] = {kind.value: kind.label for kind in Kind}
DECIDED = {"waiting": "Waiting for Support", "rejected": "Rejected", "withdrawn": "Withdrawn", "lapsed": "Lapsed"}
# What the lines of an approved ticket say, first match wins: word -> the states one of them must be in.
FOLLOWED: dict[str, tuple[str, tuple[str, ...]]] = {
    "failing_over": ("Failing over", ("requested", "starting", "undoing")),
    "terminating": ("Terminating", ("terminating",)),
    "running": ("Running", ("running",)),
    "failed": ("Failed", ("start_failed", "termination_failed")),
    "terminated": ("Terminated", ("terminated",)),
    "given_up": ("Given up", ("dropped",)),
}
STATES = DECIDED | {name: word for name, (word, _) in FOLLOWED.items()} | {"extended": "Extended"}
FILTERS = ("kind", "state", "q")


@dataclass(frozen=True)
class Line:
    """A ticket as the list prints it. `role`: live or test while its VMs are shown, empty for the plain square."""

    ticket: Ticket
    word: State
    role: str
    names: list[str]
    more: int
    lost: timedelta | None
    to_running: timedelta | None


def index(request: Visit) -> HttpResponse:
    actor = request.actor
    need_read(actor)
    if unchanged(request):
        return HttpResponse(status=204)
    asked = _asked(request.GET)
    page = cut(_tickets(actor, asked), ("pk",), request.GET, down=True)
    counted = lines_of([ticket.pk for ticket in page.rows])
    place = {name: request.GET[name] for name in ("after", "before") if request.GET.get(name)}
    context = {
        "lines": [_line(ticket, counted[ticket.pk]) for ticket in page.rows], "asked": asked, "kinds": KINDS.items(),
        "states": STATES.items(), "chips": _chips(asked), "clear": request.path,
        "previous": _link(asked, before=page.previous) if page.previous else "",
        "next": _link(asked, after=page.next) if page.next else "",
        "poll": f"{request.path}{_link(asked | place, version=str(request.head.version))}",
    }  # fmt: skip
    return page_or_part(request, "failover/failovers.html", "failover/parts/failovers.html", context)


def _asked(query: Mapping[str, str]) -> dict[str, str]:
    """The filters. A value that means nothing is as if not sent."""
    found = {name: query.get(name, "").replace("\0", "").strip()[:120] for name in FILTERS}
    known = {"kind": KINDS, "state": STATES}
    return {name: value for name, value in found.items() if value and value in known.get(name, (value,))}


def _link(asked: Mapping[str, str], **other: str) -> str:
    return "?" + urlencode({**asked, **other})


def _chips(asked: Mapping[str, str]) -> list[dict[str, str]]:
    words = {"kind": KINDS, "state": STATES}
    labels = {name: words.get(name, {}).get(value, f"“{value}”") for name, value in asked.items()}
    return [{"label": labels[one], "href": _link({n: v for n, v in asked.items() if n != one})} for one in asked]


def _tickets(actor: Actor, asked: Mapping[str, str]) -> QuerySet[Ticket]:
    """With a few names of each, in the same statement: those that an index gives without sorting thousands."""
    own = Failover.objects.filter(ticket=OuterRef("pk")).order_by("state").values("vm__name")
    named = Named.objects.filter(ticket=OuterRef("pk")).order_by("failover").values("failover__vm__name")
    found = Ticket.objects.visible_to(actor, Permission.READ_REPLICATION)
    found = found.select_related("requested_by", "about").annotate(
        own=ArraySubquery(own[:3]), named=ArraySubquery(named[:3])
    )
    if kind := asked.get("kind"):
        found = found.filter(kind=kind)
    if state := asked.get("state"):
        found = found.filter(_in_state(state))
    if q := asked.get("q"):
        found = found.filter(_with(actor, q))
    return found


def _in_state(state: str) -> Q:
    if state in DECIDED:
        return Q(state=state)
    if state == "extended":
        carried_out = Named.objects.filter(ticket=OuterRef("pk"), failover__ends_at=OuterRef("ends_at"))
        return Q(Exists(carried_out), state="approved", kind=Kind.EXTEND)
    names = list(FOLLOWED)
    earlier = [one for name in names[: names.index(state)] for one in FOLLOWED[name][1]]
    return Q(state="approved") & ~Q(kind=Kind.EXTEND) & _some(FOLLOWED[state][1]) & ~_some(tuple(earlier))


def _some(states: tuple[str, ...]) -> Q:
    """One line at least is in one of these states. Of what a termination names, running counts as terminating."""
    own = Q(Exists(Failover.objects.filter(ticket=OuterRef("pk"), state__in=states)))
    states = tuple(state for state in states if state != "running")
    states += ("running",) if "terminating" in states else ()
    return own | Q(Exists(Named.objects.filter(ticket=OuterRef("pk"), failover__state__in=states)))


def _with(actor: Actor, text: str) -> Q:
    """This number, or a VM whose name begins so."""
    vms = VM.objects.filter(account=actor.account_id, name_key__startswith=Lower(Value(text)))
    own = Failover.objects.filter(vm__in=vms).values("ticket")
    named = Named.objects.filter(failover__vm__in=vms).values("ticket")
    return Q(number__iexact=text) | Q(pk__in=own) | Q(pk__in=named)


def _line(ticket: Ticket, lines: Lines) -> Line:
    names = sorted(ticket.own or ticket.named)  # type: ignore[attr-defined]
    ends = ticket.of_others
    measured = not ends and lines.running_at is not None and ticket.decided_at is not None
    return Line(
        ticket=ticket, word=ticket_word(ticket, lines), role="" if ends or not lines.shown else ticket.kind,
        names=names, more=max(0, ticket.vm_count - len(names)),
        lost=timedelta(seconds=lines.loss_seconds) if measured and lines.loss_seconds is not None else None,
        to_running=lines.running_at - ticket.decided_at if measured else None,  # type: ignore[operator]
    )  # fmt: skip
