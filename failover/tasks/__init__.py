"""What workers do for tickets and failovers."""

from failover.tasks.lines import Carry, EndTests, fire, tell
from failover.tasks.tickets import Spread
from failover.tasks.two_places import TwoPlaces
from failover.tasks.waiting import Wait, first_step
from failover.tasks.words import Lines, lines_of, open_for, retell, ticket_word

__all__ = [
    "Carry",
    "EndTests",
    "Lines",
    "Spread",
    "TwoPlaces",
    "Wait",
    "fire",
    "first_step",
    "lines_of",
    "open_for",
    "retell",
    "tell",
    "ticket_word",
]
