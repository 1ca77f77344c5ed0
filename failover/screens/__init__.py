"""What the pages show and share: the frame around them, the one query of every VM-keyed screen, what a row says."""

from failover.screens.frame import shell

__all__ = ["shell"]
