"""Who may use a verb of Support, and whether a row is well-formed."""

from __future__ import annotations

from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model

from accounts.models import Person, forbid_customer
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import Actor

M = TypeVar("M", bound=Model)


def need_superuser(actor: Actor) -> None:
    if not Person.objects.filter(pk=actor.person_id or 0, is_superuser=True, is_active=True).exists():
        raise Forbidden("Only a superuser of this installation can do this.")


def support_only(actor: Actor) -> None:
    """For verbs of Support that the portal itself uses too, when it loads a world."""
    if actor.person_id is not None:
        forbid_customer(actor)


def checked(row: M) -> M:
    """The row, if it is well-formed. Raises Invalid, naming its fields."""
    try:
        row.full_clean()
    except ValidationError as error:
        raise Invalid("Please correct what is marked.", fields=error.message_dict) from error
    return row
