"""Which events become notices. Each app says for its own, from its apps.py, whom they concern and in what words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Kind:
    """What people switch on and off. `always` says for whom it can't be: "everybody", "listed" or, empty, nobody."""

    name: str
    label: str
    hint: str
    permission: str = ""
    always: str = ""
    why: str = ""

    def fixed_for(self, listed: bool) -> bool:
        return self.always == "everybody" or (self.always == "listed" and listed)


class Per(StrEnum):
    """What of the record is one event: each row, what one verb did to a ticket or order, or all that befell it."""

    ROW = "row"
    BATCH = "batch"
    ABOUT = "about"


@dataclass(frozen=True)
class Happened:
    """Rows of the record summed up. Whose they are, how many, and what the newest one says."""

    event: str
    account_id: int | None
    account_slug: str
    account_name: str
    key: str  # tells it from everything else that ever happened
    n: int
    about: str
    subject_id: int
    vm_name: str
    actor: str
    person_id: int | None
    staff: bool
    at: datetime
    reason: str
    from_state: str
    facts: Mapping[str, Any]


class Member(NamedTuple):
    """Somebody of an account who may be told something."""

    person_id: int
    email: str
    listed: bool = False
    administrator: bool = False
    permissions: frozenset[str] = frozenset()


def nobody(member: Member) -> bool:
    return False


def everybody(member: Member) -> bool:
    return True


@dataclass(frozen=True)
class Letter:
    """What is told of an event, and to whom. `once` tells it from every other letter; empty: one for each event.

    `needs` are permissions beside the kind's own without which no member gets it. `address` names one who gets it by
    e-mail, member or not; a `secret` (a kind of link, for `subject_id`) goes to such a one alone, and is made when the
    mail is. A mail goes out after `pause`, behind those that are more urgent.
    """

    kind: str
    template: str
    to: Callable[[Member], bool] = nobody
    words: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""
    once: str = ""
    needs: tuple[str, ...] = ()
    address: str = ""
    secret: str = ""
    subject_id: int | None = None
    pause: timedelta = timedelta()


Teller = Callable[[Happened], Iterable[Letter]]

KINDS: dict[str, Kind] = {}
TELLERS: dict[str, tuple[Per, Teller]] = {}
SECRETS: dict[str, Callable[[int], str]] = {}


def declare(*kinds: Kind) -> None:
    """Makes kinds of notices known, in the order in which the settings show them."""
    KINDS.update({kind.name: kind for kind in kinds})


def register(event: str, tell: Teller, per: Per = Per.ROW) -> None:
    """From now on `tell` says what is told of this event, summed up as `per` says."""
    TELLERS[event] = (per, tell)


def sign_with(secret: str, link: Callable[[int], str]) -> None:
    """How the path of a secret link is made from what it is for; it is empty when the link would open nothing."""
    SECRETS[secret] = link
