"""Support's door to conversations."""

from notices.admin.conversations import ConversationAdmin, talk

__all__ = ["ConversationAdmin", "talk"]
