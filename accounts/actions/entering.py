"""Entering an account: as a person, by a token, as Support; and what helps who may not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import JSONObject
from django.utils.crypto import constant_time_compare

from accounts.actions.access import open_request
from accounts.models import Account, AuthorizedUser, Head, MachineToken, Membership, Permission, Person, Role, Token
from ampdr import clock
from ampdr.errors import Absent, Forbidden
from ampdr.lifecycle import Actor

A_MINUTE = timedelta(minutes=1)
T = TypeVar("T", Token, MachineToken)


class Entry(NamedTuple):
    """Who came in, and where. `accounts`: slug and name of every account in which the person is an enabled member."""

    actor: Actor
    head: Head
    accounts: list[dict[str, str]]


@cache
def _doors() -> QuerySet[Membership]:
    """Memberships with all that an entry tells, put together once: it is asked for by every request."""
    listed = AuthorizedUser.objects.filter(account=OuterRef("account"), person=OuterRef("person"))
    theirs = Account.objects.filter(memberships__person=OuterRef("person"), memberships__enabled=True).order_by("name")
    roles = Role.objects.filter(memberships=OuterRef("pk"))
    granted = JSONObject(name="name", all_permissions="all_permissions", permissions="permissions")
    return Membership.objects.select_related("account__head").annotate(
        granted=ArraySubquery(roles.values(found=granted)),
        listed=Exists(listed),
        accounts=ArraySubquery(theirs.values(found=JSONObject(slug="slug", name="name"))),
    )


def enter(person: Person, slug: str, via: str = "page") -> Entry:
    """The person as an actor in this account, and the account's head, in one statement. Absent if not a member."""
    membership: Any = next(iter(_doors().filter(person=person, account__slug=slug, enabled=True)), None)
    if membership is None:
        raise Absent
    account, roles = membership.account, membership.granted
    granted = set().union(*(role["permissions"] for role in roles))
    if any(role["all_permissions"] for role in roles):
        granted = set(Permission.values)
    actor = Actor(
        name=person.name, person_id=person.pk, via=via, account_id=account.pk, account_slug=account.slug,
        account_name=account.name, permissions=frozenset(granted), roles=tuple(sorted(role["name"] for role in roles)),
        listed=membership.listed, unread=membership.unread,
    )  # fmt: skip
    return Entry(actor, account.head, membership.accounts)


def support(person: Person, via: str = "admin") -> Actor:
    """A person of Support as an actor. The doors check that he is staff; the verbs check it again."""
    return Actor(name=person.name, person_id=person.pk, staff=person.is_staff, via=via)


def administrators(account_id: int) -> list[Any]:
    """Who can give permissions in this account: name and e-mail of its enabled administrators."""
    found = Person.objects.filter(
        memberships__account=account_id, memberships__enabled=True, memberships__roles__all_permissions=True,
        is_active=True,
    )  # fmt: skip
    return list(found.order_by("name").distinct().values("name", "email"))


def explain(refusal: Forbidden, actor: Actor) -> None:
    """Adds to a refusal what helps: the permission's label, the person's roles, who can give it, whether he asked."""
    code = refusal.facts.get("permission")
    if not code:
        return
    if code in Permission.values:
        refusal.title = f"You need the permission {Permission(code).label}"
        refusal.facts |= {"permission": Permission(code).label, "ask": code, "asked": open_request(actor)}
    refusal.facts |= {"roles": actor.roles, "administrators": administrators(actor.account_id or 0)}
    if code == Permission.READ_REPLICATION and actor.listed:
        refusal.facts["case"] = "listed"
    if code == Permission.WRITE_REPLICATION and actor.can(Permission.READ_REPLICATION):
        refusal.facts["case"] = "no_write"


def open_token(secret: str) -> Token | None:
    """The person's token with this secret, if it opens anything now."""
    found = _with_secret(Token.objects.select_related("person", "account"), secret)
    return found if found and found.person.is_active else None


def open_machine_token(secret: str) -> MachineToken | None:
    """The machine's token with this secret, if it opens anything now."""
    found = _with_secret(MachineToken.objects.select_related("account"), secret)
    if found:
        _note_use(found)
    return found


def _with_secret(tokens: QuerySet[T], secret: str) -> T | None:
    """Found by the prefix, compared by the hash; one that was revoked or has expired is none."""
    found = tokens.filter(prefix=Token.prefix_of(secret), revoked_at=None).first()
    if found is None or not constant_time_compare(found.digest, Token.digest_of(secret)):
        return None
    return found if found.expires_at is None or found.expires_at > clock.now() else None


def _note_use(token: Token | MachineToken) -> None:
    """`last_used_at` is right to the minute, so that reading is not writing."""
    if token.last_used_at is None or clock.now() - token.last_used_at > A_MINUTE:
        type(token).objects.filter(pk=token.pk).update(last_used_at=clock.now())


def enter_by_token(secret: str, slug: str) -> tuple[Actor, Head] | None:
    """The token's owner as an actor, with the permissions that both he and the token have; None if it opens nothing.

    A token opens one account: for it every other one is Absent, as one that was never made.
    """
    token = open_token(secret)
    if token is None:
        return None
    if token.account.slug != slug:
        raise Absent
    actor, head, _ = enter(token.person, slug, via="token")
    _note_use(token)
    return replace(actor, permissions=actor.permissions & frozenset(token.scopes)), head
