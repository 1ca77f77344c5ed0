"""No call of a provider holds a worker for longer than the provider was given."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

from replication.providers.base import Provider, Unreachable

T = TypeVar("T")

GRACE = 1.0  # seconds beside the provider's own time, in which it may say itself that it got no answer
HANGING = 8  # calls of one site and process; each that never comes back keeps a thread

_hanging: Counter[str] = Counter()
_counted = threading.Lock()


def in_time(provider: Provider, call: Callable[[], T]) -> T:
    """What `call` returns or raises. Raises Unreachable once its time is over: its outcome is unknown then.

    It goes on in its thread, and may have its effect later: whoever asks again does so with the same key.
    """
    if _hanging[provider.site] >= HANGING:
        raise Unreachable(f"{HANGING} calls to {provider.site} hang. Restart this process if the site is well.")
    answer: Future[T] = Future()
    context = copy_context()
    threading.Thread(target=_answer, args=(answer, lambda: context.run(call)), daemon=True).start()
    try:
        return answer.result(provider.timeout + GRACE)
    except TimeoutError as late:
        if answer.done():  # it is the provider's own
            raise Unreachable(str(late) or "The call timed out.") from late
        _count(provider.site, 1)
        answer.add_done_callback(lambda _: _count(provider.site, -1))
        raise Unreachable(f"{provider.site} gave no answer for {provider.timeout:.0f} s.") from late


def _count(site: str, more: int) -> None:
    with _counted:
        _hanging[site] += more


def _answer(answer: Future[T], call: Callable[[], T]) -> None:
    try:
        answer.set_result(call())
    except Exception as error:
        answer.set_exception(error)
    except BaseException as error:  # a provider that wants to end the process ends its call
        answer.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
