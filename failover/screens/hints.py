"""What Support sees beside the checks of a ticket: to be weighed by a person, never bound by the approval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet
from django.utils.html import format_html

from accounts.models import Activity, AuthorizedUser
from ampdr import clock
from ampdr.templatetags.ampdr import duration, when
from failover.models import Failover, Kind, Ticket
from failover.screens.facts import Standing, profile_words
from failover.screens.room import room_at
from inventory.models import Outage, Site


@dataclass(frozen=True)
class Hint:
    words: str
    detail: str = ""
    warns: bool = False


Outages = dict[str, Outage]
LATELY = timedelta(days=30)
MEANS = {"totp": "Authenticator app", "recovery_codes": "Recovery code"}  # by which a second factor was proved


def open_outages(ticket: Ticket) -> Outages:
    """Site code -> its open outage, of the two sites that a ticket is about."""
    found = Outage.objects.filter(over_at=None, site__code__in=(ticket.source, ticket.target)).select_related("site")
    return {outage.site.code: outage for outage in found}


def hints(ticket: Ticket, outages: Outages, lines: QuerySet[Failover], standing: Standing | None) -> list[Hint]:
    if ticket.kind == Kind.TERMINATE:
        found = _of_termination(ticket, outages, lines)
    elif standing is None:
        found = _of_target(ticket, outages)
    else:
        found = _of_start(ticket, outages, standing)
    return [*_of_request(ticket), *found]


def changed_lately(listings: QuerySet[AuthorizedUser]) -> dict[int, datetime]:
    """Listing -> since when its number is the one that it is, if that is new: whoever calls back may reach another."""
    since = clock.now() - LATELY
    rows = Activity.objects.filter(
        kind="authorized", event="changed", at__gt=since, subject_id__in=listings.values("pk")
    )
    changed = rows.exclude(facts__before=F("facts__phone")).order_by("pk").values_list("subject_id", "at")
    return dict(listings.filter(added_at__gt=since).values_list("pk", "added_at")) | dict(changed)


def _of_request(ticket: Ticket) -> Iterator[Hint]:
    """By which means the person who sent it was sure to be himself."""
    if ticket.filed_by:
        yield Hint(f"Filed by phone by {ticket.filed_by.name}", f"called back at {ticket.called_back}")
        mine = AuthorizedUser.objects.filter(account=ticket.account_id, person=ticket.requested_by_id)
        for since in changed_lately(mine).values():
            yield Hint("The number on the list is new", format_html("since {}", when(since)), warns=True)
    facts: dict[str, Any] = getattr(ticket, "proof", None) or {}
    if facts.get("second_factor") and facts.get("proved_at"):
        whose, means = ticket.filed_by or ticket.requested_by, MEANS.get(facts["second_factor"], "")
        at = when(datetime.fromisoformat(facts["proved_at"]))
        yield Hint(f"{whose.name}'s second factor was proved", format_html("{}, {}", means, at) if means else at)


def _of_start(ticket: Ticket, outages: Outages, standing: Standing) -> Iterator[Hint]:
    outage = outages.get(ticket.source)
    if outage:
        yield Hint(f"Outage {outage.number} open in {ticket.source}", duration(clock.now() - outage.started_at))
    elif ticket.kind == Kind.LIVE:
        yield Hint(f"No outage is declared in {ticket.source}", "", warns=True)
    yield from _of_target(ticket, outages)
    yield from _of_lines(ticket, standing)
    site = Site(code=ticket.target).recovery_environment
    if standing.with_it:
        yield Hint(f"{site} profile", profile_words(standing.with_it, standing.of))
    else:
        yield Hint(f"Nobody has the {site} profile", "SSL/VPN", warns=True)
    if (room := room_at(ticket.target)) is not None:
        yield Hint(f"Room in {site}", f"{room}% free", warns=room < 10)


def _of_target(ticket: Ticket, outages: Outages) -> Iterator[Hint]:
    if outage := outages.get(ticket.target):
        lasted = duration(clock.now() - outage.started_at)
        yield Hint(f"{ticket.target} has an outage itself, {outage.number}", lasted, warns=True)


def _of_lines(ticket: Ticket, standing: Standing) -> Iterator[Hint]:
    if n := standing.behind:
        yield Hint("RPO behind its target", f"{n:,} of {ticket.vm_count:,} VMs", warns=True)
    if ticket.kind == Kind.LIVE and (n := standing.untested):
        yield Hint("Never tested", f"{n:,} of {ticket.vm_count:,} VMs", warns=True)


def _of_termination(ticket: Ticket, outages: Outages, lines: QuerySet[Failover]) -> Iterator[Hint]:
    if ticket.about is None or ticket.about.kind != Kind.LIVE:
        return
    if outage := outages.get(ticket.source):
        yield Hint(f"{ticket.source}, where they go back to, has an open outage, {outage.number}", "", warns=True)
    if n := lines.filter(fenced="pending").count():
        yield Hint("Source not fenced yet", f"{n:,} of {ticket.vm_count:,} VMs", warns=True)
