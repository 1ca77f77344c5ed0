"""The verbs of the inventory."""

from inventory.actions.listing import add, count_new, relist, remove
from inventory.actions.sites import save_site

__all__ = ["add", "count_new", "relist", "remove", "save_site"]
