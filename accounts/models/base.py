"""What a role can grant, and where every read of an account's things starts."""

from __future__ import annotations

from typing import Self, TypeVar

from django.db import models

from ampdr.errors import Forbidden
from ampdr.lifecycle import Actor


class Permission(models.TextChoices):
    """What a role can grant, with the labels people see."""

    READ_VMS = "read_vms", "Read Virtual Machine(s)"
    READ_FIM = "read_fim", "Read FIM"
    READ_AVAM = "read_avam", "Read AVAM"
    READ_PACKAGES = "read_packages", "Read OS Packages"
    READ_VPN = "read_vpn", "Read SSL VPN Devices and Users"
    WRITE_VPN = "write_vpn", "Write SSL VPN Devices and Users"
    READ_REPLICATION = "read_replication", "Read Server Replication"
    WRITE_REPLICATION = "write_replication", "Write Server Replication"
    READ_TICKETS = "read_tickets", "Read Ticket(s)"
    WRITE_TICKETS = "write_tickets", "Write Ticket(s)"
    READ_IDENTITY = "read_identity", "Read Identity"
    WRITE_IDENTITY = "write_identity", "Write Identity"
    VIEW_ACTIVITY = "view_activity", "View Account Activity"
    READ_TOKENS = "read_tokens", "Read API Tokens"
    WRITE_TOKENS = "write_tokens", "Write API Tokens"


# The screens of the portal, with the permission to see each and the one to change what is there ("": nobody can).
SCREENS: tuple[tuple[str, str, str], ...] = (
    ("Virtual Machines", Permission.READ_VMS, ""),
    ("Replication and failovers", Permission.READ_REPLICATION, Permission.WRITE_REPLICATION),
    ("SSL/VPN", Permission.READ_VPN, Permission.WRITE_VPN),
    ("FIM", Permission.READ_FIM, ""),
    ("Malware Protection", Permission.READ_AVAM, ""),
    ("Patching", Permission.READ_PACKAGES, ""),
    ("Tickets", Permission.READ_TICKETS, Permission.WRITE_TICKETS),
    ("Users, roles and authorized users", Permission.READ_IDENTITY, Permission.WRITE_IDENTITY),
    ("Activity", Permission.VIEW_ACTIVITY, ""),
    ("API tokens", Permission.READ_TOKENS, Permission.WRITE_TOKENS),
)


M_co = TypeVar("M_co", bound=models.Model, covariant=True)


class TenantQuerySet(models.QuerySet[M_co]):
    """Reads of what belongs to an account start here."""

    def visible_to(self, actor: Actor, permission: str) -> Self:
        """The rows of the actor's account, if the actor may read their kind; else Forbidden, the same for any row."""
        actor.need(permission)
        road: str = self.model.TENANT_PATH  # type: ignore[attr-defined]
        return self.filter(**{road: actor.account_id})


def forbid_customer(actor: Actor) -> None:
    """For verbs of Support alone."""
    if not actor.staff:
        raise Forbidden("Only Support can do this.")
