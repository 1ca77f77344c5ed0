"""A person's authenticator app, as tests hold it in their hand."""

from __future__ import annotations

import time

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core.cache import cache
from django.test import Client

from accounts.models import Activity, Person
from tests.cast import PASSWORD

PERIOD = 30


def code_of(secret: str, periods: int = 0) -> str:
    """What the app shows now, or so many periods later."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD + periods)))


def give_app(person: Person) -> str:
    """The person has a second factor now. The app's secret."""
    secret = generate_totp_secret()
    TOTP.activate(person, secret)
    return str(secret)


def give_codes(person: Person) -> list[str]:
    return list(RecoveryCodes.activate(person).generate_codes())


def unused(person: Person) -> list[str]:
    return list(Authenticator.objects.get(user=person, type="recovery_codes").wrap().get_unused_codes())


def as_if_later() -> None:
    """The next period has begun: the same code would be another one, so that used ones are forgotten."""
    cache.clear()


def password(client: Client, email: str, typed: str = PASSWORD, **more: str) -> int:
    """The status of one try at the sign-in page."""
    return client.post("/sign-in/", {"login": email, "password": typed, **more}).status_code


def known(client: Client) -> bool:
    """Whether this browser is signed in."""
    return "_auth_user_id" in client.session


def events(person: Person) -> list[str]:
    """What the installation's log says of the person, in order."""
    rows = Activity.objects.filter(account=None, kind="person", subject_id=person.pk)
    return list(rows.order_by("id").values_list("event", flat=True))
