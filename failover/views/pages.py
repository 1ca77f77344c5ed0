"""Pages of a list cut by keyset: a page begins behind the last row of the one before it. Nothing is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Q, QuerySet, Value

from failover.screens.query import Place

SIZE = 50
_signer = Signer(sep=".", salt="place in a list of failovers")


@dataclass(frozen=True)
class Cut:
    """`previous` and `next` are places for `before` and `after`, opaque, or empty."""

    rows: list[Any]
    previous: str
    next: str


def cut(found: QuerySet[Any], order: Sequence[str], query: Mapping[str, str], down: bool = False) -> Cut:
    """One page in one statement. `order` names columns or annotations, the last of them unique; `down`: all falling.

    One row more than the page is read: it tells whether the way goes on.
    """
    before, after = _read(query.get("before", "")), _read(query.get("after", ""))
    back, place = before is not None, before or after
    falling = down != back
    onward = found.alias(place=Place(*order)).filter(_beyond(place, falling)) if place else found
    got = list(onward.order_by(*(f"-{name}" if falling else name for name in order))[: SIZE + 1])
    more, got = len(got) > SIZE, got[:SIZE]
    got = got[::-1] if back else got
    earlier, later = (more, True) if back else (place is not None, more)
    return Cut(got, _write(got[0], order) if got and earlier else "", _write(got[-1], order) if got and later else "")


def _beyond(place: Place, falling: bool) -> Q:
    return Q(place__lt=place) if falling else Q(place__gt=place)


def _write(row: Any, order: Sequence[str]) -> str:
    return _signer.sign_object([_value(row, name) for name in order])


def _value(row: Any, path: str) -> Any:
    for name in path.split("__"):
        row = getattr(row, name)
    return row


def _read(place: str) -> Place | None:
    try:
        return Place(*[Value(value) for value in _signer.unsign_object(place)])
    except (BadSignature, ValueError):
        return None
