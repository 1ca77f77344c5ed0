"""The timeline of a ticket: done, from the record, summed up per kind of event; now; and next, as far as is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.postgres.aggregates import BoolOr
from django.db.models import BooleanField, Count, Max, Min
from django.db.models.fields.json import KeyTextTransform

from accounts.activity import name_of
from accounts.models import Activity, Permission
from ampdr import clock
from ampdr.lifecycle import Actor, State
from failover.actions import Lines
from failover.models import Kind, Ticket
from failover.screens.hints import MEANS
from failover.tasks.lines import REMINDED_BEFORE

NOUN = {
    Kind.LIVE: "a live failover",
    Kind.TEST: "a test failover",
    Kind.TERMINATE: "the termination",
    Kind.EXTEND: "the extension",
}


@dataclass(frozen=True)
class Moment:
    """One entry. `until`: of an event that came to many VMs, when it came to the last; `ahead`: not yet."""

    title: str
    text: str = ""
    tone: str = ""
    icon: str = "circle-dot"
    at: datetime | None = None
    until: datetime | None = None
    ahead: bool = False
    word: str = ""  # in place of a time: "now"
    number: str = ""  # a ticket that this leads to


def events(actor: Actor, number: str) -> list[dict[str, Any]]:
    """What happened, one row per kind of event, however many VMs it came to: the database sums them up."""
    rows = Activity.objects.visible_to(actor, Permission.READ_REPLICATION).filter(about=number)
    summed = rows.order_by().values("kind", "event").annotate(
        first=Min("at"), last=Max("at"), order=Min("id"), n=Count("subject_id", distinct=True), who=Min("actor"),
        who_else=Max("actor"), by_staff=BoolOr("staff", output_field=BooleanField()),
        why=Min("reason"), or_why=Max("reason"),
        means=Max(KeyTextTransform("second_factor", "facts")), proved_at=Max(KeyTextTransform("proved_at", "facts")),
    )  # fmt: skip
    return [dict(one) for one in summed.order_by("order")]


class Proof(NamedTuple):
    """A second factor that was proved for a step: by which means, and when."""

    means: str
    at: datetime


def proofs(found: list[dict[str, Any]]) -> dict[str, Proof]:
    """Of the request and of the decision, by event."""
    proved = [one for one in found if one["kind"] == "ticket" and one["means"] and one["proved_at"]]
    return {
        one["event"]: Proof(MEANS.get(one["means"], ""), datetime.fromisoformat(one["proved_at"])) for one in proved
    }


def past(ticket: Ticket, found: list[dict[str, Any]], asked: list[Ticket], runs: bool) -> list[Moment]:
    """What is done, in order of time, the requests about it among them. `runs`: something of it does now."""
    done = [moment for one in found if (moment := _moment(ticket, one, runs))]
    done += [_asked_of_it(one) for one in asked]
    return sorted(done, key=lambda moment: moment.at.timestamp() if moment.at else 0)


def _moment(ticket: Ticket, one: dict[str, Any], runs: bool) -> Moment | None:
    who = name_of(one["who"], one["by_staff"]) if one["who"] == one["who_else"] else "Several people"
    if one["kind"] == "ticket":
        return _decision(ticket, one, who)
    dressed = _WORDS.get(one["event"])
    if dressed is None or (one["event"] == "drop" and ticket.state != "approved"):  # the decision says it
        return None
    tone, icon, words = dressed
    tone = _tone_of_running(ticket, runs) if tone == "running" else tone
    text = _how_many(one["n"], ticket.vm_count)
    if one["why"] == one["or_why"] and one["why"] and one["event"] in _REASONED:
        text = f"{text} {one['why']}".strip()
    originals = _one_or(ticket, "original in {} is", "originals in {} are").format(ticket.source)
    title = words.format(who=who, source=ticket.source, target=ticket.target, originals=originals)
    return Moment(title, text, tone, icon, one["first"], _until(one))


def _tone_of_running(ticket: Ticket, runs: bool) -> str:
    """Yellow is for a live failover that runs, and not for one that ran."""
    if not runs:
        return "off"
    return "live" if ticket.kind == Kind.LIVE else "test"


def _one_or(ticket: Ticket, one: str, many: str) -> str:
    return one if ticket.vm_count == 1 else many


def _how_many(n: int, of: int) -> str:
    if of == 1:
        return ""
    return f"All {of:,} VMs." if n == of else f"{n:,} of {of:,} VMs."


def _until(one: dict[str, Any]) -> datetime | None:
    last: datetime = one["last"]
    return last if (last - one["first"]).total_seconds() >= 60 else None


def _decision(ticket: Ticket, one: dict[str, Any], who: str) -> Moment | None:
    quoted = f"Reason: “{one['why']}”" if one["why"] else ""
    about = f" of {ticket.about.number}" if ticket.about else ""
    titles = {
        "request": (
            f"{who} {_requested(ticket)}{about}",
            "info",
            "user-check",
        ),
        "approve": (f"{who} approved it", "ok", "circle-check"),
        "reject": (f"{who} rejected it", "bad", "ban"),
        "withdraw": (f"{who} withdrew the request", "off", "circle-x"),
        "lapse": ("The request lapsed", "off", "circle-x"),
        "result": (f"{who} told how it went: {ticket.get_result_display()}", *_RESULT.get(ticket.result, _RESULT[""])),
    }
    if one["event"] not in titles:
        return None
    title, tone, icon = titles[one["event"]]
    if one["event"] == "result":
        return Moment(title, ticket.result_notes, tone, icon, one["last"])
    text = f"{one['why']}." if one["event"] == "lapse" and one["why"] else quoted
    return Moment(title, text, tone, icon, one["first"])


_RESULT = {
    "passed": ("ok", "circle-check"), "remarks": ("info", "info"), "failed": ("bad", "octagon-alert"),
    "": ("off", "flask-conical"),
}  # fmt: skip


def _requested(ticket: Ticket) -> str:
    noun = NOUN[Kind(ticket.kind)]
    return f"filed {noun} for {ticket.requested_by.name}" if ticket.filed_by else f"requested {noun}"


def _asked_of_it(one: Ticket) -> Moment:
    reason = f"Reason: “{one.reason}”" if one.reason else ""
    icon = "log-out" if one.kind == Kind.TERMINATE else "calendar-clock"
    title = f"{one.requested_by.name} requested {NOUN[Kind(one.kind)]}"
    return Moment(title, reason, "info", icon, one.requested_at, number=one.number)


_WORDS: dict[str, tuple[str, str, str]] = {
    "start": ("info", "loader-circle", "Starting"),
    "source_silent": ("warn", "unplug", "{source} doesn't answer: it goes on unplanned"),
    "fenced": ("info", "lock", "The {originals} stopped and barred from starting"),
    "run": ("running", "arrow-right-left", "Running in {target}"),
    "fail_start": ("bad", "octagon-alert", "Start failed"),
    "retry_start": ("info", "rotate-ccw", "Support tries the start again"),
    "give_up": ("warn", "circle-x", "{who} gave the start up: what was made is removed"),
    "undone": ("off", "circle-x", "Given up, nothing of it is left"),
    "drop": ("off", "circle-x", "Dropped"),
    "confirmed": ("ok", "check", "{who} confirmed that it works"),
    "terminate": ("info", "log-out", "Terminating"),
    "fail_termination": ("bad", "octagon-alert", "Termination failed"),
    "retry_termination": ("info", "rotate-ccw", "The termination is tried again"),
    "end": ("off", "circle-x", "Terminated"),
    "extended": ("info", "calendar-clock", "The end date was moved"),
    "ends_soon": ("info", "bell", "Reminder that the test ends soon"),
    "two_places": ("bad", "octagon-alert", "Running in two places: Support is alarmed"),
    "outcome_unknown": ("warn", "triangle-alert", "Outcome unknown: Support looks into it"),
    "set_going": ("info", "rotate-ccw", "Support set it going again"),
    "settled": ("info", "check", "Support settled what the provider could not tell"),
}
_REASONED = ("fail_start", "fail_termination", "terminate", "give_up")


# ---- Now and next ----------------------------------------------------------------------------------------------------


def coming(ticket: Ticket, lines: Lines, word: State, ending: Ticket | None) -> Iterator[Moment]:
    """From what waits now to the end, as far as anybody can know it. `ending`: its termination, while that waits."""
    if ticket.state == "waiting":
        text = "One approval is needed, by another person than who requested it."
        yield Moment("Waiting for approval by Support", text, "warn", "clock", word="now")
    if ticket.state not in ("waiting", "approved"):
        return
    if ticket.kind == Kind.TERMINATE:
        yield from _end_of_termination(ticket, lines, word)
    elif ticket.kind == Kind.EXTEND:
        yield Moment("The test ends by itself", icon="log-out", at=ticket.ends_at, ahead=True)
    elif word.name in ("waiting", "failing_over"):
        yield from _from_the_start(ticket, lines)
    elif word.name in ("running", "confirmed", "failed", "terminating"):
        yield from _from_running(ticket, lines, word, ending)


def _from_the_start(ticket: Ticket, lines: Lines) -> Iterator[Moment]:
    if ticket.state == "waiting":
        yield Moment("Starting", _one_or(ticket, *_AT_START[Kind(ticket.kind)]), icon="arrow-right-left", ahead=True)
    yield Moment(f"Running in {ticket.target}", icon="circle-check", ahead=True)
    if ticket.kind == Kind.LIVE:
        yield Moment("You confirm that it works", "Connect over SSL/VPN and press Confirm.", icon="check", ahead=True)
    yield from _the_end(ticket, lines, None)


_AT_START = {
    Kind.LIVE: (
        "As soon as it is approved. The original leaves the list; the failover VM takes its name.",
        "As soon as it is approved. The originals leave the list; the failover VMs take their names.",
    ),
    Kind.TEST: (
        "As soon as it is approved. The original stays untouched.",
        "As soon as it is approved. The originals stay untouched.",
    ),
}


def _from_running(ticket: Ticket, lines: Lines, word: State, ending: Ticket | None) -> Iterator[Moment]:
    if word.name == "running" and ticket.kind == Kind.LIVE and not ending:
        yield Moment("You confirm that it works", icon="check", ahead=True, word="now")
    if lines.any("start_failed", "termination_failed"):
        yield Moment("Support tries again, or gives it up", icon="life-buoy", ahead=True, word="now")
    if lines.shown:
        yield from _the_end(ticket, lines, ending)


def _the_end(ticket: Ticket, lines: Lines, ending: Ticket | None) -> Iterator[Moment]:
    if lines.counts["terminating"] and not lines.any("running"):
        yield Moment("Terminated", _one_or(ticket, *_DELETED), icon="log-out", ahead=True)
        return
    if ending:
        text = f"{ending.number} waits for Support. Changes made in {ticket.target} are not copied back."
        yield Moment("Terminated once approved", text, icon="log-out", ahead=True)
    elif ticket.kind != Kind.TEST:
        text = f"When you request it and Support approves. Changes made in {ticket.target} are not copied back."
        yield Moment("Terminated", text, icon="log-out", ahead=True)
    if ticket.kind != Kind.TEST:
        return
    ends_at = lines.ends_at or ticket.ends_at
    if ends_at and clock.now() < ends_at - REMINDED_BEFORE:
        text = "To the authorized users, 24 hours before."
        yield Moment("Reminder", text, icon="bell", at=ends_at - REMINDED_BEFORE, ahead=True)
    text = _one_or(ticket, "The test VM is removed.", "The test VMs are removed.")
    yield Moment("Terminated by its end date", text, icon="log-out", at=ends_at, ahead=True)


def _end_of_termination(ticket: Ticket, lines: Lines, word: State) -> Iterator[Moment]:
    if word.name == "terminated":
        yield Moment("Terminated", "", "off", "circle-x", lines.ended_at)
        return
    yield Moment("Terminated", _one_or(ticket, *_DELETED), icon="log-out", ahead=True)


_DELETED = ("The failover VM is stopped and deleted.", "The failover VMs are stopped and deleted.")
