"""Runs the races of `tests.racers`, set after set, and says what came of them. `tests.races` starts it alone."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from accounts.activity import faults  # noqa: E402
from ampdr import work  # noqa: E402
from ampdr.limits import lift_limits  # noqa: E402
from replication.providers.simulated import doubled  # noqa: E402
from replication.providers.simulated.settings import ledger_path  # noqa: E402
from tests.cast import make_cast  # noqa: E402
from tests.racefield import Field, deadlocks, on_the_field, run_rounds  # noqa: E402
from tests.racers import RACES  # noqa: E402

SET = 100  # rounds that are prepared together
STOCK = 1000  # VMs that are ordered together
WIDE = 4  # rounds of one race that are run at once, each of a VM of its own


def many(one: Field, name: str, rounds: int) -> int:
    """That many rounds of one race. How many of them went wrong."""
    since, wrong, wins = time.monotonic(), list[str](), Counter[str]()
    for begun in range(0, rounds, SET):
        found, won = run_rounds(one, RACES[name], min(SET, rounds - begun), WIDE)
        wrong += found
        wins += won
    for words in wrong:
        sys.stdout.write(f"  {name}: {words}\n")
    whose = ", ".join(f"{who} {n}" for who, n in sorted(wins.items()))
    seconds = time.monotonic() - since
    sys.stdout.write(f"{name}: {rounds - len(wrong)} of {rounds} rounds right ({whose}), {seconds:.0f} s\n")
    sys.stdout.flush()
    return len(wrong)


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, required=True)
    arguments.add_argument("--only", default="")
    asked = arguments.parse_args()
    call_command("migrate", verbosity=0)
    lift_limits()
    begun = time.monotonic()
    with on_the_field(make_cast(), os.environ["DATABASE_URL"], Path(os.environ["RACES_FOLDER"])) as one:
        chosen = [name for name in RACES if name.startswith(asked.only)]
        one.stock = min(STOCK, asked.rounds * len(chosen))
        wrong = sum(many(one, name, asked.rounds) for name in chosen)
        work.drive()
    broken, twice = [*faults()], doubled(ledger_path())
    sys.stdout.write(
        f"{wrong} rounds went wrong, {deadlocks()} deadlocks, {len(broken)} faults of the record, {len(twice)} effects "
        f"done twice, {time.monotonic() - begun:.0f} s\n"
    )
    return int(bool(wrong or deadlocks() or broken or twice))


if __name__ == "__main__":
    sys.exit(main())
