"""Long-running work: the row is the queue, Celery is the doorbell.

A row that workers drive says when it is due (`next_step_at`). `drive` claims a batch of due rows of one site, calls
the provider with no transaction open, and commits the outcome for the rows that are still its own. Whoever is killed
in between loses its lease, and another worker asks the provider again with the same key.
"""

from __future__ import annotations

import logging
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar

from celery import current_app
from django.conf import settings
from django.core.cache import cache as kept
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, models, transaction
from django.db.models import F, QuerySet
from kombu import Connection
from kombu.pools import producers

from ampdr import clock
from ampdr.lifecycle import PORTAL, Change, changes

log = logging.getLogger("ampdr.work")

BELL = "ampdr.drive"
BATCH = 1000
PATIENT = 3  # so many calls of a batch may be in vain before it is made smaller
ROUND = 10 * BATCH  # after so many rows a driver with much to do says that it lives


class WaitingOn(models.TextChoices):
    """For whom a row waits; empty while it waits for nobody."""

    NOBODY = "", "Automatic"
    SUPPORT = "support", "Support"
    CUSTOMER = "customer", "You"


class Driven(models.Model):
    """What a row needs to be driven. `verb` is the request to the provider that is under way, "" for none."""

    next_step_at = models.DateTimeField(null=True, editable=False)
    claim = models.UUIDField(null=True, editable=False)
    verb = models.CharField(max_length=16, blank=True, default="", db_default="", editable=False)
    step_site = models.CharField(max_length=8, blank=True, default="", db_default="", editable=False)
    generation = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    attempts = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    refusals = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    step = models.CharField(max_length=120, blank=True, default="", db_default="", editable=False)
    percent = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    last_error = models.TextField(blank=True, default="", db_default="", editable=False)
    waiting_on = models.CharField(
        max_length=8, choices=WaitingOn, blank=True, default="", db_default="", editable=False
    )

    class Meta:
        abstract = True


NOTHING_TO_DO: dict[str, Any] = {
    "verb": "", "next_step_at": None, "claim": None, "step": "", "percent": 0, "attempts": 0, "last_error": "",
    "waiting_on": WaitingOn.NOBODY,
}  # fmt: skip


def fresh(verb: str, site: Any, **facts: Any) -> dict[str, Any]:
    """The columns of a row that is due at once to ask `site`'s provider for `verb`."""
    return {
        "verb": verb, "step_site": site, "next_step_at": clock.db_now(), "claim": None, "attempts": 0, "refusals": 0,
        "accepted_at": None, "step": "", "percent": 0, "last_error": "", "waiting_on": WaitingOn.NOBODY, **facts,
    }  # fmt: skip


