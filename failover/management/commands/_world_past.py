"""The past of a loaded world, played through the very verbs and workers with the clock set back."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

from django.db.models import F

from accounts.actions import enter, support
from accounts.models import Account, Person
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, Actor, changes
from failover import actions
from failover.management.commands._world_file import World
from failover.models import Launch, Ticket
from inventory.actions import close, declare
from inventory.models import VM, Outage, Site
from notices.actions import Opening, open_conversation, write
from notices.actions.notices import mark_read
from notices.models import Conversation
from replication.actions import ask, place_order
from replication.models import RecoveryPoint, Replication, RpoHistory
from replication.providers.sites import provider_of
from replication.tasks import caught_up
from replication.tasks.history import MINUTE, Gap, Maxima, advance, beginning_of, literal, number_of

POINTS = timedelta(hours=3)  # how far back the recovery points of a loaded past reach
EVERY = timedelta(minutes=5)
HISTORY = timedelta(days=30)  # how far back the RPO of a loaded past reaches
KINDS = 6  # of RPO histories; who is of one kind, began and paused together has the same
READ_UNTIL = 24  # hours ago: who is told something later finds it unread
POINT_AGE = timedelta(seconds=40)  # of the newest point when a failover of the past started


class Moment(NamedTuple):
    """Something of the past: how long ago, and what is done with what."""

    hours_ago: float
    do: Callable[..., object]
    about: tuple[Any, ...]


def play(accounts: list[tuple[Account, World]], outages: list[World]) -> None:
    """Plays the past of these accounts, and the outages, in order of time; then what was left for running workers.

    Without new accounts only outages that nobody declared before: whatever runs meanwhile is driven by its workers.
    """
    past = list(_of_outages(outages, bool(accounts)))
    for account, said in accounts:
        driven = [event for event in said.get("history", []) if not event.get("undriven")]
        past += [Moment(event["hours_ago"], _play_event, (account, event)) for event in driven]
        past += [Moment(talk["hours_ago"], _play_talk, (account, talk)) for talk in said.get("conversations", [])]
        past += [Moment(READ_UNTIL, _read_notices, (account, said))]
    with without_delays():
        for moment in sorted(past, key=lambda moment: -moment.hours_ago):
            moment.do(*moment.about)
        for account, said in accounts:
            _add_points(account, {vm["name"]: vm["behind_minutes"] for vm in said["vms"] if "behind_minutes" in vm})
    for account, said in accounts:
        for event in said.get("history", []):
            if event.get("undriven"):
                _play_event(account, event)


def _drive(limit: int = 100_000) -> None:
    """Recovery points came all the while, though none is made before the end: nobody looks whether one is late."""
    Replication.objects.filter(state="protected", verb="").update(next_step_at=None)
    work.drive(limit=limit)


def _read_notices(account: Account, said: World) -> None:
    """What its people were told until then, they have read."""
    with clock.ahead(-timedelta(hours=READ_UNTIL)):
        for person in Person.objects.filter(memberships__account=account):
            mark_read(enter(person, account.slug)[0], "")


@contextmanager
def without_delays() -> Iterator[None]:
    """The simulated provider of this process does everything at once meanwhile."""
    with simulation(SIMULATION_TIME_SCALE="0", SIMULATION_FAILOVER_TIME_SCALE="0"):
        yield


@contextmanager
def simulation(**variables: str) -> Iterator[None]:
    """The simulated provider of this process is set like this meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    provider_of.cache_clear()
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in before.items() if value is not None})
        for name in [name for name, value in before.items() if value is None]:
            del os.environ[name]
        provider_of.cache_clear()


def _play_event(account: Account, event: World) -> None:
    with clock.ahead(-timedelta(hours=event["hours_ago"])):
        names = event.get("order") or event.get("test") or event.get("live") or []
        vms = list(VM.objects.filter(account=account, role="primary", name__in=names).values_list("uuid", flat=True))
        actor = as_then(enter(Person.objects.get(email=event["by"]), account.slug)[0])
        key = f"world:{event['hours_ago']}:{names[0]}"
        if "order" in event:
            _order(actor, event, vms, key)
        else:
            _fail_over(actor, event, vms, key)
        if not event.get("undriven"):
            _drive()


