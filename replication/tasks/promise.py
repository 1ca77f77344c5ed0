"""Later than promised: told once, when the date of an order passes and VMs of it are not ready."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from ampdr import work
from ampdr.lifecycle import Change
from ampdr.work import Duty
from replication.models import UNREADY, Order, Replication
from replication.tasks.listing import list_lines


@work.register
class KeepPromise(Duty):
    """The date that was promised has passed. Due again only when Support gives a new one."""

    name, model, priority = "keep promises", Order, 55

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        keys = list(mine.values_list("pk", flat=True))
        unready = Replication.objects.filter(UNREADY, order=OuterRef("pk"))
        late = list(mine.filter(Exists(unready)).values_list("pk", flat=True))
        Order.objects.filter(pk__among=keys).update(next_step_at=None, claim=None, attempts=0, last_error="")
        if late:
            flag_late(change, Replication.objects.filter(order__in=late))
            change.note(Order.objects.filter(pk__among=late), "order.late")


def flag_late(change: Change, lines: QuerySet[Replication]) -> None:
    """Those that are neither ready nor failed; that an outcome is unknown says more."""
    rows = lines.filter(state__in=("ordered", "provisioning"), flag="").order_by("pk")
    late = Replication.objects.filter(pk__among=list(rows.select_for_update(no_key=True).values_list("pk", flat=True)))
    late.update(flag="late")
    list_lines(change, late)
