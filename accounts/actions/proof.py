"""What a session knows of a second factor, kept the way allauth keeps it, and asking for the code at a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from django.http import HttpRequest

from accounts.actions.second_factor import NEEDED, prove
from ampdr.errors import Forbidden
from ampdr.lifecycle import Actor

T = TypeVar("T")


def proved(request: HttpRequest, actor: Actor) -> Actor:
    """The actor with what this session knows of his second factor."""
    records = get_authentication_records(request, request.user)
    last = next((record for record in reversed(records) if record["method"] == "mfa"), None)
    if last is None:
        return actor
    return replace(actor, proved_at=datetime.fromtimestamp(last["at"], UTC), proved_by=last["type"])


def remember_proof(request: HttpRequest, actor: Actor) -> None:
    """Keeps a proof that was just given in the session: it holds for the next steps, whatever becomes of this one."""
    if actor.proved_at:
        record_authentication(request, request.user, "mfa", type=actor.proved_by, at=actor.proved_at.timestamp())


def with_proof(request: HttpRequest, actor: Actor, code: str, verb: Callable[[Actor], T]) -> T:
    """Does the verb; where it asks for a fresh second factor, proves it by `code` first, if one was typed.

    The verb is asked before the code is looked at: whoever may not do this anyway hears that, and keeps his code.
    Raises what the verb raises (Forbidden `second_factor_needed` without a code), and Invalid for a wrong code.
    """
    try:
        return verb(actor)
    except Forbidden as refusal:
        if refusal.code != NEEDED or not code.strip():
            raise
    actor = prove(actor, code)
    remember_proof(request, actor)
    return verb(actor)
