"""The second factor: proving it, asking for a fresh proof, and what to do when it is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts.actions.limits import spend
from ampdr import clock
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import Actor

TRIES, WINDOW = 10, timedelta(minutes=5)


def need_fresh(actor: Actor) -> None:
    """A verb's second line, where two people and a fresh proof are asked for. Raises Forbidden."""
    if not actor.fresh:
        raise Forbidden(
            "Type the code of your authenticator app: its last proof is older than 5 minutes.",
            code="second_factor_needed", title="Your second factor is needed",
        )  # fmt: skip


def has_factor(person_id: int) -> bool:
    return bool(Authenticator.objects.filter(user=person_id, type=Authenticator.Type.TOTP).exists())


def prove(actor: Actor, code: str) -> Actor:
    """The actor with a fresh proof, by a code of his app or a recovery code. The door keeps it in the session.

    Each code counts once: the rows are locked, so of two that bring the same one, one is refused. Raises Invalid
    beside the field `code`; after ten wrong ones in five minutes also for a right one.
    """
    if not spend(f"code:{actor.person_id}", TRIES, WINDOW):
        raise Invalid("Please correct what is marked.", fields={"code": ["Too many wrong codes. Wait five minutes."]})
    with transaction.atomic():
        mine = Authenticator.objects.filter(user=actor.person_id or 0).order_by("-type").select_for_update()
        used = next((one for one in mine if one.wrap().validate_code(code.strip())), None)
        if used:
            used.record_usage()
    if used is None:
        raise Invalid("Please correct what is marked.", fields={"code": [WRONG]}, code="second_factor_wrong")
    return replace(actor, proved_at=clock.now(), proved_by=used.type)


WRONG = "This code isn't right, or was used already. Wait for the next one in your app, or take a recovery code."


def proof_of(actor: Actor) -> dict[str, str]:
    """What stands in Activity beside a step that asked for a fresh proof: when, and by which means."""
    if actor.proved_at is None:
        return {}
    return {"second_factor": actor.proved_by, "proved_at": actor.proved_at.isoformat(timespec="seconds")}
