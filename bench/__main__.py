"""`make bench`: the promised figures, each beside a yardstick of the same session.

    python -m bench [--vms 20000 | --full] [--failover 10000] [--rounds 3] [--only pages|work] [--write]

It starts a PostgreSQL and a Valkey of its own and leaves nothing behind. `--full` has 100,000 VMs of the viewing
account and as many of others. `--write` renews docs/performance.md.
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
    arguments = argparse.ArgumentParser(prog="python -m bench", description="Measures the promised figures.")
    arguments.add_argument("--vms", type=int, default=20_000, help="VMs of the viewing account; as many of others")
    arguments.add_argument("--full", action="store_true", help="100,000 VMs, as the goals have it")
    arguments.add_argument("--failover", type=int, default=10_000, help="VMs of one order and of one ticket")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", choices=("pages", "work"))
    arguments.add_argument("--write", action="store_true", help="write docs/performance.md")
    asked = arguments.parse_args()
    vms = 100_000 if asked.full else asked.vms
    folder = temporary_folder("ampdr-bench-")
    database, broker = Postgres(folder, durable=False).start(), Valkey(folder).start()
    command = [
        sys.executable, "-m", "bench.figures", f"--vms={vms}", f"--failover={asked.failover}",
        f"--rounds={asked.rounds}", f"--only={asked.only or ''}", *(["--write"] if asked.write else []),
    ]  # fmt: skip
    environment = {
        "SECRET_KEY": secrets.token_urlsafe(48), "SITE_ORIGIN": "http://testserver",
        "DJANGO_SETTINGS_MODULE": "bench.settings",
        "DATABASE_URL": database.url, "BROKER_URL": broker.url, "SIMULATION_LEDGER": f"{folder}/ledger.sqlite3",
        "SIMULATION_TIME_SCALE": "0", "SIMULATION_FAILOVER_TIME_SCALE": "0",
        "BENCH_FOLDER": str(folder), "BENCH_POSTMASTER": str(database.process.pid if database.process else 0),
    }  # fmt: skip
    try:
        return subprocess.run(command, env=os.environ | environment, check=False).returncode
    finally:
        broker.stop()
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
