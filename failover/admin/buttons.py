"""What the buttons of a ticket's page do: one verb each, of the ticket, of one of its VMs, or of all that need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.http import QueryDict

from ampdr.errors import Absent, Invalid
from ampdr.lifecycle import Actor
from failover.actions import approve, give_up, reject, retry, settle, tries_of
from failover.models import Failover, Ticket
from failover.screens.approval import quick_choices, vms_of
from failover.screens.hints import open_outages
from failover.tasks.words import FAILURES

UNKNOWN = "outcome_unknown"


def is_unknown(line: Failover) -> bool:
    return line.flag == UNKNOWN


def needs_support(line: Failover) -> bool:
    """Whether a line goes on only when Support says so, and what came of it is known."""
    waits = line.state in FAILURES or bool(line.waiting_on and line.verb)
    return waits and not is_unknown(line)


# Which lines a button of a whole set is for.
OF_SET: dict[str, Callable[[Failover], bool]] = {
    "settle": is_unknown,
    "retry": needs_support,
    "give_up": lambda line: line.state == "start_failed",
}


@dataclass(frozen=True)
class Set:
    """Lines that one button is for, and what was seen of them: it travels with the button."""

    count: int
    seen: str

    @property
    def vms(self) -> str:
        return f"{self.count:,} VM{'' if self.count == 1 else 's'}"


def sets_of(ticket: Ticket) -> dict[str, Set]:
    """What can be done with several lines at once; a single one has its own buttons."""
    waiting = _halted(ticket)
    found = {name: [line for line in waiting if fits(line)] for name, fits in OF_SET.items()}
    return {name: Set(len(lines), tries_of(lines)) for name, lines in found.items() if len(lines) > 1}


def _halted(ticket: Ticket) -> list[Failover]:
    return list(vms_of(ticket).filter(waiting_on="support").order_by("pk"))


def press(actor: Actor, ticket: Ticket, data: QueryDict) -> str:
    """The verb of the button that was pressed, and what to say when it is done."""
    match data.get("decision"):
        case "approve":
            approve(actor, ticket, reason_of(ticket, data), data.get("version", ""))
            return f"{ticket.number} is approved. Workers start it now."
        case "reject":
            reject(actor, ticket, reason_of(ticket, data, "outage"), data.get("version", ""))
            return f"{ticket.number} is rejected."
        case "retry" | "give_up" | "settle_done" | "settle_not" as what:
            return press_lines(actor, ticket, what, data)
    raise Invalid("Press one of the buttons.")


def press_lines(actor: Actor, ticket: Ticket, what: str, data: QueryDict) -> str:
    """The same for the VM of the button, or for all of a set."""
    lines, seen = chosen(ticket, what, data), data.get("seen", "")
    if what == "retry":
        n, done = retry(actor, lines, seen), "tried again."
    elif what == "give_up":
        n = give_up(actor, lines, own_words(data), seen)
        done = "given up. What was made is removed, and a barred source is released."
    else:
        n = settle(actor, lines, what == "settle_done", own_words(data), seen)
        done = "settled as done." if what == "settle_done" else "settled as not done: the provider is asked anew."
    return f"{lines[0].vm.name} is {done}" if n == 1 else f"{n:,} VMs are {done}"


def chosen(ticket: Ticket, what: str, data: Mapping[str, str]) -> list[Failover]:
    """The VM of the button, or all for which it is. Raises Absent for a VM of another ticket."""
    key = data.get("line", "")
    if key == "all":
        return [line for line in _halted(ticket) if OF_SET[what.removesuffix("_done").removesuffix("_not")](line)]
    found = list(vms_of(ticket).select_related("vm").filter(pk=key)) if key.isdecimal() else []
    if not found:
        raise Absent("There is no such VM in this ticket.")
    return found


def reason_of(ticket: Ticket, data: QueryDict, unless: str = "") -> str:
    """The quick choice and the person's own words, as one text. `unless`: a quick choice that is no reason for this."""
    choice = data.get("quick", "")
    quick = quick_choices(ticket, open_outages(ticket)).get(choice, "") if choice != unless else ""
    return ": ".join(part for part in (quick, own_words(data)) if part)


def own_words(data: Mapping[str, str]) -> str:
    return data.get("reason", "").replace("\0", "").strip()
