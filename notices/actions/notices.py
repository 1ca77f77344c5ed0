"""What people do with their notices: read them, and say which they want."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Person, forbid_customer
from ampdr import clock, work
from ampdr.errors import Absent
from ampdr.lifecycle import Actor, changes
from ampdr.work import WaitingOn
from notices.models import Channel, Notice, Preference
from notices.tasks.reading import count_unread
from notices.tasks.registry import KINDS, Kind


def own(actor: Actor) -> QuerySet[Notice]:
    """What the person was ever told in the portal, of this account and of himself."""
    found = Notice.objects.filter(Q(account=actor.account_id) | Q(account=None), person=actor.person_id)
    return found.filter(channel=Channel.PORTAL)


def mine(actor: Actor) -> QuerySet[Notice]:
    """His own, without those that he may no longer read. `mailed`: also sent by e-mail.

    Any member may look: they are about what concerned him, and each bears the permission that it needs.
    """
    mails = Notice.objects.filter(event=OuterRef("event"), email=OuterRef("email"), channel=Channel.EMAIL)
    found = own(actor).filter(permission__in=["", *actor.permissions])
    return found.annotate(mailed=Exists(mails.filter(sent_at__isnull=False)))


def mark_read(actor: Actor, key: str) -> None:
    """One of his own, or, without a key, all of them. Raises Absent: another's notice is as one that never was.

    With all of them also those go that he may no longer see: else the bell would count them for ever.
    """
    wanted = mine(actor).filter(pk=key if key.isdecimal() and len(key) < 19 else 0)
    if key and not wanted.exists():
        raise Absent
    with transaction.atomic():
        found = Notice.objects.filter(pk__in=wanted.values("pk")) if key else own(actor)
        found.filter(read_at=None).update(read_at=clock.now())
        count_unread([actor.person_id or 0], None)


@dataclass(frozen=True)
class Choice:
    """A kind of notices, and whether it comes by each channel. `fixed`: why that can't be changed."""

    kind: Kind
    portal: bool
    email: bool
    fixed: str


def choices(actor: Actor) -> list[Choice]:
    """What the person can choose among: kinds of which he may learn something here."""
    off = set(_preferences(actor).filter(on=False).values_list("kind", "channel"))
    return [
        Choice(kind, portal=fixed or (kind.name, Channel.PORTAL) not in off, fixed=kind.why if fixed else "",
               email=fixed or (kind.name, Channel.EMAIL) not in off)
        for kind in _offered(actor)
        for fixed in [kind.fixed_for(actor.listed)]
    ]  # fmt: skip


def choose(actor: Actor, wanted: Collection[str]) -> None:
    """Of what he can choose, exactly this comes from now on, in every account of his: "<kind>:<channel>"."""
    free = [kind for kind in _offered(actor) if not kind.fixed_for(actor.listed)]
    pairs = [(kind.name, channel) for kind in free for channel in Channel.values]
    with changes(actor) as change:
        for kind, channel in pairs:
            one: dict[str, Any] = {"person_id": actor.person_id or 0, "kind": kind, "channel": channel}
            Preference.objects.update_or_create(**one, defaults={"on": f"{kind}:{channel}" in wanted})
        off = sorted(f"{kind}:{channel}" for kind, channel in pairs if f"{kind}:{channel}" not in wanted)
        change.note(Person.objects.filter(pk=actor.person_id or 0), "person.notices_chosen", off=off)


def send_again(actor: Actor, notices: QuerySet[Notice]) -> int:
    """Mails that wait for Support are due again, for another day. Returns how many."""
    forbid_customer(actor)
    waiting = notices.filter(channel=Channel.EMAIL, waiting_on=WaitingOn.SUPPORT, sent_at=None)
    with changes(actor) as change:
        again = {"next_step_at": clock.db_now(), "made_at": change.at, "attempts": 0, "waiting_on": WaitingOn.NOBODY}
        n = waiting.update(**again)
        work.ring()
    return n


def _preferences(actor: Actor) -> QuerySet[Preference]:
    return Preference.objects.filter(person=actor.person_id)


def _offered(actor: Actor) -> list[Kind]:
    return [kind for kind in KINDS.values() if not kind.permission or actor.can(kind.permission)]
