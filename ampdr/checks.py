"""What an installation must not start with. `manage.py` says it before every command, the driver's too; web
(ampdr/wsgi.py) and worker (ampdr/celery.py), which Django doesn't check by itself, ask `faults` and refuse to start.

On a loopback address with plain http a portal is a demonstration or a test: nobody else reaches it, so its key may be
one that everybody knows. It must then answer under loopback names alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, Tags, register

SHORTEST_KEY, FEWEST_SIGNS = 50, 10
KNOWN_KEYS = ("django-insecure-", "only-for-", "change", "secret", "example")  # how keys of pages and tests begin
LOCAL_NAMES = ("localhost", "testserver")  # the last one is the name of Django's test client


@register(Tags.security)
def safe_to_start(app_configs: Any = None, **_: Any) -> list[Error]:
    """The faults as Django's checks tell them."""
    return [Error(words, hint="See docs/operate.md.", id=f"ampdr.{number}") for number, words in faults()]


def faults() -> Iterator[tuple[str, str]]:
    """Everything that is unsafe about the settings: its number, and what to do. Tells no secret."""
    local = is_local(urlsplit(settings.SITE_ORIGIN).hostname or "")
    key = settings.SECRET_KEY
    if len(key) < SHORTEST_KEY or len(set(key)) < FEWEST_SIGNS:
        yield "E001", f"SECRET_KEY is shorter than {SHORTEST_KEY} signs or too regular. Make one: openssl rand -hex 32"
    elif not local and key.lower().startswith(KNOWN_KEYS):
        yield "E002", "SECRET_KEY is one that stands on a page or in the tests. Make one: openssl rand -hex 32"
    if any(host in ("*", ".", "") for host in settings.ALLOWED_HOSTS):
        yield "E003", "ALLOWED_HOSTS lets any name in. Name the hosts under which the portal answers."
    elif local and not all(map(is_local, settings.ALLOWED_HOSTS)):
        yield "E004", "SITE_ORIGIN is a loopback address, but ALLOWED_HOSTS names others. Give the portal its address."
    if not local and not settings.SECURE:
        yield "E005", "SITE_ORIGIN is plain http. Outside of one machine the portal is reached by https alone."
    if not is_guarded(settings.CELERY_BROKER_URL):
        yield "E006", "BROKER_URL has no password, and the broker is on another machine. Give both the same one."
    if settings.DEBUG:
        yield "E007", "DEBUG shows the code and its data to whoever meets an error."


def is_local(host: str) -> bool:
    """Whether only this machine reaches it by this name."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in LOCAL_NAMES or host.endswith(".localhost")


def is_guarded(broker: str) -> bool:
    """Whether nobody else gets at the broker: by a socket or on this machine, or else by a password."""
    parts = urlsplit(broker)
    by_socket = parts.scheme in ("redis+socket", "unix", "memory")
    return by_socket or is_local(parts.hostname or "localhost") or bool(parts.password)
