"""A lost second factor: a Support lead asks for its removal after a call-back, a second one of staff approves."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import IntegrityError

from accounts.actions.people import end_them
from accounts.actions.rights import need_right
from accounts.actions.second_factor import need_fresh, proof_of
from accounts.actions.tokens import revoke_tokens
from accounts.models import FactorReset, Membership, Person
from ampdr.errors import Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor, Change, changes


def ask_factor_reset(actor: Actor, person: Person, reason: str) -> FactorReset:
    """Asks that this person's second factor be removed. `reason` tells of the call-back.

    Raises Forbidden (not a Support lead; his own), Invalid (no reason) and Conflict: `no_factor`, `already_asked`.
    """
    need_right(actor, "accounts.add_factorreset")
    _need_another(actor, person, "ask for")
    if not reason.strip():
        words = "Say whom you called back, and how you knew the voice."
        raise Invalid(words, fields={"reason": [words]})
    if not Authenticator.objects.filter(user=person).exists():
        raise Conflict(f"{person.name} has no second factor to reset.", code="no_factor")
    try:
        with changes(actor, reason.strip()) as change:
            reset = FactorReset.objects.create(person=person, reason=reason.strip(), asked_by_id=actor.person_id or 0)
            _note(change, reset, "factor_reset_asked")
    except IntegrityError as race:
        raise Conflict(f"A reset for {person.name} waits for approval already.", code="already_asked") from race
    return reset


def approve_factor_reset(actor: Actor, reset: FactorReset) -> None:
    """Removes the person's second factor, ends all his sessions and tokens; his accounts' administrators are told.

    Raises Forbidden (no right; the asker; the person himself; `second_factor_needed`) and Conflict.
    """
    need_right(actor, "accounts.change_factorreset")
    _need_second(actor, reset)
    need_fresh(actor)
    with changes(actor, reset.reason) as change:
        _lock_open(reset)
        FactorReset.objects.filter(pk=reset.pk).update(approved_by=actor.person_id, approved_at=change.at)
        Person.objects.select_for_update(no_key=True).get(pk=reset.person_id)
        Authenticator.objects.filter(user=reset.person_id).delete()
        end_them(UserSession.objects.filter(user=reset.person_id))
        _note(change, reset, "factor_reset", **proof_of(actor))
        with changes(actor) as told:  # without the reason: how he was recognised is no account's to read
            theirs = Membership.objects.filter(person=reset.person_id).select_related("account")
            told.note(theirs.select_related(None), "membership.factor_reset", person=reset.person.name,
                      asked_by=reset.asked_by.name)  # fmt: skip
            for membership in theirs.order_by("pk"):
                revoke_tokens(told, membership.account, reset.person)


def refuse_factor_reset(actor: Actor, reset: FactorReset, reason: str) -> None:
    """It is not done: the wish goes, the record keeps it. Its asker may, too. Raises Forbidden, Invalid, Conflict."""
    need_right(actor, "accounts.change_factorreset")
    if not reason.strip():
        raise Invalid("Say why not.", fields={"reason": ["Say why not."]})
    with changes(actor, reason.strip()) as change:
        _lock_open(reset)
        _note(change, reset, "factor_reset_refused")
        FactorReset.objects.filter(pk=reset.pk).delete()


def why_not_second(actor: Actor, reset: FactorReset) -> str:
    """Why this person can't approve it; empty if he can."""
    if actor.person_id == reset.asked_by_id:
        return "You asked for it yourself. Another member of staff must approve it."
    if actor.person_id == reset.person_id:
        return "It is your own second factor. Another member of staff must approve it."
    return ""


def _need_second(actor: Actor, reset: FactorReset) -> None:
    if why_not := why_not_second(actor, reset):
        raise Forbidden(why_not, code="not_the_approver", title="Someone else must approve this")


def _need_another(actor: Actor, person: Person, what: str) -> None:
    if actor.person_id == person.pk:
        raise Forbidden(f"Another Support lead must {what} the reset of your own second factor.", code="not_your_own")


def _lock_open(reset: FactorReset) -> None:
    """Whoever comes second is told how it stands."""
    now = FactorReset.objects.filter(pk=reset.pk).select_for_update(of=("self",)).first()
    if now is None:
        raise Conflict("This reset was refused meanwhile. Nothing was done.", code="refused_meanwhile")
    if now.approved_by:
        raise Conflict(f"{now.approved_by.name} approved this reset already.", code="already_approved")


def _note(change: Change, reset: FactorReset, event: str, **facts: str) -> None:
    """In the installation's log, on the person."""
    about = {"person": reset.person.name, "asked_by": reset.asked_by.name}
    change.note(Person.objects.filter(pk=reset.person_id), f"person.{event}", **about, **facts)
