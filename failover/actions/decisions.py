"""What Support decides: approve or reject, and what must hold for it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef
from django.utils.text import get_text_list

from accounts.actions import enter
from accounts.actions.second_factor import need_fresh, proof_of
from accounts.models import Membership, forbid_customer
from ampdr import clock, work
from ampdr.errors import Conflict, Forbidden, Invalid, Refusal
from ampdr.lifecycle import Actor, changes, journal
from ampdr.work import fresh
from failover.actions.requests import need_listing
from failover.models import Failover, Kind, Ticket
from failover.tasks import retell
from failover.tasks.waiting import NOTHING_RUNS, STILL_RUNS
from replication.models import RecoveryPoint


def approve(actor: Actor, ticket: Ticket, reason: str, version: str) -> None:
    """Approves what staff saw (`version`). The ticket then hands it to its lines. One UPDATE, whatever the size.

    Raises Forbidden (customer, requester, member of the account; `second_factor_needed`), Invalid (no reason) and
    Conflict (withdrawn, unfit, no longer listed).
    """
    forbid_customer(actor)
    _need_another(actor, ticket, "approve")
    need_fresh(actor)
    need_reason(reason)
    _check_version(ticket, version)
    decide(actor, ticket, "approve", reason)


def why_not_approver(actor: Actor, ticket: Ticket) -> str:
    """Why this person can't decide on this ticket; empty if he can."""
    if actor.person_id == ticket.requested_by_id:
        return "You requested it yourself. Another member of Support must approve it."
    if actor.person_id == ticket.filed_by_id:
        return "You filed it by phone. Another member of Support must approve it."
    if Membership.objects.filter(person=actor.person_id, account=ticket.account_id).exists():
        return "You are a member of this account. Another member of Support must approve it."
    return ""


def _need_another(actor: Actor, ticket: Ticket, what: str) -> None:
    if why_not := why_not_approver(actor, ticket):
        raise Forbidden(why_not, code="not_the_approver", title=f"Someone else must {what} this")


def reject(actor: Actor, ticket: Ticket, reason: str, version: str) -> None:
    """Support says no, and why. The requester withdraws instead: a decision is always another person's."""
    forbid_customer(actor)
    _need_another(actor, ticket, "reject")
    need_fresh(actor)
    need_reason(reason)
    _check_version(ticket, version)
    decide(actor, ticket, "reject", reason)


def need_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid("Say why. The customer reads it.", fields={"reason": ["Say why. The customer reads it."]})


def version_of(ticket: Ticket) -> str:
    """What the approval page shows is bound by this: the ticket's state and since when."""
    return f"{ticket.state}:{ticket.state_since.timestamp():.6f}"


def _check_version(ticket: Ticket, version: str) -> None:
    if version != version_of(ticket):
        last = journal().last("ticket", ticket.pk)
        raise Conflict(
            f"{ticket.number} is {ticket.shown_state.word} now. Look again before you decide: nothing was done.",
            code="changed_meanwhile", ticket=ticket.number, who=last.who if last else "", since=last and last.at,
        )  # fmt: skip


def decide(actor: Actor, ticket: Ticket, move: str, reason: str) -> None:
    """The ticket's one decision: whoever locks the row first makes it, everybody else gets IllegalTransition.

    A refused or withdrawn termination lets go of what it named at once, so that it can be requested again.
    """
    with changes(actor, reason.strip()) as change:
        facts = {**fresh("", ""), "decided_at": change.at, "decision_reason": reason.strip()}
        facts["decided_by"] = actor.person_id
        proof = {} if move == "withdraw" else proof_of(actor)
        rows = change.fire(Ticket.objects.filter(pk=ticket.pk), move, noted=proof, **facts)
        if move == "approve":
            check_fit(ticket)
        else:
            ticket.names.update(waiting=False)
        change.finish(retell, [ticket.pk])
        change.tally(rows[0].account_id, "waiting", -1)
        work.ring()


def check_fit(ticket: Ticket) -> None:
    """What must still hold at approval, read under the ticket's lock. Raises Conflict, saying what doesn't.

    What is extended is held besides, so that its end date doesn't come between the look at it and the approval.
    """
    if ticket.kind == Kind.EXTEND:
        named = Failover.objects.filter(named_in__ticket=ticket).order_by("pk")
        list(named.select_for_update(no_key=True, of=("self",)).values_list("pk"))
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
    if ticket.of_others:
        found.append(_check_runs(ticket))
    else:
        found += [_check_protected(ticket), _check_point(ticket)]
    if ticket.ends_at:
        found.append(_check_end(ticket))
    return found


def _check_requester(ticket: Ticket) -> Check:
    person = ticket.requested_by
    gone = Check("requester_not_listed", False, f"{person.name} is no longer an authorized user with Read.")
    try:
        actor = enter(person, ticket.account.slug).actor
        need_listing(actor)
    except Refusal:
        return gone
    if not person.is_active:
        return gone
    return Check("requester_not_listed", True, "Authorized user with Read Server Replication", ", ".join(actor.roles))


def _check_runs(ticket: Ticket) -> Check:
    """What it names may have ended since the request, a moment before this lapses."""
    if ticket.names.filter(failover__state__in=STILL_RUNS[Kind(ticket.kind)]).exists():
        return Check("nothing_runs", True, "What it names still runs")
    return Check("nothing_runs", False, f"{NOTHING_RUNS}.")


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
    kept = RecoveryPoint.objects.filter(replication=OuterRef("replication"), at=OuterRef("point_at"))
    without = Failover.objects.filter(ticket=ticket).exclude(Exists(kept))
    if gone := list(without.values_list("vm__name", flat=True)[:5]):
        return Check("point_gone", False, f"{get_text_list(gone, 'and')}: the chosen recovery point is gone.")
    return Check("point_gone", True, "The chosen recovery point is kept")


def _check_end(ticket: Ticket) -> Check:
    """A test that was to end before it could begin would be terminated as soon as it runs."""
    if ticket.ends_at and ticket.ends_at <= clock.now():
        return Check("end_passed", False, "The end date of this test has passed.")
    return Check("end_passed", True, "The test's end date lies ahead")
