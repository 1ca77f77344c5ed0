"""The audit log: how it is written and sealed, proved, read, put in words, and closed into files."""

from accounts.activity.closing import faults_of_file
from accounts.activity.journal import SealedJournal, chain, digests_of, name_of
from accounts.activity.proof import Known, faults, heads, size

__all__ = ["Known", "SealedJournal", "chain", "digests_of", "faults", "faults_of_file", "heads", "name_of", "size"]
