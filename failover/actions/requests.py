"""Requesting a test or live failover: who may, of what, and the ticket that comes of it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.db import IntegrityError
from django.db.models import DateTimeField, F, OuterRef, QuerySet, Subquery, Value
from django.utils.text import get_text_list

from accounts.actions import made_with, receive
from accounts.actions.second_factor import need_fresh, proof_of
from accounts.models import AuthorizedUser, Permission
from ampdr import clock
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor, Change, changes
from ampdr.numbers import next_number
from ampdr.sets import insert_select
from failover.lifecycle import FAILOVER, OPEN
from failover.models import Failover, Kind, Ticket
from failover.tasks import first_step, open_for, tell
from inventory.models import VM
from replication.models import RecoveryPoint, Replication

TEST_DAYS = 3
TEST_DAYS_AT_MOST = 7
LOOK_AGAIN = "Please correct what is marked."


# ---- Who may request -------------------------------------------------------------------------------------------------


def need_read(actor: Actor) -> None:
    """Whoever may not read replication is told so, and who can give it. Raises Forbidden, the same for any number."""
    if actor.can(Permission.READ_REPLICATION):
        return
    raise Forbidden(
        "Ask an administrator of your account for it.", permission=Permission.READ_REPLICATION.value,
        case="listed" if actor.listed else "",
    )  # fmt: skip


def need_listing(actor: Actor) -> None:
    """A failover is requested by a listed person who may read replication (rule 7). Raises Forbidden, saying which."""
    need_read(actor)
    if not actor.listed:
        raise Forbidden(
            "Support keeps the list of who may request failovers for this account. Ask Support to change it.",
            code="not_authorized", title="You are not on the list of authorized users", case="unlisted",
            listed=listed_names(actor.account_id or 0),
        )  # fmt: skip


def listed_names(account_id: int) -> list[str]:
    found = AuthorizedUser.objects.filter(account=account_id).standing().order_by("person__name")
    return list(found.values_list("person__name", flat=True))


def need_session(actor: Actor, what: str) -> None:
    """What concerns a live failover is for a signed-in person."""
    if actor.via == "token":
        raise Forbidden(f"{what} is for a signed-in person, never for a token.", code="not_by_token")


def need_proof(actor: Actor, what: str, key: str) -> None:
    """A live step wants a second factor proved just now (rule 10). A repeat gets what was made: it does nothing."""
    need_session(actor, what)
    if not (actor.fresh or made_with(actor, key)):
        need_fresh(actor)


# ---- Requesting ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """What a request asks for. `site_code` is what the person typed (live only); `point_at` None: the newest.

    With a `point_at` each VM is recovered to its last point at or before that moment.
    """

    kind: str
    vms: Sequence[uuid.UUID | str]
    reason: str = ""
    site_code: str = ""
    point_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Call:
    """A request by phone: who of Support writes it down for the listed person who called, and which number he rang.

    `lead` stands in the person's account here: it is he who acts, proves a second factor and gets a receipt.
    """

    lead: Actor
    called_back: str

    @property
    def columns(self) -> dict[str, Any]:
        return {"filed_by_id": self.lead.person_id, "called_back": self.called_back}

    def facts(self, actor: Actor) -> dict[str, str]:
        return {"requested_by": actor.name, "filed_by": self.lead.name, "called_back": self.called_back}


def request_failover(actor: Actor, wish: Wish, key: str, call: Call | None = None) -> Ticket:
    """A ticket with one line per VM, all or none. The same key gets the same ticket, whatever happened since.

    Raises Forbidden (a live one also: `second_factor_needed`), Absent, Invalid (fields), and Conflict:
    `not_protected`, `already_in_failover`, `two_sites`.
    """
    need_read(actor)
    wanted = set(map(_uuid, wish.vms))
    vms = VM.objects.visible_to(actor, Permission.READ_REPLICATION).filter(uuid__in=wanted, role="primary")
    if vms.count() != len(wanted):
        raise Absent
    need_listing(actor)
    if wish.kind == Kind.LIVE:
        need_proof(call.lead if call else actor, "A live failover", key)
    try:
        with changes(call.lead if call else actor, wish.reason.strip()) as change:
            return _request_once(change, actor, wish, vms, key, call)
    except IntegrityError as race:
        refuse_unfit(vms, wish)
        raise Conflict("Someone requested at the same moment. Look again.") from race


def _uuid(text: uuid.UUID | str) -> uuid.UUID:
    """What isn't even a uuid names no VM."""
    try:
        return uuid.UUID(str(text))
    except ValueError as error:
        raise Absent from error


