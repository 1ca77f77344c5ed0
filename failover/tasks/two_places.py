"""Running in two places: a VM's source is seen running while its live failover runs.

When a live failover comes to run, and again when its source is barred, the hidden original counts as switched off
(failover/tasks/lines.py). So an original that is hidden and on is one of which the inventory has told so since: an
index holds these alone, and nobody looks through the others.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q, QuerySet

from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import Duty, WaitingOn, fresh
from failover.models import Failover, Kind
from inventory.models import Role
from replication.providers.base import Kind as Ask


@work.register
class TwoPlaces(Duty):
    """Writes it down, alarms Support by it, and has the source barred: anew where that was done, or unclear.

    A line that is on its way to its end is left alone. The flag is taken away when the source is barred.
    """

    name, model, priority = "running in two places", Failover, 15

    def due(self) -> QuerySet[Failover]:
        """Whenever the line itself is due, but not while another worker has it, nor what was set aside."""
        now = clock.db_now()
        live = Failover.objects.filter(kind=Kind.LIVE, state="running", verb__in=("", Ask.FENCE))
        seen = live.filter(vm__role=Role.PRIMARY, vm__shown=False, vm__power="on")
        free = seen.filter(Q(claim=None) | Q(next_step_at__lte=now)).exclude(flag="two_places")
        return free.exclude(waiting_on=WaitingOn.SUPPORT, next_step_at__gt=now)

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        keys = list(mine.values_list("pk", flat=True))
        anew = list(mine.filter(Q(verb="") | Q(flag="outcome_unknown")).values_list("pk", flat=True))
        Failover.objects.filter(pk__among=anew).update(fence_generation=F("fence_generation") + 1)
        lines = Failover.objects.filter(pk__among=keys)
        lines.update(**fresh(Ask.FENCE, F("source"), fenced="pending", flag="two_places"))
        change.note(lines, "failover.two_places")
        work.ring()