def _order(actor: Actor, event: World, vms: list[Any], key: str) -> None:
    """With a question about a VM that Support asked, and VMs that the provider refused for good."""
    lines = Replication.objects.filter(order=place_order(actor, vms, key))
    if asked := event.get("asked"):
        while lines.filter(state="ordered").exists():
            _drive(limit=1)  # a batch: nothing is provisioned yet
        mary = support(Person.objects.get(email=asked["by"]))
        ask(mary, lines.filter(vm__name=asked["vm"]), asked["text"], f"{key}:asked", tuple(asked.get("answers", ())))
    if refused := event.get("refused"):
        _refuse(refused)


def _refuse(names: Sequence[str]) -> None:
    rules = [{"fault": "refuse", "kind": "protect", "vm": name} for name in names]
    with simulation(SIMULATION_FAULTS=json.dumps(rules)):
        for minutes in range(3):  # the pauses between three tries
            with clock.ahead(timedelta(minutes=minutes)):
                _drive()


def as_then(actor: Actor) -> Actor:
    """A person of the past, who proved his second factor where a step of that time asked for it."""
    return replace(actor, proved_at=clock.now(), proved_by="totp")


def _fail_over(actor: Actor, event: World, vms: list[Any], key: str) -> None:
    kind = "test" if "test" in event else "live"
    target = VM.objects.get(uuid=vms[0]).protected_to
    wish = actions.Wish(kind, vms, reason=event.get("reason", ""), site_code=target)
    ticket = actions.request_failover(actor, wish, key)
    if not event.get("approved_by"):
        return
    with clock.ahead(timedelta(minutes=4)):
        _approve(ticket, event)
        _drive(limit=1)  # the ticket alone: its lines are starting now
        started_at = clock.now()
    with clock.ahead(timedelta(minutes=event.get("started_in_minutes", 15))):
        _drive()
    # The simulated provider lives today: the point it used must lie in that past too.
    used = {"point_at": started_at - POINT_AGE, **({"loss_seconds": POINT_AGE.seconds} if kind == "test" else {})}
    Launch.objects.filter(failover__ticket=ticket).update(**used)
    if "passed" in event:
        ticket.refresh_from_db()
        with clock.ahead(timedelta(hours=1)):
            actions.record_result(actor, ticket, "passed", event["passed"])
    if hours := event.get("terminated_after_hours"):
        with clock.ahead(timedelta(hours=hours)):
            _terminate(actor, ticket, event, f"{key}:end")


def _terminate(actor: Actor, ticket: Ticket, event: World, key: str) -> None:
    end = actions.request_termination(as_then(actor), ticket, "Finished", ticket.source, key)
    with clock.ahead(timedelta(minutes=6)):
        _approve(end, event)
        _drive(limit=1)
    with clock.ahead(timedelta(minutes=8)):
        _drive()


def _approve(ticket: Ticket, event: World) -> None:
    by = as_then(support(Person.objects.get(email=event["approved_by"])))
    words = "Planned test" if ticket.kind == "test" else "Agreed by phone"
    actions.approve(by, ticket, words, actions.version_of(ticket))


def _of_outages(outages: list[World], drives: bool) -> Iterator[Moment]:
    """Those that were declared before are known by their keys."""
    for said in outages:
        yield Moment(said["hours_ago"], _play_outage, (said, drives))
        if hours := said.get("over_after_hours"):
            yield Moment(said["hours_ago"] - hours, _end_outage, (said, drives))


def _play_outage(said: World, drives: bool) -> Outage:
    actor = support(Person.objects.get(email=said["by"]))
    with clock.ahead(-timedelta(hours=said["hours_ago"])):
        site = Site.objects.get(code=said["site"])
        outage = declare(actor, site, said["title"], said["text"], clock.now(), _key_of(said, "start"))
        if drives:
            _drive()
    return outage


def _end_outage(said: World, drives: bool) -> None:
    """Its declaration is said again, under its key: that finds it."""
    actor, outage = support(Person.objects.get(email=said["by"])), _play_outage(said, drives=False)
    with clock.ahead(timedelta(hours=said["over_after_hours"] - said["hours_ago"])):
        close(actor, outage, said.get("over_text", "It is over."), clock.now(), _key_of(said, "end"))
        if drives:
            _drive()


def _key_of(said: World, end: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"world:{said['site']}:{said['title']}:{said['hours_ago']}:{end}"))


