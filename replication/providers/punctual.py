"""No call of a provider holds a worker for longer than the provider was given.

Nobody can end a thread: a call that never comes back keeps its own. So what hung is asked ever more rarely: one thing,
by itself, so that the others don't wait for it; and all of a kind, after a few calls in vain, with one call at a time
that tries. Whatever comes back, in time or late, opens the way again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeVar

from ampdr import clock
from replication.providers.base import Provider, Unreachable

T = TypeVar("T")

GRACE = 1.0  # seconds beside the provider's own time, in which it may say itself that it got no answer
HANGING = 8  # calls of a kind to one site in a row, until it is tried with one at a time
MOST = 64  # threads of one site and process: from then on each that hangs is followed by a long pause
SHORTEST, LONG, LONGEST = 30, 300, 3600  # seconds until the next try: at first, at most of a kind, and of one thing


class NotAsked(Unreachable):
    """The call wasn't made: others like it hang."""


@dataclass
class Barrier:
    """Before all calls of a kind to a site, or one thing there: how many hung in a row, and until when it is shut."""

    hung: int = 0
    until: float = 0.0


_barriers: dict[tuple[str, str, str], Barrier] = {}  # by site, kind of call, and the one thing asked, "" for all others
_hanging: Counter[str] = Counter()
_lock = threading.Lock()


def in_time(provider: Provider, call: Callable[[], T], kind: str = "", alone: str = "") -> T:
    """What `call` returns or raises. Raises Unreachable once its time is over: its outcome is unknown then.

    It goes on in its thread, and may have its effect later: whoever asks again does so with the same key. `alone` is
    the one thing that is asked, if it is one: though it hang for ever, the other calls of its kind go on. A call of no
    kind decides something at once: it is never refused for longer than the shortest pause.
    """
    way = (provider.site, kind, alone)
    _pass(way)
    answer: Future[T] = Future()
    context = copy_context()
    threading.Thread(target=_answer, args=(answer, lambda: context.run(call)), daemon=True).start()
    try:
        answer.exception(provider.timeout + GRACE)
    except TimeoutError as late:
        _shut(way)
        answer.add_done_callback(lambda _: _open(way, late=True))
        raise Unreachable(f"{provider.site} gave no answer for {provider.timeout:.0f} s.") from late
    _open(way)
    try:
        return answer.result()
    except TimeoutError as own:  # the provider's
        raise Unreachable(str(own) or "The call timed out.") from own


def need_open(site: str, kind: str) -> None:
    """Raises NotAsked where a call of this kind wouldn't be made now. Counts as no try."""
    with _lock:
        _refuse_shut(site, _barriers.get((site, kind, "")))


def hung_alone(site: str, kind: str, thing: str) -> bool:
    """Whether it hung when it alone was asked, and hasn't answered since: it is asked by itself, if at all."""
    return (site, kind, thing) in _barriers


def _pass(way: tuple[str, str, str]) -> None:
    """What hung alone has a barrier of its own: it neither waits for its kind's, nor tries for the others."""
    site, kind, alone = way
    with _lock:
        own = _barriers.get(way)
        barrier = own or _barriers.get((site, kind, ""))
        if barrier is None or not barrier.until:
            return
        now = _refuse_shut(site, barrier)
        if alone and own and _hanging[site] >= MOST:
            raise NotAsked(f"{MOST} calls to {site} hang. Restart this process to ask it of this VM again.")
        barrier.until = now + SHORTEST  # this call tries; who comes meanwhile waits for what it hears


def _refuse_shut(site: str, barrier: Barrier | None) -> float:
    """What time it is, if the barrier isn't shut."""
    now = clock.now().timestamp()
    if barrier and 0 < barrier.until - now <= LONGEST:  # else the clock was set back
        raise NotAsked(f"Calls to {site} hang. The next one is made in {barrier.until - now:.0f} s.")
    return now


def _shut(way: tuple[str, str, str]) -> None:
    site, kind, alone = way
    with _lock:
        _hanging[site] += 1
        known = way in _barriers
        if alone:
            _count(way, 1, LONGEST)
        if not (alone and known):  # that one thing hangs again tells nothing of the others
            _count((site, kind, ""), HANGING, LONG if kind else SHORTEST)


def _count(way: tuple[str, str, str], free: int, longest: int) -> None:
    barrier = _barriers.setdefault(way, Barrier())
    barrier.hung += 1
    crowded = _hanging[way[0]] >= MOST
    if barrier.hung >= free or crowded:
        pause = longest if crowded else min(longest, SHORTEST * 2 ** min(barrier.hung - free, 9))
        barrier.until = clock.now().timestamp() + pause


def _open(way: tuple[str, str, str], late: bool = False) -> None:
    site, kind, _ = way
    with _lock:
        _hanging[site] -= late
        _barriers.pop(way, None)
        _barriers.pop((site, kind, ""), None)


def _answer(answer: Future[T], call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except Exception as error:
        answer.set_exception(error)
    except BaseException as error:  # a provider that wants to end the process ends its call
        answer.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
