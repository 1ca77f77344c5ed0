"""Asks the providers of sites for their VMs (docs/inventory.md): for cron, and for a first look with --dry-run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inventory.models import VM, Site
from replication.actions.sync import Synced, sync

NAMED = 5  # names on one line


class Command(BaseCommand):
    help = "Takes over what the providers of sites tell of their VMs. Without --site of all sites."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", action="append", dest="sites", metavar="CODE", help="may be repeated")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument(
            "--allow-many", action="store_true", help="mark what vanished, also more than half of a site's VMs"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["sites"] or list(Site.objects.values_list("code", flat=True))
        sites = {site.code: site for site in Site.objects.filter(code__in=wanted)}
        if unknown := sorted(set(wanted) - set(sites)):
            raise CommandError(f"There is no site {', '.join(unknown)}. Nothing was done.")
        how = options["dry_run"], options["allow_many"]
        failed = [site.code for site in sites.values() if not self.synced(site, *how)]
        if failed:
            raise CommandError(f"Not all was taken: {', '.join(failed)}.")

    def synced(self, site: Site, dry_run: bool, allow_many: bool) -> bool:
        """Whether all went well. A provider that fails in any way holds up its own site alone."""
        try:
            found = sync(site, dry_run=dry_run, allow_many=allow_many)
        except Exception as error:
            self.stderr.write(
                f"{site.code}: {error or type(error).__name__}. Nothing more of it was changed, and nothing marked."
            )
            return False
        self.stdout.write(said(site, found, dry_run))
        for fault in found.faults:
            self.stderr.write(f"{site.code}: left out: {fault}")
        return not found.faults


def said(site: Site, found: Synced, dry_run: bool) -> str:
    """What was done, on one line, and on a second one whose machines are nobody's."""
    if not found.told:
        there = VM.objects.filter(site=site, role="primary").count()
        return f"{site.code}: its provider names no VM. {there} known here, left as they are."
    made, changed, same, vanished, back = found.outcome
    line = (
        f"{site.code}: {found.told} VM{'' if found.told == 1 else 's'} named: {made} new, {changed} changed, "
        f"{same} as they were, {vanished} not found any more, {back} found again."
    )
    if found.unassigned:
        line += f"\n{site.code}: {len(found.unassigned)} not assigned to an account, left out: "
        more = f" and {len(found.unassigned) - NAMED} more" if len(found.unassigned) > NAMED else ""
        line += ", ".join(found.unassigned[:NAMED]) + more + "."
    return f"{line} Nothing was written." if dry_run else line
