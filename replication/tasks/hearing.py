"""What a provider says, made fit to be written: one that talks nonsense keeps no row from going on.

What can't be true is not known: a loss below zero, a moment in the future, an address that is none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from math import isfinite
from typing import Any, TypeVar

from ampdr import clock
from replication.providers.base import Point, Points, Progress, Provider, Result, Unreachable
from replication.providers.punctual import NotAsked, hung_alone, in_time

T = TypeVar("T")
log = logging.getLogger("replication.hearing")

SKEW = timedelta(minutes=5)  # so much may a site's clock go ahead of ours
SOONEST, LATEST = 0.1, 3600.0  # seconds until a work is looked at again
REQUESTS = "requests"  # the kind of call that submits them, or observes
BROKEN_CALLS = 24  # of one batch: enough to find two of a thousand that a provider chokes on


def heard(
    provider: Provider,
    verb: Callable[[Sequence[T]], Mapping[str, Progress]],
    things: Sequence[T],
    again: bool,
    key: Callable[[T], str] = str,
) -> tuple[dict[str, Progress], dict[str, str]]:
    """What the provider says of these things, and the error of each that it chokes on, by their keys.

    Raises Unreachable when it doesn't answer, and what it broke on when it answers of nothing. `again`: a call may be
    repeated, so what breaks is asked in halves until one thing stands alone, and the others go on.
    """
    said: dict[str, Progress] = {}
    errors: dict[str, str] = {}
    waiting, broken, last = _parts(provider, things, key), 0, None
    while waiting:
        part = waiting.pop(0)
        alone = key(part[0]) if len(part) == 1 else ""
        apart = _stands_apart(provider, alone)
        try:
            said |= fit(in_time(provider, lambda part=part: dict(verb(part)), REQUESTS, alone))  # type: ignore[misc]
        except Unreachable as error:
            if not apart:
                raise
            errors[alone] = str(error)
            if not isinstance(error, NotAsked):  # one try in a call: a dozen would take longer than the lease
                errors |= {key(one): str(error) for left in waiting for one in left}
                break
        except Exception as error:
            last, broken = error, broken + 1
            if not again:
                raise
            log.warning("%s of %d at %s broke: %s", verb.__name__, len(part), provider.site, error)
            if len(part) == 1 or broken >= BROKEN_CALLS:
                errors |= {key(one): f"{type(error).__name__}: {error}" for one in part}
            else:
                waiting[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
    if last and not said:
        raise RuntimeError(f"{type(last).__name__}: {last}") from last
    return said, errors


def _parts(provider: Provider, things: Sequence[T], key: Callable[[T], str]) -> list[Sequence[T]]:
    """As many at once as it takes; each that hung alone once more by itself, when the others were asked."""
    apart = [one for one in things if _stands_apart(provider, key(one))]
    keys = {key(one) for one in apart}
    others = [one for one in things if key(one) not in keys] if apart else things
    parts = [others[start : start + provider.batch] for start in range(0, len(others), provider.batch)]
    return [*parts, *([one] for one in apart)]


def _stands_apart(provider: Provider, key: str) -> bool:
    return provider.remembers_keys and key != "" and hung_alone(provider.site, REQUESTS, key)


def fit(said: Mapping[str, Any]) -> dict[str, Progress]:
    """What of it is a progress, each fact within its bounds."""
    found = {}
    for key, one in said.items():
        try:
            found[key] = _fit(one)
        except (TypeError, ValueError, AttributeError) as error:
            log.warning("no progress for %s: %r (%s)", key, one, error)
    return found


def _fit(said: Progress) -> Progress:
    result = _result(said.result) if said.result else None
    if isinstance(said, Progress) and _is_fit(said):
        return said if result == said.result else replace(said, result=result)
    refused, look_in = words(said.refused, 2000), float(said.look_in)
    return Progress(
        done=bool(said.done) and not refused, percent=min(100, max(0, int(said.percent))), step=words(said.step, 120),
        bytes_done=_count(said.bytes_done), bytes_total=_count(said.bytes_total), refused=refused,
        look_in=min(LATEST, max(SOONEST, look_in)) if isfinite(look_in) else LATEST,
        result=result,
    )  # fmt: skip


def _is_fit(said: Progress) -> bool:
    """As nearly all are: to make each of 10,000 anew would cost more than to look."""
    odd = said.refused or said.bytes_done is not None or said.bytes_total is not None or "\0" in said.step
    return not odd and 0 <= said.percent <= 100 and len(said.step) <= 120 and SOONEST <= said.look_in <= LATEST


def words(said: object, most: int) -> str:
    return str(said or "").replace("\0", "")[:most]


def _count(said: int | None) -> int | None:
    return None if said is None else min(2**63 - 1, max(0, int(said)))


def _result(said: Result) -> Result:
    loss = None if said.loss_seconds is None else float(said.loss_seconds)
    return Result(
        address=_address(said.address), point=moment(said.point), running_since=moment(said.running_since),
        loss_seconds=loss if loss is not None and isfinite(loss) and loss >= 0 else None,
    )  # fmt: skip


def _address(said: object) -> str:
    try:
        return str(ip_address(str(said))) if said else ""
    except ValueError:
        return ""


def moment(said: object) -> datetime | None:
    """As it was told, if it is a moment and not one of the future."""
    known = isinstance(said, datetime) and said.tzinfo is not None and said <= clock.now() + SKEW
    return said if known and isinstance(said, datetime) else None


def fit_points(said: Mapping[str, Any], asked: Mapping[str, int]) -> dict[str, Points]:
    """Of the VMs that were asked for: a point of the future would say for ever that all is well."""
    return {vm: _points(one) for vm, one in said.items() if vm in asked and isinstance(one, Points)}


def _points(said: Points) -> Points:
    new = tuple(Point(one.at, words(one.consistent, 12)) for one in said.new if moment(one.at))
    return Points(new, moment(said.oldest_kept))
