"""A person's own second factor: set up, moved to another app, given new recovery codes, removed."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.utils import encrypt
from django.db.models import QuerySet

from accounts.actions.second_factor import need_fresh, takes
from accounts.actions.sign_in import note_person
from accounts.models import Person
from ampdr.errors import Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor, changes

APP, CODES = Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES
NOT_IT = "This code isn't right. Type the one that your app shows now."
NO_FACTOR = "You have no second factor. Look again: nothing was done."


def of(actor: Actor) -> QuerySet[Authenticator]:
    mine: QuerySet[Authenticator] = Authenticator.objects.filter(user=actor.person_id or 0)
    return mine


def add_app(actor: Actor, secret: str, code: str) -> list[str]:
    """Sets up the second factor with the first code of an app that was given `secret`. The recovery codes.

    Whoever calls it has asked for the person's password a moment ago. The code counts as used.
    """
    with changes(actor) as change:
        person = _locked(actor)
        if of(actor).filter(type=APP).exists():
            raise Conflict("You have a second factor already. Look again: nothing was done.")
        of(actor).delete()
        _check(TOTP.activate(person, secret).instance, code)
        codes = RecoveryCodes.activate(person)
        note_person(change, actor, "factor_added")
    return list(codes.generate_codes())


def switch_app(actor: Actor, secret: str, code: str) -> None:
    """Another app takes the place of the one so far; the recovery codes stay."""
    need_fresh(actor)
    with changes(actor) as change:
        _locked(actor)
        app = of(actor).filter(type=APP).select_for_update().first()
        if app is None:
            raise Conflict(NO_FACTOR)
        app.data = {**app.data, "secret": encrypt(secret)}
        app.save(update_fields=["data"])
        _check(app, code)
        note_person(change, actor, "factor_changed")


def make_recovery_codes(actor: Actor) -> list[str]:
    """New recovery codes; those so far are void."""
    need_fresh(actor)
    with changes(actor) as change:
        person = _locked(actor)
        if not of(actor).filter(type=APP).exists():
            raise Conflict(NO_FACTOR)
        of(actor).filter(type=CODES).delete()
        codes = RecoveryCodes.activate(person)
        note_person(change, actor, "recovery_codes_made")
    return list(codes.generate_codes())


def remove_factor(actor: Actor) -> None:
    """No second factor any more. Never for Support's people: their doors ask for one."""
    if actor.staff:
        raise Forbidden("Support's people must have a second factor.", title="Yours stays")
    need_fresh(actor)
    with changes(actor) as change:
        _locked(actor)
        if not of(actor).delete()[0]:
            raise Conflict(NO_FACTOR)
        note_person(change, actor, "factor_removed")


def codes_left(actor: Actor) -> int:
    codes = of(actor).filter(type=CODES).first()
    return len(codes.wrap().get_unused_codes()) if codes else 0


def _locked(actor: Actor) -> Person:
    """The person's row, locked first: what becomes of his second factor is done one after the other."""
    return Person.objects.select_for_update(no_key=True).get(pk=actor.person_id or 0)


def _check(app: Authenticator, code: str) -> None:
    if not takes(app, code.strip()):
        raise Invalid("Please correct what is marked.", fields={"code": [NOT_IT]})
