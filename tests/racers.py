"""The races: who is sent off against whom, and what may come of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.urls import reverse

from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from ampdr.work import fresh
from failover.actions import request_extension, request_termination, tries_of, version_of
from failover.models import Failover, Ticket
from failover.tasks import Spread, fire
from replication.providers.base import Kind as Ask
from tests.cast import request, say_yes
from tests.racefield import Field, Race, Shot, Start

API = "/api/v1/accounts/northwind"
HALTED = {"next_step_at": None, "claim": None, "last_error": "Refused", "waiting_on": "support"}
BACK = {"reason": "Over", "site_code": "DFW01"}
NOT_NEEDED = {"reason": "Not needed"}

Preparing = Callable[[Field, int], list[Start]]
Asking = Callable[[Field, Ticket], Ticket]


# ---- Tickets to race for ---------------------------------------------------------------------------------------------


def waiting(one: Field, count: int, kind: str = "live") -> list[Ticket]:
    """One for each VM."""
    return [request(one.cast, [vm], kind, key=f"race-{uuid.uuid4()}") for vm in one.protected(count)]


def starting(one: Field, count: int, kind: str = "live") -> list[Ticket]:
    """Approved, and taken up by the workers."""
    tickets = waiting(one, count, kind)
    for ticket in tickets:
        say_yes(one.cast, ticket)
    while batch := work.claim(Spread()):
        work.perform(batch)
    return tickets


def running(one: Field, count: int, kind: str = "live") -> list[Ticket]:
    tickets = starting(one, count, kind)
    work.drive()
    found = Failover.objects.filter(ticket__in=tickets, state="running")
    assert found.count() == count
    return tickets


def cannot_end(one: Field, count: int) -> list[Ticket]:
    """Tests whose termination failed."""
    tickets = running(one, count, "test")
    with changes(PORTAL, "Refused") as change:
        lines = Failover.objects.filter(ticket__in=tickets)
        fire(change, lines, "terminate", **fresh(Ask.STOP, "PHX01"))
        fire(change, lines, "fail_termination", **HALTED)
    return tickets


def ending(one: Field, about: Ticket) -> Ticket:
    """A termination that waits."""
    about.refresh_from_db()
    return request_termination(one.cast.actor("priya"), about, "Over", "DFW01", uuid.uuid4().hex)


def longer(one: Field, about: Ticket) -> Ticket:
    """An extension that waits."""
    about.refresh_from_db()
    return request_extension(one.cast.actor("priya"), about, later(about), "More to see", uuid.uuid4().hex)


def later(about: Ticket) -> datetime:
    assert about.ends_at
    return about.ends_at + timedelta(hours=24)


# ---- Shots -----------------------------------------------------------------------------------------------------------


def at(ticket: Ticket, who: str, verb: str) -> Shot:
    """A verb of this ticket, in the API."""
    path = f"{API}/tickets/{ticket.number}/{verb}/"
    if verb in ("approve", "reject"):
        return Shot(who, path, {"reason": "Seen", "version": version_of(ticket)})
    if verb == "extend":
        ticket.refresh_from_db()
        return Shot(who, path, {"reason": "More to see", "ends_at": later(ticket).isoformat()})
    return Shot(who, path, BACK if verb == "terminate" else NOT_NEEDED)


def press(ticket: Ticket, who: str, what: str) -> Shot:
    """Support's button beside the VM of this ticket."""
    [line] = Failover.objects.filter(ticket=ticket)
    body = {"line": line.pk, "seen": tries_of([line]), "reason": "Seen", "decision": what}
    return Shot(who, reverse("admin:failover_ticket_change", args=[ticket.pk]), body, form=True)


# ---- Who against whom ------------------------------------------------------------------------------------------------


def deciding(*pairs: tuple[str, str]) -> Preparing:
    """Verbs of a live request that waits."""

    def prepare(one: Field, count: int) -> list[Start]:
        return [Start([at(ticket, *pair) for pair in pairs], ticket.number) for ticket in waiting(one, count)]

    return prepare


def requesting(kinds: tuple[str, str]) -> Preparing:
    """Two requests of one VM."""

    def prepare(one: Field, count: int) -> list[Start]:
        return [Start([asked(str(vm.uuid), *pair) for pair in pairs]) for vm in one.protected(count)]

    def asked(vm: str, who: str, kind: str) -> Shot:
        return Shot(who, f"{API}/tickets/", {"kind": kind, "vms": [vm], "reason": "Down", "site_code": "PHX01"})

    pairs = list(zip(("priya", "oscar"), kinds, strict=True))
    return prepare


def ordering(one: Field, count: int) -> list[Start]:
    """A crowd orders one VM: a hundred the first time, then ten."""
    starts = []
    for vm in one.vms(count):
        body = {"vms": [str(vm.uuid)]}
        starts.append(Start([Shot(("priya", "oscar")[n % 2], f"{API}/orders/", body) for n in range(one.crowd)]))
        one.crowd = 10
    return starts


def what_runs(kind: str, *pairs: tuple[str, str], number: bool = False) -> Preparing:
    """Requests about what runs."""

    def prepare(one: Field, count: int) -> list[Start]:
        return [Start([at(ticket, *pair) for pair in pairs], about=ticket) for ticket in running(one, count, kind)]

    return prepare


