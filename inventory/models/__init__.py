"""Sites, virtual machines, what is told of them, outages and SSL/VPN."""

from inventory.models.machines import GROUPS, PROTECTIONS, VM, Role, Site, display_name, size, why_not_orderable
from inventory.models.outages import Outage, OutageTold, OutageUpdate
from inventory.models.told import Choice, Round
from inventory.models.vpn import VpnClient, VpnGateway, VpnMember

__all__ = [
    "GROUPS",
    "PROTECTIONS",
    "VM",
    "Choice",
    "Outage",
    "OutageTold",
    "OutageUpdate",
    "Role",
    "Round",
    "Site",
    "VpnClient",
    "VpnGateway",
    "VpnMember",
    "display_name",
    "size",
    "why_not_orderable",
]
