"""What people may do with accounts, people, roles, lists and tokens."""

from accounts.actions.entering import (
    administrators,
    enter,
    enter_by_token,
    explain,
    open_machine_token,
    open_token,
    support,
)
from accounts.actions.house import LEAD, OPERATOR, STAFF_APPS, STAFF_MAY, SUPPORT, furnish, furnish_staff
from accounts.actions.members import add_member, change_member, create_account, list_authorized, unlist, update_listing
from accounts.actions.people import change_person, create_person, note_new_password
from accounts.actions.rights import checked, need_superuser, support_only
from accounts.actions.tokens import (
    LIFETIMES,
    add_token,
    issue_machine_token,
    issue_token,
    make_token,
    receive,
    revoke_machine_token,
    revoke_token,
    revoke_tokens,
)

__all__ = [
    "LEAD",
    "LIFETIMES",
    "OPERATOR",
    "STAFF_APPS",
    "STAFF_MAY",
    "SUPPORT",
    "add_member",
    "add_token",
    "administrators",
    "change_member",
    "change_person",
    "checked",
    "create_account",
    "create_person",
    "enter",
    "enter_by_token",
    "explain",
    "furnish",
    "furnish_staff",
    "issue_machine_token",
    "issue_token",
    "list_authorized",
    "make_token",
    "need_superuser",
    "note_new_password",
    "open_machine_token",
    "open_token",
    "receive",
    "revoke_machine_token",
    "revoke_token",
    "revoke_tokens",
    "support",
    "support_only",
    "unlist",
    "update_listing",
]
