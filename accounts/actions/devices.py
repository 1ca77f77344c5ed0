"""Devices that a person has signed in from: a signed cookie says so, and nothing about them is stored."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any

from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import Person
from ampdr import clock

LASTS = timedelta(days=90)
PEOPLE = 5  # of one browser, at most: the last ones
SALT = "accounts.device"


def device_of(cookie: str, person: Person | None) -> str:
    """The device, if this person signed in there within 90 days and with the password of today; else ""."""
    said = _read(cookie)
    mark, until = said.get("people", {}).get(str(person.pk), ("", 0)) if person else ("", 0)
    known = person and until > clock.now().timestamp() and constant_time_compare(mark, _mark(person))
    return str(said["device"]) if known else ""


def with_device(cookie: str, person: Person) -> str:
    """The cookie that makes this browser a known device of the person, beside those whom it knows already."""
    said = _read(cookie)
    others = {key: value for key, value in said.get("people", {}).items() if key != str(person.pk)}
    people = dict([*others.items(), (str(person.pk), (_mark(person), (clock.now() + LASTS).timestamp()))][-PEOPLE:])
    return signing.dumps({"device": said.get("device") or secrets.token_hex(8), "people": people}, salt=SALT)


def device_name(user_agent: str) -> str:
    """Browser and system in words that people know; what they call themselves can't be trusted further."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "A browser")
    system = next((name for mark, name in SYSTEMS if re.search(mark, user_agent)), "")
    return f"{browser} on {system}" if system else browser


BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"),
            ("Chrome/", "Chrome"), ("Safari/", "Safari"))  # fmt: skip
SYSTEMS = (("iPhone|iPad", "iOS"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X|Macintosh", "macOS"),
           ("CrOS", "ChromeOS"), ("Linux", "Linux"))  # fmt: skip


def _read(cookie: str) -> dict[str, Any]:
    try:
        return dict(signing.loads(cookie, salt=SALT))
    except signing.BadSignature:
        return {}


def _mark(person: Person) -> str:
    """Changes with the password, and tells nothing of it."""
    return salted_hmac(SALT, f"{person.pk} {person.password}", algorithm="sha256").hexdigest()[:32]
