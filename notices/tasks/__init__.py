"""What workers do for notices: read the record, write to people what concerns them, and send the mails."""

from notices.tasks.mail import Send
from notices.tasks.reading import Read
from notices.tasks.registry import Happened, Kind, Letter, Member, Per, declare, everybody, register, sign_with

__all__ = [
    "Happened",
    "Kind",
    "Letter",
    "Member",
    "Per",
    "Read",
    "Send",
    "declare",
    "everybody",
    "register",
    "sign_with",
]
