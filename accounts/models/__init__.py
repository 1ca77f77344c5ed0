"""Accounts, people, roles, the list of authorized users, tokens, and the record of it all."""

from accounts.models.base import SCREENS, Permission, TenantQuerySet, forbid_customer
from accounts.models.members import AccessRequest, AuthorizedUser, Invitation, Membership, Role
from accounts.models.people import (
    RESERVED_SLUGS,
    Account,
    FactorReset,
    Head,
    Person,
    Throttle,
    check_name,
    check_slug,
    check_time_zone,
)
from accounts.models.record import Activity, Seal
from accounts.models.tokens import MachineToken, Receipt, Token

__all__ = [
    "RESERVED_SLUGS",
    "SCREENS",
    "AccessRequest",
    "Account",
    "Activity",
    "AuthorizedUser",
    "FactorReset",
    "Head",
    "Invitation",
    "MachineToken",
    "Membership",
    "Permission",
    "Person",
    "Receipt",
    "Role",
    "Seal",
    "TenantQuerySet",
    "Throttle",
    "Token",
    "check_name",
    "check_slug",
    "check_time_zone",
    "forbid_customer",
]
