"""What Overview names: a few VMs of each kind that needs somebody, tests that end, who may request failovers.

All of them in one statement, and of each kind no more than are shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import CharField, DateTimeField, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Cast

from accounts.models import AuthorizedUser, Permission
from ampdr import clock
from ampdr.lifecycle import Actor
from failover.models import Failover
from failover.screens.census import BEHIND, Census, due_soon
from failover.screens.row import NEVER, OVERDUE, REPLICATED, TEST_TELLS_FOR, readiness_name
from inventory.models import VM, Role

FEW, MANY = 3, 20
FAILED = ("failed", "outcome_unknown")


class Example(NamedTuple):
    """`at` is what the kind is about: its newest point, its last test, its end date. `number`: its order or ticket."""

    kind: str
    name: str
    slug: str
    number: str
    at: datetime | None


def examples(actor: Actor, counted: Census) -> dict[str, list[Example]]:
    """Kind -> the first few. For who may read of replication."""
    first, *others = wanted(actor, counted)
    found: dict[str, list[Example]] = defaultdict(list)
    for row in first.union(*others, all=True) if others else first:
        found[row[0]].append(Example(*row))
    return found


def wanted(actor: Actor, counted: Census) -> Iterator[QuerySet[Any, Any]]:
    """Only what there is some of: the counts are known already."""
    rows = VM.objects.visible_to(actor, Permission.READ_REPLICATION).filter(shown=True)
    vms, now = rows.filter(role=Role.PRIMARY, rank=1), clock.now()  # the rank lets an index give the first names
    listed = AuthorizedUser.objects.visible_to(actor, Permission.READ_REPLICATION).standing()
    yield _some("listed", listed.order_by("person__name"), "person__name", slug="", n=MANY)
    troubled = vms.filter(group="attention")  # likewise: all of these words are of that group
    if counted.behind:
        yield _some("behind", troubled.filter(protection__in=BEHIND).order_by("newest_point_at"), at="newest_point_at")
    for kind, words in (("asked", ("needs_input",)), ("failed", FAILED)):
        if counted.in_state(*words):
            yield _some(kind, troubled.filter(protection__in=words).order_by("name_key"), number="order_number")
    tested = vms.filter(protection__in=REPLICATED).annotate(tested=readiness_name(now))
    if counted.overdue:
        overdue = tested.filter(tested=OVERDUE.name, last_test_at__lt=now - TEST_TELLS_FOR)
        yield _some("overdue", overdue.order_by("last_test_at"), at="last_test_at")
    if counted.never:
        yield _some("never", tested.filter(tested=NEVER.name).order_by("name_key"))
    if counted.due:
        yield _some("due", vms.filter(due_soon(now)).order_by("last_test_at"), at="last_test_at")
    if any(group.role == Role.TEST for group in counted.groups):
        made = Failover.objects.filter(uuid=OuterRef("made_by")).values("ends_at")[:1]
        ending = rows.filter(role=Role.TEST).annotate(ends_at=Subquery(made)).order_by("ends_at")
        yield _some("ends", ending, number="held_by", at="ends_at")


def _some(
    kind: str, rows: QuerySet[Any], name: str = "name", slug: str = "slug", number: str = "", at: str = "", n: int = FEW
) -> QuerySet[Any, Any]:
    """The columns of an `Example`."""
    told = {
        "kind_": Value(kind, output_field=CharField()), "name_": F(name), "slug_": _or_nothing(slug),
        "number_": _or_nothing(number), "at_": F(at) if at else Cast(Value(None), DateTimeField()),
    }  # fmt: skip
    found: QuerySet[Any, Any] = rows.annotate(**told).values_list(*told)[:n]
    return found


def _or_nothing(column: str) -> Any:
    return F(column) if column else Value("", output_field=CharField())
