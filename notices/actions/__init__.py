"""What people may do with conversations and with what they are told."""

from notices.actions.conversations import (
    LONGEST,
    OF_REPLICATION,
    Opening,
    close,
    faults_of,
    is_order,
    lock_conversations,
    may_write,
    need_write,
    open_conversation,
    open_for_ticket,
    readable,
    show_words,
    write,
)

__all__ = [
    "LONGEST",
    "OF_REPLICATION",
    "Opening",
    "close",
    "faults_of",
    "is_order",
    "lock_conversations",
    "may_write",
    "need_write",
    "open_conversation",
    "open_for_ticket",
    "readable",
    "show_words",
    "write",
]
