"""The record is read in order, and what concerns people becomes notices. No verb calls this, so that an event and its
notices can't part; whoever is killed in between repeats nothing, because the place in the record moves on with them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.aggregates import BoolOr, JSONBAgg
from django.db import DatabaseError
from django.db.models import Case, Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Concat
from django.template import Context, Engine
from django.urls import reverse

from accounts.models import Activity, AuthorizedUser, Head, Membership, Permission, Person, Seal
from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import Duty, WaitingOn
from notices.models import Channel, Notice, Preference, Reading
from notices.tasks.registry import KINDS, TELLERS, Happened, Letter, Member, Per

log = logging.getLogger(__name__)

ROWS = 5000  # of the record, in one step; a single seal may hold more
SEALS = 500


@work.register
class Read(Duty):
    """Reads on where an account's record, or the installation's, has grown. Behind all other work."""

    name, model, priority, size = "read the record for notices", Reading, 95, 1

    def due(self) -> QuerySet[Reading]:
        begin()
        newest = Coalesce(F("account__head__number"), Subquery(Head.objects.filter(account=None).values("number")[:1]))
        free = Q(next_step_at=None) | Q(next_step_at__lte=clock.db_now())
        return Reading.objects.alias(newest=newest).filter(free, number__lt=F("newest"))

    def call(self, site: str, rows: list[Any]) -> None:
        """The first address that a process makes loads all pages: seconds, for which no transaction shall be open."""
        reverse("home")

    def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
        reading = mine.select_related("account").get()
        last, batches = next_seals(reading)
        made = list(notices_of(happened(reading, batches)))
        Notice.objects.bulk_create(made, ignore_conflicts=True)
        mine.update(
            number=last, next_step_at=None, claim=None, attempts=0, last_error="", waiting_on=WaitingOn.NOBODY,
        )  # fmt: skip
        if made:
            people = [notice.person_id for notice in made if notice.person_id and notice.channel == Channel.PORTAL]
            change.touch(count_unread(people, reading.account_id))
            work.ring()


def begin() -> None:
    """Every head has its reading: a new account's record is read from its beginning."""
    mine = Reading.objects.alias(whose=Coalesce("account_id", 0)).filter(whose=OuterRef("whose"))
    heads = Head.objects.alias(whose=Coalesce("account_id", 0)).filter(~Exists(mine))
    if missing := list(heads.values_list("account_id", flat=True)[: work.BATCH]):
        Reading.objects.bulk_create([Reading(account_id=account) for account in missing], ignore_conflicts=True)


def next_seals(reading: Reading) -> tuple[int, list[UUID]]:
    """The number of the last seal of this step, and the batches under them: as many as a step may read, one at least.

    Seals are given out under the head's lock, together with their rows: before one that is seen, none is missing.
    """
    seals = Seal.objects.filter(account=reading.account_id, number__gt=reading.number).order_by("number")
    last, rows = reading.number, 0
    batches: list[UUID] = []
    for number, batch, size in seals.values_list("number", "batch", "rows")[:SEALS]:
        rows += size
        if batches and rows > ROWS:
            break
        last = number
        batches.append(batch)
    return last, batches


def happened(reading: Reading, batches: Sequence[UUID]) -> list[Happened]:
    """What of these batches somebody may be told of, oldest first: thousands of rows of one event are one."""
    singly = [event for event, (per, _) in TELLERS.items() if per == Per.ROW]
    rows = Activity.objects.filter(account=reading.account_id, batch__in=batches)
    rows = rows.annotate(name=Concat("kind", Value("."), "event")).filter(name__in=list(TELLERS))
    rows = rows.annotate(single=Case(When(name__in=singly, then=F("pk")), default=0))
    groups = rows.order_by().values("name", "about", "batch", "single").annotate(n=Count("pk"), newest=Max("pk"))
    found = {group["newest"]: group for group in groups}
    newest = Activity.objects.filter(pk__among=list(found)).order_by("pk")
    return list(_summed_up(_happened(reading, row, found[row.pk]["n"]) for row in newest))


def _happened(reading: Reading, row: Activity, n: int) -> Happened:
    event, account = f"{row.kind}.{row.event}", reading.account
    keys = {Per.ROW: f"{event}:{row.pk}", Per.BATCH: f"{event}:{row.about}:{row.batch}"}
    return Happened(
        event=event, account_id=row.account_id, account_slug=account.slug if account else "",
        account_name=account.name if account else "", n=n, about=row.about, subject_id=row.subject_id,
        key=keys.get(TELLERS[event][0], f"{event}:{row.about}"), vm_name=row.vm_name, actor=row.actor,
        person_id=row.person_id, staff=row.staff, at=row.at, reason=row.reason, from_state=row.from_state,
        facts=row.facts,
    )  # fmt: skip


def _summed_up(events: Iterable[Happened]) -> Iterable[Happened]:
    """Events with one key become one: the newest, with all their rows."""
    found: dict[str, Happened] = {}
    for event in events:
        earlier = found.pop(event.key, None)
        found[event.key] = replace(event, n=event.n + earlier.n) if earlier else event
    return found.values()


