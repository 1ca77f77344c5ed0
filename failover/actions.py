"""What people may do with failovers: request, withdraw, decide, confirm, end, and, as Support, retry or give up."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.db import IntegrityError
from django.db.models import DateTimeField, F, QuerySet, Value
from django.utils.text import get_text_list

from accounts.actions import administrators, enter, receive
from accounts.models import AuthorizedUser, Membership, Permission, forbid_customer
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Forbidden, Invalid, Refusal
from ampdr.lifecycle import Actor, Change, changes, insert_select
from ampdr.numbers import next_number
from ampdr.work import fresh
from failover.lifecycle import FAILOVER
from failover.models import Failover, Kind, Named, Ticket
from failover.tasks import fire, tell
from inventory.models import VM
from replication.models import RecoveryPoint, Replication
from replication.providers.base import Kind as Ask

TEST_DAYS = 3
TEST_DAYS_AT_MOST = 7


# ---- Who may request -------------------------------------------------------------------------------------------------


def need_listing(actor: Actor) -> None:
    """A failover is requested by a listed person who may read replication (rule 7). Raises Forbidden, saying which."""
    if actor.can(Permission.READ_REPLICATION):
        if actor.listed:
            return
        raise Forbidden(
            "Support keeps the list of who may request failovers for this account. Ask Support to change it.",
            code="not_authorized", title="You are not on the list of authorized users", case="not_listed",
            listed=listed_names(actor.account_id or 0),
        )  # fmt: skip
    raise Forbidden(
        "Ask an administrator of your account for it.", permission=Permission.READ_REPLICATION,
        case="listed_without_read" if actor.listed else "", administrators=administrators(actor.account_id or 0),
    )  # fmt: skip


def listed_names(account_id: int) -> list[str]:
    found = AuthorizedUser.objects.filter(account=account_id).order_by("person__name")
    return list(found.values_list("person__name", flat=True))


def _need_session(actor: Actor, what: str) -> None:
    if actor.via == "token":
        raise Forbidden(f"{what} is for a signed-in person, never for a token.", code="not_by_token")


# ---- Requesting ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """What a request asks for. `site_code` is what the person typed (live only); `point_at` None: the newest."""

    kind: str
    vms: Sequence[uuid.UUID | str]
    reason: str = ""
    site_code: str = ""
    point_at: datetime | None = None
    ends_at: datetime | None = None


def request_failover(actor: Actor, wish: Wish, key: str) -> Ticket:
    """A ticket with one line per VM, all or none. The same key gets the same ticket.

    Raises Forbidden, Absent, Invalid (fields), and Conflict: `not_protected`, `already_in_failover`, `two_sites`.
    """
    actor.need(Permission.READ_REPLICATION)
    wanted = {str(vm) for vm in wish.vms}
    vms = VM.objects.visible_to(actor, Permission.READ_REPLICATION).filter(uuid__in=wanted, role="primary")
    if vms.count() != len(wanted):
        raise Absent
    need_listing(actor)
    if wish.kind == Kind.LIVE:
        _need_session(actor, "A live failover")
    _check_wish(wish, vms)
    try:
        with changes(actor, wish.reason) as change:
            return _request_once(change, actor, wish, vms, key)
    except IntegrityError as race:
        refuse_unfit(vms, wish)
        raise Conflict("Someone requested at the same moment. Look again.") from race


def _check_wish(wish: Wish, vms: QuerySet[VM]) -> None:
    fields: dict[str, list[str]] = {}
    if wish.kind not in (Kind.LIVE, Kind.TEST):
        fields["kind"] = ["Choose a test or a live failover."]
    if not wish.vms:
        fields["vms"] = ["Choose at least one VM."]
    if wish.kind == Kind.LIVE and not wish.reason.strip():
        fields["reason"] = ["Say why now. Support reads it, and it goes in the record."]
    if fields:
        raise Invalid("Please correct what is marked.", fields=fields)
    source, target = route(vms)
    if wish.kind == Kind.LIVE:
        check_site_code(wish.site_code, target, f"The VMs run in {source} now; the recovery site is {target}.")
    _check_end(wish)


def check_site_code(typed: str, code: str, explanation: str) -> None:
    """Case-blind; says what was typed and what is meant."""
    if typed.strip().upper() != code:
        said = f"“{typed.strip()}” is not it. " if typed.strip() else ""
        words = f"{said}Type {code}. {explanation}"
        raise Invalid("Please correct what is marked.", code="wrong_site_code", fields={"site_code": [words]})


def _check_end(wish: Wish) -> None:
    if wish.kind == Kind.TEST and wish.ends_at is not None:
        latest = clock.now() + timedelta(days=TEST_DAYS_AT_MOST, minutes=5)
        if not clock.now() < wish.ends_at <= latest:
            words = f"A test ends within {TEST_DAYS_AT_MOST} days. Take a date from today to {latest:%d %b %Y}."
            raise Invalid("Please correct what is marked.", fields={"ends_at": [words]})


def route(vms: QuerySet[VM]) -> tuple[str, str]:
    """The one route of these VMs, source and target site code. Raises Conflict `two_sites`."""
    routes = sorted(vms.order_by().values_list("site__code", "protected_to").distinct())
    if len({source for source, _ in routes}) > 1:
        sites = get_text_list([source for source, _ in routes], "and")
        raise Conflict(
            f"These VMs are in {sites}. One request is for one site: make one for each.",
            code="two_sites", title="VMs of two sites", sites=[source for source, _ in routes],
        )  # fmt: skip
    if len(routes) != 1 or not routes[0][1]:
        refuse_unfit(vms, Wish(Kind.TEST, []))
    return routes[0]


def _request_once(change: Change, actor: Actor, wish: Wish, vms: QuerySet[VM], key: str) -> Ticket:
    body = [wish.kind, sorted(str(vm) for vm in wish.vms), wish.reason, str(wish.point_at)]
    receipt = receive(actor, key, body)
    if receipt.made:
        return Ticket.objects.get(number=receipt.made)
    refuse_unfit(vms, wish)
    source, target = route(vms)
    ticket = Ticket.objects.create(
        number=next_number("FO"), account_id=actor.account_id, kind=wish.kind, source=source, target=target,
        vm_count=vms.count(), point_at=wish.point_at, ends_at=_end_of(wish), reason=wish.reason.strip(),
        requested_by_id=actor.person_id, requested_at=change.at,
    )  # fmt: skip
    _add_lines(ticket, vms)
    change.begin(Ticket.objects.filter(pk=ticket.pk), "request")
    change.begin(Failover.objects.filter(ticket=ticket), "request")
    tell(change, list(vms.values_list("pk", flat=True)))
    change.tally(ticket.account_id, "waiting", 1)
    receipt.made = ticket.number
    receipt.save(update_fields=["made"])
    return ticket


def _end_of(wish: Wish) -> datetime | None:
    return (wish.ends_at or clock.now() + timedelta(days=TEST_DAYS)) if wish.kind == Kind.TEST else None


def _add_lines(ticket: Ticket, vms: QuerySet[VM]) -> None:
    replications = Replication.objects.filter(vm__in=vms, state="protected").order_by("pk")
    columns = {
        "uuid": RandomUUID(), "ticket": Value(ticket.pk), "vm": F("vm"), "replication": F("pk"),
        "kind": Value(ticket.kind), "source": F("source"), "target": F("target"), "state": Value(FAILOVER.initial),
        "state_since": Value(ticket.requested_at), "point_at": Value(ticket.point_at, DateTimeField()),
        "ends_at": Value(ticket.ends_at, DateTimeField()),
    }  # fmt: skip
    insert_select(Failover, list(columns), replications.values_list(*columns.values()))


def refuse_unfit(vms: QuerySet[VM], wish: Wish) -> None:
    """Conflict, naming the VMs that can't be in this ticket: not protected, held by another, or without the point."""
    protected = Replication.objects.filter(vm__in=vms, state="protected")
    bare = list(vms.exclude(pk__in=protected.values("vm")).order_by("name_key").values_list("name", flat=True)[:6])
    if bare:
        raise Conflict(
            f"{get_text_list(bare[:5], 'and')}: replication is not fully provisioned. Only protected VMs fail over.",
            code="not_protected", title="Not protected yet", vms=bare,
        )  # fmt: skip
    _refuse_held(vms, wish)
    if wish.point_at and (gone := _without_point(protected, wish.point_at)):
        raise Conflict(
            f"{get_text_list(gone[:5], 'and')}: this recovery point is no longer kept. Choose another.",
            code="point_gone", title="The recovery point is gone", vms=gone,
        )  # fmt: skip


