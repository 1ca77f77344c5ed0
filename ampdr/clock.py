"""The one clock of promises, lateness, ages, end dates and reminders. Tests set it with `ahead`.

Leases and due work compare by the database's clock, moved by the same offset, so that all processes agree.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db.models import DateTimeField, DurationField, Expression, ExpressionWrapper, Value
from django.db.models.functions import Now
from django.utils import timezone

_offset = timedelta()


def now() -> datetime:
    """The time, UTC."""
    return timezone.now() + _offset


def db_now(ahead: timedelta = timedelta()) -> Expression:
    """The database's time at the statement, `ahead` from now, as an expression."""
    return ExpressionWrapper(Now() + Value(_offset + ahead, output_field=DurationField()), output_field=DateTimeField())


@contextmanager
def ahead(by: timedelta) -> Iterator[None]:
    """For tests: everything that asks this clock is `by` later."""
    global _offset  # noqa: PLW0603  one clock for the whole process
    before, _offset = _offset, _offset + by
    try:
        yield
    finally:
        _offset = before
