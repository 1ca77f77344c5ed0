"""A ticket's facts as files: all of its lines, with the times of their steps in UTC, sent while they are read.

The same figures as on its page: to running counts from the approval, data lost is what was measured at the start.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import StreamingHttpResponse

from accounts.models import Permission
from accounts.views import Visit
from accounts.views.activity import harmless
from ampdr import clock
from ampdr.lifecycle import Actor
from failover.actions import lines_of, need_read, ticket_word
from failover.lifecycle import FAILOVER
from failover.models import Ticket
from failover.views.rows import vms_of
from failover.views.standing import found_ticket
from inventory.models import display_name

AT_ONCE = 500
LINE = (
    "uuid", "vm__uuid", "vm__name", "vm__address", "kind", "state", "source", "target", "mode", "fenced", "flag",
    "started_at", "running_at", "ended_at", "ends_at", "confirmed_at", "confirmed_by__name", "point_at",
    "launch__point_at", "launch__loss_seconds", "launch__address", "replication__rpo_target", "last_error",
)  # fmt: skip


def as_json(request: Visit, number: str) -> StreamingHttpResponse:
    """One object: the ticket's facts, and `vms`, one for each line."""
    ticket = _asked(request, number)
    return _file(_json(request.actor, ticket), "application/json", f"{ticket.number}.json")


def as_csv(request: Visit, number: str) -> StreamingHttpResponse:
    """A row for each line; what is of the ticket stands on every one."""
    ticket = _asked(request, number)
    return _file(_csv(request.actor, ticket), "text/csv; charset=utf-8", f"{ticket.number}.csv")


def _asked(request: Visit, number: str) -> Ticket:
    need_read(request.actor)
    return found_ticket(request.actor, number)


def _file(parts: Iterable[str], kind: str, name: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(parts, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


# ---- What is told ----------------------------------------------------------------------------------------------------


def of_ticket(actor: Actor, ticket: Ticket) -> dict[str, Any]:
    approved = ticket.decided_at if ticket.state == "approved" else None
    return {
        "number": ticket.number, "kind": ticket.kind, "about": ticket.about and ticket.about.number,
        "account": actor.account_name, "word": ticket_word(ticket, lines_of([ticket.pk])[ticket.pk]).word,
        "state": ticket.state, "source_site": ticket.source, "target_site": ticket.target,
        "vm_count": ticket.vm_count, "requested_by": ticket.requested_by.name, "requested_at": ticket.requested_at,
        "filed_by": ticket.filed_by and ticket.filed_by.name,
        "called_back": ticket.called_back if actor.can(Permission.READ_IDENTITY) else "",
        "reason": ticket.reason, "decided_by": ticket.decided_by and ticket.decided_by.name,
        "decided_at": ticket.decided_at, "approved_at": approved, "decision_reason": ticket.decision_reason,
        "chosen_point": ticket.point_at, "ends_at": ticket.ends_at, "result": ticket.get_result_display(),
        "result_notes": ticket.result_notes, "result_by": ticket.result_by and ticket.result_by.name,
        "result_at": ticket.result_at,
    }  # fmt: skip


def of_line(ticket: Ticket, row: dict[str, Any]) -> dict[str, Any]:
    """`recovery_point` is what was used; before the start, what was chosen."""
    begun = ticket.decided_at if ticket.state == "approved" and not ticket.of_others else None
    running, target = row["running_at"], row["replication__rpo_target"]
    return {
        "vm": row["vm__name"], "vm_uuid": row["vm__uuid"], "shown_as": display_name(row["vm__name"], row["kind"]),
        "failover_uuid": row["uuid"], "state": row["state"], "word": FAILOVER.states[row["state"]].word,
        "flag": row["flag"], "source_site": row["source"], "target_site": row["target"], "mode": row["mode"],
        "fenced": row["fenced"], "approved_at": begun, "started_at": row["started_at"], "running_at": running,
        "ended_at": row["ended_at"], "ends_at": row["ends_at"],
        "to_running_seconds": _tenths((running - begun).total_seconds()) if running and begun else None,
        "recovery_point": row["launch__point_at"] or row["point_at"],
        "loss_seconds": _tenths(row["launch__loss_seconds"]),
        "rpo_target_seconds": target.total_seconds() if target else None, "address": row["launch__address"],
        "original_address": row["vm__address"], "confirmed_at": row["confirmed_at"],
        "confirmed_by": row["confirmed_by__name"], "last_error": row["last_error"],
    }  # fmt: skip


def _tenths(seconds: float | None) -> float | None:
    """To one decimal place: more is not measured."""
    return None if seconds is None else round(seconds, 1)


def _lines(ticket: Ticket) -> Iterator[dict[str, Any]]:
    found = vms_of(ticket).order_by("vm__name_key", "pk").values(*LINE)
    for row in found.iterator(AT_ONCE):
        yield of_line(ticket, row)


# ---- The files -------------------------------------------------------------------------------------------------------


def _json(actor: Actor, ticket: Ticket) -> Iterator[str]:
    head = _dumped({"generated_at": clock.now(), "generated_by": actor.name, **of_ticket(actor, ticket)})
    yield f'{head[:-1]}, "vms": ['
    for n, line in enumerate(_lines(ticket)):
        yield f"{',' if n else ''}\n{_dumped(line)}"
    yield "\n]}\n"


def _dumped(facts: dict[str, Any]) -> str:
    return json.dumps({name: _in_utc(fact) for name, fact in facts.items()}, cls=DjangoJSONEncoder)


def _in_utc(fact: Any) -> Any:
    return fact.astimezone(UTC) if isinstance(fact, datetime) else fact


def _csv(actor: Actor, ticket: Ticket) -> Iterator[str]:
    about = {f"ticket_{name}": fact for name, fact in of_ticket(actor, ticket).items()}
    for n, line in enumerate(_lines(ticket)):
        row = line | about
        if not n:
            yield _written(_head(name) for name in row)
        yield _written(harmless(_cell(fact)) for fact in row.values())


def _head(name: str) -> str:
    """As a column's head: "Ticket requested at (UTC)"."""
    words = name.replace("_", " ").capitalize().replace("Vm", "VM").replace("uuid", "UUID").replace("Rpo", "RPO")
    return f"{words} (UTC)" if name.endswith(("_at", "_point")) else words


def _cell(fact: Any) -> Any:
    if isinstance(fact, datetime):
        return f"{fact.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return fact.total_seconds() if isinstance(fact, timedelta) else fact


def _written(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(list(cells))
    return line.getvalue()