def _refuse_held(vms: QuerySet[VM], wish: Wish) -> None:
    """A requested live beside a running test is the only pair allowed (rule 8)."""
    held = Failover.objects.filter(vm__in=vms).exclude(state__in=("terminated", "dropped"))
    if wish.kind == Kind.LIVE:
        held = held.exclude(kind=Kind.TEST, state="running")
    first = held.select_related("ticket", "vm").order_by("pk").first()
    if first:
        raise Conflict(
            f"{first.vm.name} is in {first.ticket.number} already ({first.shown_state.word}). Nothing was requested.",
            code="already_in_failover", title=f"{first.ticket.number} was first", ticket=first.ticket.number,
            since=first.state_since, state=first.shown_state.word,
        )  # fmt: skip


def _without_point(replications: QuerySet[Replication], at: datetime) -> list[str]:
    kept = RecoveryPoint.objects.filter(at__lte=at).values("replication")
    return list(replications.exclude(pk__in=kept).values_list("vm__name", flat=True)[:6])


# ---- Ending ----------------------------------------------------------------------------------------------------------


def request_termination(actor: Actor, ticket: Ticket, reason: str, site_code: str, key: str) -> Ticket:
    """Asks Support to end what runs of a live or test ticket. A live one wants the primary site's code typed."""
    need_listing(actor)
    if ticket.kind == Kind.LIVE:
        _need_session(actor, "The termination of a live failover")
        check_site_code(site_code, ticket.source, f"{ticket.source} is the primary site, where the originals are.")
    try:
        with changes(actor, reason) as change:
            return _request_termination_once(change, actor, ticket, reason, key)
    except IntegrityError as race:
        raise _already_requested(ticket) from race