# ---- Whom it concerns ------------------------------------------------------------------------------------------------


class Audience:
    """Those who can be told something in an account, and what they don't want to be told; read once, when needed."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = list(members)
        off = Preference.objects.filter(person__in=[member.person_id for member in self.members], on=False)
        self.off = set(off.values_list("person_id", "kind", "channel"))

    def wants(self, member: Member, kind: str, channel: str) -> bool:
        return KINDS[kind].fixed_for(member.listed) or (member.person_id, kind, channel) not in self.off


def members_of(account_id: int) -> Iterator[Member]:
    """Its enabled members with what they may do."""
    listed = AuthorizedUser.objects.filter(account=OuterRef("account"), person=OuterRef("person"))
    found = Membership.objects.filter(account=account_id, enabled=True, person__is_active=True).annotate(
        granted=JSONBAgg("roles__permissions", filter=Q(roles__isnull=False)),
        all_granted=BoolOr("roles__all_permissions", default=False), on_list=Exists(listed),
    )  # fmt: skip
    columns = ("person_id", "person__email", "on_list", "all_granted", "granted")
    for person_id, email, on_list, all_granted, granted in found.values_list(*columns):
        may = Permission.values if all_granted else {code for codes in granted or () for code in codes}
        yield Member(person_id, email, on_list, all_granted, frozenset(may))


def _audience(account_id: int | None, person_id: int) -> Audience:
    """Of an account; of the installation's log, the person whom the event is about."""
    if account_id is not None:
        return Audience(members_of(account_id))
    person = Person.objects.filter(pk=person_id, is_active=True)
    return Audience(Member(*row) for row in person.values_list("pk", "email"))


# ---- What they are told ----------------------------------------------------------------------------------------------


def notices_of(events: Iterable[Happened]) -> Iterator[Notice]:
    audience = cache(_audience)
    for event in events:
        try:
            for letter in TELLERS[event.event][1](event):
                told = audience(event.account_id, 0 if event.account_id else event.subject_id)
                yield from _written(event, letter, told)
        except DatabaseError:
            raise
        except Exception:  # one event that can't be put in words doesn't keep an account from all others
            log.exception("nobody is told of %s", event.key)


def _written(event: Happened, letter: Letter, told: Audience) -> Iterator[Notice]:
    title, text = worded(event, letter)
    needs = {*letter.needs, KINDS[letter.kind].permission} - {""}
    once = letter.once or event.key
    for person_id, email, channel in _addressed(letter, told, needs):
        yield Notice(
            account_id=event.account_id, person_id=person_id, email=email, kind=letter.kind, channel=channel,
            event=once, about=event.about, title=title, text=text, path=letter.path, secret=letter.secret,
            permission=min(needs, default="") if person_id else "", subject_id=letter.subject_id,
            message_id=message_id(once, email),
            next_step_at=clock.now() + letter.pause if channel == Channel.EMAIL else None,
        )  # fmt: skip


def _addressed(letter: Letter, told: Audience, needs: set[str]) -> Iterator[tuple[int | None, str, str]]:
    """Person, e-mail and channel. An address that was named gets a mail and nothing else."""
    if letter.address:
        yield None, letter.address, Channel.EMAIL
    for member in told.members:
        if letter.to(member) and needs <= member.permissions:
            for channel in Channel.values:
                if told.wants(member, letter.kind, channel):
                    yield member.person_id, member.email, channel


def worded(event: Happened, letter: Letter) -> tuple[str, str]:
    """Title and text: the first line of the template, and the others."""
    template = Engine.get_default().get_template(f"notices/words/{letter.template}.txt")
    said = template.render(Context({"event": event, **letter.words}, autoescape=False))
    title, _, text = said.strip().partition("\n")
    return title.strip()[:200], text.strip()


def message_id(event: str, email: str) -> str:
    """Derived from what is told to whom, so that a mail that had to be repeated is recognised."""
    digest = hashlib.sha256(f"{event}\n{email}".encode()).hexdigest()[:40]
    return f"<{digest}@{urlsplit(settings.SITE_ORIGIN).hostname}>"


def count_unread(people: Iterable[int], account_id: int | None) -> set[int]:
    """What the bell shows of these people, counted anew on their memberships, which are locked in key order.

    Of an account, or, where a notice is the person's own, of each of his. Returns these accounts.
    """
    theirs = Membership.objects.filter(person__in=set(people), **({"account": account_id} if account_id else {}))
    rows = theirs.order_by("pk").select_for_update(no_key=True, of=("self",))
    held = dict(rows.values_list("pk", "account_id"))
    seen = Q(account=OuterRef("account")) | Q(account=None)
    unread = Notice.objects.filter(seen, person=OuterRef("person"), channel=Channel.PORTAL, read_at=None)
    counted = unread.order_by().values("channel").annotate(n=Count("pk")).values("n")
    Membership.objects.filter(pk__among=list(held)).update(unread=Coalesce(Subquery(counted), 0))
    return set(held.values())
