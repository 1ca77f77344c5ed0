"""How often something may be tried. Counted in the database by what is guarded, never by the address of who asks."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from accounts.models import Throttle
from ampdr import clock

SWEPT = 20  # ended windows that each new key takes away, so that made-up keys don't pile up


def count(key: str, at_most: int, within: timedelta) -> int:
    """Counts one try under `key`; which one of its window it is, from 1. The row is locked: no two are the same one.

    The first one beyond `at_most` is the last that is counted, so a flood only reads.
    """
    now = clock.now()
    if Throttle.objects.filter(key=key, ends_at__gt=now, count__gt=at_most).exists():
        return at_most + 2
    with transaction.atomic():
        while (row := Throttle.objects.select_for_update().filter(key=key).first()) is None:
            _begin(key, now)  # in a circle: whoever is forgiven in this moment takes the row away again
        over = row.ends_at <= now
        tries, ends_at = (1, now + within) if over else (row.count + 1, row.ends_at)
        Throttle.objects.filter(pk=row.pk).update(count=tries, ends_at=ends_at)
    return tries


def spend(key: str, at_most: int, within: timedelta) -> bool:
    """Counts one try under `key`; whether it is still among the first `at_most` of its window."""
    return count(key, at_most, within) <= at_most


def refund(key: str) -> None:
    """The try was a right one: it doesn't count. The wrong ones of others stay counted."""
    Throttle.objects.filter(key=key, count__gt=0).update(count=F("count") - 1)


def forgive(key: str) -> None:
    """The one who tried has proved himself: what was counted under `key` is forgotten."""
    Throttle.objects.filter(key=key).delete()


def _begin(key: str, now: datetime) -> None:
    """Makes the row of a key that has none; another process may make it in the same moment."""
    ended = Throttle.objects.filter(ends_at__lt=now).select_for_update(skip_locked=True)
    Throttle.objects.filter(pk__in=[row.pk for row in ended[:SWEPT]]).delete()
    Throttle.objects.bulk_create([Throttle(key=key, ends_at=now)], ignore_conflicts=True)
