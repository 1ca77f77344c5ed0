"""Accounts, their members, and the list of authorized users that Support keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.db.models import Q

from accounts.actions.access import close_requests
from accounts.actions.entering import administrators
from accounts.actions.rights import check_gift, checked, keeper_only, lock_people, support_only
from accounts.actions.tokens import revoke_tokens
from accounts.models import AccessRequest, Account, AuthorizedUser, Head, Invitation, Membership, Person, Role
from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes


def create_account(actor: Actor, slug: str, name: str, number: int) -> Account:
    """A new account with its head. Support's verb. Raises Invalid: a slug or number that is taken or can't be one."""
    support_only(actor)
    account = Account(slug=slug, name=name, number=number)
    with changes(actor) as change:
        checked(account).save()
        Head.objects.create(account=account)
        change.note(Account.objects.filter(pk=account.pk), "account.created")
    return account


# ---- The list of authorized users ------------------------------------------------------------------------------------


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
        facts = {"person": listing.person.name, "email": listing.person.email}
        change.note(Account.objects.filter(pk=listing.account_id), "account.unlisted", **facts)


# ---- Members ---------------------------------------------------------------------------------------------------------


def add_member(actor: Actor, account: Account, person: Person, roles: Sequence[Role]) -> Membership:
    """Makes a person a member of an account. Support's verb: customers invite people."""
    support_only(actor)
    with changes(actor) as change:
        return join(change, account, person, roles)


def join(change: Change, account: Account, person: Person, roles: Sequence[Role]) -> Membership:
    """A new member, in the caller's transaction. Raises Invalid if he is one already."""
    lock_people(account.pk)
    now = roles_as_they_stand(account.pk, roles)
    membership = checked(Membership(account=account, person=person))
    membership.save()
    membership.roles.set(now)
    mine = Membership.objects.filter(pk=membership.pk)
    change.note(mine, "membership.added", person=person.name, roles=names_of(now))
    return membership


def change_member(
    actor: Actor, membership: Membership, roles: Sequence[Role] | None = None, enabled: bool | None = None
) -> None:
    """Other roles, or in and out of the account; None leaves as it is. Acts on the member's next request.

    A verb of the account's administrators and of Support. Nobody disables or demotes himself, the last administrator
    stays (Conflict), and nobody gives what he himself lacks (Forbidden).
    """
    keeper_only(actor, membership.account_id)
    with changes(actor) as change, administered(membership.account_id):
        member = _as_it_stands(membership)
        had, was_in = list(member.roles.all()), member.enabled
        now = had if roles is None else roles_as_they_stand(member.account_id, roles)
        is_in = was_in if enabled is None else enabled
        check_gift(actor, (), [role for role in now if role not in had or (is_in and not was_in)])
        if actor.person_id == member.person_id and (was_in > is_in or not _grants(had) <= _grants(now)):
            raise _not_oneself("disable or demote")
        if was_in > is_in:
            _withdraw_invitations(change, member)
        if set(had) != set(now) or was_in != is_in:
            _write(change, member, now, is_in)


def remove_member(actor: Actor, membership: Membership) -> None:
    """Out of the account for good: his API tokens of this account end, what he asked for is closed, a listing on
    Support's list is suspended by itself. The row goes, so what is written down stands on its account.
    """
    keeper_only(actor, membership.account_id)
    with changes(actor) as change, administered(membership.account_id):
        member = _as_it_stands(membership)
        if actor.person_id == member.person_id:
            raise _not_oneself("remove")
        account, person = member.account, member.person
        revoke_tokens(change, account, person)
        close_requests(change, AccessRequest.objects.filter(account=account, person=person))
        _withdraw_invitations(change, member)
        facts: dict[str, Any] = {"person": person.name, "email": person.email, "roles": names_of(member.roles.all())}
        Membership.objects.filter(pk=member.pk).delete()
        change.note(Account.objects.filter(pk=account.pk), "account.member_removed", **facts)


@contextmanager
def administered(account_id: int) -> Iterator[None]:
    """Inside of `changes`: an account that has an administrator has one afterwards, whoever changes it meanwhile."""
    lock_people(account_id)
    had_one = bool(administrators(account_id))
    yield
    if had_one and not administrators(account_id):
        raise Conflict(
            "This is the last administrator of the account. Make another one first.",
            code="last_administrator", title="The last administrator stays",
        )  # fmt: skip


def roles_as_they_stand(account_id: int, roles: Sequence[Role]) -> list[Role]:
    """Under the lock: a role may have been deleted, or may grant more, since it was chosen. Raises Invalid."""
    ours = Q(account=None) | Q(account=account_id)
    found = list(Role.objects.filter(ours, pk__in=[role.pk for role in roles]))
    if not found or len(found) < len({role.pk for role in roles}):
        raise Invalid("Please correct what is marked.", fields={"roles": ["Choose at least one role of this account."]})
    return found


def names_of(roles: Iterable[Role]) -> list[str]:
    return sorted(role.name for role in roles)


def _as_it_stands(membership: Membership) -> Membership:
    found = Membership.objects.filter(pk=membership.pk).select_related("account", "person").prefetch_related("roles")
    member = found.first()
    if member is None:
        raise Conflict(f"{membership.person.name} is no member of this account any more.", code="not_a_member")
    return member


def _grants(roles: Iterable[Role]) -> set[str]:
    return set().union(*(role.grants() for role in roles))


def _withdraw_invitations(change: Change, member: Membership) -> None:
    """Open ones that he has sent, or that were sent to him: no way back that outlives his membership."""
    asked = Q(invited_by=member.person) | Q(email=member.person.email)
    theirs = Invitation.objects.filter(asked, account=member.account, accepted_at=None, withdrawn_at=None)
    for key, email in theirs.order_by("pk").values_list("pk", "email"):
        row = Invitation.objects.filter(pk=key)
        row.update(withdrawn_at=change.at)
        change.note(row, "invitation.withdrawn", email=email)


def _not_oneself(what: str) -> Conflict:
    text = f"Nobody can {what} himself. Another administrator of your account can."
    return Conflict(text, code="not_oneself", title="Not by yourself")


def _write(change: Change, member: Membership, roles: Sequence[Role], enabled: bool) -> None:
    mine, before, was_in = Membership.objects.filter(pk=member.pk), names_of(member.roles.all()), member.enabled
    mine.update(enabled=enabled)
    Membership.objects.get(pk=member.pk).roles.set(roles)
    if names_of(roles) != before:
        asked = AccessRequest.objects.filter(account=member.account_id, person=member.person_id)
        close_requests(change, asked)
    event = "changed" if enabled == was_in else "enabled" if enabled else "disabled"
    facts: dict[str, Any] = {
        "person": member.person.name,
        "roles": names_of(roles),
        "before": before,
        "enabled": enabled,
    }
    change.note(mine, f"membership.{event}", **facts)
