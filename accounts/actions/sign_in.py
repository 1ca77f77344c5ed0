"""Signing in: the password and its limits, and what of it stands in the installation's log.

Wrong passwords are counted by the e-mail that was typed, whether anybody has it or not, and never by an address,
which can be forged. A known device has a count of its own, and so has who brings a recovery code: whoever floods the
door from elsewhere uses up neither, so nobody is locked out on the night he is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession

from accounts.actions.devices import device_of
from accounts.actions.limits import count, refund, spend
from accounts.models import Person
from ampdr.errors import Refusal
from ampdr.lifecycle import Actor, changes

TRIES, WINDOW = 10, timedelta(minutes=15)
SOMEBODY = Actor("Somebody not signed in")


class Limited(Refusal):
    """Too many wrong passwords for this e-mail: none is even checked from a device that isn't known."""

    status, code, title = 429, "too_many_tries", "Too many wrong passwords"


@dataclass(frozen=True)
class Attempt:
    """What was typed into the sign-in page, and what came with it."""

    email: str
    password: str
    recovery_code: str = ""
    cookie: str = ""  # of the device
    address: str = ""


def check_password(attempt: Attempt) -> Person | None:
    """The person whom these open the door for; None if nobody. Raises Limited before anything is checked.

    What it answers and how long it takes is the same for an e-mail that nobody has.
    """
    person = Person.objects.filter(email=attempt.email).first()
    if attempt.recovery_code:
        return _by_recovery_code(person, attempt)
    device = device_of(attempt.cookie, person)
    key = f"password:{digest(attempt.email)}:{device}"
    tries = count(key, TRIES, WINDOW)
    if tries > TRIES:
        if tries == TRIES + 1:
            _note_attempt(attempt, "limit_reached", device, of="password")
        raise Limited("Too many wrong passwords were typed for this e-mail.")
    if not _opens(person, attempt.password):
        _note_attempt(attempt, "wrong_password", device)
        return None
    refund(key)
    return person


def _by_recovery_code(person: Person | None, attempt: Attempt) -> Person | None:
    """The way in that nobody else can use up. The code is looked at first: it costs nothing, and its twelve digits are
    beyond guessing, so these tries need no limit. Only who brings a right one gets his password checked."""
    codes = person and Authenticator.objects.filter(user=person, type=Authenticator.Type.RECOVERY_CODES).first()
    if not person or not codes or not _among(attempt.recovery_code, codes.wrap().get_unused_codes()):
        return None
    key = f"password-with-code:{person.pk}"
    if not spend(key, TRIES, WINDOW) or not _opens(person, attempt.password):
        return None
    if not use_recovery_code(acting(person), codes, attempt.recovery_code):
        return None
    refund(key)
    return person


def _among(typed: str, codes: Sequence[str]) -> bool:
    return any(compare_user_code(actual=typed, expected=code) for code in codes)


def use_recovery_code(actor: Actor, codes: Authenticator, code: str) -> bool:
    """Whether the code was a right one; it is used up then. The row is locked: of two with one code, one wins."""
    with changes(actor) as change:
        wrapped = codes.wrap()
        if not wrapped.validate_code(code):
            return False
        codes.record_usage()
        note_person(change, actor, "recovery_code_used", left=len(wrapped.get_unused_codes()))
    return True


def _opens(person: Person | None, password: str) -> bool:
    """Hashes once, whoever it is."""
    if person is None:
        Person().set_password(password)
        return False
    return person.check_password(password) and person.is_active


def digest(email: str) -> str:
    """What an e-mail is counted under: as long for each, and no name in the table."""
    return hashlib.sha256(email.encode(errors="surrogatepass")).hexdigest()


# ---- The record ------------------------------------------------------------------------------------------------------


def acting(person: Person, via: str = "page") -> Actor:
    """A person as such, in no account: what he does stands in the installation's log."""
    return Actor(name=person.name, person_id=person.pk, staff=person.is_staff, via=via)


def note_person(change: Any, actor: Actor, event: str, **facts: Any) -> None:
    change.note(Person.objects.filter(pk=actor.person_id or 0), f"person.{event}", **facts)


def _note_attempt(attempt: Attempt, event: str, device: str, **facts: Any) -> None:
    """The same statements whether somebody has this e-mail or not: then there is only no row."""
    where: dict[str, Any] = {"address": attempt.address, "known_device": bool(device)}
    with changes(SOMEBODY) as change:
        change.note(Person.objects.filter(email=attempt.email), f"person.{event}", **where, **facts)


def note_signed_in(person: Person, address: str, device: str, means: Sequence[str]) -> None:
    actor = acting(person)
    with changes(actor) as change:
        note_person(change, actor, "signed_in", address=address, known_device=bool(device), means=list(means))


def note_signed_out(person: Person, address: str, session_key: str | None) -> None:
    actor = acting(person)
    with changes(actor) as change:
        UserSession.objects.filter(user=person, session_key=session_key or "").delete()
        note_person(change, actor, "signed_out", address=address)
