"""What workers do for replications: accept, provision, stop, collect recovery points, raise flags."""

from replication.tasks.asking import Answers, ProviderDuty, ask
from replication.tasks.listing import UNPROTECTED, list_as
from replication.tasks.points import Collect, RaiseFlags, caught_up, prune, watch
from replication.tasks.provisioning import Accept, Provision

__all__ = [
    "UNPROTECTED",
    "Accept",
    "Answers",
    "Collect",
    "ProviderDuty",
    "Provision",
    "RaiseFlags",
    "ask",
    "caught_up",
    "list_as",
    "prune",
    "watch",
]
