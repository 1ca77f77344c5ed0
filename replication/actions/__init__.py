"""What people may do with replication: order it, stop it, and, as Support, retry what failed."""

from replication.actions.arrivals import Arrival
from replication.actions.billing import BILLED, Line, Month, bill, bill_line, billable, billable_days
from replication.actions.entries import COLUMNS, NEEDED, Entry, readable
from replication.actions.importing import import_generation3
from replication.actions.levels import Terms, agree, furnish, offered_levels, save_level, why_not_target
from replication.actions.notices import register_notices
from replication.actions.ordering import choose, place_order, refuse_unorderable
from replication.actions.rpo import PERIODS, kept_hours, kept_rpo, last_hours, rpo_series
from replication.actions.standing import Progress, progress, progress_of, progress_of_orders
from replication.actions.stopping import stop_replication
from replication.actions.support import ask, go_on, listen, promise, retry_replication, settle

__all__ = [
    "BILLED",
    "COLUMNS",
    "NEEDED",
    "PERIODS",
    "Arrival",
    "Entry",
    "Line",
    "Month",
    "Progress",
    "Terms",
    "agree",
    "ask",
    "bill",
    "bill_line",
    "billable",
    "billable_days",
    "choose",
    "furnish",
    "go_on",
    "import_generation3",
    "kept_hours",
    "kept_rpo",
    "last_hours",
    "listen",
    "offered_levels",
    "place_order",
    "progress",
    "progress_of",
    "progress_of_orders",
    "promise",
    "readable",
    "refuse_unorderable",
    "register_notices",
    "retry_replication",
    "rpo_series",
    "save_level",
    "settle",
    "stop_replication",
    "why_not_target",
]
