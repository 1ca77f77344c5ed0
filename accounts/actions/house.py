"""What every installation has: default roles, the head of its own record, the groups of staff."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as StaffPermission

from accounts.models import Head, Permission, Role

TECHNICAL = sorted(
    set(Permission.values) - {Permission.WRITE_IDENTITY, Permission.READ_TOKENS, Permission.WRITE_TOKENS}
)
BILLING = [Permission.READ_VMS, Permission.READ_TICKETS, Permission.VIEW_ACTIVITY]
DEFAULT_ROLES: dict[str, dict[str, Any]] = {
    "Admin": {"all_permissions": True},
    "Technical": {"permissions": TECHNICAL},
    "Billing": {"permissions": BILLING},
}


def furnish(**_: Any) -> None:
    """What every installation has: the default roles (kept up to date) and the head of its own record."""
    for name, grants in DEFAULT_ROLES.items():
        Role.objects.update_or_create(account=None, name=name, defaults={"slug": name.lower(), **grants})
    Head.objects.get_or_create(account=None)


# What members of the staff group "Support" may do in admin, by app. `change` of a ticket is to decide it, of a
# replication to retry it: no form edits them.
SUPPORT = "Support"
SUPPORT_MAY: dict[str, tuple[str, ...]] = {
    "accounts": (
        "view_account", "add_account", "view_person", "add_person", "view_role", "view_activity",
        "view_membership", "add_membership", "change_membership",
        "view_authorizeduser", "add_authorizeduser", "change_authorizeduser",
    ),
    "inventory": ("view_site", "add_site", "change_site", "view_vm"),
    "replication": ("view_order", "view_replication", "change_replication"),
    "failover": ("view_ticket", "change_ticket"),
}  # fmt: skip


def furnish_support(app_config: AppConfig, **_: Any) -> None:
    """Gives the group its permissions of one app, as soon as Django has made them."""
    names = SUPPORT_MAY.get(app_config.label, ())
    found = StaffPermission.objects.filter(content_type__app_label=app_config.label, codename__in=names)
    Group.objects.get_or_create(name=SUPPORT)[0].permissions.add(*found)