def _request_termination_once(change: Change, actor: Actor, about: Ticket, reason: str, key: str) -> Ticket:
    receipt = receive(actor, key, ["terminate", about.number, reason])
    if receipt.made:
        return Ticket.objects.get(number=receipt.made)
    running = Failover.objects.filter(ticket=about, state__in=("running", "termination_failed"))
    count = running.count()
    if not count:
        raise Conflict(f"Nothing of {about.number} runs now.", code="nothing_runs", ticket=about.number)
    if Named.objects.filter(failover__in=running, waiting=True).exists():
        raise _already_requested(about)
    ticket = Ticket.objects.create(
        number=next_number("FO"), account_id=about.account_id, kind=Kind.TERMINATE, about=about, source=about.source,
        target=about.target, vm_count=count, reason=reason.strip(), requested_by_id=actor.person_id,
        requested_at=change.at,
    )  # fmt: skip
    insert_select(Named, ["ticket", "failover"], running.order_by("pk").values_list(Value(ticket.pk), F("pk")))
    change.begin(Ticket.objects.filter(pk=ticket.pk), "request")
    change.tally(ticket.account_id, "waiting", 1)
    receipt.made = ticket.number
    receipt.save(update_fields=["made"])
    return ticket


def _already_requested(about: Ticket) -> Conflict:
    first = Ticket.objects.filter(about=about, kind=Kind.TERMINATE, state__in=("waiting", "approved")).last()
    number = first.number if first else about.number
    return Conflict(
        f"Termination of {about.number} is requested already ({number}).",
        code="already_requested", title=f"{number} was first", ticket=number,
    )  # fmt: skip


