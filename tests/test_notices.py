"""Notices: made from the record, once for each event, person and channel, whatever is killed or repeated."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.actions import issue_token, list_authorized
from accounts.models import Head, Membership
from ampdr import work
from ampdr.work import claim, perform
from notices.models import Notice, Preference, Reading
from notices.tasks import Read
from tests.cast import Cast, make_person, join


def told(*columns: str, **which: Any) -> list[Any]:
    return list(Notice.objects.filter(**which).order_by("pk").values_list(*columns, flat=len(columns) == 1))


def read_again() -> None:
    """As if nothing had been read yet."""
    Reading.objects.update(number=0)
    work.drive()


def test_one_notice_per_event_person_and_channel(cast: Cast) -> None:
    issue_token(cast.actor("priya"), cast.priya, cast.northwind, "backup", ["read_vms"])
    work.drive()
    first = told("event", "email", "channel", kind="security")
    assert [(email, channel) for _, email, channel in first] == [
        ("priya@example.com", "portal"), ("priya@example.com", "email")
    ]
    everything = Notice.objects.count()
    for _ in range(3):
        read_again()
    assert Notice.objects.count() == everything
    heads = dict(Head.objects.values_list("account", "number"))
    assert dict(Reading.objects.values_list("account", "number")) == heads
