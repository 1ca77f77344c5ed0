"""The six facts of a failover before it runs: to Support they are said as the customer's preview says them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html

from ampdr.templatetags.ampdr import duration, when
from failover.models import Kind
from failover.screens.facts import Expected, Loss


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    small: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Start:
    """What is known of it. `has`: how many of the account's SSL/VPN users have the profile, in words."""

    kind: str
    source: str
    target: str
    lost: Loss
    needed: Expected
    with_it: int
    has: str


def foreseen(start: Start, *first: Fact) -> list[Fact]:
    """Six with the `first` two, the VMs and their way."""
    isolated = "" if start.kind == Kind.LIVE else ", isolated network"
    tone = "" if start.with_it else "bad"
    return [
        *first, _point(start.lost), _lost(start),
        Fact("Expected time to running", start.needed.words, start.needed.detail),
        Fact("Access", f"{start.target}-Recovery", f"{start.has}{isolated}", tone),
    ]  # fmt: skip


def end_date(at: datetime | None) -> Fact:
    return Fact("Test ends", when(at), "by itself, on this date")


def _point(lost: Loss) -> Fact:
    if lost.age is None:
        return Fact("Recovery point", "None is known yet")
    which = "the newest at the start is used"
    if lost.chosen:
        which = format_html("each VM's last before {}", when(lost.chosen, seconds=True))
    return Fact("Recovery point", when(lost.oldest), format_html("{} old, {}", duration(lost.age), which))


def _lost(start: Start) -> Fact:
    label, lost = "Data you may lose", start.lost
    if start.kind != Kind.LIVE:
        return Fact(label, "None", f"the original{' goes' if start.needed.of == 1 else 's go'} on running")
    if lost.age is None:
        return Fact(label, "Not known", "", "bad")
    fewer = "" if lost.chosen else f", fewer if {start.source} answers at the start"
    small = format_html("changes after {}{}", when(lost.oldest), fewer)
    return Fact(label, f"Up to {duration(lost.age)}", small, "bad" if lost.behind else "")
