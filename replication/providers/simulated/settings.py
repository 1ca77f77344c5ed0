"""What the environment says of the simulation."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from replication.providers.simulated.faults import Rule, parse_rules

DEFAULT_LEDGER = Path(__file__).resolve().parents[3] / ".run" / "ledger.sqlite3"


@dataclass(frozen=True, slots=True)
class Settings:
    """The `SIMULATION_*` variables, read once for each provider. A scale divides durations; 0 means no delay."""

    ledger: Path
    time_scale: float = 1
    failover_time_scale: float = 1
    point_seconds: int = 300
    sites_down: frozenset[str] = frozenset()
    faults: tuple[Rule, ...] = ()
    seed: str = "0"
    remembers_keys: bool = True

    @classmethod
    def from_environment(cls) -> Self:
        """Raises ValueError, naming the variable, for a value that can't be used."""
        return cls(
            ledger=ledger_path(),
            time_scale=_number("SIMULATION_TIME_SCALE", 1, least=0),
            failover_time_scale=_number("SIMULATION_FAILOVER_TIME_SCALE", 1, least=0),
            point_seconds=int(_number("SIMULATION_POINT_SECONDS", 300, least=1)),
            sites_down=frozenset(os.environ.get("SIMULATION_SITES_DOWN", "").replace(",", " ").split()),
            faults=parse_rules(os.environ.get("SIMULATION_FAULTS", "")),
            seed=os.environ.get("SIMULATION_SEED", "0"),
            remembers_keys=os.environ.get("SIMULATION_REMEMBERS_KEYS", "1").lower() not in {"0", "false", "no"},
        )


def ledger_path() -> Path:
    return Path(os.environ.get("SIMULATION_LEDGER") or DEFAULT_LEDGER)


def _number(variable: str, default: float, least: float) -> float:
    text = os.environ.get(variable) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number < float("inf"):
        raise ValueError(f"{variable}={text!r}: a number of at least {least} is wanted")
    return number
