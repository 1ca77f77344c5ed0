"""The audit log: how it is written and sealed, proved, read, put in words, and closed into files."""

from accounts.activity.journal import SealedJournal, chain, digests_of, name_of
from accounts.activity.proof import faults, size

__all__ = ["SealedJournal", "chain", "digests_of", "faults", "name_of", "size"]
