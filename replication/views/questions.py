"""What Support asks about VMs of an order, to be answered on the order's page."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db.models import Count, Min

from accounts.models import Permission
from ampdr.lifecycle import Actor
from ampdr.work import WaitingOn
from notices.actions import may_write, readable
from notices.forms import Write
from notices.models import Conversation, Message
from replication.models import Order, Replication

FEW = 5


@dataclass(frozen=True)
class Question:
    """`asked`: Support's newest message in it. None of what is said is there for who may not read tickets."""

    number: str
    vms: str
    talk: Conversation | None
    asked: Message | None
    form: Write
    key: str
    may_answer: bool


def questions_of(actor: Actor, order: Order) -> list[Question]:
    """The oldest few that wait for an answer."""
    waiting = Replication.objects.filter(order=order, waiting_on=WaitingOn.CUSTOMER).exclude(question="")
    grouped = waiting.order_by("question").values_list("question").annotate(n=Count("pk"), name=Min("vm__name"))[:FEW]
    about = {number: name if n == 1 else f"{name} and {n - 1} more" for number, n, name in grouped}
    said: dict[str, Message] = {}
    if actor.can(Permission.READ_TICKETS):
        talks = readable(actor).filter(number__in=about)
        newest = Message.objects.filter(conversation__in=talks, staff=True).order_by("conversation", "-pk")
        found = newest.distinct("conversation").select_related("conversation")
        said = {message.conversation.number: message for message in found}
    may = bool(said) and may_write(actor, Conversation.Kind.ORDER)
    return [
        Question(number, vms, said[number].conversation if number in said else None, said.get(number),
                 Write(auto_id=f"id_{number}_%s"), uuid.uuid4().hex, may)
        for number, vms in about.items()
    ]  # fmt: skip
