"""What people may do with accounts: entering one, being answered once, keeping the list of authorized users."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, TypeVar

from django.apps import AppConfig
from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as StaffPermission
from django.contrib.postgres.aggregates import ArrayAgg, BoolOr, JSONBAgg
from django.core.exceptions import ValidationError
from django.db.models import Exists, Model, OuterRef, Q
from django.utils.crypto import constant_time_compare

from accounts.models import (
    Account,
    AuthorizedUser,
    Head,
    Membership,
    Permission,
    Person,
    Receipt,
    Role,
    Token,
    forbid_customer,
)
from ampdr import clock
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor, changes

M = TypeVar("M", bound=Model)
A_MINUTE = timedelta(minutes=1)


def enter(person: Person, slug: str, via: str = "page") -> tuple[Actor, Head]:
    """The person as an actor in this account, and the account's head, in one statement. Absent if not a member."""
    listed = AuthorizedUser.objects.filter(account=OuterRef("account"), person=OuterRef("person"))
    membership = (
        Membership.objects.filter(person=person, account__slug=slug, enabled=True)
        .select_related("account__head")
        .annotate(
            granted=JSONBAgg("roles__permissions", filter=Q(roles__isnull=False)),
            all_granted=BoolOr("roles__all_permissions", default=False),
            role_names=ArrayAgg("roles__name", filter=Q(roles__isnull=False), default=[]),
            listed=Exists(listed),
        )
        .first()
    )
    if membership is None:
        raise Absent
    account = membership.account
    granted = set(Permission.values) if membership.all_granted else set().union(*(membership.granted or []))
    actor = Actor(
        name=person.name, person_id=person.pk, via=via, account_id=account.pk, account_slug=account.slug,
        account_name=account.name, permissions=frozenset(granted), roles=tuple(sorted(membership.role_names)),
        listed=membership.listed,
    )  # fmt: skip
    return actor, account.head


def support(person: Person, via: str = "admin") -> Actor:
    """A person of Support as an actor. The doors check that he is staff; the verbs check it again."""
    return Actor(name=person.name, person_id=person.pk, staff=person.is_staff, via=via)


def administrators(account_id: int) -> list[Any]:
    """Who can give permissions in this account: name and e-mail of its enabled administrators."""
    found = Person.objects.filter(
        memberships__account=account_id, memberships__enabled=True, memberships__roles__all_permissions=True
    )
    return list(found.order_by("name").distinct().values("name", "email"))


def explain(refusal: Forbidden, actor: Actor) -> None:
    """Adds to a refusal what helps: the permission's label, the person's roles, and who can give the permission."""
    code = refusal.facts.get("permission")
    if code in Permission.values:
        refusal.title = f"You need the permission {Permission(code).label}"
        refusal.facts["permission"] = Permission(code).label
    if code:
        refusal.facts |= {"roles": actor.roles, "administrators": administrators(actor.account_id or 0)}


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


def create_person(actor: Actor, email: str, name: str, password: str | None, time_zone: str = "UTC") -> Person:
    """Somebody who can sign in, not staff. Support's verb; it stands in the installation's log."""
    support_only(actor)
    person = Person(email=email.strip().lower(), name=name, time_zone=time_zone)
    person.set_password(password)
    with changes(actor) as change:
        checked(person).save()
        change.note(Person.objects.filter(pk=person.pk), "person.created", email=person.email)
    return person


def change_person(actor: Actor, person: Person, groups: Sequence[Group], **facts: Any) -> None:
    """Who a person is and what of Support he may do. For superusers only: nobody makes himself or others more."""
    need_superuser(actor)
    rows = Person.objects.filter(pk=person.pk)
    with changes(actor) as change:
        rows.update(**facts)
        person.groups.set(groups)
        shown = {key: facts[key] for key in ("email", "is_active", "is_staff", "is_superuser") if key in facts}
        change.note(rows, "person.changed", **shown, groups=sorted(group.name for group in groups))


def note_new_password(actor: Actor, person: Person) -> None:
    """Writes down that a superuser gave a person another password, inside the caller's `changes`."""
    need_superuser(actor)
    with changes(actor) as change:
        change.note(Person.objects.filter(pk=person.pk), "person.new_password", email=person.email)


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


