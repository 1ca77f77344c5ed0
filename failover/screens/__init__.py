"""What the pages show and share: the frame around them, the one query of every VM-keyed screen, what a row says."""

from failover.screens.frame import shell
from failover.screens.query import Filters, Page, listed, rows

__all__ = ["Filters", "Page", "listed", "rows", "shell"]
