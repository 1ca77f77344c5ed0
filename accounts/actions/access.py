"""Asking the administrators for a permission."""

from __future__ import annotations

from django.db import IntegrityError
from django.db.models import QuerySet

from accounts.models import AccessRequest, Permission
from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes


def ask_for_access(actor: Actor, permission: str) -> AccessRequest:
    """A member's one message to his administrators. While it is open, asking again is nothing new."""
    if permission not in Permission.values:
        raise Invalid("There is no such permission.", fields={"permission": ["There is no such permission."]})
    if actor.can(permission):
        raise Conflict(f"You have {Permission(permission).label} already.", title="Nothing to ask for")
    if asked := open_request(actor):
        return asked
    try:
        with changes(actor) as change:
            made = AccessRequest.objects.create(
                account_id=actor.account_id, person_id=actor.person_id or 0, permission=permission, asked_at=change.at
            )
            change.note(AccessRequest.objects.filter(pk=made.pk), "access.asked", permission=permission)
    except IntegrityError:  # the same person, at the same moment
        return AccessRequest.objects.get(account=actor.account_id, person=actor.person_id, closed_at=None)
    return made


def open_request(actor: Actor) -> AccessRequest | None:
    mine = AccessRequest.objects.filter(account=actor.account_id, person=actor.person_id, closed_at=None)
    return mine.first()


def close_requests(change: Change, asked: QuerySet[AccessRequest]) -> None:
    """What was asked for is settled, in the caller's transaction: his roles changed, or he is no member any more."""
    open_ones = asked.filter(closed_at=None).order_by("pk").select_for_update(of=("self",))
    rows = AccessRequest.objects.filter(pk__among=list(open_ones.values_list("pk", flat=True)))
    if rows.update(closed_at=change.at):
        change.note(rows, "access.closed")
