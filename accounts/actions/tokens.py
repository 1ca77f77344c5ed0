"""API tokens of people and of machines, and being answered once."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from accounts.actions.rights import checked, support_only
from accounts.models import Account, MachineToken, Permission, Person, Receipt, Token
from ampdr import clock
from ampdr.errors import Absent, Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes

LIFETIMES = (30, 90, 365)  # days
TOKENS_AT_MOST = 50  # of one person in one account: more are no help, and a page shows them all
NAME_AT_MOST = 60
SITE_CODE = re.compile(r"[A-Z0-9]{2,8}")
LOOK_AGAIN = "Please correct what is marked."


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


def made_with(actor: Actor, key: str) -> str:
    """The number of what this person has made with this key before; "" if nothing."""
    mine = Receipt.objects.filter(account=actor.account_id, holder=f"person:{actor.person_id}", key=key)
    return mine.values_list("made", flat=True).first() or ""


# ---- People's --------------------------------------------------------------------------------------------------------


def make_token(actor: Actor, name: str, scopes: Sequence[str], days: int) -> str:
    """A token of one's own in this account; its secret is handed back this once.

    Raises Forbidden, Invalid (fields), and Conflict when there are too many already.
    """
    actor.need(Permission.WRITE_TOKENS)
    fields: dict[str, list[str]] = defaultdict(list)
    if not name.strip() or len(name.strip()) > NAME_AT_MOST or not name.strip().isprintable():
        fields["name"].append(f"Say what it is for, in 1 to {NAME_AT_MOST} characters on one line.")
    if not scopes or not set(scopes) <= actor.permissions:
        fields["scopes"].append("Tick at least one, of those that you have yourself in this account.")
    if days not in LIFETIMES:
        fields["days"].append("Choose 30, 90 or 365 days.")
    if fields:
        raise Invalid(LOOK_AGAIN, fields=fields)
    mine = Token.objects.filter(person=actor.person_id, account=actor.account_id, revoked_at=None)
    if mine.count() >= TOKENS_AT_MOST:
        raise Conflict(f"You have {TOKENS_AT_MOST} tokens here. Revoke one first.", code="too_many_tokens")
    secret = Token.new_secret()
    token = _new_token(actor.person_id, actor.account_id, name.strip(), sorted(set(scopes)), secret, days)
    _issue(actor, token)
    return secret


def issue_token(
    actor: Actor, person: Person, account: Account, name: str, scopes: Sequence[str], days: int | None = None
) -> str:
    """A token for somebody, from the shell. Its secret is handed back once and kept only as a hash."""
    secret = Token.new_secret()
    _issue(actor, _new_token(person.pk, account.pk, name, list(scopes), secret, days))
    return secret


def add_token(actor: Actor, person: Person, account: Account, name: str, scopes: Sequence[str], secret: str) -> Token:
    """A token whose secret is known already: that of a world's file."""
    return _issue(actor, _new_token(person.pk, account.pk, name, list(scopes), secret))


def _new_token(
    person: int | None, account: int, name: str, scopes: list[str], secret: str, days: int | None = None
) -> Token:
    return Token(
        person_id=person or 0, account_id=account, name=name, scopes=scopes,
        prefix=Token.prefix_of(secret), digest=Token.digest_of(secret),
        expires_at=clock.now() + timedelta(days=days) if days else None,
    )  # fmt: skip


def _issue(actor: Actor, token: Token) -> Token:
    with changes(actor) as change:
        token.save()
        facts: dict[str, Any] = {"prefix": token.prefix, "name": token.name, "scopes": token.scopes}
        change.note(Token.objects.filter(pk=token.pk), "token.issued", **facts)
    return token


def revoke_token(actor: Actor, prefix: str) -> Token:
    """Ends a token of one's own in this account, at once. Absent if it isn't one; a second time is nothing new."""
    actor.need(Permission.WRITE_TOKENS)
    mine = Token.objects.filter(account=actor.account_id, person=actor.person_id, prefix=prefix)
    token = mine.first()
    if token is None:
        raise Absent
    with changes(actor) as change:
        _revoke(change, mine)
    return token


def revoke_tokens(change: Change, account: Account, person: Person) -> None:
    """Ends every token of a person in an account, in the caller's transaction: he is no member any more."""
    _revoke(change, Token.objects.filter(account=account, person=person))


def _revoke(change: Change, tokens: Any) -> None:
    """The rows are locked, so of two who revoke at once one does it."""
    open_ones = tokens.filter(revoked_at=None).order_by("pk").select_for_update()
    for key, prefix, name in list(open_ones.values_list("pk", "prefix", "name")):
        row = tokens.model.objects.filter(pk=key)
        row.update(revoked_at=change.at)
        change.note(row, f"{KINDS[tokens.model]}.revoked", prefix=prefix, name=name)


KINDS: dict[Any, str] = {Token: "token", MachineToken: "machine_token"}


# ---- Machines' -------------------------------------------------------------------------------------------------------


def issue_machine_token(
    actor: Actor, name: str, purpose: str, *, site: str = "", account: Account | None = None, days: int | None = None
) -> tuple[MachineToken, str]:
    """A token for one purpose and one site or one account, and its secret, this once. Operators' verb.

    Sites lie above this application: their code is a text here, and is checked where the token is used.
    """
    support_only(actor)
    site = site.strip().upper()
    if bool(site) == bool(account):
        raise Invalid(LOOK_AGAIN, fields={"site": ["Name a site or an account: one of them, not both."]})
    if site and not SITE_CODE.fullmatch(site):
        raise Invalid(LOOK_AGAIN, fields={"site": ["A site's code has 2 to 8 letters and digits, such as DFW01."]})
    secret = Token.new_secret()
    token = MachineToken(
        name=name.strip(), purpose=purpose, site=site, account=account, prefix=Token.prefix_of(secret),
        digest=Token.digest_of(secret), made_by_id=actor.person_id,
        expires_at=clock.now() + timedelta(days=days) if days else None,
    )  # fmt: skip
    with changes(actor) as change:
        checked(token).save()
        place = {"site": site} if site else {"account": account.slug if account else ""}
        rows = MachineToken.objects.filter(pk=token.pk)
        change.note(rows, "machine_token.issued", prefix=token.prefix, name=token.name, purpose=purpose, **place)
    return token, secret


def revoke_machine_token(actor: Actor, token: MachineToken) -> None:
    """Ends a machine's token at once. Operators' verb."""
    support_only(actor)
    with changes(actor) as change:
        _revoke(change, MachineToken.objects.filter(pk=token.pk))
