"""How often something may be tried. Counted in the database by what is guarded, never by the address of who asks."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import F

from accounts.models import Throttle
from ampdr import clock


def spend(key: str, at_most: int, within: timedelta) -> bool:
    """Counts one try under `key`; whether it is still among the first `at_most` of its window."""
    now = clock.now()
    with transaction.atomic():
        Throttle.objects.bulk_create([Throttle(key=key, ends_at=now + within)], ignore_conflicts=True)
        row = Throttle.objects.select_for_update().get(key=key)
        if row.ends_at <= now:
            Throttle.objects.filter(pk=row.pk).update(count=1, ends_at=now + within)
            return True
        Throttle.objects.filter(pk=row.pk).update(count=F("count") + 1)
        return row.count < at_most


def forgive(key: str) -> None:
    """The one who tried has proved himself: what was counted under `key` is forgotten."""
    Throttle.objects.filter(key=key).delete()
