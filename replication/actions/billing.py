"""What is billed: the one rule, and the replications of a month to which it applies."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple, Self

from django.db.models import Q, QuerySet

from ampdr import clock
from ampdr.errors import Invalid
from replication.models import Replication

BILLED = (
    "uuid", "vm__account__slug", "vm__uuid", "vm__name", "source", "target", "service_level__name", "protected_at",
    "cancelled_at",
)  # fmt: skip
WRITTEN = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class Month(NamedTuple):
    """A calendar month, UTC: the billing cycle."""

    year: int
    month: int

    @classmethod
    def read(cls, text: str) -> Self:
        """From YYYY-MM. Raises Invalid (`month`) for what is none, and for a month that hasn't begun."""
        said = WRITTEN.fullmatch(text)
        if said is None or said[1] == "0000":
            raise _wrong("Write the month as YYYY-MM, as in 2026-11.")
        found, now = cls(int(said[1]), int(said[2])), cls.of(clock.now())
        if found > now:
            raise _wrong(f"{found} hasn't begun. The newest month that can be billed is {now}, UTC.")
        return found

    @classmethod
    def of(cls, moment: datetime) -> Self:
        return cls(moment.astimezone(UTC).year, moment.astimezone(UTC).month)

    @property
    def first(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last(self) -> date:
        return date(self.year, self.month, calendar.monthrange(self.year, self.month)[1])

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def _wrong(words: str) -> Invalid:
    return Invalid(words, fields={"month": [words]})


def billable_days(
    protected_at: datetime | None, cancelled_at: datetime | None, month: Month
) -> tuple[date, date] | None:
    """The first and the last day of this month on which a replication is billed, or None.

    The rule: a replication is billed from the UTC day on which it became Protected to the end of the calendar month
    (UTC) in which it was cancelled; while nobody cancels it, on every day. What was cancelled before it was Protected
    is not billed. Paused is billed, as is whatever else happens in between: nothing but these two moments counts. So
    the last day in a month that is billed at all is the month's last, in the month of the cancellation too.
    """
    if protected_at is None or protected_at.astimezone(UTC).date() > month.last:
        return None
    if cancelled_at is not None and Month.of(cancelled_at) < month:
        return None
    return max(protected_at.astimezone(UTC).date(), month.first), month.last


def billable(replications: QuerySet[Replication], month: Month) -> QuerySet[Replication]:
    """Those of these replications for which `billable_days` answers: the same rule, said to the database."""
    begins = datetime.combine(month.first, time(), UTC)
    over = datetime.combine(month.last, time(), UTC) + timedelta(days=1)
    return replications.filter(Q(cancelled_at=None) | Q(cancelled_at__gte=begins), protected_at__lt=over)


class Line(NamedTuple):
    """One replication on the bill of a month. A VM that was ordered again within the month has two."""

    account: str
    vm: str
    name: str
    source: str
    target: str
    service_level: str
    first_day: date
    last_day: date


def bill_line(row: dict[str, Any], month: Month) -> Line:
    """From a row of `BILLED` that `billable` found."""
    days = billable_days(row["protected_at"], row["cancelled_at"], month)
    assert days is not None
    return Line(
        row["vm__account__slug"], str(row["vm__uuid"]), row["vm__name"], row["source"], row["target"],
        row["service_level__name"] or "", *days,
    )  # fmt: skip


def bill(replications: QuerySet[Replication], month: Month) -> Iterator[Line]:
    """The lines of a month, by account and name, read from the database bit by bit."""
    found = billable(replications, month).order_by("vm__account__slug", "vm__name_key", "pk")
    for row in found.values(*BILLED).iterator(chunk_size=2000):
        yield bill_line(row, month)
