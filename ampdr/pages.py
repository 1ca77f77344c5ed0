"""Pages of a list cut by keyset: a page begins behind the last row of the one before it. Nothing is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Func, Q, QuerySet, TextField, Value

SIZE = 50


class Place(Func):
    """A row's place in the order of a list, compared as a whole: that is what the indexes of lists are made for."""

    template = "ROW(%(expressions)s)"
    output_field = TextField()


@dataclass(frozen=True)
class Cut:
    """`previous` and `next` are places for `before` and `after`, opaque, or empty."""

    rows: list[Any]
    previous: str
    next: str


Cutter = Callable[[QuerySet[Any]], QuerySet[Any]]  # the next rows of one queryset, in order
Part = Callable[[Cutter], QuerySet[Any]]  # of a list whose parts have each an index of its own: `lambda cut: cut(rows)`


def cut(
    found: QuerySet[Any] | Sequence[Part], order: Sequence[str], query: Mapping[str, str], down: bool = False
) -> Cut:
    """One page in one statement. `order` names columns or annotations, the last of them unique; `down`: all falling.

    One row more than the page is read: it tells whether the way goes on.
    """
    parts: Sequence[Part] = [lambda cutter: cutter(found)] if isinstance(found, QuerySet) else found
    of = found.model._meta.label if isinstance(found, QuerySet) else "parts"
    signer = Signer(sep=".", salt=f"place in {of} by {', '.join(order)}")
    before, after = (_read(signer, query.get(name, "")) for name in ("before", "after"))
    back, place = before is not None, before or after
    falling = down != back
    got = stretch(parts, order, place, falling, SIZE + 1)
    more, got = len(got) > SIZE, got[:SIZE]
    got = got[::-1] if back else got
    earlier, later = (more, True) if back else (place is not None, more)
    ends = (signer.sign_object([_value(row, name) for name in order]) for row in (got[0], got[-1])) if got else ("", "")
    first, last = ends
    return Cut(got, first if earlier else "", last if later else "")


def stretch(parts: Sequence[Part], order: Sequence[str], place: Place | None, falling: bool, n: int) -> list[Any]:
    """The next `n` rows beyond a place, in one statement; each part hands in no more than as many."""
    names = [f"-{name}" if falling else name for name in order]

    def cutter(rows: QuerySet[Any]) -> QuerySet[Any]:
        onward = rows.alias(place=Place(*order)).filter(_beyond(place, falling)) if place else rows
        return onward.order_by(*names)[:n]

    first, *others = (part(cutter) for part in parts)
    return list(first.union(*others).order_by(*names)[:n] if others else first)


def _beyond(place: Place, falling: bool) -> Q:
    return Q(place__lt=place) if falling else Q(place__gt=place)


def _value(row: Any, path: str) -> Any:
    for name in path.split("__"):
        row = getattr(row, name)
    return row if isinstance(row, int) else str(row)  # the database reads a time or a uuid from its words


def _read(signer: Signer, place: str) -> Place | None:
    """What isn't a place in this very list is none."""
    try:
        return Place(*[Value(value) for value in signer.unsign_object(place)])
    except (BadSignature, ValueError):
        return None