def _play_talk(account: Account, said: World) -> None:
    """One conversation; with a `vm`, that of the ticket that holds it now."""
    talk = None
    if "vm" in said:
        talk = Conversation.objects.get(number=VM.objects.get(account=account, role="primary", name=said["vm"]).held_by)
    for n, message in enumerate(said["messages"]):
        ago = timedelta(minutes=message.get("minutes_later", 0)) - timedelta(hours=said["hours_ago"])
        speaker, key = _speaker(account, message["by"]), f"world:{said['hours_ago']}:message:{n}"
        with clock.ahead(ago):
            if talk is None:
                first = Opening(said.get("kind", "other"), said["title"], message["text"])
                talk = open_conversation(speaker, first, key, account.pk)
            else:
                write(speaker, talk, message["text"], key)
            _drive()


def _speaker(account: Account, email: str) -> Actor:
    person = Person.objects.get(email=email)
    return support(person) if person.is_staff else enter(person, account.slug)[0]


def _add_points(account: Account, behind: dict[str, int]) -> None:
    """Recovery points of the last hours; for those that are behind, up to so many minutes ago."""
    now = clock.now().replace(microsecond=0)
    mine = Replication.objects.filter(vm__account=account, state="protected").select_related("vm")
    rows, newest = [], {}
    for replication in mine:
        ago = timedelta(minutes=behind.get(replication.vm.name, 0), seconds=replication.pk * 37 % 240 + 20)
        newest[replication] = now - ago
        rows += [RecoveryPoint(replication=replication, at=at) for at in _moments(now - ago)]
    RecoveryPoint.objects.filter(replication__in=mine).delete()
    RecoveryPoint.objects.bulk_create(rows, batch_size=5 * work.BATCH)
    with changes(PORTAL) as change:
        caught_up(change, Replication.objects.filter(pk__in=[replication.pk for replication in mine]))
    _add_history(newest)
    mine.filter(newest_point_at__lte=now - F("rpo_target")).update(next_step_at=clock.db_now())
    work.drive()  # raises the flag of those that are behind


def _moments(newest: datetime) -> list[datetime]:
    return [newest - EVERY * n for n in range(POINTS // EVERY)]


def _add_history(newest: dict[Replication, datetime]) -> None:
    """What is drawn of these replications: points every few minutes for a month, with a silence now and then."""
    RpoHistory.objects.filter(replication__in=newest).delete()
    kept = cache(_kept)
    rows = [
        RpoHistory(replication=one, span=span, until=until, maxima=maxima)
        for one, moment in newest.items()
        for span, until, maxima in kept(
            one.pk % KINDS, number_of(moment, EVERY.seconds), one.protected_at or moment, one.paused_at, one.resumed_at
        )
    ]
    RpoHistory.objects.bulk_create(rows, batch_size=work.BATCH)


def _kept(
    kind: int, newest: int, begun: datetime, paused: datetime | None, resumed: datetime | None
) -> list[tuple[int, datetime, Any]]:
    """Of each length of span: the last one's beginning and the maxima, where the replication was protected."""
    rows = []
    for span in RpoHistory.Span:
        length = span * MINUTE
        whole, last = _maxima(kind, newest, span)
        maxima, first = [*whole], last + 1 - len(whole)
        _hole(maxima, 0, number_of(begun, length) - first)
        if paused and resumed:
            _hole(maxima, number_of(paused, length) + 1 - first, number_of(resumed, length) - first)
        rows.append((int(span), beginning_of(last, length), literal(maxima)))
    return rows


def _hole(maxima: Maxima, begin: int, end: int) -> None:
    for place in range(max(0, begin), min(end, len(maxima))):
        maxima[place] = None


@cache
def _maxima(kind: int, newest: int, span: RpoHistory.Span) -> tuple[Maxima, int]:
    return advance([], -1, _gaps(kind, newest * EVERY.seconds), span * MINUTE, RpoHistory.KEPT[span])


@cache
def _gaps(kind: int, end: int) -> list[Gap]:
    """Points about every five minutes until then; about once a day one is late, about once a fortnight too late."""
    chance, moments = Random(kind), [float(end)]
    while moments[-1] > end - HISTORY.total_seconds():
        turn = chance.random()
        late = chance.uniform(700, 1500) if turn < 0.0003 else chance.uniform(60, 500) if turn < 0.004 else 0
        moments.append(moments[-1] - EVERY.seconds - chance.uniform(-60, 60) - late)
    return [Gap(*pair) for pair in pairwise(reversed(moments))]
