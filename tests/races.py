"""`make races`: every racing pair of verbs, many rounds of each, over HTTP at a web server of several processes.

    python -m tests.races [--rounds 200] [--only approve]

It starts a PostgreSQL and a Valkey of its own and leaves nothing behind. Each round must have exactly one winner, whom
the others hear by name and number with 409; no answer may be a 5xx, and PostgreSQL may count no deadlock.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys

from ampdr.servers import Postgres, Valkey, temporary_folder


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.races", description="Races verbs against each other.")
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--only", default="", help="races whose name begins so")
    asked = arguments.parse_args()
    folder = temporary_folder("ampdr-races-")
    database, broker = Postgres(folder, durable=False).start(), Valkey(folder).start()
    command = [sys.executable, "-m", "tests.racing", f"--rounds={asked.rounds}", f"--only={asked.only}"]
    environment = {
        "SECRET_KEY": secrets.token_urlsafe(48), "SITE_ORIGIN": "http://127.0.0.1", "ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "ampdr.settings", "DATABASE_URL": database.url, "BROKER_URL": broker.url,
        "SIMULATION_LEDGER": f"{folder}/ledger.sqlite3", "SIMULATION_TIME_SCALE": "0",
        "SIMULATION_FAILOVER_TIME_SCALE": "0", "RACES_FOLDER": str(folder), "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    try:
        return subprocess.run(command, env=os.environ | environment, check=False).returncode
    finally:
        broker.stop()
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
