"""Twins: several threads, each with a connection of its own, that begin at one instant."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection


def together(*deeds: Callable[[], Any]) -> list[Any]:
    """Does all of them at once; what each returned or raised, in their order."""
    start = threading.Barrier(len(deeds))
    came: list[Any] = [None] * len(deeds)

    def run(place: int, deed: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            start.wait(60)
            came[place] = deed()
        except Exception as error:
            came[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return came


def raised(came: Sequence[Any]) -> list[Exception]:
    return [one for one in came if isinstance(one, Exception)]
