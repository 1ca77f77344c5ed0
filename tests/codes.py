"""People's second factors in tests: set up, and their codes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client

from accounts.actions.second_factor import add_factor
from accounts.models import Person
from tests.cast import METHODS, sign_in

SECRET = "VIFVGXFNVOQ7D3XFUZGAOSVPN5DVYP4J"
PERIOD = 30
LABEL = "Code from your authenticator app"


def give_factor(person: Person) -> Person:
    add_factor(person, SECRET)
    return person


def code_of(secret: str = SECRET) -> str:
    """What an app with this secret shows now, and a moment longer. A test's own transaction bears no long sleep."""
    left = PERIOD - time.time() % PERIOD
    if left < 1.5:
        time.sleep(left + 0.1)
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD)))


def recovery_codes(person: Person) -> Iterator[str]:
    """Codes that don't grow old while a slow test runs. Each counts once."""
    found = Authenticator.objects.get(user=person, type=Authenticator.Type.RECOVERY_CODES)
    return iter(RecoveryCodes(found).get_unused_codes())


def signed_in_long_ago(client: Client, person: Person) -> Client:
    """Signed in with his second factor, ten minutes ago: nothing of it is fresh."""
    sign_in(client, person)
    session = client.session
    session[METHODS][-1]["at"] -= 600
    session.save()
    return client


def wrong_code(secret: str = SECRET) -> str:
    """Six digits that aren't right now."""
    return f"{(int(code_of(secret)) + 1) % 1_000_000:06}"
