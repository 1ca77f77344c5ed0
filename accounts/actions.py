"""What people may do with accounts: entering one, being answered once, keeping the list of authorized users."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg, BoolOr, JSONBAgg
from django.db.models import Exists, OuterRef, Q
from django.utils.crypto import constant_time_compare

from accounts.models import Account, AuthorizedUser, Head, Membership, Permission, Person, Receipt, Role, Token
from ampdr import clock
from ampdr.errors import Absent, Conflict, Invalid
from ampdr.lifecycle import Actor, changes

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


def administrators(account_id: int) -> list[dict[str, str]]:
    """Who can give permissions in this account: name and e-mail of its enabled administrators."""
    found = Person.objects.filter(
        memberships__account=account_id, memberships__enabled=True, memberships__roles__all_permissions=True
    )
    return list(found.order_by("name").distinct().values("name", "email"))


def create_account(actor: Actor, slug: str, name: str, number: int) -> Account:
    """A new account with its head. Support's verb."""
    with changes(actor) as change:
        account = Account.objects.create(slug=slug, name=name, number=number)
        Head.objects.create(account=account)
        change.note(Account.objects.filter(pk=account.pk), "account.created")
    return account


def list_authorized(actor: Actor, account: Account, person: Person, phone: str = "", **facts: Any) -> AuthorizedUser:
    """Puts a member on the list of those who may request failovers. Support's verb."""
    listing = AuthorizedUser(account=account, person=person, phone=phone, added_by_id=actor.person_id, **facts)
    with changes(actor) as change:
        listing.full_clean()
        listing.save()
        change.note(AuthorizedUser.objects.filter(pk=listing.pk), "authorized.listed", person=person.name)
    return listing


def receive(actor: Actor, key: str, body: Any) -> Receipt:
    """The receipt of an Idempotency-Key, inside the caller's `changes`. `made` names what a first call made, or "".

    A second call with the same key waits for the first, and gets its receipt. Another body under the same key is 409.
    """
    if not 8 <= len(key) <= 120:
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
