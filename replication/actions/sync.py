"""What a site's provider tells of its VMs, written through the inventory's verb."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from ampdr import clock
from ampdr.errors import Refusal
from ampdr.lifecycle import PORTAL, Actor
from inventory.actions import AT_ONCE, Feed, Outcome, missing, preview, upsert
from inventory.models import VM, Site
from replication.providers.base import Eligibility, Machine, Provider
from replication.providers.sites import provider_of

T = TypeVar("T")

COMMAND = replace(PORTAL, via="command")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WORDS_AT_MOST = 200  # of a reason


@dataclass
class Synced:
    """What came of one site. `unassigned`: names of machines of no account; `faults`: what was left out, and why."""

    told: int
    outcome: Outcome
    unassigned: list[str]
    faults: list[str]


def sync(site: Site, *, actor: Actor = COMMAND, dry_run: bool = False, allow_many: bool = False) -> Synced:
    """Asks the site's provider for its VMs, and for each whether it can be replicated, and writes what is new.

    Everything is asked before anything is written, so a site that falls silent meanwhile changes nothing. What can't
    be taken is left out and named, a VM that is known counts as told all the same. A provider that names no VM at all
    marks none. Raises Unreachable, and whatever else the provider raises.
    """
    provider, began = provider_of(site.code), clock.now()
    machines = list({_key(one.uuid): one for one in _pages(provider)}.values())
    judged: dict[str, Eligibility] = {}
    for asked in _parts(machines, provider.batch):
        judged |= provider.eligibility(asked)
    here = _known(machines)
    strangers = [one for one in machines if not one.account and _key(one.uuid) not in here]
    rows = [_row(one, judged.get(one.uuid)) for one in machines if one.account or _key(one.uuid) in here]
    call = _Call(actor, Feed(site=site), {key for key, code in here.items() if code == site.code}, began, dry_run)
    for part in _parts(rows, AT_ONCE):
        call.take(part)
    if machines:
        call.complete(site.code, [row["uuid"] for row in rows], allow_many)
    return Synced(len(machines), call.outcome, [one.name for one in strangers], call.faults)


def _pages(provider: Provider) -> Iterator[Machine]:
    page, cursor = provider.inventory()
    yield from page
    while cursor:
        page, cursor = provider.inventory(cursor)
        yield from page


def _parts(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


def _known(machines: Sequence[Machine]) -> dict[str, str]:
    """uuid -> code of the site where the portal has it."""
    wanted = _uuids(one.uuid for one in machines)
    found = VM.objects.filter(uuid__among=wanted, role="primary").values_list("uuid", "site__code")
    return {str(key): code for key, code in found}


def _uuids(texts: Iterable[str]) -> list[str]:
    """Those that are uuids; what isn't one is refused and named when it is told."""
    return [key for text in texts if UUID.fullmatch(key := _key(text))]


def _key(text: str) -> str:
    """In our spelling."""
    return text.lower()


def _row(one: Machine, judged: Eligibility | None) -> dict[str, Any]:
    """What a provider doesn't know isn't told, and one that can't judge a VM now leaves it as it was judged."""
    row: dict[str, Any] = {"uuid": _key(one.uuid), "name": one.name, "power": one.power, "disk_gb": one.disk_gb}
    also = {"account": one.account, "os": one.os, "generation": one.generation, "addresses": one.addresses}
    row |= {name: value for name, value in also.items() if value}
    if one.disks_gb:
        row["disks_gb"] = list(one.disks_gb)
    if judged is not None:
        row |= {"unsupported": judged.reason[:WORDS_AT_MOST], "failover_address": judged.address}
    return row


@dataclass
class _Call:
    """The calls of one round."""

    actor: Actor
    feed: Feed
    here: set[str]  # uuids of the VMs that are known at this site
    began: datetime  # to ask: what came to be known since isn't missed
    dry_run: bool
    round: uuid.UUID = field(default_factory=uuid.uuid4)
    outcome: Outcome = field(default_factory=Outcome)
    faults: list[str] = field(default_factory=list)

    def take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Again without what is refused, until all of it is taken: one bad row never holds back 999."""
        while rows:
            try:
                self._add(preview(self.feed, rows) if self.dry_run else self._upsert(rows))
                return
            except Refusal as refusal:
                if not refusal.facts.get("reasons"):
                    raise
                rows = self._without(rows, refusal.facts["reasons"])

    def _upsert(self, rows: Sequence[Mapping[str, Any]], **how: Any) -> Outcome:
        return upsert(self.actor, self.feed, rows, self.round, began=self.began, **how)

    def _without(self, rows: Sequence[Mapping[str, Any]], reasons: Sequence[Any]) -> list[Mapping[str, Any]]:
        """The others; of a refused one that is known here, only that it is there."""
        bad = {reason["row"]: rows[reason["row"]] for reason in reasons}
        for reason in reasons:
            row = bad[reason["row"]]
            self.faults.append(f"{row.get('name', '')} ({row['uuid']}): {reason['field']}: {reason['reason']}")
        good = [row for place, row in enumerate(rows) if place not in bad]
        return good + [{"uuid": row["uuid"]} for row in bad.values() if row["uuid"] in self.here and len(row) > 1]

    def complete(self, site: str, told: Sequence[str], allow_many: bool) -> None:
        """Marks what isn't there any more; that too much of it would be marked is one more fault."""
        if self.dry_run:
            self._add(Outcome(vanished=missing(self.feed, [site], _uuids(told), self.began)))
            return
        try:
            self._add(self._upsert([], complete=[site], allow_many=allow_many))
        except Refusal as refusal:
            self.faults.append(refusal.message)

    def _add(self, more: Outcome) -> None:
        self.outcome = Outcome(*map(sum, zip(self.outcome, more, strict=True)))
