"""Providers for the storms: a slow line, on which a killed worker most often dies between effect and answer."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from replication.providers.base import (
    Eligibility,
    Existing,
    Health,
    Machine,
    Points,
    Progress,
    Provider,
    Request,
)
from replication.providers.simulated import Simulated

PAUSE = 0.15  # seconds on the way there, and the same on the way back


class SlowLine(Provider):
    """The simulated provider at the other end of a slow line, a few requests at a time. It remembers keys."""

    batch = 6

    def __init__(self, site: str, timeout: float) -> None:
        super().__init__(site, timeout)
        self.end = Simulated(site, timeout)

    def submit(self, requests: Sequence[Request]) -> dict[str, Progress]:
        time.sleep(PAUSE)
        answer = self.end.submit(requests)
        time.sleep(PAUSE)
        return answer

    def observe(self, keys: Sequence[str]) -> dict[str, Progress]:
        return self.end.observe(keys)

    def recovery_points(self, since: Mapping[str, datetime | None]) -> dict[str, Points]:
        return self.end.recovery_points(since)

    def eligibility(self, machines: Sequence[Machine]) -> dict[str, Eligibility]:
        return self.end.eligibility(machines)

    def inventory(self, cursor: str = "") -> tuple[list[Machine], str]:
        return self.end.inventory(cursor)

    def existing(self, cursor: str = "") -> tuple[list[Existing], str]:
        return self.end.existing(cursor)

    def health(self) -> Health:
        return self.end.health()


class Impostor(SlowLine):
    """It says that it remembers keys, and doesn't: every repeat is done again. The storm must find it out."""

    def __init__(self, site: str, timeout: float) -> None:
        os.environ["SIMULATION_REMEMBERS_KEYS"] = "0"
        super().__init__(site, timeout)
