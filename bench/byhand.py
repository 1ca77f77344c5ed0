"""The yardstick of G7: one ticket's failover as a database engineer would write it, set by set, in one process.

Three transactions (start, fence, run), each with its rows of the record, the digest of these and the account's head.
Its lines are due in an hour: a worker that is awake beside it finds nothing to do.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection, transaction

from accounts.models import Activity
from failover.models import Ticket

LINES = "SELECT vm_id FROM failover_failover WHERE ticket_id = %(ticket)s"
NOTE = """
INSERT INTO accounts_activity (account_id, batch, at, actor, staff, via, kind, event, subject_id, vm, vm_name, about,
  from_state, to_state, reason, facts)
SELECT %(account)s, %(batch)s, now(), 'AMPDR', false, 'worker', '{kind}', '{event}', {subject}, vm.uuid, vm.name,
  %(number)s, '{source}', '{target}', '', '{{}}'
FROM failover_failover AS line JOIN inventory_vm AS vm ON vm.id = line.vm_id WHERE line.ticket_id = %(ticket)s
ORDER BY line.id
"""
SEALED = ", ".join(
    {"at": "(extract(epoch from at) * 1000000)::bigint", "account": "account_id"}.get(name, name)
    for name in Activity.SEALED
)
DIGEST = f"""
SELECT encode(sha256(convert_to(string_agg(jsonb_build_array({SEALED})::text, chr(10) ORDER BY id), 'UTF8')), 'hex'),
  count(*) FROM accounts_activity WHERE batch = %(batch)s
"""
SEAL = """
INSERT INTO accounts_seal (account_id, number, batch, rows, digest, previous, hash, at)
SELECT account_id, number + 1, %(batch)s, %(rows)s, %(digest)s, hash, %(digest)s, now() FROM accounts_head
WHERE account_id = %(account)s
"""
HEAD = """
UPDATE accounts_head SET number = number + 1, version = version + 1, hash = %(digest)s,
  protected = protected - %(moved)s, live = live + %(moved)s, running = running + %(moved)s
WHERE account_id = %(account)s
"""

START = (
    """UPDATE failover_failover SET state = 'starting', state_since = now(), verb = 'fence', step_site = source,
    next_step_at = now() + interval '1 hour' WHERE ticket_id = %(ticket)s""",
    f"UPDATE inventory_vm SET failover_state = 'starting' WHERE id IN ({LINES})",
    NOTE.format(kind="failover", event="start", subject="line.id", source="requested", target="starting"),
)
FENCE = (
    """UPDATE failover_failover SET verb = 'start_live', step_site = target, mode = 'planned', fenced = 'yes'
    WHERE ticket_id = %(ticket)s""",
    NOTE.format(kind="failover", event="fenced", subject="line.id", source="", target=""),
)
RUN = (
    """UPDATE failover_failover SET state = 'running', state_since = now(), verb = '', next_step_at = null,
    running_at = now() WHERE ticket_id = %(ticket)s""",
    """INSERT INTO failover_launch (failover_id, mode, point_at, loss_seconds, address, running_since)
    SELECT id, mode, now(), 1.5, '10.0.0.1', now() FROM failover_failover WHERE ticket_id = %(ticket)s ORDER BY id""",
    f"""UPDATE replication_replication SET state = 'paused', state_since = now(), next_step_at = null, flag = ''
    WHERE state = 'protected' AND vm_id IN ({LINES})""",
    NOTE.format(kind="replication", event="pause", subject="line.replication_id", source="protected", target="paused"),
    f"""UPDATE inventory_vm SET shown = false, protection = 'paused', failover_state = 'running', power = 'off'
    WHERE id IN ({LINES})""",
    """INSERT INTO inventory_vm (uuid, account_id, site_id, name, slug, role, original_id, made_by, os, address,
    generation, disk_gb, power, made_at, failover_state, held_by, fim_changes)
    SELECT gen_random_uuid(), vm.account_id, site.id, vm.name, vm.slug, 'live', vm.id, line.uuid, vm.os, '10.0.0.1',
    vm.generation, vm.disk_gb, 'on', now(), 'running', %(number)s, 0 FROM failover_failover AS line
    JOIN inventory_vm AS vm ON vm.id = line.vm_id JOIN inventory_site AS site ON site.code = line.target
    WHERE line.ticket_id = %(ticket)s ORDER BY line.id""",
    NOTE.format(kind="failover", event="run", subject="line.id", source="starting", target="running"),
)


def fail_over(ticket: Ticket) -> None:
    for statements, moved in ((START, 0), (FENCE, 0), (RUN, ticket.vm_count)):
        facts: dict[str, Any] = {
            "ticket": ticket.pk, "account": ticket.account_id, "number": ticket.number, "batch": uuid.uuid4(),
        }  # fmt: skip
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, facts)
            cursor.execute(DIGEST, facts)
            digest, rows = cursor.fetchone()
            cursor.execute(SEAL, facts | {"digest": digest, "rows": rows})
            cursor.execute(HEAD, facts | {"digest": digest, "moved": moved})