def _request_once(change: Change, actor: Actor, wish: Wish, vms: QuerySet[VM], key: str, call: Call | None) -> Ticket:
    """The replications are locked before they are looked at: stopping one of them waits, and then finds it held."""
    body = [wish.kind, sorted(str(_uuid(vm)) for vm in wish.vms), wish.reason, str(wish.point_at), str(wish.ends_at)]
    receipt = receive(change.actor, key, body)
    if receipt.made:
        return Ticket.objects.get(number=receipt.made)
    _check_wish(wish, vms)
    _lock_replications(vms)
    refuse_unfit(vms, wish)
    source, target = route(vms)
    ticket = Ticket.objects.create(
        number=next_number("FO"), account_id=actor.account_id or 0, kind=wish.kind, source=source, target=target,
        vm_count=vms.count(), point_at=wish.point_at, ends_at=_end_of(wish), reason=wish.reason.strip(),
        requested_by_id=actor.person_id or 0, requested_at=change.at, next_step_at=first_step(wish.kind, change.at),
        **(call.columns if call else {}),
    )  # fmt: skip
    _add_lines(ticket, vms)
    proof = proof_of(change.actor) if wish.kind == Kind.LIVE or call else {}
    open_for(ticket)
    change.begin(Ticket.objects.filter(pk=ticket.pk), "request", **proof, **(call.facts(actor) if call else {}))
    change.begin(Failover.objects.filter(ticket=ticket), "request")
    tell(change, list(vms.values_list("pk", flat=True)))
    change.tally(ticket.account_id, "waiting", 1)
    receipt.made = ticket.number
    receipt.save(update_fields=["made"])
    return ticket


def _lock_replications(vms: QuerySet[VM]) -> None:
    mine = Replication.objects.filter(vm__in=vms).exclude(state="stopped").order_by("pk")
    list(mine.select_for_update(no_key=True, of=("self",)).values_list("pk"))


def _end_of(wish: Wish) -> datetime | None:
    return (wish.ends_at or clock.now() + timedelta(days=TEST_DAYS)) if wish.kind == Kind.TEST else None


def _add_lines(ticket: Ticket, vms: QuerySet[VM]) -> None:
    """One line per VM. A chosen moment becomes, on each line, the point of that VM that was the last one then."""
    replications = Replication.objects.filter(vm__in=vms, state="protected").order_by("pk")
    points = RecoveryPoint.objects.filter(replication=OuterRef("pk"), at__lte=ticket.point_at or ticket.requested_at)
    newest: Subquery | Value = Subquery(points.order_by("-at").values("at")[:1])
    columns = {
        "uuid": RandomUUID(), "ticket": Value(ticket.pk), "vm": F("vm"), "replication": F("pk"),
        "kind": Value(ticket.kind), "source": F("source"), "target": F("target"), "state": Value(FAILOVER.initial),
        "state_since": Value(ticket.requested_at), "ends_at": Value(ticket.ends_at, DateTimeField()),
        "point_at": newest if ticket.point_at else Value(None, DateTimeField()),
    }  # fmt: skip
    insert_select(Failover, list(columns), replications.values_list(*columns.values()))


# ---- What is wrong with a wish ---------------------------------------------------------------------------------------


def _check_wish(wish: Wish, vms: QuerySet[VM]) -> None:
    """Everything that isn't well-formed, at once. Raises Invalid, naming each field."""
    fields: dict[str, list[str]] = defaultdict(list)
    if wish.kind not in (Kind.LIVE, Kind.TEST):
        fields["kind"].append("Choose a test or a live failover.")
    if not wish.vms:
        fields["vms"].append("Choose at least one VM.")
    if wish.kind == Kind.LIVE and not wish.reason.strip():
        fields["reason"].append("Say why now. Support reads it, and it goes in the record.")
    if wish.point_at and wish.point_at > clock.now():
        fields["point_at"].append("This moment has not come yet. Choose one that lies in the past.")
    if words := _wrong_end(wish):
        fields["ends_at"].append(words)
    if wish.vms and wish.kind == Kind.LIVE:
        fields["site_code"] += _wrong_target(wish, vms, fields)
    refuse_fields(fields)


def wrong_in(actor: Actor, wish: Wish) -> dict[str, list[str]]:
    """What isn't well-formed in a wish whose second factor is still to be proved, to be told beside that."""
    wanted = set(map(_uuid, wish.vms))
    vms = VM.objects.visible_to(actor, Permission.READ_REPLICATION).filter(uuid__in=wanted, role="primary")
    try:
        _check_wish(wish, vms)
    except Invalid as wrong:
        return wrong.fields
    except Conflict:  # told once the request is well-formed
        pass
    return {}