def about_it(kind: str, asking: Asking, *pairs: tuple[str, str]) -> Preparing:
    """Decisions on a termination or extension that waits; `again` of the ticket that it is about."""

    def prepare(one: Field, count: int) -> list[Start]:
        return [start(asking(one, about), about) for about in running(one, count, kind)]

    def start(made: Ticket, about: Ticket) -> Start:
        shots = [at(about, who, "terminate") if verb == "again" else at(made, who, verb) for who, verb in pairs]
        return Start(shots, made.number, about)

    return prepare


def both_decided(one: Field, count: int) -> list[Start]:
    """Of one test, its termination and its extension are approved."""
    starts = []
    for about in running(one, count, "test"):
        shots = [at(ending(one, about), "mary", "approve"), at(longer(one, about), "tom", "approve")]
        starts.append(Start(shots, about=about))
    return starts


def on_its_end_date(one: Field, count: int) -> list[Start]:
    """The termination of a test is approved in the moment in which its end date comes."""
    starts = []
    for about in running(one, count, "test"):
        shots = [at(ending(one, about), "mary", "approve")]
        lines = Failover.objects.filter(ticket=about)
        now = partial(lines.update, ends_at=clock.now(), next_step_at=clock.now())
        starts.append(Start(shots, about=about, ready=now))
    return starts


def lines_of_support(*presses: tuple[str, str], unknown: bool = False) -> Preparing:
    """Support's buttons beside a VM whose start failed, or whose outcome is unknown."""

    def prepare(one: Field, count: int) -> list[Start]:
        tickets = starting(one, count)
        lines = Failover.objects.filter(ticket__in=tickets)
        if unknown:
            lines.update(**HALTED, flag="outcome_unknown")
        else:
            with changes(PORTAL, "Refused") as change:
                fire(change, lines, "fail_start", **HALTED)
        return [Start([press(ticket, *pair) for pair in presses], ticket.number) for ticket in tickets]

    return prepare


def retrying(one: Field, count: int) -> list[Start]:
    """A termination that failed is tried again by Support, and requested anew."""
    return [
        Start([press(about, "mary", "retry"), at(about, "priya", "terminate")], about=about)
        for about in cannot_end(one, count)
    ]


def retrying_what_is_approved(one: Field, count: int) -> list[Start]:
    """A termination that failed is tried again by Support, while a new request for it is approved."""
    return [
        Start([press(about, "mary", "retry"), at(ending(one, about), "tom", "approve")], about=about)
        for about in cannot_end(one, count)
    ]


RACES: dict[str, Race] = {
    "approve, approve": Race(deciding(("mary", "approve"), ("tom", "approve"))),
    "approve, reject": Race(deciding(("mary", "approve"), ("tom", "reject"))),
    "approve, withdraw": Race(deciding(("mary", "approve"), ("priya", "withdraw"))),
    "approve, terminate": Race(deciding(("mary", "approve"), ("priya", "terminate")), by_name=False),
    "reject, withdraw": Race(deciding(("tom", "reject"), ("priya", "withdraw"))),
    "withdraw, withdraw": Race(deciding(("priya", "withdraw"), ("oscar", "withdraw"))),
    "request, request": Race(requesting(("live", "live"))),
    "request a test, request a live failover": Race(requesting(("test", "live"))),
    "terminate, terminate": Race(what_runs("live", ("priya", "terminate"), ("oscar", "terminate"))),
    "terminate a test, extend it": Race(
        what_runs("test", ("priya", "terminate"), ("oscar", "extend")), both=True, ends=("running",)
    ),
    "extend, extend": Race(what_runs("test", ("priya", "extend"), ("oscar", "extend"))),
    "approve a termination, approve it": Race(about_it("live", ending, ("mary", "approve"), ("tom", "approve"))),
    "approve a termination, reject it": Race(about_it("live", ending, ("mary", "approve"), ("tom", "reject"))),
    "approve a termination, withdraw it": Race(about_it("live", ending, ("mary", "approve"), ("oscar", "withdraw"))),
    "approve a termination, terminate again": Race(
        about_it("live", ending, ("mary", "approve"), ("oscar", "again")), by_name=False
    ),
    "approve an extension, withdraw it": Race(about_it("test", longer, ("mary", "approve"), ("priya", "withdraw"))),
    "approve a termination, approve an extension": Race(both_decided, both=True, driven=True, ends=("terminated",)),
    "approve a termination, its end date": Race(on_its_end_date, driven=True, ends=("terminated",), by_name=False),
    "retry, terminate": Race(retrying, both=True, ends=("terminated",)),
    "retry, approve a termination": Race(retrying_what_is_approved, both=True, driven=True, ends=("terminated",)),
    "retry, give up": Race(lines_of_support(("mary", "retry"), ("tom", "give_up"))),
    "retry, retry": Race(lines_of_support(("mary", "retry"), ("tom", "retry"))),
    "give up, give up": Race(lines_of_support(("mary", "give_up"), ("tom", "give_up"))),
    "settle, settle": Race(lines_of_support(("mary", "settle_done"), ("tom", "settle_not"), unknown=True)),
    "settle, retry": Race(lines_of_support(("mary", "settle_done"), ("tom", "retry"), unknown=True), by_name=False),
    "a crowd of orders": Race(ordering, by_name=False),
}
