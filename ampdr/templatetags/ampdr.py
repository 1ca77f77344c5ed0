"""What templates say often: icons, status words, times, routes. A list of 50 rows asks for hundreds, so the fixed ones
are made once and kept. Whatever comes from people is escaped here, not by the caller.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from ampdr import clock as the_clock

register = template.Library()

NOTHING = "—"
LONG_NAME = 24


class Shown(Protocol):
    """What a pill shows: `ampdr.lifecycle.State`, or anything with its three words."""

    @property
    def word(self) -> str: ...
    @property
    def tone(self) -> str: ...
    @property
    def icon(self) -> str: ...


# ---- Icons and status ---------------------------------------------------------------------------


@register.simple_tag
@lru_cache(maxsize=256)
def icon(name: str, size: str | int = "", spin: bool = False) -> SafeString:
    """A drawing of the sprite, in the colour of the text, hidden from screen readers. `size`: 14 or 18; 16 without."""
    classes = "i" + (f" i-{size}" if size else "") + (" spin" if spin else "")
    return format_html(
        '<svg class="{}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        classes,
        static("icons.svg"),
        name,
    )


@lru_cache(maxsize=1024)
def _pill(word: str, tone: str, name: str) -> SafeString:
    return format_html('<span class="pill {}">{}{}</span>', tone, icon(name, spin=name == "loader-circle"), word)


@register.simple_tag
def pill(state: Shown, word: str = "") -> SafeString:
    """A state as icon and word in its colour. `word` stands in for the state's own ("Provisioning 64%")."""
    return _pill(word or state.word, state.tone, state.icon)


TONE_ICONS = {
    "ok": "circle-check",
    "info": "info",
    "warn": "triangle-alert",
    "bad": "octagon-alert",
    "off": "circle-dashed",
    "test": "flask-conical",
    "live": "arrow-right-left",
}
MESSAGE_TONES = {"success": "ok", "warning": "warn", "error": "bad"}


@register.filter
def tone_icon(tone: str) -> str:
    """The icon that goes with a tone where nobody chose one."""
    return TONE_ICONS.get(tone, "info")


@register.filter
def message_tone(level_tag: str) -> str:
    """Django's message levels in the portal's tones."""
    return MESSAGE_TONES.get(level_tag, "info")


@register.simple_tag
@lru_cache(maxsize=8)
def vm_icon(role: str) -> SafeString:
    """The square before a VM's name. `role`: primary, live (the yellow one) or test."""
    if role == "live":
        drawing = icon("arrow-right-left")
        return format_html('<span class="fo" role="img" aria-label="Failover virtual machine">{}</span>', drawing)
    if role == "test":
        drawing = icon("flask-conical")
        return format_html(
            '<span class="vm t" role="img" aria-label="Test failover virtual machine">{}</span>', drawing
        )
    return format_html('<span class="vm">{}</span>', icon("server"))


@register.simple_tag
@lru_cache(maxsize=256)
def route(source: object, target: object = "") -> SafeString:
    """From one site to the other, on one line. Without a target: the site alone."""
    if not target:
        return format_html('<span class="nowrap">{}</span>', source)
    return format_html(
        '<span class="nowrap">{} <span class="muted" aria-hidden="true">→</span><span class="vh"> to </span> {}</span>',
        source,
        target,
    )


@register.filter
def whole(name: object) -> SafeString:
    """A name or number that doesn't break at its hyphen; one too long for a phone's line breaks anywhere."""
    return format_html('<span class="{}">{}</span>', "id" if len(str(name)) <= LONG_NAME else "any", name)


@register.filter
def email(address: str) -> SafeString:
    """An address that breaks before its @ first, where it must."""
    name, at, host = address.rpartition("@")
    return format_html("{}<wbr>{}{}", name, at, host)


@register.filter
def unbroken(words: str) -> SafeString:
    """A text whose numbers of things (N-310) don't break at their hyphens."""
    return mark_safe(re.sub(r"\b[A-Z]+-\d+\b", r'<span class="id">\g<0></span>', conditional_escape(words)))


# ---- Times and durations ------------------------------------------------------------------------
# The markup is made of digits and of the zone's letters, nothing of a person's: hence mark_safe.


def _letters(moment: datetime) -> str:
    """The zone's letters; zones without any are called by their distance from UTC."""
    name = moment.tzname() or ""
    if not name.startswith(("+", "-")):
        return name
    return f"UTC{name[:3]}:{name[3:]}" if len(name) > 3 else f"UTC{name}"


