"""The simulated provider: it keeps the contract and copies nothing.

Its ledger is a SQLite file of its own, shared by every process of the portal, in which each effect is written before
it is answered. How to set its pace and its faults is told in `docs/providers.md`.
"""

from replication.providers.simulated.ledger import (
    Effect,
    doubled,
    effects,
    remove_machines,
    set_machines,
    set_site_answers,
)
from replication.providers.simulated.provider import Simulated
from replication.providers.simulated.settings import Settings

__all__ = [
    "Effect",
    "Settings",
    "Simulated",
    "doubled",
    "effects",
    "remove_machines",
    "set_machines",
    "set_site_answers",
]
