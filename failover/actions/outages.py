"""What people are told of outages: whoever may decide is told first, and what is asked of him; nothing moves by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.text import get_text_list

from accounts.models import Permission
from failover.actions.endings import ending_of
from failover.actions.requests import listed_names
from failover.lifecycle import SHOWN
from failover.models import Kind, Ticket
from inventory.actions import at_sites
from inventory.models import Site
from notices.tasks import Happened, Letter, Member, declare, register
from notices.tasks import Kind as Sort

OUTAGE = Sort(
    "outage", "Outages", "A site is down, what is known of it, and that it is over",
    permission=Permission.READ_REPLICATION, always="listed",
    why="You may request failovers, so you hear of every outage.",
)  # fmt: skip
AFTER_THEM = timedelta(minutes=1)


def begin() -> None:
    declare(OUTAGE)
    register("outage.declared", lambda event: _letters(event, "declared"))
    register("outage.updated", lambda event: _letters(event, "updated"))
    register("outage.over", over)


def _letters(event: Happened, what: str) -> Iterator[Letter]:
    """Each account's own row; the one in the installation's log is for nobody here."""
    if event.account_id is None:
        return
    words = _words(event) | {"what": what}
    decide = f"{reverse('failover-new', args=[event.account_slug])}?kind=live&site={event.facts['site']}"
    page = reverse("outage", args=[event.account_slug, event.about])
    yield _letter(
        words | {"decides": bool(words["free"])}, lambda member: member.listed, decide if words["free"] else page
    )
    yield _letter(words, lambda member: not member.listed, page, AFTER_THEM)


def over(event: Happened) -> Iterator[Letter]:
    """What was failed over goes on running: who may end it is told so, with the way to it."""
    if event.account_id is None:
        return
    running = _running(event.account_id, event.facts["site"])
    asked = sorted({ending for *_, ending in running if ending})
    words = _words(event) | {
        "what": "over", "over_at": datetime.fromisoformat(event.facts["over_at"]),
        "still": sum(n for _, _, n, _ in running), "there": _listed({to for _, to, _, _ in running}),
        "numbers": _listed({number for number, *_ in running}), "asked": asked,
        "unasked": [number for number, *_, ending in running if not ending],
    }  # fmt: skip
    page = reverse("outage", args=[event.account_slug, event.about])
    yield _letter(words, lambda member: member.listed, _way_back(event, words) if len(running) == 1 else page)
    yield _letter(words, lambda member: not member.listed, page, AFTER_THEM)


def _way_back(event: Happened, words: dict[str, Any]) -> str:
    """Of what runs by one ticket: to the request of its termination, or to where that stands."""
    if words["asked"]:
        return reverse("failover", args=[event.account_slug, words["asked"][0]])
    return reverse("failover-terminate", args=[event.account_slug, words["unasked"][0]])


def _letter(words: dict[str, Any], to: Callable[[Member], bool], path: str, pause: timedelta = timedelta()) -> Letter:
    return Letter(OUTAGE.name, "outage", to=to, words=words, path=path, pause=pause)


def _words(event: Happened) -> dict[str, Any]:
    """The numbers are those of the record; how many wait for a decision is counted now."""
    facts, code = event.facts, event.facts["site"]
    city = Site.objects.values_list("city", flat=True).get(code=code)
    groups = {
        "on it": facts["on_it"], "running there in a failover": facts["running_there"],
        "protected towards it": facts["protected_towards"],
    }  # fmt: skip
    said = [f"{n} {words}" for words, n in groups.items() if n]
    return {
        "site": f"{city} ({code})", "title": facts["title"], "began": datetime.fromisoformat(facts["started_at"]),
        "affected": sum(groups.values()), "elsewhere": facts["elsewhere"],
        "free": at_sites(event.account_id or 0, {code})[code][1], "names": listed_names(event.account_id or 0),
        "groups": get_text_list(said, "and"),
    }  # fmt: skip


def _running(account_id: int, code: str) -> list[tuple[str, str, int, str]]:
    """Live failovers out of the site: number, where it runs, how many of its VMs, and the request that ends it."""
    live = Ticket.objects.filter(account=account_id, kind=Kind.LIVE, source=code, lines__state__in=SHOWN)
    counted = live.order_by("pk").annotate(n=Count("lines"), ending=Coalesce(_ending(), Value("")))
    return list(counted.values_list("number", "target", "n", "ending"))


def _ending() -> Subquery:
    return Subquery(ending_of(OuterRef("pk")))


def _listed(words: set[str]) -> str:
    return get_text_list(sorted(words), "and")
