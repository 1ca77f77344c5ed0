"""Running in two places: a VM's source is seen running while its live failover runs.

When a live failover comes to run, and when its source is barred late, the hidden original counts as switched off
(failover/tasks/lines.py). So an original that is hidden and on is one of which the inventory has told so since: an
index holds these alone, and nobody looks through the others.

From then on until the inventory tells that it is off, whatever is said of the bar meanwhile, it is one event: alarmed
once (`reminded_at`), however often it is told again.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q, QuerySet

from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import NOTHING_TO_DO, Duty, WaitingOn, fresh
from failover.models import Failover, Kind
from inventory.models import Role
from replication.providers.base import Kind as Ask


class _Sight(Duty):
    """Of running live failovers, wherever they stand with the bar."""

    model = Failover

    def running(self) -> QuerySet[Failover]:
        """Whenever the line itself is due, but not while another worker has it, nor what was set aside."""
        now = clock.db_now()
        live = Failover.objects.filter(kind=Kind.LIVE, state="running", verb__in=("", Ask.FENCE))
        free = live.filter(Q(claim=None) | Q(next_step_at__lte=now))
        return free.exclude(waiting_on=WaitingOn.SUPPORT, next_step_at__gt=now)


@work.register
class TwoPlaces(_Sight):
    """Writes it down, alarms Support by it, and has the source barred, anew where that was done.

    A line that is on its way to its end is left alone. Of a bar whose outcome is unknown the alarm is all: that is
    Support's to settle, and nothing is submitted again before. One that is under way is looked at, and not asked for
    again: a provider that forgets what it was asked would do it twice.
    """

    name, priority = "running in two places", 15

    def due(self) -> QuerySet[Failover]:
        seen = self.running().filter(vm__role=Role.PRIMARY, vm__shown=False, vm__power="on")
        return seen.filter(reminded_at=None)

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        rows = list(mine.values_list("pk", "verb", "flag", "waiting_on"))
        unclear = [pk for pk, _, flag, _ in rows if flag == "outcome_unknown"]
        anew = [pk for pk, verb, _, who in rows if pk not in unclear and (not verb or who == WaitingOn.SUPPORT)]
        lines = Failover.objects.filter(pk__among=[pk for pk, *_ in rows])
        lines.exclude(pk__in=unclear).update(flag="two_places")
        lines.update(reminded_at=change.at, claim=None, next_step_at=clock.db_now())
        lines.filter(pk__in=unclear).update(next_step_at=None)
        again = {"fenced": "pending", "fence_generation": F("fence_generation") + 1}
        lines.filter(pk__in=anew).update(**fresh(Ask.FENCE, F("source"), **again))
        change.note(lines, "failover.two_places")
        work.ring()


@work.register
class OnePlace(_Sight):
    """The inventory tells that the source is off: the flag is taken away, and what is seen next is alarmed anew."""

    name, priority = "running in one place again", 16

    def due(self) -> QuerySet[Failover]:
        return self.running().filter(reminded_at__isnull=False, verb="", vm__power="off")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        change.touch(mine.values_list("ticket__account", flat=True))
        mine.update(**NOTHING_TO_DO, reminded_at=None, flag="")
