"""API tokens, and being answered once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from accounts.models import Account, Person, Receipt, Token
from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, changes


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
