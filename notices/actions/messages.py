"""What is told of conversations: each side hears what the other one wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.conf import settings
from django.urls import reverse

from accounts.models import Permission
from notices.actions.conversations import OF_REPLICATION
from notices.models import Conversation, Message
from notices.tasks.registry import Happened, Kind, Letter, Member, declare, register

MESSAGES = Kind("messages", "Messages from Support", "Support wrote in a conversation of yours")


def begin() -> None:
    declare(MESSAGES)
    register("message.written", written)
    register("conversation.opened", opened)


def written(event: Happened) -> Iterator[Letter]:
    message = Message.objects.select_related("conversation").filter(pk=event.subject_id).first()
    if message:
        yield from _to_the_other_side(event, message)


def opened(event: Happened) -> Iterator[Letter]:
    first = Message.objects.select_related("conversation").filter(conversation=event.subject_id).order_by("pk").first()
    if first:
        yield from _to_the_other_side(event, first)


def _to_the_other_side(event: Happened, message: Message) -> Iterator[Letter]:
    conversation = message.conversation
    words = {"message": message, "conversation": conversation}
    if message.staff:
        yield Letter("messages", "message", to=_taking_part(conversation), words=words, needs=_needs(conversation),
                     path=_path(event, conversation))  # fmt: skip
    elif settings.SUPPORT_EMAIL:
        path = reverse("admin:notices_conversation_change", args=[conversation.pk])
        yield Letter("messages", "message", address=settings.SUPPORT_EMAIL, words=words, path=path)


def _taking_part(conversation: Conversation) -> Callable[[Member], bool]:
    """Who opened it or wrote in it; of a failover, all who may request one; of the list, the administrators."""
    wrote = {*conversation.messages.filter(staff=False).values_list("person_id", flat=True), conversation.opened_by_id}
    failover, about_list = conversation.kind == Conversation.Kind.FAILOVER, conversation.kind == Conversation.Kind.LIST

    def told(member: Member) -> bool:
        return member.person_id in wrote or (failover and member.listed) or (about_list and member.administrator)

    return told


def _needs(conversation: Conversation) -> tuple[str, ...]:
    """About a failover a listed person reads and writes on the ticket's page, without the right to read tickets."""
    needs = (Permission.READ_REPLICATION,) if conversation.kind in OF_REPLICATION else ()
    return needs if conversation.kind == Conversation.Kind.FAILOVER else (*needs, Permission.READ_TICKETS)


def _path(event: Happened, conversation: Conversation) -> str:
    page = "failover" if conversation.kind == Conversation.Kind.FAILOVER else "conversation"
    return reverse(page, args=[event.account_slug, conversation.number])
