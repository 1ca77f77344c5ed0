"""The pages of accounts and people."""

from accounts.views.tokens import revoke, tokens
from accounts.views.viewer import Viewer, Visit, home, viewer

__all__ = ["Viewer", "Visit", "home", "revoke", "tokens", "viewer"]
