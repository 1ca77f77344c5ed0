"""Support's door to failover tickets."""

from failover.admin.tickets import TicketAdmin

__all__ = ["TicketAdmin"]
