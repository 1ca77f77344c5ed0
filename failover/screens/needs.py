"""What needs the reader, the most urgent first, each with one action; five of them are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.models import Head, Permission
from ampdr import clock
from ampdr.lifecycle import Actor
from ampdr.templatetags.ampdr import age, day, duration, whole
from failover.models import Kind
from failover.screens.census import Census
from failover.screens.examples import FAILED, Example
from failover.screens.row import TEST_TELLS_FOR, page
from failover.screens.running import Running

AT_MOST = 5
Told = Mapping[str, Sequence[Example]]


class Need(NamedTuple):
    """`about` names what the action is about, for who hears the buttons alone."""

    icon: str
    tone: str
    title: str
    text: str | SafeString
    href: str
    action: str
    about: str = ""


class Ways(NamedTuple):
    """Where the reader may go from here: each address is empty where he would be refused."""

    vms: str
    replication: str
    order: str
    test: str
    people: str


def ways(actor: Actor) -> Ways:
    def to(name: str, allowed: bool) -> str:
        return reverse(name, args=[actor.account_slug]) if allowed else ""

    reads, sees = actor.can(Permission.READ_REPLICATION), actor.can(Permission.READ_VMS)
    return Ways(
        vms=to("vms", sees), replication=to("replication", reads),
        order=to("order-new", reads and actor.can(Permission.WRITE_REPLICATION)),
        test=to("failover-new", reads and actor.listed),
        people=to("authorized-users", actor.can(Permission.READ_IDENTITY)),
    )  # fmt: skip


def needs(actor: Actor, head: Head, counted: Census, told: Told, tickets: Sequence[Running]) -> list[Need]:
    there = ways(actor)
    return [
        *_of_tickets(actor, tickets), *_of_orders(actor, counted, told), *_behind(actor, counted, told, there),
        *_people(counted, told, there), *_results(actor, tickets), *_tests(actor, counted, told, there),
        *_unprotected(head, there),
    ]  # fmt: skip


def vms(n: int) -> str:
    return "1 VM" if n == 1 else f"{n:,} VMs"


def named(examples: Sequence[Example], n: int) -> SafeString:
    """A few names, and how many more there are."""
    words = format_html_join(", ", "{}", ((whole(one.name),) for one in examples))
    return format_html("{} and {} more", words, f"{n - len(examples):,}") if n > len(examples) else words


def _list(there: Ways, query: str) -> str:
    return f"{there.vms}{query}" if there.vms else there.replication


def _of_tickets(actor: Actor, tickets: Sequence[Running]) -> Iterator[Need]:
    ending = {one.ticket.about_id for one in tickets if one.ticket.kind == Kind.TERMINATE}
    for one in tickets:
        number, href = one.ticket.number, page("failover", actor, one.ticket.number)
        if one.unconfirmed and actor.listed and one.ticket.pk not in ending:
            text = f"Live failover of {vms(one.ticket.vm_count)} to {one.ticket.target}. Tell us once you have looked."
            title = f"{number} runs. Does it work?"
            yield Need("user-check", "info", title, text, href, "Confirm that it works", number)
        if one.failed:
            text = "Support knows, and tries again or gives it up. The reason stands on its page."
            yield Need("octagon-alert", "bad", f"{vms(one.failed)} of {number} failed", text, href, f"Open {number}")


def _of_orders(actor: Actor, counted: Census, told: Told) -> Iterator[Need]:
    asked, failed = counted.in_state("needs_input"), counted.in_state(*FAILED)
    if asked and told.get("asked"):
        one = told["asked"][0]
        title = f"{one.name} needs your answer" if asked == 1 else f"{asked:,} VMs need your answer"
        text = format_html("Support asks about {}. Until then it waits.", named(told["asked"], asked))
        action = "Answer" if actor.can(Permission.WRITE_REPLICATION) else "Open order"
        yield Need("hard-drive", "warn", title, text, page("order", actor, one.number), action, one.number)
    if failed and told.get("failed"):
        one = told["failed"][0]
        title = f"Replication of {one.name if failed == 1 else vms(failed)} failed"
        text = format_html("{}. Support knows and looks into it.", named(told["failed"], failed))
        href = page("order", actor, one.number) if one.number else page("vm", actor, one.slug)
        yield Need("octagon-alert", "bad", title, text, href, f"Open {one.number or one.name}")


def _behind(actor: Actor, counted: Census, told: Told, there: Ways) -> Iterator[Need]:
    n, some = counted.behind, told.get("behind", ())
    if not n or not some:
        return
    one = some[0]
    old = age(one.at)
    if n == 1:
        text = format_html("Its newest recovery point is {} old.", old)
        href = page("vm", actor, one.slug) if there.vms else there.replication
        yield Need(
            "triangle-alert", "warn", f"{one.name} is behind its RPO target", text, href, f"Open {one.name}",
            "RPO behind",
        )  # fmt: skip
        return
    text = format_html("{}. The oldest of their newest recovery points is {} old.", named(some, n), old)
    href = _list(there, "?only=behind")
    yield Need("triangle-alert", "warn", f"{n:,} VMs are behind their RPO target", text, href, f"Show {vms(n)}")


def _people(counted: Census, told: Told, there: Ways) -> Iterator[Need]:
    n = len(told.get("listed", ()))
    if n > 1 or not counted.copied or not there.people:
        return
    title = "Only one person may request failovers" if n else "Nobody may request failovers"
    text = "Two at least should be on Support's list, for the night when one can't be reached."
    yield Need("users", "warn", title, text, there.people, "Open Authorized users")


def _results(actor: Actor, tickets: Sequence[Running]) -> Iterator[Need]:
    for one in tickets:
        if one.wants_result and actor.listed:
            number = one.ticket.number
            text = f"Test failover of {vms(one.ticket.vm_count)} is over. Passed, with remarks, or failed?"
            href = page("failover", actor, number)
            yield Need("flask-conical", "test", f"How did {number} go?", text, href, f"Open {number}")


def _tests(actor: Actor, counted: Census, told: Told, there: Ways) -> Iterator[Need]:
    days = TEST_TELLS_FOR.days
    for kind, n in (("overdue", counted.overdue), ("never", counted.never)):
        if not n or not told.get(kind):
            continue
        have = "has" if n == 1 else "have"
        title = f"{vms(n)} {have} no test in the last {days} days" if kind == "overdue" else f"{vms(n)} never tested"
        text = format_html("{}. A test leaves {} running.", named(told[kind], n), "it" if n == 1 else "them")
        href, action = _list(there, f"?only={kind}"), f"Show {vms(n)}"
        yield Need("calendar-clock", "warn" if kind == "overdue" else "off", title, text, href, action, title)


def _unprotected(head: Head, there: Ways) -> Iterator[Need]:
    if n := head.unprotected:
        title = f"{vms(n)} {'is' if n == 1 else 'are'} not protected"
        href = there.order or _list(there, "?state=unprotected")
        action = "Order replication" if there.order else f"Show {vms(n)}"
        yield Need("circle-dashed", "off", title, "Ready up to two days after the order.", href, action)


# ---- Tests, beside ---------------------------------------------------------------------------------------------------


class Due(NamedTuple):
    """A line of the card Tests. `ends`: a test that runs; else a VM that is to be tested."""

    name: str
    href: str
    ends: bool
    sub: str | SafeString
    word: str | SafeString
    beneath: str | SafeString
    late: bool


def tests_due(actor: Actor, told: Told) -> list[Due]:
    """Tests that end first, then VMs whose last test tells no more, then those that are due soon."""
    found = [
        *(_ending(actor, one) for one in told.get("ends", ())),
        *(_due(actor, one, late=True) for one in told.get("overdue", ())),
        *(_due(actor, one, late=False) for one in told.get("due", ())),
    ]
    return found[:AT_MOST]


def _ending(actor: Actor, one: Example) -> Due:
    href = page("vm-test", actor, one.slug) if actor.can(Permission.READ_VMS) else page("failover", actor, one.number)
    left = f"in {duration(one.at - clock.now())}" if one.at else ""
    return Due(f"{one.name} - Test", href, True, f"{one.number}, ends by itself", day(one.at), left, False)


def _due(actor: Actor, one: Example, late: bool) -> Due:
    tested = one.at or clock.now()
    until = tested + TEST_TELLS_FOR
    href = page("vm", actor, one.slug) if actor.can(Permission.READ_VMS) else ""
    since = format_html("since {}", day(until)) if late else f"in {duration(until - clock.now())}"
    word = "overdue" if late else format_html("by {}", day(until))
    return Due(one.name, href, False, format_html("Last test {}", day(tested)), word, since, late)
