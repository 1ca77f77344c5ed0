"""The second factor: proving it, asking for a fresh proof, and what to do when it is lost."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from allauth.mfa import app_settings as settings
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.mfa.utils import decrypt
from django.core.cache import cache

from accounts.actions.limits import count, forgive
from accounts.actions.sign_in import note_person
from accounts.models import Person
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor, changes

TRIES, WINDOW = 10, timedelta(minutes=5)
NEEDED = "second_factor_needed"


def need_fresh(actor: Actor) -> None:
    """A verb's second line, where two people and a fresh proof are asked for. Raises Forbidden."""
    title = "Your second factor is needed"
    match factor_of(actor):
        case Factor.CODE:
            raise Forbidden(TYPE_IT, code=NEEDED, title=title)
        case Factor.NONE:
            raise Forbidden(NONE_YET, code=NEEDED, title=title, case="no_factor")


def need_proof(actor: Actor) -> None:
    """Support's doors: a second factor was proved in this session, however long ago. Raises Forbidden."""
    if actor.proved_at is None:
        raise Forbidden(
            "Support's people prove a second factor first: sign in at /admin/.",
            code=NEEDED, title="Your second factor is needed",
        )  # fmt: skip


TYPE_IT = "Type the code of your authenticator app: its last proof is older than 5 minutes."
NONE_YET = "You have no second factor yet. Set one up on your profile, then come back to this."


class Factor(StrEnum):
    """What a page asks of the actor at a step that wants a fresh proof."""

    FRESH = "fresh"  # nothing
    CODE = "code"
    NONE = "none"  # he has no second factor: it is to be set up first


def factor_of(actor: Actor) -> Factor:
    if actor.fresh:
        return Factor.FRESH
    return Factor.CODE if has_factor(actor.person_id) else Factor.NONE


def has_factor(person_id: int | None) -> bool:
    return bool(Authenticator.objects.filter(user=person_id or 0, type=Authenticator.Type.TOTP).exists())


def prove(actor: Actor, code: str, door: str = "") -> Actor:
    """The actor with a fresh proof, by a code of his app or a recovery code. The door keeps it in the session.

    Each code counts once: the rows are locked, so of two that bring the same one, one is refused. Raises Invalid
    beside the field `code`; after ten wrong ones in five minutes also for a right one. `door`: what is counted apart
    (signing in, by device), so that who knows a password uses up no tries of a person who is signed in.
    """
    key = f"code:{actor.person_id}{door}"
    tries = count(key, TRIES, WINDOW)
    used = _used(actor, code.strip()) if tries <= TRIES else None
    if used is None and tries <= TRIES + 1:
        with changes(actor) as change:
            note_person(change, actor, "wrong_code" if tries <= TRIES else "limit_reached", of="code")
    if tries > TRIES:
        raise Invalid(CORRECT, fields={"code": ["Too many wrong codes. Wait five minutes."]})
    if used is None:
        raise Invalid(CORRECT, fields={"code": [WRONG]}, code="second_factor_wrong")
    forgive(key)
    return replace(actor, proved_at=clock.now(), proved_by=used.type)


def takes(factor: Authenticator, code: str) -> bool:
    """Whether the code is a right one, not used before: it is from now on. To be asked under the row's lock.

    An app's code is right for a period before and after its own: clocks differ, and fingers are slow. It is remembered
    for as long; the library's own mark would last for one period.
    """
    known = factor.wrap()
    if not known.validate_code(code):
        return False
    if isinstance(known, TOTP):
        cache.touch(known._get_used_cache_key(code), (2 * settings.TOTP_TOLERANCE + 1) * settings.TOTP_PERIOD)
    return True


def _used(actor: Actor, code: str) -> Authenticator | None:
    """What this code is of, and used up now; None if it isn't right."""
    with changes(actor) as change:
        mine = Authenticator.objects.filter(user=actor.person_id or 0).order_by("-type").select_for_update()
        used = next((one for one in mine if takes(one, code)), None)
        if used:
            used.record_usage()
        if used and used.type == Authenticator.Type.RECOVERY_CODES:
            note_person(change, actor, "recovery_code_used")
    return used


CORRECT = "Please correct what is marked."
WRONG = "This code isn't right, or was used already. Wait for the next one in your app, or take a recovery code."


def proof_of(actor: Actor) -> dict[str, str]:
    """What stands in Activity beside a step that asked for a fresh proof: when, and by which means."""
    if actor.proved_at is None:
        return {}
    return {"second_factor": actor.proved_by, "proved_at": actor.proved_at.isoformat(timespec="seconds")}


# ---- Of a world file, and for people of a demonstration --------------------------------------------------------------


def is_totp_secret(text: object) -> bool:
    """Whether this is 160 bits in base32, as authenticator apps take them."""
    return isinstance(text, str) and bool(re.fullmatch("[A-Z2-7]{32}", text))


def add_factor(person: Person, secret: str) -> None:
    """Gives a new person his authenticator app's secret; the portal's own verb, when it loads a world."""
    TOTP.activate(person, secret)
    RecoveryCodes.activate(person)


class Code(NamedTuple):
    """A person's code now; `used`: it was counted already. The next one comes in so many seconds."""

    digits: str
    used: bool
    next_in: int


def demo_code(person: Person) -> Code:
    """The code that this person's app would show. Raises Forbidden for everybody who isn't of a demonstration."""
    mine = Authenticator.objects.filter(user=person.pk, type=Authenticator.Type.TOTP).first()
    if not person.demo:
        raise Forbidden(f"{person.name} is not of a demonstration world: only his own app knows his code.")
    if mine is None:
        raise Conflict(f"{person.name} has no second factor.", code="no_factor")
    counter, into = divmod(int(time.time()), settings.TOTP_PERIOD)
    digits = format_hotp_value(hotp_value(decrypt(mine.data["secret"]), counter))
    used = cache.get(mine.wrap()._get_used_cache_key(digits)) is not None
    return Code(digits, used, settings.TOTP_PERIOD - into)
