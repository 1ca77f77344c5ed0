"""The account's record on a page and as a file: who did what, when, to what, and why."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts.activity import name_of, reading, words
from accounts.activity.reading import WHO, Asked
from accounts.models import Activity, Permission
from accounts.views.viewer import Visit
from ampdr import clock
from ampdr.lifecycle import Actor
from ampdr.pages import cut
from ampdr.views import page_or_part, unchanged

FILTERS = ("q", "who", "what", "from", "to")
LONGEST = 120
LOOK_AGAIN = 60  # seconds after which an administrator's page looks again: a sign-in raises no account's version
# The first letters of a number -> the page of it, and what opens that page.
NUMBERS = {
    "RO": ("order", Permission.READ_REPLICATION), "FO": ("failover", Permission.READ_REPLICATION),
    "N": ("outage", Permission.READ_REPLICATION), "T": ("conversation", Permission.READ_TICKETS),
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A row as people read it. `thing` is what it happened to; `number` stands beneath a VM."""

    row: Activity
    icon: str
    done: str
    thing: str
    href: str
    number: str
    number_href: str
    source: str
    target: str
    details: str
    address: str
    utc: str  # empty for a reader who is in UTC himself


def index(request: Visit) -> HttpResponse:
    """Who did what: newest first, filtered, by itself up to date."""
    actor = request.actor
    actor.need(Permission.VIEW_ACTIVITY)
    now = str(int(clock.now().timestamp()) // LOOK_AGAIN) if reading.sees_sign_ins(actor) else ""
    if unchanged(request) and request.GET.get("at", now) == now:
        return HttpResponse(status=204)
    asked = _asked(request.GET, reading.topics(actor))
    page = cut(reading.parts(actor, filters(asked)), reading.ORDER, request.GET, down=True)
    place = {name: request.GET[name] for name in ("after", "before") if request.GET.get(name)}
    poll = _link(asked | place, version=str(request.head.version), **({"at": now} if now else {}))
    context = {
        "lines": lines(actor, page.rows), "asked": asked, "who": WHO.items(), "topics": reading.topics(actor).items(),
        "chips": _chips(asked, reading.topics(actor)), "clear": request.path, "poll": f"{request.path}{poll}",
        "previous": _link(asked, before=page.previous) if page.previous else "",
        "next": _link(asked, after=page.next) if page.next else "",
        "file": reverse("activity-csv", args=[actor.account_slug]) + (_link(asked) if asked else ""),
    }  # fmt: skip
    return page_or_part(request, "accounts/activity.html", "accounts/activity_part.html", context)


# ---- What was asked for ----------------------------------------------------------------------------------------------


def _asked(query: Mapping[str, str], topics: Mapping[str, str]) -> dict[str, str]:
    """The filters. A value that means nothing, or isn't offered to this reader, is as if not sent."""
    found = {name: query.get(name, "").replace("\0", "").strip()[:LONGEST] for name in FILTERS}
    known = {"who": WHO, "what": topics}
    found = {name: value for name, value in found.items() if value in known.get(name, (value,))}
    return {name: value for name, value in found.items() if value and (name not in ("from", "to") or _day(value))}


def _day(value: str) -> date | None:
    """A day as a browser sends it, of the years that a record can be of."""
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2200 else None


def filters(asked: Mapping[str, str]) -> Asked:
    """Days are the reader's: the first moment of one and the first after the other, in his zone."""
    since, until = _day(asked.get("from", "")), _day(asked.get("to", ""))
    return Asked(
        asked.get("q", ""), asked.get("who", ""), asked.get("what", ""),
        _midnight(since) if since else None, _midnight(until + timedelta(days=1)) if until else None,
    )  # fmt: skip


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def _link(asked: Mapping[str, str], **other: str) -> str:
    return "?" + urlencode({**asked, **other})


def _chips(asked: Mapping[str, str], topics: Mapping[str, str]) -> list[dict[str, str]]:
    said = {"q": "“{}”", "from": "From {}", "to": "To {}"}
    known = {"who": WHO, "what": topics}
    labels = {name: known[name][value] if name in known else said[name].format(value) for name, value in asked.items()}
    return [{"label": labels[one], "href": _link({n: v for n, v in asked.items() if n != one})} for one in asked]


# ---- Rows in words ---------------------------------------------------------------------------------------------------


def lines(actor: Actor, rows: Sequence[Activity]) -> list[Line]:
    slugs = reading.pages_of(actor, rows)
    vms = {key: reverse("vm", args=[actor.account_slug, slug]) for key, slug in slugs.items()}
    numbers = {number: page_of(actor, number) for number in {row.about for row in rows if row.about}}
    return [_line(row, vms, numbers) for row in rows]


def _line(row: Activity, vms: Mapping[Any, str], numbers: Mapping[str, str]) -> Line:
    thing, number = thing_of(row)
    source, target = words.way(row.kind, row.from_state, row.to_state)
    return Line(
        row=row, icon="life-buoy" if row.staff else "user-check" if row.person_id else "settings",
        done=words.done(row.kind, row.event), thing=thing, href=vms.get(row.vm, "") or numbers.get(thing, ""),
        number=number, number_href=numbers.get(number, ""), source=source, target=target,
        details=words.details(row.facts), address=words.address(row.facts, row.via), utc=_utc(row.at),
    )  # fmt: skip


def _utc(at: datetime) -> str:
    """With the day, where that is another one than the reader's."""
    local, utc = timezone.localtime(at), at.astimezone(UTC)
    if not local.utcoffset():
        return ""
    return f"{utc:%H:%M:%S} UTC" if local.date() == utc.date() else f"{utc.day} {utc:%b}, {utc:%H:%M:%S} UTC"


def thing_of(row: Activity) -> tuple[str, str]:
    """What it happened to, and the number beneath: a VM, a number alone, a person, a role."""
    if row.vm_name:
        return row.vm_name, row.about
    return row.about or words.named(row.facts) or row.subject, ""  # type: ignore[attr-defined]


def page_of(actor: Actor, number: str) -> str:
    """The address of what bears this number; empty if the reader may not open it, or it has no page."""
    name, permission = NUMBERS.get(number.partition("-")[0], ("", ""))
    if not actor.can(permission):
        return ""
    try:
        return reverse(name, args=[actor.account_slug, number])
    except NoReverseMatch:
        return ""


# ---- The file --------------------------------------------------------------------------------------------------------

COLUMNS = (
    "Time (UTC)", "Who", "What", "Display name", "Number", "From", "To", "Reason", "Details", "Address",
    "Seal", "Batch",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Echo:
    """What the csv module writes a line to: it hands the line back."""

    def write(self, line: str) -> str:
        return line


def export(request: Visit) -> StreamingHttpResponse:
    """What the filter lets through, as CSV, sent while it is read."""
    actor = request.actor
    actor.need(Permission.VIEW_ACTIVITY)
    asked = filters(_asked(request.GET, reading.topics(actor)))
    response = StreamingHttpResponse(table(actor, asked), content_type="text/csv; charset=utf-8")
    name = f"{actor.account_slug}-activity-{clock.now():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def table(actor: Actor, asked: Asked) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for row in reading.export(actor, asked):
        yield writer.writerow([harmless(cell) for cell in _cells(row)])


def _cells(row: Activity) -> Iterator[Any]:
    line = _line(row, {}, {})
    yield f"{row.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    yield from (name_of(row.actor, row.staff), line.done, row.vm_name or ("" if row.about else line.thing), row.about)
    yield from (line.source, line.target, row.reason, line.details, line.address)
    yield from (row.seal, row.batch)  # type: ignore[attr-defined]


def harmless(cell: Any) -> str:
    """As text for a spreadsheet: what would begin a formula there is led in by an apostrophe."""
    text = "" if cell is None else str(cell)
    begins = text.startswith(FORMULA) or text.lstrip().startswith(FORMULA)  # some programs trim what they read
    return f"'{text}" if begins else text
