"""Accounts, their members, and the list of authorized users that Support keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from accounts.actions.entering import administrators
from accounts.actions.rights import checked, support_only
from accounts.models import Account, AuthorizedUser, Head, Membership, Person, Role
from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, changes


def create_account(actor: Actor, slug: str, name: str, number: int) -> Account:
    """A new account with its head. Support's verb. Raises Invalid: a slug or number that is taken or can't be one."""
    support_only(actor)
    account = Account(slug=slug, name=name, number=number)
    with changes(actor) as change:
        checked(account).save()
        Head.objects.create(account=account)
        change.note(Account.objects.filter(pk=account.pk), "account.created")
    return account


def list_authorized(actor: Actor, account: Account, person: Person, phone: str = "", **facts: Any) -> AuthorizedUser:
    """Puts a member on the list of those who may request failovers. Support's verb."""
    support_only(actor)
    listing = AuthorizedUser(account=account, person=person, phone=phone, added_by_id=actor.person_id, **facts)
    with changes(actor) as change:
        checked(listing).save()
        change.note(AuthorizedUser.objects.filter(pk=listing.pk), "authorized.listed", person=person.name)
    return listing


def update_listing(actor: Actor, listing: AuthorizedUser, phone: str, confirmed_on: date | None) -> None:
    """Another number to call back, or the day on which the customer confirmed the listing. Support's verb."""
    support_only(actor)
    rows = AuthorizedUser.objects.filter(pk=listing.pk)
    with changes(actor) as change:
        before = rows.values_list("phone", flat=True).get()
        rows.update(phone=phone, confirmed_on=confirmed_on)
        change.note(rows, "authorized.changed", person=listing.person.name, before=before, phone=phone)


def unlist(actor: Actor, listing: AuthorizedUser, reason: str = "") -> None:
    """Takes a person off the list of those who may request failovers. Support's verb.

    The row goes, so what is written down stands on its account.
    """
    support_only(actor)
    with changes(actor, reason) as change:
        gone, _ = AuthorizedUser.objects.filter(pk=listing.pk).delete()
        if not gone:
            raise Conflict(f"{listing.person.name} is not on the list any more.", code="not_listed")
        change.note(Account.objects.filter(pk=listing.account_id), "account.unlisted", person=listing.person.name)


def add_member(actor: Actor, account: Account, person: Person, roles: Sequence[Role]) -> Membership:
    """Makes a person a member of an account. Support's verb."""
    support_only(actor)
    _check_roles(account.pk, roles)
    membership = Membership(account=account, person=person)
    with changes(actor) as change:
        checked(membership).save()
        membership.roles.set(roles)
        names = sorted(role.name for role in roles)
        mine = Membership.objects.filter(pk=membership.pk)
        change.note(mine, "membership.added", person=person.name, roles=names)
    return membership


def change_member(actor: Actor, membership: Membership, roles: Sequence[Role], enabled: bool) -> None:
    """Other roles, or in and out of the account. Support's verb; the last administrator stays (Conflict)."""
    support_only(actor)
    _check_roles(membership.account_id, roles)
    mine = Membership.objects.filter(pk=membership.pk)
    with changes(actor) as change:
        list(Membership.objects.filter(account=membership.account_id).order_by("pk").select_for_update())
        had_one = bool(administrators(membership.account_id))
        mine.update(enabled=enabled)
        membership.roles.set(roles)
        if had_one and not administrators(membership.account_id):
            raise Conflict("This is the last administrator of the account. Make another one first.")
        names = sorted(role.name for role in roles)
        change.note(mine, "membership.changed", person=membership.person.name, roles=names, enabled=enabled)


def _check_roles(account_id: int, roles: Sequence[Role]) -> None:
    if any(role.account_id not in (None, account_id) for role in roles) or not roles:
        raise Invalid("Please correct what is marked.", fields={"roles": ["Choose roles of this account."]})
