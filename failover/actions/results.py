"""What the customer says of a test: passed, passed with remarks, failed. A fact in the record that moves no state."""

from __future__ import annotations

from django.db.models import F, Q, QuerySet

from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, changes
from failover.actions.endings import need_mine
from failover.actions.requests import LOOK_AGAIN
from failover.lifecycle import ENDED
from failover.models import Failover, Kind, TestResult, Ticket
from inventory.actions import relist
from inventory.models import VM

NOTES_AT_MOST = 2000


def record_result(actor: Actor, ticket: Ticket, result: str, notes: str = "") -> None:
    """How a test went, for the report and for the rows of the VMs whose last test it is. Another call changes it.

    Raises Forbidden, Invalid (`result`, `notes`) and Conflict: `not_a_test`, `not_run_yet`.
    """
    need_mine(actor, ticket)
    said = notes.replace("\r\n", "\n").strip()
    _check(result, said)
    refuse_no_result(ticket)
    with changes(actor, said) as change:
        mine = Ticket.objects.filter(pk=ticket.pk)
        list(mine.select_for_update(no_key=True).values_list("pk"))
        mine.update(result=result, result_notes=said, result_by_id=actor.person_id, result_at=change.at)
        change.note(mine, "ticket.result", result=TestResult(result).label)
        relist(change, _last_tested_by(ticket), last_test_result=result)


def _check(result: str, notes: str) -> None:
    fields: dict[str, list[str]] = {}
    if result not in TestResult:
        fields["result"] = ["Choose one: passed, passed with remarks, or failed."]
    if result in (TestResult.REMARKS, TestResult.FAILED) and not notes:
        fields["notes"] = ["Say what was found. It stands in the report of this test."]
    if len(notes) > NOTES_AT_MOST:
        fields["notes"] = [f"These are {len(notes):,} characters. Shorten them to {NOTES_AT_MOST:,}."]
    if fields:
        raise Invalid(LOOK_AGAIN, fields=fields)


def refuse_no_result(ticket: Ticket) -> None:
    """Conflict, if there is nothing yet of which a result could be told."""
    if ticket.kind != Kind.TEST:
        raise Conflict("Only a test has a result.", code="not_a_test", ticket=ticket.number)
    ran = Failover.objects.filter(Q(running_at__isnull=False) | Q(state__in=ENDED), ticket=ticket)
    if ticket.state != "approved" or not ran.exists():
        raise Conflict(f"Nothing of {ticket.number} ran yet.", code="not_run_yet", ticket=ticket.number)


def _last_tested_by(ticket: Ticket) -> QuerySet[VM]:
    """The VMs that weren't tested again since: a later test has a result of its own."""
    lines = Failover.objects.filter(ticket=ticket, running_at=F("vm__last_test_at"))
    return VM.objects.filter(pk__in=lines.values("vm"))
