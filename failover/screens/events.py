"""The last events of an account, in the words of Activity: what one change did to thousands of VMs is one line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from accounts.activity import name_of, reading, words
from accounts.models import Activity, Permission
from accounts.views.activity import page_of, thing_of
from ampdr.lifecycle import Actor

SHOWN, READ = 8, 200


class Event(NamedTuple):
    """Who did what, to what (a few of them), and the number that it belongs to."""

    at: datetime
    who: str
    done: str
    things: list[str]
    others: bool
    number: str
    href: str


def last_events(actor: Actor) -> list[Event]:
    """One statement; nothing without the permission, nor of replication without Read (rule 4)."""
    if not actor.can(Permission.VIEW_ACTIVITY):
        return []
    rows = reading.latest(actor, READ)
    alike = groupby(rows, key=lambda row: (row.batch, row.kind, row.event, row.about))
    return [_event(actor, list(same)) for _, (_, same) in zip(range(SHOWN), alike, strict=False)]


def _event(actor: Actor, same: list[Activity]) -> Event:
    row = same[0]
    things = [one for one in _once(thing_of(one)[0] for one in same) if one != row.about]
    return Event(
        row.at, name_of(row.actor, row.staff), words.done(row.kind, row.event), things[:2], len(things) > 2,
        row.about, page_of(actor, row.about) if row.about else "",
    )  # fmt: skip


def _once(names: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(name for name in names if name)