def _attribute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _day(local: datetime, today: datetime) -> str:
    return f"{local.day} {local:%b}" if local.year == today.year else f"{local.day} {local:%b} {local.year}"


def _at(moment: datetime, seconds: bool, zone: bool) -> str:
    local, today = timezone.localtime(moment), timezone.localtime(the_clock.now())
    text = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    if local.date() != today.date():
        text = f"{_day(local, today)}, {text}"
    return f"{text} {_letters(local)}" if zone else text


def _time(moment: datetime, text: str, flag: str = "") -> SafeString:
    return mark_safe(f'<time datetime="{_attribute(moment)}"{flag}>{text}</time>')


@register.simple_tag
def when(
    moment: datetime | None, relative: bool = False, seconds: bool = False, utc: bool = False, zone: bool = True
) -> str:
    """A moment in the reader's zone: "03:09 CST", with the date in front when that isn't today.

    `relative` adds ", 3 min ago"; `seconds` shows them; `utc` adds "(09:09 UTC)" for a reader who isn't in UTC himself;
    `zone=False` leaves the letters out, for a column whose head says them.
    """
    if moment is None:
        return NOTHING
    text = _at(moment, seconds, zone)
    if utc and timezone.localtime(moment).utcoffset():
        text += f" ({moment.astimezone(UTC):%H:%M} UTC)"
    return mark_safe(_time(moment, text) + (f", {ago(moment)}" if relative else ""))


@register.simple_tag
def day(moment: datetime | None) -> str:
    """The day of a moment in the reader's zone: "16 Oct", with the year when it isn't this one."""
    if moment is None:
        return NOTHING
    return _time(moment, _day(timezone.localtime(moment), timezone.localtime(the_clock.now())))


@register.simple_tag
def ago(moment: datetime | None) -> str:
    """How long ago, or in how long: "3 min ago", "in 3 d 4 h". The script keeps it true."""
    if moment is None:
        return NOTHING
    past = the_clock.now() - moment
    text = f"in {duration(-past)}" if past < timedelta() else f"{duration(past)} ago"
    return _time(moment, text, " data-ago")


@register.simple_tag
def age(moment: datetime | None) -> str:
    """How old: "33 min". The script keeps it true."""
    return NOTHING if moment is None else _time(moment, duration(the_clock.now() - moment), " data-age")


@register.simple_tag
def clock(now: datetime) -> SafeString:
    """The clock of the top bar: the reader's zone, UTC beneath. The script reads the server's time from it."""
    local = timezone.localtime(now)
    text = f"{local:%a} {local.day} {local:%b}, {local:%H:%M} {_letters(local)}"
    return format_html(
        '<div class="clock" data-now="{}" data-zone="{}" data-letters="{}"><b>{}</b><span>{} UTC</span></div>',
        _attribute(now),
        timezone.get_current_timezone_name(),
        _letters(local),
        _time(now, text),
        _attribute(now)[11:16],
    )


@register.filter
def duration(length: timedelta | float | None) -> str:
    """As in "38 s", "33 min", "1 h 14 min", "3 d 4 h": at most two units, rounded down, never below nothing."""
    if length is None:
        return NOTHING
    total = max(0, int(length.total_seconds() if isinstance(length, timedelta) else length))
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if days:
        return _two(days, "d", hours % 24, "h")
    if hours:
        return _two(hours, "h", minutes % 60, "min")
    return f"{minutes} min" if minutes else f"{total} s"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large} {unit} {small} {small_unit}" if small else f"{large} {unit}"


@register.filter
def about(length: timedelta | float | None) -> str:
    """An estimate, no finer than it can be: minutes below two hours, hours below two days, then days."""
    if length is None:
        return NOTHING
    minutes = (length.total_seconds() if isinstance(length, timedelta) else length) / 60
    if minutes < 1:
        return "under a minute"
    if minutes < 120:
        return f"about {minutes:.0f} min"
    return f"about {minutes / 60:.0f} h" if minutes < 2880 else f"about {minutes / 1440:.0f} d"


@register.filter
def disk(gb: int | None) -> str:
    """The size of disks: "240 GB", "4.2 TB"."""
    if gb is None:
        return NOTHING
    return f"{gb} GB" if gb < 1024 else f"{gb / 1024:.1f} TB".replace(".0 ", " ")
