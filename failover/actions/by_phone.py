"""Filing by phone (rule 7): a Support lead files for a listed person who called, after calling back the list's number.

The ticket is the caller's: his listing, his Read, his VMs. The lead proves the second factor and stands in the record;
a second member of Support approves. Nobody listed, no failover.
"""

from __future__ import annotations

import re
from dataclasses import replace

from accounts.actions import enter, made_with
from accounts.actions.rights import need_right
from accounts.actions.second_factor import need_fresh
from accounts.models import AuthorizedUser, Membership, Permission, forbid_customer
from ampdr.errors import Absent, Forbidden, Invalid
from ampdr.lifecycle import Actor
from failover.actions.endings import request_termination
from failover.actions.requests import LOOK_AGAIN, Call, Wish, request_failover
from failover.models import Ticket

MAY_FILE = "failover.add_ticket"


def file_by_phone(lead: Actor, listing: AuthorizedUser, wish: Wish, called_back: str, key: str) -> Ticket:
    """A ticket of the listed person who called, filed by the lead. The same key gets the same ticket.

    Raises Forbidden (no lead, a member of the account; `second_factor_needed`), Invalid (`called_back`, `person` and
    what a request refuses), Absent and Conflict as a request does.
    """
    caller, call = _answer(lead, listing, called_back, key)
    return request_failover(caller, wish, key, call)


def end_by_phone(
    lead: Actor, listing: AuthorizedUser, ticket: Ticket, said: tuple[str, str], called_back: str, key: str
) -> Ticket:
    """The same for the termination of what runs of a ticket. `said`: the reason, and the primary site's code."""
    caller, call = _answer(lead, listing, called_back, key)
    return request_termination(caller, ticket, *said, key, call)


def filed_with(lead: Actor, account_id: int, key: str) -> str:
    """The number of the ticket that this lead has filed in this account with this key; "" if none."""
    return made_with(replace(lead, account_id=account_id), key)


def _answer(lead: Actor, listing: AuthorizedUser, called_back: str, key: str) -> tuple[Actor, Call]:
    """The caller as an actor in his account, and the call, if this lead may file for him after ringing this number."""
    need_lead(lead, listing.account_id)
    lead = replace(lead, account_id=listing.account_id)
    if not made_with(lead, key):
        need_fresh(lead)
    caller = may_request(listing)
    if caller is None:
        raise _wrong("person", f"{listing.person.name} is not listed any more, or lacks Read Server Replication.")
    if wrong := wrong_number(listing, called_back):
        raise _wrong("called_back", wrong)
    return caller, Call(lead, listing.phone)


def need_lead(lead: Actor, account_id: int) -> None:
    """Only a Support lead files by phone, and never for an account of which he is a member. Raises Forbidden."""
    forbid_customer(lead)
    need_right(lead, MAY_FILE)
    if Membership.objects.filter(person=lead.person_id, account=account_id).exists():
        raise Forbidden("You are a member of this account. Another Support lead must file this.")


def may_request(listing: AuthorizedUser) -> Actor | None:
    """The listed person in his account, if he may request failovers there: a member, enabled, listed, with Read."""
    try:
        caller = enter(listing.person, listing.account.slug).actor
    except Absent:
        return None
    return caller if listing.person.is_active and caller.listed and caller.can(Permission.READ_REPLICATION) else None


def wrong_number(listing: AuthorizedUser, called_back: str) -> str:
    """What is wrong with the number that was called back; empty if it is the list's."""
    if not listing.phone:
        return f"No number of {listing.person.name} is on the list: nobody can be called back. Take another person."
    if not called_back.strip():
        return "Call back the number on the list, then write it here."
    if _digits(called_back) != _digits(listing.phone):
        return f"This is not the number on the list. Call {listing.person.name} back at the list's number."
    return ""


def _digits(number: str) -> str:
    return re.sub(r"[^+\d]", "", number)


def _wrong(field: str, words: str) -> Invalid:
    return Invalid(LOOK_AGAIN, fields={field: [words]})
