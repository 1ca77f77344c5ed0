"""The record in words that people understand: what was done, to what, and what a reader may know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts.models import Permission
from ampdr.lifecycle import LIFECYCLES

# Kind and event -> what was done. Every name that the code writes stands here (tests/test_activity_words.py).
WORDS: dict[str, str] = {
    # Orders and replications
    "replication.order": "ordered replication",
    "replication.import": "brought it in from Generation 3, protected",
    "replication.accept": "began to set up replication",
    "replication.protect": "completed the first sync",
    "replication.pause": "paused replication, a live failover runs",
    "replication.resume": "resumed replication",
    "replication.fail": "gave up after three refusals",
    "replication.retry_provisioning": "tried again to set it up",
    "replication.retry_stopping": "tried again to stop it",
    "replication.cancel": "cancelled the order",
    "replication.stop": "cancelled replication",
    "replication.finish": "removed replication",
    "replication.rpo_behind": "found the RPO behind its target",
    "replication.source_unreachable": "found the RPO behind its target, the source is unreachable",
    "replication.caught_up": "found the RPO within its target again",
    "replication.outcome_unknown": "couldn't tell the outcome, Support looks into it",
    "replication.asked": "asked about it, it waits for the answer",
    "replication.answered": "answered Support's question",
    "replication.set_going": "set it going again",
    "replication.settled": "settled the outcome that was unknown",
    "order.late": "found the order later than promised",
    "order.promised": "gave a new date for the order",
    # Failovers
    "ticket.request": "sent a failover request",
    "ticket.approve": "approved",
    "ticket.reject": "rejected",
    "ticket.withdraw": "withdrew the request",
    "ticket.lapse": "let the request lapse",
    "ticket.reminded": "reminded Support of the request",
    "ticket.result": "told the result of the test",
    "failover.request": "requested the failover",
    "failover.start": "began to start it",
    "failover.drop": "dropped it",
    "failover.run": "started it",
    "failover.fail_start": "gave up the start after three refusals",
    "failover.retry_start": "tried the start again",
    "failover.give_up": "gave the failed start up",
    "failover.undone": "removed what was made",
    "failover.terminate": "began to terminate it",
    "failover.fail_termination": "gave up the termination after three refusals",
    "failover.retry_termination": "tried the termination again",
    "failover.end": "terminated it",
    "failover.confirmed": "confirmed that it works",
    "failover.extended": "gave the test its new end date",
    "failover.ends_soon": "reminded of the end of the test",
    "failover.two_places": "found it running in two places",
    "failover.set_going": "set it going again",
    "failover.settled": "settled the outcome that was unknown",
    "failover.source_silent": "found the source silent, went on unplanned",
    "failover.fenced": "stopped the source and barred it from starting",
    "failover.outcome_unknown": "couldn't tell the outcome, Support looks into it",
    # Outages
    "outage.declared": "declared an outage",
    "outage.updated": "said more of the outage",
    "outage.over": "said that the outage is over",
    # Virtual machines, as the inventory tells of them
    "vm.added": "added to the inventory",
    "vm.renamed": "renamed",
    "vm.resized": "found its disks resized",
    "vm.moved": "found it at another site",
    "vm.vanished": "didn't find it at its site any more",
    "vm.found": "found it again",
    # Conversations
    "conversation.opened": "opened a conversation",
    "conversation.closed": "closed the conversation",
    "message.written": "wrote a message",
    # Accounts and people
    "account.created": "created the account",
    "account.unlisted": "took off the authorized users",
    "account.member_removed": "removed from the account",
    "account.role_deleted": "deleted the role",
    "authorized.listed": "listed as authorized user",
    "authorized.changed": "changed the listing as authorized user",
    "membership.added": "added to the account",
    "membership.changed": "changed roles or access",
    "membership.joined": "joined the account",
    "membership.roles_changed": "changed the roles",
    "membership.disabled": "disabled",
    "membership.enabled": "enabled",
    "membership.factor_reset": "reset the second factor",
    "invitation.sent": "invited",
    "invitation.resent": "sent the invitation again",
    "invitation.withdrawn": "withdrew the invitation",
    "invitation.accepted": "accepted the invitation",
    "role.created": "created the role",
    "role.changed": "changed the role",
    "access.asked": "asked for a permission",
    "access.closed": "closed the request for a permission",
    "vpn_member.let_in": "let in to SSL/VPN",
    "vpn_member.let_out": "let out of SSL/VPN",
    "token.issued": "made an API token",
    "token.revoked": "revoked an API token",
    # People as such, in the installation's log
    "person.created": "created the person",
    "person.changed": "changed the person",
    "person.new_password": "gave a new password",
    "person.signed_in": "signed in",
    "person.signed_out": "signed out",
    "person.wrong_password": "tried a wrong password",
    "person.wrong_code": "tried a wrong code",
    "person.limit_reached": "tried too often",
    "person.recovery_code_used": "used a recovery code",
    "person.factor_added": "set a second factor up",
    "person.factor_changed": "changed the second factor",
    "person.factor_removed": "removed the second factor",
    "person.recovery_codes_made": "made new recovery codes",
    "person.factor_reset_asked": "asked for a reset of the second factor",
    "person.factor_reset_refused": "refused the reset of the second factor",
    "person.factor_reset": "reset the second factor",
    "person.password_changed": "changed the password",
    "person.reset_asked": "asked for a new password",
    "person.session_ended": "ended a session",
    "person.time_zone_chosen": "chose a time zone",
    "person.notices_chosen": "chose which notices to get",
    "person.searched": "searched",
    # The house's own
    "machine_token.issued": "made a machine token",
    "machine_token.revoked": "revoked a machine token",
    "site.added": "added the site",
    "site.changed": "changed the site",
    "vpn_gateway.added": "added the SSL/VPN gateway",
    "vpn_gateway.changed": "changed the SSL/VPN gateway",
    "vpn_client.added": "added the SSL/VPN client",
    "vpn_client.changed": "changed the SSL/VPN client",
    "level.added": "added the service level",
    "level.changed": "changed the service level",
    "record.closed": "closed old Activity into a file",
}

KINDS = sorted({name.partition(".")[0] for name in WORDS})

# What the screen filters by -> the kinds of row in it. Without Read Server Replication the first two are not there:
# a kind that stands nowhere belongs to them, so that nothing new is told by oversight.
TOPICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "failovers": ("Failovers and outages", ("ticket", "failover", "outage")),
    "orders": ("Orders and replication", ("replication", "order")),
    "machines": ("Virtual machines", ("vm",)),
    "conversations": ("Tickets", ("conversation", "message")),
    "people": ("People and roles", ("account", "authorized", "membership", "invitation", "role", "access")),
    "vpn": ("SSL/VPN", ("vpn_member",)),
    "tokens": ("API tokens", ("token",)),
    "record": ("This record", ("record",)),
}
OF_REPLICATION = ("failovers", "orders")
CONVERSED = TOPICS["conversations"][1]

# Which of their members' own events administrators see, from the installation's log.
SIGN_INS = (
    "signed_in", "signed_out", "wrong_password", "wrong_code", "limit_reached", "recovery_code_used", "factor_added",
    "factor_changed", "factor_removed", "recovery_codes_made", "password_changed", "session_ended",
)  # fmt: skip
SIGN_IN_TOPIC = ("signins", "Sign-ins")

NAMES = ("person", "name", "email", "code", "prefix")  # the facts that name what a row is about
DETAILS = {
    "query": "For", "model": "Among", "file": "File", "roles": "Roles", "permissions": "Permissions",
    "permission": "Permission", "means": "With", "of": "Of",
    "site": "Site", "title": "Title", "on_it": "VMs on it", "protected": "Protected of these",
    "running_there": "Running there in a failover", "protected_towards": "Protected towards it",
    "elsewhere": "Running elsewhere already", "accounts": "Accounts told",
    "was": "Before", "now": "Now", "result": "Result", "minutes": "Minutes unanswered",
    "requested_by": "By phone, for",
}  # fmt: skip
LABELS = {
    "totp": "authenticator app", "recovery_codes": "recovery code", "mfa": "second factor", **dict(Permission.choices),
}  # fmt: skip


def done(kind: str, event: str) -> str:
    """What was done. A name without words is read as it is written."""
    return WORDS.get(f"{kind}.{event}", event.replace("_", " "))


def state(kind: str, name: str) -> str:
    life = LIFECYCLES.get(kind)
    return life.states[name].word if life and name in life.states else name.replace("_", " ").capitalize()


def way(kind: str, source: str, target: str) -> tuple[str, str]:
    """From which state to which; a thing that was just made comes from "New"."""
    if not target:
        return "", ""
    return (state(kind, source) if source else "New"), state(kind, target)


def named(facts: Mapping[str, Any]) -> str:
    return next((str(facts[name]) for name in NAMES if facts.get(name)), "")


def details(facts: Mapping[str, Any]) -> str:
    """What else a reader of the account may know; phone numbers and the like are not among it."""
    said = [f"{label}: {_list(facts[name])}" for name, label in DETAILS.items() if facts.get(name)]
    if by := facts.get("second_factor"):
        said.append(f"Second factor: {_list(by)}, {str(facts.get('proved_at', ''))[11:19]} UTC")
    return "; ".join(said)


def _list(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return ", ".join(LABELS.get(str(one), str(one)) for one in values)


def address(facts: Mapping[str, Any], via: str) -> str:
    """Where it came from: an address where one is known, else by which door, where that tells something."""
    doors = {"worker": "worker", "token": "API token", "command": "command"}
    return str(facts.get("address") or doors.get(via, ""))
