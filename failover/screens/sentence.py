"""The first thing that Overview says: one sentence, one more, and one button."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.urls import reverse
from django.utils.safestring import SafeString

from accounts.models import Head, Permission
from ampdr.lifecycle import Actor
from failover.models import Kind
from failover.screens.census import Census, Down
from failover.screens.examples import Example
from failover.screens.needs import Told, vms, ways
from failover.screens.row import page
from failover.screens.running import Running

ALL_NORMAL = "All sites are normal."


class Button(NamedTuple):
    """`look`: class of the style sheet: p the one thing to do, d a live failover, empty a quiet one."""

    label: str
    href: str
    look: str = ""


class Sentence(NamedTuple):
    tone: str
    icon: str
    title: str
    text: str | SafeString
    button: Button | None = None


class Part(NamedTuple):
    """One of the three groups of an outage: how many, in which colour of the bar, their names and tickets."""

    colour: str
    n: int
    word: str
    tickets: Sequence[Running] = ()


def and_list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


# ---- Calm ------------------------------------------------------------------------------------------------------------


def calm(actor: Actor, head: Head, counted: Census, told: Told, tickets: Sequence[Running]) -> Sentence:
    """Of an account none of whose sites is down, for who may read of replication."""
    if not head.all_vms:
        return nothing_yet(actor)
    if head.all_vms == head.unprotected + head.setup:
        return _first_time(actor, head)
    live = f"{vms(head.live)} {'runs' if head.live == 1 else 'run'} in live failover."
    title = f"{ALL_NORMAL} {live if head.live else 'No VM runs in live failover.'}"
    protected = f"{head.protected:,} of {vms(head.all_vms)} {'is' if head.protected == 1 else 'are'} protected."
    text = f"{protected} {_targets(counted, told)}".strip()
    return Sentence("ok", "shield-check", title, text, _way_on(actor, head, tickets))


def _targets(counted: Census, told: Told) -> str:
    """How many of those that are copied can be recovered to within their target, and which one can't."""
    of, within = counted.copied, counted.copied - counted.behind
    if not of:
        return ""
    have = "has" if 1 in (of, within) else "have"
    which = f", {told['behind'][0].name} doesn't" if counted.behind == 1 < of and told.get("behind") else ""
    copied = "replicated VM" if of == 1 else "replicated VMs"
    many = "Both" if within == of == 2 else f"All {of:,}" if within == of > 2 else f"{within:,} of {of:,}"
    return f"{many} {copied} {have} a recovery point within the RPO target{which}."


def _way_on(actor: Actor, head: Head, tickets: Sequence[Running]) -> Button | None:
    live = [one.ticket.number for one in tickets if one.role == Kind.LIVE]
    if live:
        return Button(f"Open {live[0]}", page("failover", actor, live[0]))
    if there := ways(actor).test:
        return Button("Request failover", there)
    return None


def nothing_yet(actor: Actor) -> Sentence:
    text = "They are listed here as soon as Support has connected them to this account."
    button = None
    if actor.can(Permission.WRITE_TICKETS):
        button = Button("Write to Support", reverse("ticket-new", args=[actor.account_slug]), "p")
    return Sentence("off", "server", "No virtual machines yet", text, button)


def _first_time(actor: Actor, head: Head) -> Sentence:
    if head.setup:
        title = f"Your first {vms(head.setup)} {'is' if head.setup == 1 else 'are'} being set up."
        text = "Ready up to two days after the order. You can close this page, we'll tell you."
        orders = Button("Open orders", reverse("orders", args=[actor.account_slug]), "p")
        return Sentence("info", "loader-circle", title, text, orders)
    title = f"{ALL_NORMAL} No VM is protected yet."
    text = f"Replication is ordered per VM, for one or all of your {vms(head.all_vms)}. Up to two days later they are."
    order = ways(actor).order
    return Sentence("off", "circle-dashed", title, text, Button("Order replication", order, "p") if order else None)


def without_read(head: Head, downs: Sequence[Down], sees: bool) -> Sentence:
    """For who may not know of replication: where the VMs are, and whether these sites are well."""
    if not sees:
        return Sentence("off", "lock", "Nothing of this account's servers is shown to you.", "")
    if downs:
        there = sum(down.counts.on_it for down in downs)
        text = f"{vms(there)} of this account {'is' if there == 1 else 'are'} there." if there else ""
        return Sentence("bad", "octagon-alert", _down(downs), text)
    if not head.all_vms:
        text = "They are listed here as soon as Support has connected them to this account."
        return Sentence("off", "server", "No virtual machines yet", text)
    return Sentence("ok", "shield-check", ALL_NORMAL, f"{vms(head.all_vms)} in this account.")


