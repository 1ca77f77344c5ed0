"""`ProviderDuty`: the one way in which driven rows talk to a provider; failovers use it too."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from django.db.models import F, QuerySet

from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import Duty, WaitingOn
from replication.providers.base import Progress, Provider, Request, Unreachable
from replication.providers.punctual import need_open
from replication.providers.sites import provider_of
from replication.tasks.gone import GONE
from replication.tasks.hearing import REQUESTS, heard

T = TypeVar("T")

DRIVEN = ("pk", "state", "verb", "generation", "attempts", "refusals", "accepted_at", "step", "step_site", "vm_id")
# What a request names besides. Its answer is written without: to read the uuids of a thousand rows is work of its own.
NAMED = ("uuid", "claim", "vm__uuid", "vm__name", "vm__disk_gb")

REFUSALS_ALLOWED = 2


@dataclass
class Answers:
    """What a provider said of a batch: primary key -> progress. A row that is absent is unknown."""

    progress: dict[int, Progress]
    silence: str = ""
    errors: dict[int, str] = field(default_factory=dict)  # what it broke on, where it went on with the others


class ProviderDuty(Duty):
    """Rows whose `verb` is a request to the provider of `step_site`."""

    columns: ClassVar[tuple[str, ...]] = ()  # what `request`, `done` and `failed` read beside these

    def due(self) -> QuerySet[Any]:
        return super().due().exclude(verb="")

    def size_at(self, site: str) -> int:
        """A provider that can't be had holds up its own site alone: the call says why, on the rows."""
        try:
            return min(self.size, provider_of(site).batch)
        except Exception:
            return self.size

    def load(self, keys: Sequence[int]) -> list[Any]:
        """Named tuples in key order: a thousand instances would cost more than the rest of the batch."""
        rows = self.rows.filter(pk__among=keys).order_by("pk")
        return list(rows.values_list(*DRIVEN, *NAMED, *self.columns, named=True))

    @abstractmethod
    def request(self, row: Any) -> Request:
        """What the row asks of the provider now. Its key is the same until a definite refusal."""

    @abstractmethod
    def done(self, change: Change, rows: list[Any], progress: Mapping[int, Progress]) -> None:
        """What follows when the provider has done what these rows asked."""

    @abstractmethod
    def failed(self, change: Change, rows: list[Any], reason: str) -> None:
        """What follows when it refused these rows for the third time, all with the same words."""

    def raise_generation(self, rows: list[Any]) -> None:
        """A definite refusal: the next request bears a new key."""
        self.rows.filter(pk__among=keys_of(rows)).update(generation=F("generation") + 1)

    def call(self, site: str, rows: list[Any]) -> Answers:
        provider = provider_of(site)
        requests = {row.pk: self.request(row) for row in rows}
        accepted = {row.pk for row in rows if row.accepted_at}
        if not provider.remembers_keys:
            need_open(site, REQUESTS)  # what isn't sent isn't announced, else it would halt for nothing
            mine = accepted | self.announce([row for row in rows if not row.accepted_at])
            requests = {pk: request for pk, request in requests.items() if pk in mine}
        return ask(provider, requests, accepted)

    def announce(self, rows: list[Any]) -> set[int]:
        """Before a provider that forgets keys is asked, it is written down that it may have been. What may be sent.

        Whoever takes these rows over only looks; whoever was frozen until they were taken over sends nothing.
        """
        if not rows:
            return set()
        now = clock.now()
        mine = self.model._default_manager.filter(pk__among=keys_of(rows), claim=rows[0].claim)
        mine.filter(accepted_at=None).update(accepted_at=now)
        return set(mine.filter(accepted_at=now).values_list("pk", flat=True))

    def answered(self, answer: Answers) -> bool:
        return bool(answer.progress)

    def commit(self, change: Change, mine: QuerySet[Any], answer: Answers) -> None:
        """Sorts the rows by what was said of them; each sort is written for all of its rows at once."""
        sorts: dict[str, list[Any]] = defaultdict(list)
        for row in mine.order_by("pk").values_list(*DRIVEN, *self.columns, named=True):
            sorts[_sort(row, answer.progress.get(row.pk))].append(row)
        if sorts["done"]:
            self.done(change, sorts["done"], answer.progress)
        for reason, rows in _by_reason(sorts["failed"], answer.progress).items():
            self.failed(change, rows, reason)
        for reason, rows in _by_reason(sorts["refused"], answer.progress).items():
            self.ask_anew(rows, reason)
        if sorts["moving"]:
            self.moved(sorts["moving"], answer.progress)
        for silence, rows in _by_silence(sorts["unknown"], answer).items():
            self.unknown(change, rows, silence)

    def ask_anew(self, rows: list[Any], reason: str) -> None:
        self.raise_generation(rows)
        self.rows.filter(pk__among=keys_of(rows)).update(
            refusals=F("refusals") + 1, accepted_at=None, last_error=reason, claim=None,
            next_step_at=clock.db_now(work.pause_after(1)),
        )  # fmt: skip

    def moved(self, rows: list[Any], progress: Mapping[int, Progress]) -> None:
        """Under way: facts that differ from row to row, so one UPDATE with a case for each."""
        now = clock.now()
        columns = ("step", "percent", "attempts", "last_error", "waiting_on", "accepted_at", "next_step_at")
        moved = []
        for row in rows:
            said = progress[row.pk]
            look = now + timedelta(seconds=said.look_in)
            gone = GONE in said.step and GONE not in row.step  # since now it waits for that alone
            since = now if gone else row.accepted_at or now
            facts = (said.step, said.percent, 0, "", WaitingOn.NOBODY, since, look)
            moved.append(self.model(pk=row.pk, **dict(zip(columns, facts, strict=True))))
        self.model._default_manager.bulk_update(moved, columns)

    def unknown(self, change: Change, rows: list[Any], silence: str) -> None:
        """The same key again after a pause; with a provider that forgets keys, halt and ask a person."""
        mine = self.rows.filter(pk__among=keys_of(rows))
        error = silence or "The provider did not say how it stands."
        if provider_of(rows[0].step_site).remembers_keys:
            pause = work.pause_after(max(row.attempts for row in rows))
            mine.update(
                attempts=F("attempts") + 1, accepted_at=None, last_error=error, claim=None,
                next_step_at=clock.db_now(pause),
            )  # fmt: skip
            return
        mine.update(
            next_step_at=None, claim=None, accepted_at=None, last_error=error, waiting_on=WaitingOn.SUPPORT
        )  # fmt: skip
        change.note(mine, f"{self.model.LIFECYCLE.kind}.outcome_unknown")


