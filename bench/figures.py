"""Measures, in a process whose environment `python -m bench` has made."""

from __future__ import annotations

import argparse
import sys

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from bench import data, notice, outage, pages, report, rpo  # noqa: E402
from tests.cast import make_cast  # noqa: E402


def main() -> None:
    arguments = argparse.ArgumentParser()
    for name in ("--vms", "--failover", "--rounds"):
        arguments.add_argument(name, type=int, required=True)
    arguments.add_argument("--only", required=True)
    arguments.add_argument("--write", action="store_true")
    asked = arguments.parse_args()
    call_command("migrate", verbosity=0)
    cast = make_cast()
    say(f"{asked.vms:,} VMs of the account that looks, as many of others; orders and tickets of {asked.failover:,}")
    data.fill(cast, asked.vms)
    data.settle()
    figures: list[report.Figure] = []
    if asked.only != "work":
        figures += pages.measure(cast.priya, cast.northwind.slug, asked.rounds)
        figures += rpo.measure(cast, asked.rounds)
        figures += notice.measure(cast)
        say("pages are measured")
    if asked.only != "pages":
        figures += outage.measure(cast, asked.failover, asked.rounds)
    sys.stdout.write(report.table(figures) + "\n")
    if asked.write:
        report.write(figures, asked.rounds, asked.vms, asked.failover, version())


def say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


def version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


if __name__ == "__main__":
    main()
