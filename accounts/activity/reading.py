"""Reading an account's record: what an actor may see of it, filtered, each filter by an index of its own.

A filter that names several kinds is read as one part per kind, and the parts are merged: so fifty rows of a seldom
kind cost fifty rows, however many there are of the others.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from operator import attrgetter
from typing import Any

from django.apps import apps
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    BigIntegerField,
    BooleanField,
    Exists,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
)
from django.db.models.functions import Coalesce, Lower

from accounts.activity.words import CONVERSED, OF_REPLICATION, SIGN_IN_TOPIC, SIGN_INS, TOPICS
from accounts.models import Activity, Membership, Permission, Person, Seal
from ampdr.lifecycle import Actor
from ampdr.pages import Cutter, Part, Place, stretch

ORDER = ("at", "id")
NUMBER = re.compile(r"(RO|FO|T|N)-\d{1,12}", re.IGNORECASE)
OF_REPLICATION_NUMBER = r"^(RO|FO|N)-"
WHO = {"people": "Members", "support": "Support", "portal": "AMPDR"}
BATCH = 1000  # rows that an export reads at once
FEW = 500  # VMs that are looked up one by one


@dataclass(frozen=True)
class Asked:
    """What a reader asked for. `since` and `until`: the first moment that counts, and the first that doesn't."""

    q: str = ""
    who: str = ""
    what: str = ""
    since: datetime | None = None
    until: datetime | None = None


def topics(actor: Actor) -> dict[str, str]:
    """What this reader can filter by. Without Read Server Replication nothing tells that there is more."""
    hidden = () if actor.can(Permission.READ_REPLICATION) else OF_REPLICATION
    found = {name: label for name, (label, _) in TOPICS.items() if name not in hidden}
    return found | (dict([SIGN_IN_TOPIC]) if sees_sign_ins(actor) else {})


def sees_sign_ins(actor: Actor) -> bool:
    """Administrators see their members' sign-ins; a token never has every permission of one."""
    return set(Permission.values) <= actor.permissions


def parts(actor: Actor, asked: Asked, whole: bool = False) -> list[Part]:
    """The rows that this actor may see of those asked for; `whole`: read to its end, each with its seal's number.

    `subject` is the name of the person whom a row of the installation's log is about. Raises Forbidden.
    """
    found: list[Part] = []
    mine = Activity.objects.visible_to(actor, Permission.VIEW_ACTIVITY).annotate(subject=_text(""))
    if asked.what != SIGN_IN_TOPIC[0] or not sees_sign_ins(actor):
        rows = _in_time(_sealed(mine, actor.account_id) if whole else mine, asked)
        found += _of_account(actor, rows, asked, whole)
    if sees_sign_ins(actor) and asked.what in ("", SIGN_IN_TOPIC[0]) and asked.who in ("", "people"):
        found.append(partial(_sign_ins, actor.account_id, asked, whole))
    return found


def latest(actor: Actor, n: int) -> list[Activity]:
    """The newest rows of the account's own that this actor may see, in one statement. Raises Forbidden."""
    mine = Activity.objects.visible_to(actor, Permission.VIEW_ACTIVITY).annotate(subject=_text(""))
    return stretch(list(_of_account(actor, mine, Asked(), whole=False)), ORDER, None, True, n)


def export(actor: Actor, asked: Asked) -> Iterator[Activity]:
    """All of it, newest first. Each part is read in batches of its own: nobody waits, no statement is long."""
    streams = [_stream(part) for part in parts(actor, asked, whole=True)]
    last = None
    for row in heapq.merge(*streams, key=attrgetter(*ORDER), reverse=True):
        if row.pk != last:  # a search may find a row twice
            yield row
        last = row.pk


def _stream(part: Part) -> Iterator[Activity]:
    place = None
    while rows := stretch([part], ORDER, place, True, BATCH):
        yield from rows
        place = Place(Value(rows[-1].at), Value(rows[-1].pk))


def _all(rows: QuerySet[Activity], cutter: Cutter) -> QuerySet[Activity]:
    return cutter(rows)


class _AnyOf(Func):
    """Whether a column is any of an array's. Unlike `in` a subquery, the array is surely made once, before all else."""

    template, arg_joiner = "(%(expressions)s))", " = ANY("
    output_field = BooleanField()


def _of_each(
    rows: QuerySet[Activity], owners: QuerySet[Any], key: str, owner: str, cutter: Cutter
) -> QuerySet[Activity]:
    """As many of each owner as are asked for, by an index; then as many of them all. The array is made once."""
    newest = cutter(rows.filter(**{key: OuterRef(owner)})).values("pk")
    keys = owners.values(key=Func(ArraySubquery(newest), function="unnest", output_field=BigIntegerField()))
    return cutter(rows.filter(_AnyOf("pk", ArraySubquery(keys))))


def _text(words: str) -> Value:
    return Value(words, output_field=TextField())


