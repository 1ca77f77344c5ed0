"""What the buttons of a ticket's page do: one verb each, of the ticket, of one of its VMs, or of all that need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, F, Q, QuerySet, Sum
from django.http import QueryDict

from ampdr.errors import Absent, Invalid
from ampdr.lifecycle import Actor
from failover.actions import approve, give_up, reject, retry, settle
from failover.actions.settling import said_of
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


# Which of the lines that wait for Support a button of a whole set is for.
OF_SET: dict[str, Q] = {
    "settle": Q(flag=UNKNOWN),
    "retry": ~Q(flag=UNKNOWN) & (Q(state__in=FAILURES) | ~Q(verb="")),
    "give_up": Q(state="start_failed"),
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
    """What can be done with several lines at once, counted in one statement; a single one has its own buttons."""
    wanted: dict[str, Any] = {}
    if ticket.state == "waiting" and not ticket.of_others:
        return {}  # nothing of it was ever tried
    for name, fits in OF_SET.items():
        tries = F("generation") + F("fence_generation")
        wanted[f"{name}_n"] = Count("pk", filter=fits)
        wanted[f"{name}_tries"] = Sum(tries, filter=fits, default=0)
        wanted[f"{name}_verbs"] = ArrayAgg("verb", filter=fits, distinct=True, default=[])
    found = _halted(ticket).order_by().aggregate(**wanted)
    sets = {name: (found[f"{name}_n"], found[f"{name}_tries"], found[f"{name}_verbs"]) for name in OF_SET}
    return {name: Set(one[0], said_of(*one)) for name, one in sets.items() if one[0] > 1}


def _halted(ticket: Ticket) -> QuerySet[Failover]:
    return vms_of(ticket).filter(waiting_on="support").order_by("pk")


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
        those = _halted(ticket).filter(OF_SET[what.removesuffix("_done").removesuffix("_not")])
        return list(those.select_related("vm").only("pk", "vm__name"))
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
