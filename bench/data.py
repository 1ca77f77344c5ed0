"""The data of the bench, made by INSERT ... SELECT: N virtual machines of the viewing account, and N of others."""

from __future__ import annotations

from django.db import connection

from accounts.models import Account, Head
from tests.cast import Cast

OTHERS = 10  # accounts that share the VMs of others

VMS = """
INSERT INTO inventory_vm (uuid, account_id, site_id, name, slug, role, shown, os, address, generation, power, disk_gb,
  fim_report_at, fim_changes, malware_report_at, malware_scan_at, malware_agent, malware_findings, patch_report_at,
  patches_missing, patches_critical, made_at, protection, protected_to, rpo_target, newest_point_at, order_number)
SELECT gen_random_uuid(), %(account)s, %(site)s, name, name, 'primary', true, 'Debian 12',
  ('10.' || n %% 200 || '.' || n / 200 %% 250 || '.' || n %% 250)::inet, 4, 'on', 40 + n %% 400,
  now() - (n %% 60) * interval '1 hour', n %% 30, now() - (n %% 50) * interval '1 hour',
  now() - (n %% 16) * interval '1 day', 'ClamAV 1.4', n %% 3, now() - (n %% 40) * interval '1 hour', n %% 25, n %% 2,
  now() - interval '90 days',
  CASE WHEN n %% 20 < 16 THEN 'protected' WHEN n %% 20 = 16 THEN 'rpo_behind' WHEN n %% 20 = 17 THEN 'provisioning'
    ELSE 'none' END,
  CASE WHEN n %% 20 < 18 THEN 'PHX01' ELSE '' END, interval '15 minutes',
  CASE WHEN n %% 20 < 17 THEN now() - (n %% 900) * interval '1 second' END,
  CASE WHEN n %% 20 < 18 THEN 'RO-1' ELSE '' END
FROM (SELECT n, (ARRAY['web', 'app', 'db', 'cache', 'file'])[1 + n %% 5] || '-' || lpad(n::text, 7, '0') AS name
  FROM generate_series(1, %(number)s) AS n) AS numbered
"""
STAND_INS = """
INSERT INTO inventory_vm (uuid, account_id, site_id, name, slug, role, shown, original_id, made_by, os, address,
  generation, power, disk_gb, fim_changes, made_at, failover_state, held_by)
SELECT gen_random_uuid(), account_id, %(site)s, name, slug, %(role)s, true, id, gen_random_uuid(), os, address, 4, 'on',
  disk_gb, 0, now(), 'running', 'FO-1'
FROM inventory_vm WHERE account_id = %(account)s AND role = 'primary' AND protection = 'protected'
  AND id %% 100 = %(remainder)s
"""
HIDE = """
UPDATE inventory_vm SET shown = false, protection = 'paused'
WHERE id IN (SELECT original_id FROM inventory_vm WHERE role = 'live' AND account_id = %s)
"""
COUNT = """
SELECT "group", count(*) FROM inventory_vm WHERE account_id = %s AND "group" <> 'hidden' GROUP BY "group"
"""


def fill(cast: Cast, number: int) -> None:
    """Northwind is the one that looks. One VM in a hundred runs in a live failover, another one in a test."""
    furnish(cast, cast.northwind, number)
    for n in range(1, OTHERS + 1):
        other = Account.objects.create(slug=f"other-{n}", name=f"Other {n}", number=9000 + n)
        Head.objects.create(account=other)
        furnish(cast, other, number // OTHERS)


def furnish(cast: Cast, account: Account, number: int) -> None:
    site, target = cast.sites["DFW01"].pk, cast.sites["PHX01"].pk
    with connection.cursor() as cursor:
        cursor.execute(VMS, {"account": account.pk, "site": site, "number": number})
        for remainder, role in enumerate(("live", "test")):
            facts: dict[str, int | str] = {"account": account.pk, "site": target, "role": role, "remainder": remainder}
            cursor.execute(STAND_INS, facts)
        cursor.execute(HIDE, [account.pk])
        cursor.execute(COUNT, [account.pk])
        Head.objects.filter(account=account).update(**dict(cursor.fetchall()))


def settle() -> None:
    """What autovacuum would have done by tomorrow."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