def _sealed(rows: QuerySet[Activity], account_id: int | None) -> QuerySet[Activity]:
    seal = Seal.objects.filter(batch=OuterRef("batch"), account=account_id)
    return rows.annotate(seal=Subquery(seal.values("number")[:1]))


def _in_time(rows: QuerySet[Activity], asked: Asked) -> QuerySet[Activity]:
    rows = rows.filter(at__gte=asked.since) if asked.since else rows
    return rows.filter(at__lt=asked.until) if asked.until else rows


# ---- The account's own -----------------------------------------------------------------------------------------------


def _of_account(actor: Actor, rows: QuerySet[Activity], asked: Asked, whole: bool) -> Iterator[Part]:
    kinds = _kinds(actor, asked.what)
    if not actor.can(Permission.READ_REPLICATION):
        rows = rows.filter(_not_about_replication())
    rows = rows.filter(_by(asked.who))
    if kinds and not asked.q and asked.who in ("", "portal"):
        yield from (partial(_all, rows.filter(kind=kind)) for kind in kinds)
        return
    rows = rows.filter(kind__in=kinds) if kinds else rows
    yield from _searched(actor, rows, asked.q, whole) if asked.q else [partial(_all, rows)]


def _kinds(actor: Actor, what: str) -> tuple[str, ...]:
    """The kinds that are asked for and may be seen; empty: every kind."""
    if what in topics(actor):
        return TOPICS[what][1]
    if actor.can(Permission.READ_REPLICATION):
        return ()
    return tuple(kind for name, (_, kinds) in TOPICS.items() if name not in OF_REPLICATION for kind in kinds)


def _not_about_replication() -> Q:
    """Neither by its number, nor in a conversation about an order or a failover."""
    opened = Activity.objects.filter(account=OuterRef("account"), about=OuterRef("about"), kind="conversation")
    of_it = Q(Exists(opened.filter(event="opened", facts__about__in=["order", "failover"])))
    return ~Q(about__regex=OF_REPLICATION_NUMBER) & ~(Q(kind__in=CONVERSED) & of_it)


def _by(who: str) -> Q:
    if who == "support":
        return Q(staff=True, person_id__isnull=False)
    if who == "people":
        return Q(staff=False, person_id__isnull=False)
    return Q(person_id__isnull=True) if who == "portal" else Q()


def _searched(actor: Actor, rows: QuerySet[Activity], text: str, whole: bool) -> Iterator[Part]:
    """By a number, or else by VMs and by people whose names begin so, in any case."""
    if NUMBER.fullmatch(text):
        yield partial(_all, rows.filter(about=text.upper()))
        return
    wanted = Lower(Value(text))
    named = machines().objects.filter(account=actor.account_id, role="primary", name_key__startswith=wanted)
    yield partial(_of_vms, rows, named, whole)
    yield partial(_all, rows.alias(doer=Lower("actor")).filter(person_id__isnull=False, doer__startswith=wanted))


def _of_vms(rows: QuerySet[Activity], named: QuerySet[Any], whole: bool, cutter: Cutter) -> QuerySet[Activity]:
    """Of a few VMs each by its index; of very many, or to the end, all rows are passed through instead."""
    if whole or len(named.values_list("pk")[: FEW + 1]) > FEW:
        return cutter(rows.filter(vm__in=named.values("uuid")))
    return _of_each(rows, named, "vm", "uuid", cutter)


@cache
def machines() -> Any:
    """The model whose rows Activity names in `vm`: it belongs to an upper application."""
    return next(model for model in apps.get_models() if getattr(model, "IN_ACTIVITY", {}).get("vm") == "uuid")


def pages_of(actor: Actor, rows: Sequence[Activity]) -> dict[Any, str]:
    """The slugs of the VMs that these rows name, for whoever may see VMs."""
    keys = {row.vm for row in rows if row.vm}
    if not keys or not actor.can(Permission.READ_VMS):
        return {}
    found = machines().objects.visible_to(actor, Permission.READ_VMS).filter(uuid__in=keys, role="primary")
    return dict(found.values_list("uuid", "slug"))


# ---- Their members' sign-ins, from the installation's log ------------------------------------------------------------


def _sign_ins(account_id: int, asked: Asked, whole: bool, cutter: Cutter) -> QuerySet[Activity]:
    members = Membership.objects.filter(account=account_id, person__is_staff=False)
    if asked.q:
        members = members.filter(person__name__istartswith=asked.q)
    name = Person.objects.filter(pk=OuterRef("subject_id")).values("name")[:1]
    log = Activity.objects.filter(account=None, kind="person", event__in=SIGN_INS)
    log = log.annotate(subject=Coalesce(Subquery(name), _text(""), output_field=TextField()))
    rows = _in_time(_sealed(log, None) if whole else log, asked)
    return _of_each(rows, members, "subject_id", "person", cutter)