def withdraw(actor: Actor, ticket: Ticket, reason: str = "") -> None:
    """Takes back a request that waits for Support."""
    need_listing(actor)
    if ticket.kind == Kind.LIVE or (ticket.about and ticket.about.kind == Kind.LIVE):
        _need_session(actor, "Withdrawing it")
    _decide(actor, ticket, "withdraw", reason)


def confirm(actor: Actor, ticket: Ticket) -> int:
    """The customer says that the failover VMs work: a fact in the record, and nothing else. Returns how many."""
    need_listing(actor)
    with changes(actor) as change:
        lines = Failover.objects.filter(ticket=ticket, state="running", confirmed_at=None).order_by("pk")
        keys = list(lines.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
        if not keys:
            raise Conflict(f"Nothing of {ticket.number} waits for a confirmation.", code="nothing_to_confirm")
        mine = Failover.objects.filter(pk__in=keys)
        mine.update(confirmed_at=change.at, confirmed_by_id=actor.person_id)
        change.note(mine, "failover.confirmed")
    return len(keys)


# ---- Support decides -------------------------------------------------------------------------------------------------


def approve(actor: Actor, ticket: Ticket, reason: str, version: str) -> None:
    """Approves what staff saw (`version`). The ticket then hands it to its lines. One UPDATE, whatever the size.

    Raises Forbidden (customer, requester, member of the account) and Conflict (withdrawn, unfit, no longer listed).
    """
    forbid_customer(actor)
    why_not = why_not_approver(actor, ticket)
    if why_not:
        raise Forbidden(why_not, code="not_the_approver", title="Someone else must approve this")
    _check_version(ticket, version)
    _decide(actor, ticket, "approve", reason)


def why_not_approver(actor: Actor, ticket: Ticket) -> str:
    """Why this person can't approve this ticket; empty if he can."""
    if actor.person_id == ticket.requested_by_id:
        return "You requested it yourself. Another member of Support must approve it."
    if Membership.objects.filter(person=actor.person_id, account=ticket.account_id).exists():
        return "You are a member of this account. Another member of Support must approve it."
    return ""


def reject(actor: Actor, ticket: Ticket, reason: str, version: str) -> None:
    forbid_customer(actor)
    if not reason.strip():
        raise Invalid("Say why. The customer reads it.", fields={"reason": ["Say why. The customer reads it."]})
    _check_version(ticket, version)
    _decide(actor, ticket, "reject", reason)


def version_of(ticket: Ticket) -> str:
    """What the approval page shows is bound by this: the ticket's state and since when."""
    return f"{ticket.state}:{ticket.state_since.timestamp():.6f}"


def _check_version(ticket: Ticket, version: str) -> None:
    if version != version_of(ticket):
        raise Conflict(
            f"{ticket.number} is {ticket.shown_state.word} now. Look again before you decide: nothing was done.",
            code="changed_meanwhile", ticket=ticket.number,
        )  # fmt: skip


def _decide(actor: Actor, ticket: Ticket, move: str, reason: str) -> None:
    with changes(actor, reason.strip()) as change:
        facts = {**fresh("", ""), "decided_at": change.at, "decision_reason": reason.strip()}
        facts["decided_by"] = actor.person_id
        rows = change.fire(Ticket.objects.filter(pk=ticket.pk), move, **facts)
        if move == "approve":
            check_fit(ticket)
        change.tally(rows[0].account_id, "waiting", -1)
        work.ring()


def check_fit(ticket: Ticket) -> None:
    """What must still hold at approval, read under the ticket's lock. Raises Conflict, saying what doesn't."""
    for check in checks(ticket):
        if not check.holds:
            raise Conflict(
                f"{check.words} Reject the request, or wait until it holds.", code=check.code, ticket=ticket.number,
                title=f"{ticket.number} can't be approved now",
            )  # fmt: skip


@dataclass(frozen=True)
class Check:
    code: str
    holds: bool
    words: str
    detail: str = ""


def checks(ticket: Ticket) -> list[Check]:
    """What staff sees beside the buttons, and what the approval demands."""
    found = [_check_requester(ticket)]
    if ticket.kind != Kind.TERMINATE:
        found += [_check_protected(ticket), _check_point(ticket)]
    return found


def _check_requester(ticket: Ticket) -> Check:
    person = ticket.requested_by
    try:
        actor, _ = enter(person, ticket.account.slug)
        need_listing(actor)
    except Refusal:
        return Check("requester_not_listed", False, f"{person.name} is no longer an authorized user with Read.")
    return Check("requester_not_listed", True, "Authorized user with Read Server Replication", ", ".join(actor.roles))


def _check_protected(ticket: Ticket) -> Check:
    lines = Failover.objects.filter(ticket=ticket)
    bare = list(lines.exclude(replication__state="protected").values_list("vm__name", flat=True)[:5])
    if bare:
        return Check("not_protected", False, f"{get_text_list(bare, 'and')}: not protected any more.")
    return Check(
        "not_protected", True, f"{'The VM is' if ticket.vm_count == 1 else f'All {ticket.vm_count} VMs are'} protected"
    )


def _check_point(ticket: Ticket) -> Check:
    if ticket.point_at is None:
        return Check("point_gone", True, "Newest recovery point at start")
    mine = Replication.objects.filter(failovers__ticket=ticket)
    if gone := _without_point(mine, ticket.point_at):
        return Check("point_gone", False, f"{get_text_list(gone[:5], 'and')}: the chosen recovery point is gone.")
    return Check("point_gone", True, "The chosen recovery point is kept")


def retry(actor: Actor, failover: Failover) -> None:
    """Support tries a failed start or termination again, or sets going what waits for Support."""
    forbid_customer(actor)
    with changes(actor) as change:
        one = Failover.objects.filter(pk=failover.pk)
        again = {"generation": F("generation") + 1}
        if failover.state == "start_failed":
            fire(change, one, "retry_start", **_start_again(failover), **again)
        elif failover.state == "termination_failed":
            fire(change, one, "retry_termination", **fresh(Ask.STOP, F("target")), **again)
        else:
            _set_going(change, one)
        work.ring()


def _start_again(failover: Failover) -> dict[str, Any]:
    """Where a retried start goes on: at the fence only if the source was neither barred nor found silent."""
    if failover.kind == Kind.TEST:
        return fresh(Ask.START_TEST, F("target"))
    return fresh(Ask.START_LIVE, F("target")) if failover.fenced else fresh(Ask.FENCE, F("source"))


def _set_going(change: Change, one: QuerySet[Failover]) -> None:
    waiting = one.filter(waiting_on="support").exclude(verb="").order_by("pk").select_for_update(no_key=True)
    if not waiting.values_list("pk", flat=True):
        raise Conflict("It doesn't wait for Support. Look again: nothing was done.")
    one.update(next_step_at=clock.db_now(), waiting_on="", refusals=0, attempts=0)
    change.note(one, "failover.set_going")


def give_up(actor: Actor, failover: Failover, reason: str) -> None:
    """Support gives a failed start up: what was made is removed, and a barred source is released."""
    forbid_customer(actor)
    with changes(actor, reason) as change:
        fire(change, Failover.objects.filter(pk=failover.pk), "give_up", **fresh(Ask.STOP, F("target")))
        work.ring()
