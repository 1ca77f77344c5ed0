"""How tickets and their lines look in the API, and what is sent of them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.api import Body, Moment, PagesByNumber, Text, VmName, Vms
from failover.actions import Lines, ticket_word, version_of
from failover.lifecycle import FAILOVER, TICKET
from failover.models import Kind, TestResult, Ticket

RENAMED = ("state_since", "source", "target")
WAITING_ON = [("", "Automatic"), ("support", "Support"), ("customer", "You")]


class TicketShape(serializers.Serializer[Any]):
    """A request for failovers, and Support's decision on it. `word` tells how it stands, from its lines too."""

    number = serializers.CharField()
    kind = serializers.ChoiceField(Kind.choices)
    about = serializers.CharField(allow_null=True, help_text="of a termination or extension: whose failovers it names")
    state = serializers.ChoiceField(TICKET.choices())
    word = serializers.CharField()
    version = serializers.CharField(help_text="what a decision on it must name")
    source_site = serializers.CharField()
    target_site = serializers.CharField()
    vm_count = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="lines by state")
    confirmed = serializers.IntegerField(help_text="how many running lines the customer has confirmed")
    point_at = serializers.DateTimeField(allow_null=True, help_text="null: the newest at start")
    ends_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    filed_by = serializers.CharField(allow_null=True, help_text="who of Support wrote it down, for one by phone")
    reminders = serializers.IntegerField(help_text="how often Support was reminded of it")
    decided_by = serializers.CharField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_reason = serializers.CharField()
    result = serializers.ChoiceField([("", "None yet"), *TestResult.choices], help_text="of a test, as you recorded it")
    result_notes = serializers.CharField()
    result_by = serializers.CharField(allow_null=True)
    result_at = serializers.DateTimeField(allow_null=True)


class FailoverShape(serializers.Serializer[Any]):
    """One VM's line of a ticket. Of `mode`, `recovered_to` and `loss_seconds` it tells what was used at its start."""

    uuid = serializers.UUIDField()
    vm = VmName()
    kind = serializers.ChoiceField(["live", "test"])
    state = serializers.ChoiceField(FAILOVER.choices())
    word = serializers.CharField()
    since = serializers.DateTimeField()
    source_site = serializers.CharField()
    target_site = serializers.CharField()
    stand_in = serializers.UUIDField(allow_null=True, help_text="uuid of the VM that it made and that is there now")
    mode = serializers.CharField(help_text="planned, unplanned or empty")
    fenced = serializers.CharField(help_text="of a live one: pending (source not fenced yet), yes or empty")
    recovered_to = serializers.DateTimeField(allow_null=True)
    loss_seconds = serializers.FloatField(allow_null=True)
    address = serializers.IPAddressField(allow_null=True)
    running_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    confirmed_by = serializers.CharField(allow_null=True)
    step = serializers.CharField()
    percent = serializers.IntegerField()
    waiting_on = serializers.ChoiceField(WAITING_ON)
    last_error = serializers.CharField()
    next_step_at = serializers.DateTimeField(allow_null=True)


class TicketBody(Vms):
    """`site_code` and `code` (live only): the recovery site, typed, and a second factor, unless it was proved within
    the last 5 minutes. Without `point_at`: the newest point at start."""

    kind = serializers.ChoiceField(["test", "live"])
    reason = Text(required=False, default="")
    site_code = Text(required=False, default="", max_length=40)
    code = Text(required=False, default="", max_length=40)
    point_at = Moment(required=False, allow_null=True, default=None)
    ends_at = Moment(required=False, allow_null=True, default=None)


class TerminationBody(Body):
    """`site_code` and `code` (live only): the primary site, typed, and a second factor, unless it was proved within
    the last 5 minutes."""

    reason = Text(required=False, default="")
    site_code = Text(required=False, default="", max_length=40)
    code = Text(required=False, default="", max_length=40)


class ExtensionBody(Body):
    ends_at = Moment(help_text="after the present end, within 7 days of the test's approval")
    reason = Text(required=False, default="")


class ResultBody(Body):
    result = serializers.ChoiceField(TestResult.choices)
    notes = Text(required=False, default="", help_text="wanted unless it passed without remarks")


class ReasonBody(Body):
    reason = Text(required=False, default="")


class DecisionBody(Body):
    """`version` is the ticket's, as it was read before deciding. `code` is a second factor, wanted unless it was
    proved within the last 5 minutes."""

    version = Text(max_length=60)
    reason = Text(required=False, default="")
    code = Text(required=False, default="", max_length=40)


class TicketPages(PagesByNumber):
    state = serializers.ChoiceField(TICKET.choices(), required=False)
    kind = serializers.ChoiceField(Kind.choices, required=False)


def ticket_row(ticket: Ticket, lines: Lines) -> dict[str, Any]:
    return {
        "number": ticket.number,
        "kind": ticket.kind,
        "about": ticket.about.number if ticket.about else None,
        "state": ticket.state,
        "word": ticket_word(ticket, lines).word,
        "version": version_of(ticket),
        "source_site": ticket.source,
        "target_site": ticket.target,
        "vm_count": ticket.vm_count,
        "counts": {state: n for state, n in lines.counts.items() if n},
        "confirmed": lines.confirmed,
        "point_at": ticket.point_at,
        "ends_at": ticket.ends_at,
        "reason": ticket.reason,
        "requested_by": ticket.requested_by.name,
        "requested_at": ticket.requested_at,
        "filed_by": ticket.filed_by.name if ticket.filed_by else None,
        "reminders": ticket.reminders,
        "decided_by": ticket.decided_by.name if ticket.decided_by else None,
        "decided_at": ticket.decided_at,
        "decision_reason": ticket.decision_reason,
        "result": ticket.result,
        "result_notes": ticket.result_notes,
        "result_by": ticket.result_by.name if ticket.result_by else None,
        "result_at": ticket.result_at,
    }


LINE = (
    "uuid",
    "vm__uuid",
    "vm__name",
    "kind",
    "state",
    "state_since",
    "source",
    "target",
    "mode",
    "fenced",
    "running_at",
    "ends_at",
    "confirmed_at",
    "confirmed_by__name",
    "step",
    "percent",
    "waiting_on",
    "last_error",
    "next_step_at",
    "launch__point_at",
    "launch__loss_seconds",
    "launch__address",
)


def line_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name, value in row.items() if "__" not in name and name not in RENAMED},
        "source_site": row["source"],
        "target_site": row["target"],
        "vm": {"uuid": row["vm__uuid"], "name": row["vm__name"]},
        "word": FAILOVER.states[row["state"]].word,
        "since": row["state_since"],
        "recovered_to": row["launch__point_at"],
        "loss_seconds": row["launch__loss_seconds"],
        "address": row["launch__address"],
        "confirmed_by": row["confirmed_by__name"],
    }
