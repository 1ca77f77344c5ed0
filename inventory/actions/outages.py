"""Outages: declared, kept up to date and closed by Support. They tell, and move nothing (product rule 9).

Each verb writes down one row of Activity for every account that the outage is about, with its numbers at that moment,
and one in the installation's log. An account's row is of `OutageTold`, not of the outage: so it finds its account and
the outage's number by the same roads as any other row, all of them are one INSERT, and who was told is known when the
outage is over. Like everything with an N-number they are left out for whoever lacks Read Server Replication (rule 4).
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import F

from accounts.models import forbid_customer
from ampdr import clock
from ampdr.errors import Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes
from ampdr.numbers import next_number
from inventory.actions.affected import Counts, affected
from inventory.models import Outage, OutageTold, OutageUpdate, Site
from notices.actions import text_of, title_of

LOOK_AGAIN = "Please correct what is marked."
LONGEST_TITLE, LONGEST = 120, 2000
SLACK = timedelta(minutes=5)  # so much may a clock be ahead of ours


def declare(actor: Actor, site: Site, title: str, text: str, started_at: datetime, key: str) -> Outage:
    """A site is down since then. Support's verb; the same key gets the same outage.

    Raises Forbidden, Invalid (title, text, started_at), and Conflict (`outage_open`, naming the one of this site).
    """
    forbid_customer(actor)
    _refuse(faults_of(title, text, started_at))
    said, name = text_of(text, LONGEST)[0], title_of(title, LONGEST_TITLE)[0]
    try:
        with changes(actor, said) as change:
            if made := _made_with(key):
                return made
            outage = Outage.objects.create(
                number=next_number("N"), site=site, title=name, started_at=started_at, declared_by_id=actor.person_id
            )
            _tell(change, outage, said, key, "declared")
    except IntegrityError as race:
        return _made_with(key) or _refuse_second(site, race)
    return outage


def update(actor: Actor, outage: Outage, text: str, key: str) -> None:
    """What is known now. Support's verb; the same key writes it once.

    Raises Forbidden, Invalid (text), and Conflict (`outage_over`), saying since when and who closed it.
    """
    forbid_customer(actor)
    said, wrong = text_of(text, LONGEST)
    _refuse({"text": wrong})
    with changes(actor, said) as change:
        now = _locked(outage)
        if not _made_with(key):
            _refuse_over(now)
            _tell(change, now, said, key, "updated")


def close(actor: Actor, outage: Outage, text: str, over_at: datetime, key: str) -> None:
    """It is over since then. What runs elsewhere goes on running: nothing ends by itself. The same key closes once.

    Raises Forbidden, Invalid (text, over_at), and Conflict (`outage_over`), saying since when and who closed it.
    """
    forbid_customer(actor)
    said, wrong = text_of(text, LONGEST)
    early = f"It began at {outage.started_at:%Y-%m-%d %H:%M} UTC." if over_at < outage.started_at else ""
    _refuse({"text": wrong, "over_at": early or _not_ahead(over_at)})
    with changes(actor, said) as change:
        now = _locked(outage)
        if not _made_with(key):
            _refuse_over(now)
            now.over_at = over_at
            now.save(update_fields=["over_at"])
            _tell(change, now, said, key, "over")


# ---- Telling ---------------------------------------------------------------------------------------------------------


def _tell(change: Change, outage: Outage, text: str, key: str, event: str) -> None:
    """The words, and who is told them: whom it is about now, and whoever was told before."""
    OutageUpdate.objects.create(outage=outage, at=change.at, by_id=change.actor.person_id, text=text, key=_key(key))
    before = OutageTold.objects.filter(outage=outage)
    known = set(before.values_list("account_id", flat=True))
    found = dict.fromkeys(known, Counts()) | affected(outage.site)
    for one in known if outage.over_at else found.keys() - known:
        change.tally(one, "outages", -1 if outage.over_at else 1)
    rows = [OutageTold(outage=outage, account_id=one, at=change.at, **n._asdict()) for one, n in found.items()]
    OutageTold.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["outage", "account"], update_fields=["at", *Counts._fields]
    )
    times = {"started_at": outage.started_at, "over_at": outage.over_at}
    facts: dict[str, Any] = {"site": outage.site.code, "title": outage.title}
    facts |= {name: moment.isoformat() for name, moment in times.items() if moment}
    change.note(before, f"outage.{event}", **facts | {name: F(name) for name in Counts._fields})
    change.note(Outage.objects.filter(pk=outage.pk), f"outage.{event}", **facts, accounts=len(rows))


def _locked(outage: Outage) -> Outage:
    return Outage.objects.select_related("site").select_for_update(no_key=True, of=("self",)).get(pk=outage.pk)


def _made_with(key: str) -> Outage | None:
    """The outage of which something was said with this key before."""
    return Outage.objects.filter(updates__key=_key(key)).first()


def _key(key: str) -> uuid.UUID:
    try:
        return uuid.UUID(key)
    except ValueError:
        raise Invalid("Send the form once more.", code="idempotency_key_missing") from None


# ---- What is refused -------------------------------------------------------------------------------------------------


def _refuse_second(site: Site, race: IntegrityError) -> Outage:
    there = Outage.objects.filter(site=site, over_at=None).first()
    if there is None:
        raise race
    raise Conflict(
        f"{there.number} of {site.city} ({site.code}) is open since {there.started_at:%Y-%m-%d %H:%M} UTC. "
        "Add an update to it: nothing was declared.",
        code="outage_open", title="This site has an open outage", number=there.number,
    ) from race  # fmt: skip


def _refuse_over(outage: Outage) -> None:
    if outage.over_at is None:
        return
    last = outage.updates.select_related("by").order_by("-pk")[0]
    who = last.by.name if last.by else "AMPDR"
    raise Conflict(
        f"{who} closed {outage.number} at {last.at:%Y-%m-%d %H:%M} UTC: it was over at {outage.over_at:%H:%M} UTC. "
        "Look again: nothing was said.",
        code="outage_over", title="This outage is over", who=who, since=last.at,
    )  # fmt: skip


def faults_of(title: str, text: str, started_at: datetime | None) -> dict[str, str]:
    """What is wrong with a new one, by field."""
    found = {
        "title": title_of(title, LONGEST_TITLE)[1], "text": text_of(text, LONGEST)[1],
        "started_at": _not_ahead(started_at) if started_at else "",
    }  # fmt: skip
    return {name: words for name, words in found.items() if words}


def _refuse(wrong: dict[str, str]) -> None:
    if fields := {name: [words] for name, words in wrong.items() if words}:
        raise Invalid(LOOK_AGAIN, fields=fields)


def _not_ahead(moment: datetime) -> str:
    return "" if moment <= clock.now() + SLACK else "This lies ahead. Take a time that has passed."
