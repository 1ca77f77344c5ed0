"""Pages of a list by keyset: a page begins behind the last row of the one before it, and nothing is counted.

A place in a list is opaque and signed, so that no address carries a primary key that could be read or made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Func, Model, Q, QuerySet, TextField, Value
from django.http import QueryDict

SIZE = 50
M = TypeVar("M", bound=Model)
_signer = Signer(sep=".", salt="place in a list of replication")


class Page(NamedTuple, Generic[M]):
    """`previous` and `next`: query strings of the pages around it, empty where there is none."""

    rows: list[M]
    previous: str
    next: str


class Place(Func):
    """A row's place in the order of a list, compared as a whole."""

    template = "ROW(%(expressions)s)"
    output_field = TextField()


def page_of(found: QuerySet[M], order: Sequence[str], query: QueryDict, newest_first: bool = False) -> Page[M]:
    """The page that the query's `after` or `before` asks for; one row more is read, to know whether the way goes on.

    `order` are fields or annotations that together are unique, all rising, or all falling with `newest_first`.
    """
    back = "before" in query
    place = _read(query.get("before" if back else "after", ""))
    falling = newest_first != (back and place is not None)
    onward: QuerySet[Any, Any] = found
    if place:
        onward = found.alias(place=Place(*order)).filter(Q(place__lt=place) if falling else Q(place__gt=place))
    got = list(onward.order_by(*[f"-{name}" if falling else name for name in order])[: SIZE + 1])
    more, got = len(got) > SIZE, got[:SIZE]
    if back and place:
        got.reverse()
        more, earlier = True, more
    else:
        earlier = place is not None
    return Page(got, _link(query, "before", got[0], order) if got and earlier else "",
                _link(query, "after", got[-1], order) if got and more else "")  # fmt: skip


def without(query: QueryDict, *names: str) -> QueryDict:
    """The query without these, to be changed and printed."""
    left = query.copy()
    for name in names:
        left.pop(name, None)
    return left


def _link(query: QueryDict, way: str, row: Model, order: Sequence[str]) -> str:
    link = without(query, "after", "before", "version")
    link[way] = _signer.sign_object([reduce(getattr, name.split("__"), row) for name in order])
    return f"?{link.urlencode()}"


def _read(place: str) -> Place | None:
    try:
        return Place(*[Value(value) for value in _signer.unsign_object(place)])
    except (BadSignature, ValueError):
        return None
