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


# What the groups of staff may do in admin, by app. `change` of a ticket is to decide it, of a replication to retry it,
# of a factor's reset to approve it: no form edits them. What names a model that isn't there yet waits for it.
SUPPORT, LEAD, OPERATOR = "Support", "Support lead", "Operator"
Rights = dict[str, tuple[str, ...]]
SUPPORT_MAY: Rights = {
    "accounts": (
        "view_account", "view_person", "view_role", "view_membership", "view_activity",
        "view_authorizeduser", "add_authorizeduser", "change_authorizeduser",
        "view_factorreset", "change_factorreset",
    ),
    "inventory": (
        "view_site", "view_vm", "view_outage", "add_outage", "change_outage",
        "view_vpngateway", "view_vpnclient", "view_vpnmember",
    ),
    "notices": ("view_conversation", "add_conversation", "change_conversation", "view_notice", "change_notice"),
    "replication": ("view_order", "change_order", "view_replication", "change_replication", "view_servicelevel"),
    "failover": ("view_ticket", "change_ticket"),
}  # fmt: skip
LEAD_MAY_TOO: Rights = {
    "accounts": (
        "add_account", "add_person", "add_membership", "change_membership", "view_invitation", "add_invitation",
        "change_invitation", "add_factorreset",
    ),
    "inventory": (
        "change_site", "add_vpngateway", "change_vpngateway", "add_vpnclient", "change_vpnclient",
    ),
    "replication": ("add_servicelevel", "change_servicelevel"),
    "failover": ("add_ticket",),  # by phone, on behalf of a listed person
}  # fmt: skip
OPERATOR_MAY: Rights = {
    "accounts": ("view_account", "view_machinetoken", "add_machinetoken", "change_machinetoken", "view_activity"),
    "inventory": (
        "view_site", "add_site", "change_site", "view_vm",
        "view_vpngateway", "add_vpngateway", "change_vpngateway",
        "view_vpnclient", "add_vpnclient", "change_vpnclient",
    ),
    "replication": ("view_replication",),
}  # fmt: skip
STAFF_MAY: dict[str, tuple[Rights, ...]] = {
    SUPPORT: (SUPPORT_MAY,), LEAD: (SUPPORT_MAY, LEAD_MAY_TOO), OPERATOR: (OPERATOR_MAY,),
}  # fmt: skip
STAFF_APPS = sorted({app for tables in STAFF_MAY.values() for table in tables for app in table})


def furnish_staff(app_config: AppConfig, **_: Any) -> None:
    """Gives each group exactly its rights of one app, as soon as Django has made them."""
    ours = StaffPermission.objects.filter(content_type__app_label=app_config.label)
    for name, tables in STAFF_MAY.items():
        group, _new = Group.objects.get_or_create(name=name)
        may = [right for table in tables for right in table.get(app_config.label, ())]
        group.permissions.remove(*ours.exclude(codename__in=may))
        group.permissions.add(*ours.filter(codename__in=may))
