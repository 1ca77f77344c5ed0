"""Tickets that wait for Support: whom they are reminded of, and when they lapse."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import Duty, WaitingOn
from failover.lifecycle import SHOWN
from failover.models import OF_OTHERS, Kind, Named, Ticket
from failover.tasks.words import retell

REMINDED_AFTER = (2, 5, 10)  # minutes; from then on every ten
LEADS_AFTER = 10  # minutes
TEST_LAPSES_AFTER = timedelta(days=7)
LOOK_AGAIN = timedelta(minutes=1)


def first_step(kind: str, at: datetime, live: bool = False) -> datetime:
    """When a ticket that was requested `at` is looked at first. `live`: a termination's, of a live failover."""
    if kind == Kind.LIVE:
        return at + timedelta(minutes=REMINDED_AFTER[0])
    return at + (TEST_LAPSES_AFTER if kind == Kind.TEST else LOOK_AGAIN)