def ask(provider: Provider, requests: Mapping[int, Request], accepted: set[int]) -> Answers:
    """Observes what was accepted and submits the rest; what the provider doesn't know of is submitted again.

    Raises Unreachable when it doesn't answer, unless it forgets keys: then what it didn't answer of is unknown.
    To look is harmless, whatever it remembers: a look that wasn't answered is repeated.
    """
    forgets = not provider.remembers_keys
    known = [requests[pk].key for pk in requests if pk in accepted]
    said, broken = heard(provider, provider.observe, known, again=True)
    silence = ""
    again = [] if forgets else [pk for pk in accepted if requests[pk].key not in said]
    try:
        wishes = [requests[pk] for pk in requests if pk not in accepted or pk in again]
        more, refrained = heard(provider, provider.submit, wishes, again=not forgets, key=lambda one: one.key)
        said, broken = said | more, broken | refrained
    except Unreachable as error:
        if not forgets:
            raise
        silence = str(error)
    progress = {pk: said[request.key] for pk, request in requests.items() if request.key in said}
    return Answers(progress, silence, {pk: broken[one.key] for pk, one in requests.items() if one.key in broken})


def keys_of(rows: Sequence[Any]) -> list[int]:
    return [row.pk for row in rows]


def _sort(row: Any, said: Progress | None) -> str:
    if said is None:
        return "unknown"
    if said.refused:
        return "failed" if row.refusals >= REFUSALS_ALLOWED else "refused"
    return "done" if said.done else "moving"


def _by_silence(rows: list[Any], answer: Answers) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[answer.errors.get(row.pk, answer.silence)].append(row)
    return found


def _by_reason(rows: list[Any], progress: Mapping[int, Progress]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[progress[row.pk].refused].append(row)
    return found
