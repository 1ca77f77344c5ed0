"""What a provider says is gone is believed when its site lists it no more.

The list of a large site may take longer than a lease. So no more of it is read in one call than fits, this process
remembers where it stopped, and the lines that wait for it are under way meanwhile: they say so, and are looked at
again. A list is of use to those who were said to be gone before it was begun.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings

from ampdr import clock
from replication.providers.base import Kind, Progress, Provider, Unreachable
from replication.providers.punctual import in_time

log = logging.getLogger("replication.gone")

LEAVES = {Kind.STOP: (Kind.START_TEST, Kind.START_LIVE), Kind.RELEASE: (Kind.FENCE,)}
MADE = {kind for made in LEAVES.values() for kind in made}
LAG = timedelta(minutes=1)  # so long may a site's list lag behind what it did
LOOK_IN = 5.0  # seconds until what waits is looked at again
STALE = 300.0  # seconds after which a list isn't read on
PAGES = 10_000  # of a list that never ends

GONE = " says that it is gone"  # in the step of what waits for that; its `accepted_at` is since when it was said


@dataclass
class Listing:
    """What a site lists, as far as it was read: each thing that was made of a VM, and when it was seen."""

    began: datetime
    read_at: float
    cursor: str = ""
    asked: set[str] = field(default_factory=set)
    seen: dict[tuple[Kind, str], datetime] = field(default_factory=dict)
    whole: bool = False

    def read_page(self, provider: Provider) -> None:
        if self.cursor in self.asked or len(self.asked) >= PAGES:
            raise RuntimeError("It has no end.")
        page, cursor = in_time(provider, lambda: provider.existing(self.cursor), "existing")
        self.seen |= {(one.kind, str(one.vm)): clock.now() for one in page if one.kind in MADE}
        self.asked.add(self.cursor)
        self.cursor, self.whole, self.read_at = cursor, not cursor, monotonic()

    def shows(self, row: Any, since: datetime) -> datetime | None:
        """When it was seen there last after it was said to be gone."""
        times = (self.seen.get((kind, str(row.vm__uuid))) for kind in LEAVES[row.verb])
        return max((at for at in times if at and at >= since), default=None)


_begun: dict[str, Listing] = {}  # by site, of this process


def deny_what_remains(provider: Provider, rows: Sequence[Any], said: dict[int, Progress], called_at: float) -> None:
    """Those of these rows of which it was said that they are done, and that still are listed or may be, are under way.

    What is listed after a minute still is refused. Pages are asked for in the first half of the lease of a call that
    began at `called_at`.
    """
    done = [row for row in rows if row.verb in LEAVES and row.pk in said and said[row.pk].done]
    if not done:
        return
    since = {row.pk: row.accepted_at if GONE in row.step and row.accepted_at else clock.now() for row in done}
    listing, why = _read(provider, done, since, called_at + settings.LEASE_SECONDS / 2)
    for row in done:
        if at := listing.shows(row, since[row.pk]):
            said[row.pk] = _listed(provider.site, at - since[row.pk])
        elif not listing.whole or listing.began < since[row.pk]:
            said[row.pk] = Progress(step=f"{provider.site}{GONE}. {why}"[:120], look_in=LOOK_IN)


def _listed(site: str, after: timedelta) -> Progress:
    words = f"{site}{GONE}, and still lists it."
    return Progress(refused=words) if after >= LAG else Progress(step=words, look_in=LOOK_IN)


def _read(
    provider: Provider, done: Sequence[Any], since: Mapping[int, datetime], until: float
) -> tuple[Listing, str]:  # fmt: skip
    """As much of the site's list as there is time for, and why it isn't all. It ends where all were seen."""
    listing = _begun.pop(provider.site, None)
    if listing is None or monotonic() - listing.read_at > STALE:
        listing = Listing(clock.now(), monotonic())
    try:
        while not listing.whole and not all(listing.shows(row, since[row.pk]) for row in done):
            if monotonic() >= until:
                _keep(provider.site, listing)
                break
            listing.read_page(provider)
    except Unreachable as error:
        _keep(provider.site, listing)
        return listing, f"Its list: {error}"
    except Exception as error:
        log.warning("the list of %s broke: %s", provider.site, error)
        return listing, f"Its list: {error or type(error).__name__}"
    return listing, "Its list is being read."


def _keep(site: str, listing: Listing) -> None:
    """To be read on; of one without a page yet another is begun, so that it is of use to all who wait by then."""
    if listing.asked:
        _begun[site] = listing