class Duty(ABC):
    """One kind of driven row and what is done for it. Subclasses are found by `duties`, in order of `priority`."""

    name: ClassVar[str]
    model: ClassVar[type[Any]]
    priority: ClassVar[int]
    order: ClassVar[tuple[str, ...]] = ("next_step_at", "pk")
    size: ClassVar[int] = BATCH

    @property
    def rows(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows

    def due(self) -> QuerySet[Any]:
        """The due rows of this duty; narrow it where several duties share a model."""
        return self.rows.filter(next_step_at__lte=clock.db_now())

    def size_at(self, site: str) -> int:
        """How many rows one batch may hold: what one call takes."""
        return self.size

    def load(self, keys: Sequence[int]) -> list[Any]:
        """The claimed rows as `call` wants them."""
        return list(self.rows.filter(pk__among=keys))

    def call(self, site: str, rows: list[Any]) -> Any:
        """Talks to the outside, with no transaction and no lock open. Its answer goes to `commit`."""
        return None

    def answered(self, answer: Any) -> bool:
        """Whether it tells that the outside is well."""
        return True

    @abstractmethod
    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        """Writes the outcome for `mine`, rows locked in key order, and sets when each is due next."""


_duties: list[Duty] = []


def register(duty: type[Duty]) -> type[Duty]:
    """Class decorator: makes a duty known to every process that drives."""
    _duties.append(duty())
    _duties.sort(key=lambda known: known.priority)
    return duty


@dataclass(frozen=True)
class Batch:
    duty: Duty
    token: uuid.UUID
    site: str
    keys: list[int]
    full: bool
    tries: int = 0  # calls in vain of its first row, and so many of them as made it smaller than it could be
    vain: int = 0

    @property
    def rows(self) -> QuerySet[Any]:
        """The rows that nobody else has taken over."""
        return self.duty.rows.filter(pk__among=self.keys, claim=self.token)


def drive(limit: int = 100_000) -> int:
    """Does what is due until nothing is, or `limit` rows were driven. Returns how many rows it drove.

    After each batch it begins again at the first duty, so that a live failover never waits behind a long provisioning.
    """
    driven = 0
    while driven < limit and (batch := _next_batch()):
        if batch.full:
            ring()  # a second worker, before this batch is done
        perform(batch)
        driven += len(batch.keys)
    return driven


def _next_batch() -> Batch | None:
    for duty in _duties:
        if batch := claim(duty):
            return batch
    return None


def claim(duty: Duty) -> Batch | None:
    """Takes due rows of one site for one lease, by the database's clock; passes over rows that others hold.

    After a few calls in vain half as many are taken, and half of these: if one row is why, the others get rid of it.
    Each call that is answered makes the next one twice as large again.
    """
    due = duty.due().order_by(*duty.order).select_for_update(skip_locked=True, no_key=True, of=("self",))
    with transaction.atomic(durable=True):
        first = due.values_list("pk", "step_site", "attempts").first()
        if first is None:
            return None
        size = duty.size_at(first[1])
        keys = list(due.filter(step_site=first[1]).values_list("pk", flat=True)[:size])
        vain = min(first[2], PATIENT + size.bit_length())
        some = keys[: max(1, len(keys) >> max(0, vain - PATIENT))]
        more = len(some) < len(keys)
        full = more or len(keys) == size
        batch = Batch(duty, uuid.uuid4(), first[1], some, full, first[2], vain if more else 0)
        lease = timedelta(seconds=settings.LEASE_SECONDS)
        duty.rows.filter(pk__among=some).update(claim=batch.token, next_step_at=clock.db_now(lease))
    return batch


def perform(batch: Batch) -> None:
    """Calls and commits. Silence is not failure: the same key is asked again after a pause."""
    try:
        answer = batch.duty.call(batch.site, batch.duty.load(batch.keys))
    except Exception as error:
        log.warning("%s at %s: no answer: %s", batch.duty.name, batch.site or "-", error)
        put_off(batch, str(error) or type(error).__name__)
        return
    _commit_what_can_be(batch, batch.keys, answer)
    if batch.vain and batch.duty.answered(answer):
        _take_more(batch)


def _take_more(batch: Batch) -> None:
    """A small batch was answered: ten thousand rows that waited for their provider go on in dozens of calls.

    Rows that were asked in vain more often keep to themselves: one of them may be why.
    """
    with transaction.atomic(durable=True):
        alike = {"attempts__gte": batch.vain, "attempts__lte": batch.tries}
        waiting = batch.duty.due().filter(step_site=batch.site, **alike).order_by("pk")
        locked = waiting.select_for_update(skip_locked=True, no_key=True, of=("self",))
        keys = list(locked.values_list("pk", flat=True))
        batch.duty.rows.filter(pk__among=keys).update(attempts=batch.vain - 1)


def _commit(batch: Batch, keys: list[int], answer: Any) -> None:
    with changes(PORTAL) as change:
        locked = batch.rows.filter(pk__among=keys).order_by("pk").select_for_update(no_key=True, of=("self",))
        held = list(locked.values_list("pk", flat=True))
        if held:
            batch.duty.commit(change, batch.duty.rows.filter(pk__among=held), answer)


def _commit_what_can_be(batch: Batch, keys: list[int], answer: Any) -> None:
    """One poisoned row never holds back 999: what can't be written is halved until that row stands alone.

    Halving finds it in 20 transactions; row by row, a thousand rows took longer than their lease.
    """
    try:
        _commit(batch, keys, answer)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the lease brings these rows back
    except Exception as error:
        if len(keys) == 1:
            _set_aside(batch, keys[0], error)
            return
        log.warning("%s: %d rows could not be written, trying halves: %s", batch.duty.name, len(keys), error)
        middle = len(keys) // 2
        _commit_what_can_be(batch, keys[:middle], answer)
        _commit_what_can_be(batch, keys[middle:], answer)


def _set_aside(batch: Batch, key: int, error: Exception) -> None:
    """The row gets its error and a long pause, and waits for Support."""
    log.exception("%s %d waits for Support", batch.duty.name, key)
    pause = clock.db_now(timedelta(seconds=10 * settings.LEASE_SECONDS))
    words = {"last_error": f"{type(error).__name__}: {error}", "waiting_on": WaitingOn.SUPPORT}
    batch.rows.filter(pk=key).update(claim=None, next_step_at=pause, **words)


def pause_after(attempts: int) -> timedelta:
    """1, 2, 4 ... seconds, up to a lease (30 s by default; a shorter lease shortens all of them alike)."""
    lease: float = settings.LEASE_SECONDS
    return timedelta(seconds=min(lease, lease / 30 * 2 ** min(attempts, 10)))


def put_off(batch: Batch, error: str) -> None:
    """The outcome is unknown: ask again with the same key after a growing pause.

    All due rows of the same duty and site wait half as long, so that a dead provider doesn't hold every worker, and
    that they go first: where it was one of these rows that it fell silent at, the others are none the worse.
    """
    with transaction.atomic(durable=True):
        locked = batch.rows.order_by("pk").select_for_update(no_key=True, of=("self",))
        attempts = max(locked.values_list("attempts", flat=True), default=0)
        pause, words = pause_after(attempts), error.replace("\0", "")[:2000]
        facts = {"next_step_at": clock.db_now(pause), "last_error": words}
        batch.rows.update(claim=None, attempts=F("attempts") + 1, **facts)
        waiting = batch.duty.due().filter(step_site=batch.site).select_for_update(skip_locked=True, of=("self",))
        keys = list(waiting.values_list("pk", flat=True))  # all: a thousand more would be due at once, for an hour
        batch.duty.rows.filter(pk__among=keys).update(next_step_at=clock.db_now(pause / 2), last_error=words)


class _Bell:
    silent_until = 0.0


def ring() -> None:
    """Tells the workers that there is work: one message without content, after commit.

    Never raises and takes 0.3 s at most; after a failure it keeps silent for 15 s, since the drivers sweep anyway.
    """
    transaction.on_commit(ring_now)


PATIENCE = 0.15  # seconds, for each of the two things that a ring may wait for


@cache
def broker() -> Connection:
    """The bell's own way to the broker: a worker listens with longer waits than a person's request can bear."""
    waits = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, **waits}
    return Connection(settings.CELERY_BROKER_URL, transport_options=options)


