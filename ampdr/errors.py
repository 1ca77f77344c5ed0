"""One family of refusals. A verb raises one; each door translates it in one place (pages, API, admin)."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import DataError


class Refusal(Exception):
    """A request that is understood and refused. `message` says what to do, in words for people.

    `code` is stable and part of the API; `facts` is what a page may show beside the words.
    """

    status = 400
    code = "refused"
    title = "This can't be done"

    def __init__(self, message: str, *, code: str = "", title: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.title = title or self.title
        self.facts: dict[str, Any] = facts


class Invalid(Refusal):
    """Something that was sent is not well-formed. `fields` names it: field name -> what is wrong with it."""

    code = "invalid"
    title = "Please check what was sent"

    def __init__(self, message: str, *, fields: Mapping[str, Sequence[str]] | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.fields = {name: list(errors) for name, errors in (fields or {}).items()}


class TooLarge(Refusal):
    """More was sent than is read. `DATA_UPLOAD_MAX_MEMORY_SIZE` says how much that is."""

    status = 413
    code = "too_large"
    title = "This is too large"


class Forbidden(Refusal):
    """The person may not do this. `facts["permission"]` is the label of what is missing, where one is."""

    status = 403
    code = "forbidden"
    title = "You don't have permission"


class Absent(Refusal):
    """There is no such thing for this person: the same answer for another account's thing and for a made-up number."""

    status = 404
    code = "not_found"
    title = "Not in this account"

    def __init__(self, message: str = "There is nothing at this address in this account.") -> None:
        super().__init__(message)


class Conflict(Refusal):
    """Well-formed and permitted, but not as things stand now."""

    status = 409
    code = "conflict"
    title = "Something changed meanwhile"


class IllegalTransition(Conflict):
    """The subject is in a state from which this move doesn't lead. `facts`: subject, state, since, who."""

    code = "illegal_transition"


def is_unfit(error: Exception) -> bool:
    """Whether an error says that what was sent can't be held by the database: a NUL, half a sign, a number too large.

    The last net under the fields' own checks: whoever sends such things hears 400, and wakes nobody at night.
    """
    nul = isinstance(error, ValueError) and "NUL (0x00)" in str(error)
    return nul or isinstance(error, DataError | UnicodeEncodeError)
