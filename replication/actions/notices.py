"""What is told of orders, and to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet
from django.urls import reverse

from accounts.models import Activity, Permission
from ampdr.work import WaitingOn
from notices.tasks import Happened, Letter, Member, Per, declare, register
from notices.tasks import Kind as Sort
from replication.actions.standing import progress
from replication.models import Order, Replication

ORDERS = Sort(
    "orders", "Orders and replication",
    "An order is ready, needs you, is later than promised, or something of it failed; replication was stopped",
    permission=Permission.READ_REPLICATION,
)  # fmt: skip


def register_notices() -> None:
    declare(ORDERS)
    for event in ("protect", "fail", "outcome_unknown"):
        register(f"replication.{event}", order_ready, Per.ABOUT)
    for event in ("stop", "cancel"):
        register(f"replication.{event}", order_stopped, Per.BATCH)
    register("replication.asked", order_asked, Per.BATCH)
    register("order.late", order_late)
    register("order.promised", order_promised)


def order_ready(event: Happened) -> Iterator[Letter]:
    """Once when every line is protected or failed; anew when Support's retry got further."""
    order = Order.objects.filter(number=event.about).first()
    if order is None or event.from_state == "stopping":
        return  # an imported one has no order; that stopping failed is Support's to mend
    if event.event != "replication.outcome_unknown" or _stuck(order).exists():  # that of stopping is no news of it
        yield from _ready(event, order)


def _stuck(order: Order) -> QuerySet[Replication]:
    lines = Replication.objects.filter(order=order, state="provisioning")
    return lines.filter(waiting_on=WaitingOn.SUPPORT, question="")


def _ready(event: Happened, order: Order) -> Iterator[Letter]:
    """How many ever were protected only grows, so that who reads the record again tells nothing again."""
    lines = Replication.objects.filter(order=order)
    counted: Counter[str] = Counter()
    for state, whom, n in lines.order_by().values_list("state", "waiting_on").annotate(n=Count("pk")):
        counted["asked" if (state, whom) == ("failed", WaitingOn.CUSTOMER) else state] += n
    stuck = _stuck(order).count()
    if counted["ordered"] + counted["provisioning"] - stuck:
        return
    ready, failed, waiting = counted["protected"] + counted["paused"], counted["failed"] + stuck, counted["asked"]
    once = f"order.ready:{order.number}:{lines.exclude(protected_at=None).count()}"
    if ready or failed:
        words = {"ready": ready, "failed": failed, "waiting": waiting, "total": ready + failed + waiting}
        yield _letter(event, order, "order_ready", once=once, **words)


def order_stopped(event: Happened) -> Iterator[Letter]:
    """And that the others are ready, when the last one for which they waited was cancelled before it was."""
    order = Order.objects.filter(number=event.about).first()
    if order is None:
        return
    yield _letter(event, order, "order_stopped", charged=_were_protected(event))
    if Replication.objects.filter(order=order, protected_at=None, cancelled_at=event.at).exists():
        yield from _ready(event, order)


def _were_protected(event: Happened) -> int:
    """How many of those that were stopped here: the others cost nothing."""
    rows = Activity.objects.filter(account=event.account_id, about=event.about, at=event.at, kind="replication")
    stopped = rows.filter(event__in=("stop", "cancel")).values("subject_id")
    return Replication.objects.filter(pk__in=stopped).exclude(protected_at=None).count()


def order_asked(event: Happened) -> Iterator[Letter]:
    order = Order.objects.filter(number=event.about).first()
    if order:
        yield _letter(event, order, "order_asked")


def order_late(event: Happened) -> Iterator[Letter]:
    """To the customer; and to Support, of whom a new date is expected."""
    order = Order.objects.filter(number=event.about).first()
    if order is None:
        return
    lines = progress(Replication.objects.filter(order=order))
    words: dict[str, Any] = {"ready": lines.ready, "total": lines.total}
    yield _letter(event, order, "order_late", **words)
    if settings.SUPPORT_EMAIL:
        path = reverse("admin:replication_order_change", args=[order.pk])
        words["support"] = True
        yield Letter(ORDERS.name, "order_late", address=settings.SUPPORT_EMAIL, words=words, path=path)


def order_promised(event: Happened) -> Iterator[Letter]:
    order = Order.objects.filter(number=event.about).first()
    if order:
        yield _letter(event, order, "order_promised")


def _letter(event: Happened, order: Order, template: str, once: str = "", **words: Any) -> Letter:
    path = reverse("order", args=[event.account_slug, order.number])
    return Letter(ORDERS.name, template, to=_concerned(order), words=words, path=path, once=once)


def _concerned(order: Order) -> Callable[[Member], bool]:
    """Whoever ordered it, and all who may order and stop."""
    return lambda one: Permission.WRITE_REPLICATION in one.permissions or one.person_id == order.ordered_by_id