def ring_now() -> None:
    """As `ring`, without waiting for a commit; a process that takes requests rings once at its start (wsgi.py)."""
    if time.monotonic() < _Bell.silent_until:
        return
    try:
        with producers[broker()].acquire(block=True, timeout=PATIENCE) as producer:
            current_app.send_task(BELL, producer=producer, retry=False, expires=60)
    except Exception as error:
        _Bell.silent_until = time.monotonic() + 15
        log.warning("the broker doesn't take messages (%s): the drivers go on without it", error)


def sign_of_life(kind: str) -> None:
    """A driver or worker was here just now: what /readyz tells. Lost signs are no harm."""
    kept.set(f"alive:{kind}", clock.now(), timeout=None)


def last_sign(kind: str) -> datetime | None:
    found: datetime | None = kept.get(f"alive:{kind}")
    return found


def oldest_due() -> datetime | None:
    """Since when the oldest due row of all duties waits."""
    waiting = (duty.due().order_by("next_step_at").values_list("next_step_at", flat=True).first() for duty in _duties)
    return min(filter(None, waiting), default=None)


def broker_answers() -> bool:
    """Whether the broker takes messages, asked for 0.15 s at most."""
    try:
        with broker().clone() as connection:
            channel: Any = connection.default_channel
            channel.client.ping()
    except Exception:
        return False
    return True


def sweep_for_ever() -> None:
    """What `manage.py drive --loop` does: drives whatever is due, every few seconds, whatever happens."""
    while True:
        try:
            sign_of_life("driver")
            while drive(ROUND) >= ROUND:
                sign_of_life("driver")
        except DatabaseError as error:
            log.warning("the database is away: %s", error)
        except Exception:
            log.exception("a sweep failed")
        close_old_connections()
        time.sleep(settings.SWEEP_SECONDS)
