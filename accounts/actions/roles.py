"""Custom roles of an account. Default roles are the portal's own and stay as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from accounts.actions.access import close_requests
from accounts.actions.rights import check_gift, checked, keeper_only, lock_people
from accounts.models import AccessRequest, Account, Invitation, Membership, Permission, Role
from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, changes

MOST = 100
LOOK_AGAIN = "Please correct what is marked."


def create_role(
    actor: Actor, account_id: int, name: str, permissions: Iterable[str], copied: Role | None = None
) -> Role:
    """A new role with these permissions. `copied` is only written down. Raises Invalid (fields), Forbidden."""
    keeper_only(actor, account_id)
    role = Role(account_id=account_id, name=name.strip(), permissions=_known(permissions))
    check_gift(actor, role.permissions)
    with changes(actor) as change:
        lock_people(account_id)
        _check_name(role)
        if Role.objects.filter(account=account_id).count() >= MOST:
            raise Conflict(f"An account has at most {MOST} roles of its own.", title="Too many roles")
        checked(role).save()
        facts: dict[str, Any] = {"name": role.name, "permissions": role.permissions} | (
            {"copied": copied.name} if copied else {}
        )
        change.note(Role.objects.filter(pk=role.pk), "role.created", **facts)
    return role


def clone_role(actor: Actor, role: Role, name: str) -> Role:
    """A role of one's own that grants what another one grants now; of a default role, without what is added later."""
    account_id = role.account_id or actor.account_id
    return create_role(actor, account_id, name, role.grants(), copied=role)


def change_role(actor: Actor, role: Role, name: str, permissions: Iterable[str]) -> None:
    """Another name, or other permissions: they act on the next request of each member.

    Nobody takes from himself, nor gives what he lacks; whoever asked for what is given now has got it.
    """
    _custom_only(actor, role)
    wanted = set(_known(permissions))
    with changes(actor) as change:
        lock_people(role.account_id or 0)
        now = _as_it_stands(role)
        before, had = now.name, set(now.permissions)
        now.name, now.permissions = name.strip(), sorted(wanted)
        _check_name(now)
        check_gift(actor, wanted - had)
        _check_own(actor, now, had - wanted)
        if (before, had) == (now.name, wanted):
            return
        checked(now).save()
        asked = AccessRequest.objects.filter(account=now.account_id, permission__in=wanted - had)
        close_requests(change, asked.filter(person__memberships__in=now.memberships.all()))
        facts: dict[str, Any] = {
            "name": now.name,
            "before": before,
            "added": sorted(wanted - had),
            "removed": sorted(had - wanted),
        }
        change.note(Role.objects.filter(pk=now.pk), "role.changed", **facts)


def delete_role(actor: Actor, role: Role) -> None:
    """Only a role that nobody has and nobody was invited to. The row goes; the account's record tells of it."""
    _custom_only(actor, role)
    with changes(actor) as change:
        lock_people(role.account_id or 0)
        now = _as_it_stands(role)
        waiting = Invitation.objects.filter(roles=now, accepted_at=None, withdrawn_at=None)
        if now.memberships.exists() or waiting.exists():
            raise Conflict(
                f"Somebody has the role {now.name}, or is invited to it. Give them another one first.",
                code="role_in_use", title="The role is in use",
            )  # fmt: skip
        now.delete()
        change.note(Account.objects.filter(pk=role.account_id or 0), "account.role_deleted", name=now.name)


def _custom_only(actor: Actor, role: Role) -> None:
    keeper_only(actor, actor.account_id if role.account_id is None else role.account_id)
    if role.account_id is None:
        raise Conflict(
            f"{role.name} is a default role and stays as it is. Copy it and change the copy.",
            code="role_locked", title="Default roles can't be changed",
        )  # fmt: skip


def _as_it_stands(role: Role) -> Role:
    now = Role.objects.filter(pk=role.pk).first()
    if now is None:
        raise Conflict(f"The role {role.name} was deleted meanwhile.", code="role_gone")
    return now


def _known(permissions: Iterable[str]) -> list[str]:
    wanted = set(permissions)
    if not wanted or not wanted <= set(Permission.values):
        text = "Tick at least one: a role without permissions gives nothing."
        raise Invalid(LOOK_AGAIN, fields={"permissions": [text if not wanted else "There is no such permission."]})
    return sorted(wanted)


def _check_name(role: Role) -> None:
    """Alike but for capitals is the same name for people."""
    others = Role.objects.filter(account=None) | Role.objects.filter(account=role.account_id)
    if "\0" not in role.name and others.filter(name__iexact=role.name).exclude(pk=role.pk).exists():
        raise Invalid(LOOK_AGAIN, fields={"name": ["There is a role of this name already."]})


def _check_own(actor: Actor, role: Role, lost: set[str]) -> None:
    """Who has the role himself can't take from it what no other role gives him."""
    mine = Membership.objects.filter(account=role.account_id, person=actor.person_id, roles=role).first()
    if mine is None:
        return
    kept = set().union(*(other.grants() for other in mine.roles.exclude(pk=role.pk)))
    if lost - kept:
        raise Conflict(
            f"You have the role {role.name} yourself, and nobody can take permissions from himself. "
            "Another administrator of your account can.", code="not_oneself", title="Not by yourself",
        )  # fmt: skip
