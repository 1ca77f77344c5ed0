"""Who may use a verb of Support, and whether a row is well-formed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model

from accounts.models import Account, Membership, Permission, Person, Role, forbid_customer
from ampdr.errors import Absent, Forbidden, Invalid
from ampdr.lifecycle import Actor

M = TypeVar("M", bound=Model)


def need_superuser(actor: Actor) -> None:
    if not Person.objects.filter(pk=actor.person_id or 0, is_superuser=True, is_active=True).exists():
        raise Forbidden("Only a superuser of this installation can do this.")


def need_right(actor: Actor, right: str) -> None:
    """A right of a staff group, such as accounts.add_factorreset. Raises Forbidden."""
    person = Person.objects.filter(pk=actor.person_id or 0, is_staff=True).first()
    if person is None or not person.has_perm(right):
        raise Forbidden("Your staff group doesn't do this. Ask a Support lead.")


def support_only(actor: Actor) -> None:
    """For verbs of Support that the portal itself uses too, when it loads a world. A machine is no portal."""
    if actor.person_id is not None or actor.via == "machine":
        forbid_customer(actor)


def keeper_only(actor: Actor, account_id: int) -> None:
    """Members, roles and invitations are kept by who may write identity in their account, and by Support."""
    if not actor.account_id:
        return support_only(actor)
    actor.need(Permission.WRITE_IDENTITY)
    if account_id != actor.account_id:
        raise Absent
    return None


def lock_people(account_id: int) -> None:
    """Changes of members, roles and invitations of one account come one after the other, inside of `changes`.

    One row stands for them all, since an account may have no member yet. Other rows that name it aren't held up.
    """
    Account.objects.select_for_update(no_key=True).get(pk=account_id)


def check_gift(actor: Actor, permissions: Iterable[str], roles: Iterable[Role] = ()) -> None:
    """Nobody gives what he himself lacks, unless he is an administrator (or Support). Raises Forbidden."""
    given = set(permissions).union(*(role.grants() for role in roles))
    beyond = given - actor.permissions or any(role.all_permissions for role in roles)
    if actor.account_id and beyond and not is_administrator(actor):
        raise Forbidden(
            "You can't give permissions that you don't have yourself. An administrator of your account can.",
            code="more_than_own", title="Only an administrator can give this",
        )  # fmt: skip


def is_administrator(actor: Actor) -> bool:
    mine = Membership.objects.filter(account=actor.account_id, person=actor.person_id, enabled=True)
    return mine.filter(roles__all_permissions=True).exists()


def checked(row: M, leave: Collection[str] = ()) -> M:
    """The row, if it is well-formed, but for the fields to `leave`. Raises Invalid, naming its fields."""
    try:
        row.full_clean(exclude=leave)
    except ValidationError as error:
        raise Invalid("Please correct what is marked.", fields=error.message_dict) from error
    return row
