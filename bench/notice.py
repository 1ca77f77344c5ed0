"""What it costs to declare an outage: one grouped statement over all VMs of the installation, whoever's they are."""

from __future__ import annotations

import uuid

from ampdr import clock
from bench.clocks import interleaved
from bench.pages import counted, ms
from bench.report import Figure
from inventory.actions import close, declare
from inventory.models import VM
from tests.cast import Cast


def measure(cast: Cast) -> list[Figure]:
    mary, site = cast.actor("mary"), cast.sites["DFW01"]

    def once() -> None:
        outage = declare(mary, site, "Hall A has no power", "Compute is down.", clock.now(), str(uuid.uuid4()))
        close(mary, outage, "Power is back.", clock.now(), str(uuid.uuid4()))

    (cost,) = interleaved([once], 3, 2)
    with counted() as said:
        once()
    words = f"{ms(cost.cpu)} CPU, {ms(cost.wall)}, {len(said)} statements"
    what = f"an outage declared and closed, {VM.objects.count():,} VMs"
    return [Figure("-", what, words, "", ms(cost.wall), "-", True)]
