"""Support's door: accounts, people, members, the list of authorized users, and the record of it all.

Whatever changes here goes through a verb, which writes Activity; admin's own log is not kept beside it.
"""

from accounts.admin import doors, record, resets, tokens
from accounts.admin.shelf import FEW, Choice, OfAccount, Shelf, staff, with_typed_code

__all__ = ["FEW", "Choice", "OfAccount", "Shelf", "doors", "record", "resets", "staff", "tokens", "with_typed_code"]
