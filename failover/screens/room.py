"""How much room a site's provider has left. No page waits for a provider: what is shown is its last answer."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from threading import Thread

from ampdr import clock
from replication.providers.base import Provider
from replication.providers.sites import provider_of

PATIENCE = 0.2  # seconds, for a provider that answers at once
GOOD_FOR = timedelta(minutes=1)
_answers: dict[str, tuple[datetime, int]] = {}  # of this process: site -> when, and how much


def room_at(site: str) -> int | None:
    """Free room at a site in percent as its provider said last, None if it said nothing yet. Asks again beside."""
    known = _answers.get(site)
    if known is None or clock.now() - known[0] > GOOD_FOR:
        asking = Thread(target=_ask, args=(site, provider_of(site)), daemon=True)
        asking.start()
        asking.join(PATIENCE)
        known = _answers.get(site)
    return known[1] if known else None


def _ask(site: str, provider: Provider) -> None:
    with suppress(Exception):  # whatever is wrong with it: it told nothing
        found = provider.health()
        if found.answers and found.room_percent is not None:
            _answers[site] = (clock.now(), found.room_percent)
