"""What workers do for replications: accept, provision, stop, collect recovery points, raise flags."""

from replication.tasks.asking import Answers, ProviderDuty, ask, keys_of
from replication.tasks.gone import deny_what_remains
from replication.tasks.history import end_gaps
from replication.tasks.listing import UNPROTECTED, list_as, list_lines
from replication.tasks.points import CALM, Collect, EndGaps, RaiseFlags, caught_up, prune, watch
from replication.tasks.promise import KeepPromise
from replication.tasks.provisioning import ANEW, SETTLED, Accept, Provision

__all__ = [
    "ANEW",
    "CALM",
    "SETTLED",
    "UNPROTECTED",
    "Accept",
    "Answers",
    "Collect",
    "EndGaps",
    "KeepPromise",
    "ProviderDuty",
    "Provision",
    "RaiseFlags",
    "ask",
    "caught_up",
    "deny_what_remains",
    "end_gaps",
    "keys_of",
    "list_as",
    "list_lines",
    "prune",
    "watch",
]
