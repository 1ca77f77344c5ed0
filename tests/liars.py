"""Providers that lie, each in a way of its own, about one VM (VICTIM); of all others they are the simulated one.

A site names one by its dotted path. `honest()` ends the lie of all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from replication.providers.base import Existing, Kind, Progress, Request, Result, Unreachable
from replication.providers.simulated import effects
from replication.providers.simulated.settings import ledger_path
from tests.slow_line import SlowLine

VICTIM = "liar-01"
_lies = threading.Event()


def honest() -> None:
    _lies.clear()


def begin_to_lie() -> None:
    Hangs.goes_on.clear()
    _lies.set()


class Liar(SlowLine):
    """Tells the truth, at once: a lie overrides one of the two below."""

    batch = 1000

    def __init__(self, site: str, timeout: float) -> None:
        super().__init__(site, timeout)
        self.mine: set[str] = set()  # keys of the victim

    def submit(self, requests: Sequence[Request]) -> dict[str, Progress]:
        self.mine |= {one.key for one in requests if one.name == VICTIM}
        if not _lies.is_set():
            return self.end.submit(requests)
        said: dict[str, Progress] = self.answer(requests)
        return said

    def observe(self, keys: Sequence[str]) -> dict[str, Progress]:
        said: dict[str, Progress] = self.end.observe(keys)
        return self.twist(self.mine & set(keys), said) if _lies.is_set() else said

    def answer(self, requests: Sequence[Request]) -> Any:
        return self.twist({one.key for one in requests if one.name == VICTIM}, self.end.submit(requests))

    def twist(self, keys: set[str], said: dict[str, Progress]) -> Any:
        return said


class Refuses(Liar):
    def answer(self, requests: Sequence[Request]) -> Any:
        mine = [one for one in requests if one.name == VICTIM]
        said = self.end.submit([one for one in requests if one.name != VICTIM])
        return said | {one.key: Progress(refused=f"{VICTIM} is not to my liking.") for one in mine}


class Chokes(Liar):
    """Breaks on every call in which the victim is."""

    def answer(self, requests: Sequence[Request]) -> Any:
        if any(one.name == VICTIM for one in requests):
            raise KeyError(VICTIM)
        return self.end.submit(requests)


class Exits(Liar):
    def answer(self, requests: Sequence[Request]) -> Any:
        if any(one.name == VICTIM for one in requests):
            raise SystemExit(3)
        return self.end.submit(requests)


class Hangs(Liar):
    """Does what it was asked and says nothing until the lie is over: an answer that comes too late."""

    goes_on, went_on = threading.Event(), threading.Event()

    def answer(self, requests: Sequence[Request]) -> Any:
        if not any(one.name == VICTIM for one in requests):
            return self.end.submit(requests)
        self.goes_on.wait(60)
        try:
            return self.end.submit(requests)
        finally:
            self.went_on.set()


class Cuts(Liar):
    """The work is done, and the line is cut before it can say so."""

    def answer(self, requests: Sequence[Request]) -> Any:
        said = self.end.submit(requests)
        if any(one.name == VICTIM for one in requests):
            raise Unreachable("The line was cut.")
        return said


class Half(Liar):
    def twist(self, keys: set[str], said: dict[str, Progress]) -> Any:
        return {key: one for key, one in said.items() if key not in keys}


class Strangers(Half):
    """Answers of others than it was asked."""

    def twist(self, keys: set[str], said: dict[str, Progress]) -> Any:
        return super().twist(keys, said) | {"somebody-else:start_test:1": Progress(done=True), 7: None}


class NoProgress(Liar):
    def twist(self, keys: set[str], said: dict[str, Any]) -> Any:
        return said | dict.fromkeys(keys, "done")


class NoAnswer(Liar):
    """Not even a mapping."""

    def answer(self, requests: Sequence[Request]) -> Any:
        return None if any(one.name == VICTIM for one in requests) else self.end.submit(requests)


class Babbles(Liar):
    """Under way, in figures and words that fit nowhere."""

    def twist(self, keys: set[str], said: dict[str, Progress]) -> Any:
        wild = Progress(percent=-5, step="x\0" * 500, look_in=float("nan"), bytes_done=-1, bytes_total=2**70)
        return said | dict.fromkeys(keys, wild)


class RoomFull(Liar):
    """Busy for ever, and wants to be looked at again at once."""

    def twist(self, keys: set[str], said: dict[str, Progress]) -> Any:
        return said | dict.fromkeys(keys, Progress(step="Waits for room", look_in=0))


class Nonsense(Liar):
    """Done, with results that can't be."""

    def twist(self, keys: set[str], said: dict[str, Progress]) -> Any:
        future = timezone.now() + timedelta(days=400)
        wrong = Result("no address at all", future, -7.0, future)
        return said | {key: replace(said[key], done=True, refused="", result=wrong) for key in keys}


class KeepsIt(Liar):
    """Says that a stop is done and a bar is lifted, and still lists them."""

    def answer(self, requests: Sequence[Request]) -> Any:
        kept = [one for one in requests if one.name == VICTIM and one.kind in (Kind.STOP, Kind.RELEASE)]
        said = self.end.submit([one for one in requests if one not in kept])
        return said | {one.key: Progress(done=True) for one in kept}


class ListsNothing(KeepsIt):
    """The twin: what it keeps it doesn't list either. Nobody can know."""

    def existing(self, cursor: str = "") -> tuple[list[Existing], str]:
        return [], ""


class Lags(Liar):
    """What is gone stands in its list for a while."""

    def existing(self, cursor: str = "") -> tuple[list[Existing], str]:
        gone = [one for one in effects(ledger_path()) if one.step == Kind.STOP] if _lies.is_set() else []
        found, after = self.end.existing(cursor)
        return [*found, *(Existing("", Kind.START_TEST, one.vm) for one in gone if not cursor)], after


class NoList(Liar):
    """Does everything, and gives no list."""

    def existing(self, cursor: str = "") -> tuple[list[Existing], str]:
        if _lies.is_set():
            raise Unreachable("The list takes too long.")
        return self.end.existing(cursor)


class EndlessList(Liar):
    def existing(self, cursor: str = "") -> tuple[list[Existing], str]:
        return [], "once more" if _lies.is_set() else ""


class LongList(Liar):
    """One thing on each page."""

    pages = 0

    def existing(self, cursor: str = "") -> tuple[list[Existing], str]:
        found, at = self.end.existing()[0], int(cursor or 0)
        type(self).pages += 1
        return found[at : at + 1], str(at + 1) if at + 1 < len(found) else ""