def _wrong_target(wish: Wish, vms: QuerySet[VM], fields: dict[str, list[str]]) -> list[str]:
    try:
        source, target = route(vms)
    except Conflict:
        refuse_fields(fields)  # what isn't well-formed is said before what the state doesn't allow
        raise
    words = f"{source} is where they run now. Type the site they are to start in: {target}."
    return wrong_site_code(wish.site_code, target, source, words)


def refuse_fields(fields: dict[str, list[str]]) -> None:
    wrong = {name: errors for name, errors in fields.items() if errors}
    if wrong:
        raise Invalid(LOOK_AGAIN, fields=wrong)


def wrong_site_code(typed: str, code: str, other: str, if_other: str) -> list[str]:
    """What is wrong with a typed site code: case-blind, says what was typed and what is meant. Empty if it is right.

    `other` is the site that people take it for, and `if_other` what they are then told.
    """
    typed = typed.strip()
    if typed.upper() == code:
        return []
    if not typed:
        return [f"Type {code}, so that nobody starts this by a slip."]
    return [if_other if typed.upper() == other else f"“{typed}” was typed. {code} is meant."]


def _wrong_end(wish: Wish) -> str:
    if wish.kind != Kind.TEST or wish.ends_at is None:
        return ""
    latest = clock.now() + timedelta(days=TEST_DAYS_AT_MOST, minutes=5)
    if clock.now() < wish.ends_at <= latest:
        return ""
    return f"A test ends within {TEST_DAYS_AT_MOST} days. Take an end from now to {latest:%d %b %Y}."


def route(vms: QuerySet[VM]) -> tuple[str, str]:
    """The one route of these VMs, source and target site code. Raises Conflict `two_sites` or `not_protected`."""
    routes = sorted(vms.order_by().values_list("site__code", "protected_to").distinct())
    if len(sources := sorted({source for source, _ in routes})) > 1:
        raise Conflict(
            f"These VMs are in {get_text_list(sources, 'and')}. One request is for one site: make one for each.",
            code="two_sites", title="VMs of two sites", sites=sources,
        )  # fmt: skip
    if not all(target for _, target in routes):
        _refuse_bare(vms)
    if len(targets := [target for _, target in routes if target]) != 1:
        raise Conflict(
            f"These VMs are protected towards {get_text_list(targets, 'and')}. One request is for one route.",
            code="two_sites", title="VMs of two routes", sites=sources,
        )  # fmt: skip
    return sources[0], targets[0]


def refuse_unfit(vms: QuerySet[VM], wish: Wish) -> None:
    """Conflict, naming the VMs that can't be in this ticket: not protected, held by another, or without the point."""
    _refuse_bare(vms)
    _refuse_held(vms, wish)
    protected = Replication.objects.filter(vm__in=vms, state="protected")
    if wish.point_at and (gone := without_point(protected, wish.point_at)):
        raise Conflict(
            f"{get_text_list(gone[:5], 'and')}: no recovery point as old as this is kept. Choose another.",
            code="point_gone", title="The recovery point is gone", vms=gone,
        )  # fmt: skip


def _refuse_bare(vms: QuerySet[VM]) -> None:
    protected = Replication.objects.filter(vm__in=vms, state="protected").values("vm")
    bare = list(vms.exclude(pk__in=protected).order_by("name_key").values_list("name", flat=True)[:6])
    if bare:
        raise Conflict(
            f"{get_text_list(bare[:5], 'and')}: replication is not fully provisioned. Only protected VMs fail over.",
            code="not_protected", title="Not protected yet", vms=bare,
        )  # fmt: skip


def _refuse_held(vms: QuerySet[VM], wish: Wish) -> None:
    """A requested live beside a running test is the only pair allowed (rule 8)."""
    held = Failover.objects.filter(vm__in=vms, state__in=OPEN)
    if wish.kind == Kind.LIVE:
        held = held.exclude(kind=Kind.TEST, state="running")
    first = held.select_related("ticket__requested_by", "vm").order_by("pk").first()
    if first:
        raise Conflict(
            f"{first.vm.name} is in {first.ticket.number} already ({first.shown_state.word}). Nothing was requested.",
            code="already_in_failover", title=f"{first.ticket.number} was first", ticket=first.ticket.number,
            who=first.ticket.requested_by.name, since=first.ticket.requested_at, state=first.shown_state.word,
        )  # fmt: skip


def without_point(replications: QuerySet[Replication], at: datetime) -> list[str]:
    """Names of the VMs that have no recovery point at or before that moment; six at most."""
    kept = RecoveryPoint.objects.filter(at__lte=at).values("replication")
    return list(replications.exclude(pk__in=kept).values_list("vm__name", flat=True)[:6])