def receive(actor: Actor, key: str, body: Any) -> Receipt:
    """The receipt of an Idempotency-Key, inside the caller's `changes`. `made` names what a first call made, or "".

    A second call with the same key waits for the first, and gets its receipt. Another body under the same key is 409.
    """
    if not 8 <= len(key) <= 120 or "\0" in key:
        raise Invalid("Send an Idempotency-Key of 8 to 120 characters.", code="idempotency_key_missing")
    fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()
    which = {"account_id": actor.account_id, "holder": f"person:{actor.person_id}", "key": key}
    Receipt.objects.bulk_create([Receipt(fingerprint=fingerprint, **which)], ignore_conflicts=True)
    receipt = Receipt.objects.get(**which)
    if receipt.fingerprint != fingerprint:
        raise Conflict(
            "This Idempotency-Key was used for another request. Take a new key.", code="idempotency_key_reused"
        )
    return receipt


def issue_token(actor: Actor, person: Person, account: Account, name: str, scopes: Sequence[str]) -> str:
    """A new API token. Its secret is handed back once and kept only as a hash."""
    secret = Token.new_secret()
    add_token(actor, person, account, name, scopes, secret)
    return secret


def add_token(actor: Actor, person: Person, account: Account, name: str, scopes: Sequence[str], secret: str) -> Token:
    with changes(actor) as change:
        token = Token.objects.create(
            person=person, account=account, name=name, scopes=list(scopes),
            prefix=Token.prefix_of(secret), digest=Token.digest_of(secret),
        )  # fmt: skip
        change.note(Token.objects.filter(pk=token.pk), "token.issued", prefix=token.prefix)
    return token


def open_token(secret: str) -> Token | None:
    """The token with this secret, if it opens anything now."""
    found = Token.objects.select_related("person", "account").filter(prefix=Token.prefix_of(secret)).first()
    if found is None or not constant_time_compare(found.digest, Token.digest_of(secret)):
        return None
    ended = found.expires_at is not None and found.expires_at <= clock.now()
    return None if ended or not found.person.is_active else found


def enter_by_token(secret: str, slug: str) -> tuple[Actor, Head] | None:
    """The token's owner as an actor, with the permissions that both he and the token have; None if it opens nothing.

    A token opens one account: for it every other one is Absent, as one that was never made. `last_used_at` is right
    to the minute, so that reading is not writing.
    """
    token = open_token(secret)
    if token is None:
        return None
    if token.account.slug != slug:
        raise Absent
    actor, head = enter(token.person, slug, via="token")
    if token.last_used_at is None or clock.now() - token.last_used_at > A_MINUTE:
        Token.objects.filter(pk=token.pk).update(last_used_at=clock.now())
    return replace(actor, permissions=actor.permissions & frozenset(token.scopes)), head


TECHNICAL = sorted(
    set(Permission.values) - {Permission.WRITE_IDENTITY, Permission.READ_TOKENS, Permission.WRITE_TOKENS}
)
BILLING = [Permission.READ_VMS, Permission.READ_TICKETS, Permission.VIEW_ACTIVITY]
DEFAULT_ROLES: dict[str, dict[str, Any]] = {
    "Admin": {"all_permissions": True},
    "Technical": {"permissions": TECHNICAL},
    "Billing": {"permissions": BILLING},
}


def furnish(**_: Any) -> None:
    """What every installation has: the default roles (kept up to date) and the head of its own record."""
    for name, grants in DEFAULT_ROLES.items():
        Role.objects.update_or_create(account=None, name=name, defaults=grants)
    Head.objects.get_or_create(account=None)


# What members of the staff group "Support" may do in admin, by app. `change` of a ticket is to decide it, of a
# replication to retry it: no form edits them.
SUPPORT = "Support"
SUPPORT_MAY: dict[str, tuple[str, ...]] = {
    "accounts": (
        "view_account", "add_account", "view_person", "add_person", "view_role", "view_activity",
        "view_membership", "add_membership", "change_membership",
        "view_authorizeduser", "add_authorizeduser", "change_authorizeduser",
    ),
    "inventory": ("view_site", "add_site", "change_site", "view_vm"),
    "replication": ("view_order", "view_replication", "change_replication"),
    "failover": ("view_ticket", "change_ticket"),
}  # fmt: skip


def furnish_support(app_config: AppConfig, **_: Any) -> None:
    """Gives the group its permissions of one app, as soon as Django has made them."""
    names = SUPPORT_MAY.get(app_config.label, ())
    found = StaffPermission.objects.filter(content_type__app_label=app_config.label, codename__in=names)
    Group.objects.get_or_create(name=SUPPORT)[0].permissions.add(*found)
