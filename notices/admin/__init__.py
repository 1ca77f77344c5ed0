"""Support's door to conversations, and to what was sent to whom."""

from notices.admin.conversations import ConversationAdmin, talk
from notices.admin.notices import NoticeAdmin

__all__ = ["ConversationAdmin", "NoticeAdmin", "talk"]