# ---- In an outage ----------------------------------------------------------------------------------------------------


def _down(downs: Sequence[Down]) -> str:
    return f"{and_list([down.city for down in downs])} {'is' if len(downs) == 1 else 'are'} down."


def outage(actor: Actor, downs: Sequence[Down], listed: Sequence[Example]) -> Sentence:
    """What it means and what can be decided; nothing is done by itself (rule 9)."""
    free = sum(down.free for down in downs)
    first = max(downs, key=lambda down: down.free)
    button = None
    if first.free and actor.listed:
        there = reverse("failover-new", args=[actor.account_slug])
        button = Button(f"Request live failover of {vms(first.free)}", f"{there}?kind=live&site={first.site}", "d")
    title = f"{_down(downs)} {_meaning(actor, downs, free)}"
    return Sentence("bad", "octagon-alert", title, _who_may(actor, listed), button)


def _meaning(actor: Actor, downs: Sequence[Down], free: int) -> str:
    one = free == 1
    if free and actor.listed:
        return f"{vms(free)} {'waits' if one else 'wait'} for your decision."
    if free:
        return f"{vms(free)} there {'has' if one else 'have'} no request."
    if any(down.asked or down.counts.elsewhere for down in downs):
        return "All protected VMs there run elsewhere or are in a request."
    towards = sum(down.counts.protected_towards for down in downs)
    if towards:
        return f"{vms(towards)} {'is' if towards == 1 else 'are'} copied there: the copies can't grow."
    return "None of your VMs there is protected."


def _who_may(actor: Actor, listed: Sequence[Example]) -> str:
    names = [one.name for one in listed]
    if actor.listed:
        others = [name for name in names if name != actor.name]
        also = f" {and_list(others)} {'is' if len(others) == 1 else 'are'} too." if others else ""
        return f"You are an authorized user.{also} Nothing fails over by itself."
    if not names:
        return "Nobody of this account may request failovers: call Support. Nothing fails over by itself."
    may = "1 person may" if len(names) == 1 else f"{len(names)} people may"
    return f"{may} request failovers: {and_list(names)}. Nothing fails over by itself."


class Bar(NamedTuple):
    colour: str
    x: float
    width: float


class Split(NamedTuple):
    """The protected VMs of a site that is down, in three parts, and the bar of them."""

    down: Down
    parts: list[Part]
    bars: list[Bar]
    words: str


WIDE, GAP = 380, 2


def split(down: Down, cities: dict[str, str], tickets: Sequence[Running]) -> Split:
    parts = parts_of(down, cities, tickets)
    there = [part for part in parts if part.n]
    total, room = sum(part.n for part in there), WIDE - GAP * (len(there) - 1)
    bars, x = [], 0.0
    for part in there:
        bars.append(Bar(part.colour, round(x, 1), round(room * part.n / total, 1)))
        x += room * part.n / total + GAP
    said = and_list([f"{part.n:,} {part.word}" for part in there])
    return Split(down, parts, bars, f"Of {vms(total)}: {said}")


def parts_of(down: Down, cities: dict[str, str], tickets: Sequence[Running]) -> list[Part]:
    """The protected VMs of the site: those that run elsewhere, those in a request, those that nobody asked for."""
    mine = [one for one in tickets if one.ticket.kind == Kind.LIVE and one.ticket.source == down.site]
    shown = [one for one in mine if one.role]
    asked = [one for one in mine if one.open and one.lines.counts.total() > one.lines.shown]
    there = next((cities.get(one.ticket.target, "") for one in shown), "")
    waits = all(one.ticket.state == "waiting" for one in asked)
    runs = f"run{'s' if down.counts.elsewhere == 1 else ''} {'in ' + there if there else 'elsewhere'}"
    wait = ("waits" if down.asked == 1 else "wait") + " for Support" if waits and asked else "in a request"
    return [
        Part("c-live", down.counts.elsewhere, runs, shown), Part("c-wait", down.asked, wait, asked),
        Part("c-bad", down.free, "has no request" if down.free == 1 else "have no request"),
    ]  # fmt: skip
