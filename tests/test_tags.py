"""The words of templates: icons, status words, times, routes."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template
from django.utils import timezone

from ampdr import clock
from ampdr.lifecycle import State
from ampdr.templatetags import ampdr as tags

NOW = datetime(2026, 11, 22, 9, 12, 4, tzinfo=UTC)
STATIC = Path(__file__).parent.parent / "static"
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(autouse=True)
def at_night_in_chicago(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    with timezone.override(ZoneInfo("America/Chicago")):
        yield


def said(source: str, **context: object) -> str:
    return Template("{% load ampdr %}" + source).render(Context(context))


def words(source: str, **context: object) -> str:
    return re.sub(r"<[^>]+>", "", said(source, **context))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (38.9, "38 s"),
        (60, "1 min"),
        (33 * 60 + 59, "33 min"),
        (3600, "1 h"),
        (3600 + 14 * 60, "1 h 14 min"),
        (86400 + 59 * 60, "1 d"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert tags.duration(seconds) == text
    assert tags.duration(timedelta(seconds=seconds)) == text


def test_nothing_is_a_dash() -> None:
    assert said("{{ x|duration }}{{ x|about }}{% when x %}{% day x %}{% ago x %}{% age x %}", x=None) == "—" * 6


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0.5, "under a minute"), (33, "about 33 min"), (5 * 60 + 10, "about 5 h"), (49 * 60, "about 2 d")],
)
def test_about(minutes: float, text: str) -> None:
    assert tags.about(timedelta(minutes=minutes)) == text


def test_time_shows_the_readers_zone_and_keeps_utc() -> None:
    moment = NOW - timedelta(minutes=3)
    assert said("{% when m %}", m=moment) == '<time datetime="2026-11-22T09:09:04Z">03:09 CST</time>'
    with timezone.override(ZoneInfo("Asia/Kathmandu")):
        assert said("{% when m %}", m=moment) == '<time datetime="2026-11-22T09:09:04Z">14:54 UTC+05:45</time>'
    with timezone.override(UTC):
        assert words("{% when m %}", m=moment) == "09:09 UTC"


def test_time_with_a_date_only_when_it_is_not_today() -> None:
    assert words("{% when m %}", m=datetime(2026, 11, 22, 6, 0, tzinfo=UTC)) == "00:00 CST"
    assert words("{% when m %}", m=datetime(2026, 11, 22, 5, 59, tzinfo=UTC)) == "21 Nov, 23:59 CST"
    assert words("{% when m %}", m=datetime(2025, 7, 1, 12, 0, tzinfo=UTC)) == "1 Jul 2025, 07:00 CDT"
    assert words("{% day m %}", m=datetime(2026, 10, 16, 12, 0, tzinfo=UTC)) == "16 Oct"
    assert words("{% day m %}", m=datetime(2025, 10, 16, 12, 0, tzinfo=UTC)) == "16 Oct 2025"


def test_time_options() -> None:
    moment = NOW - timedelta(minutes=3)
    assert words("{% when m relative=True %}", m=moment) == "03:09 CST, 3 min ago"
    assert words("{% when m seconds=True zone=False %}", m=moment) == "03:09:04"
    assert words("{% when m utc=True %}", m=moment) == "03:09 CST (09:09 UTC)"


def test_relative_times_are_marked_for_the_script() -> None:
    past, future = NOW - timedelta(minutes=33), NOW + timedelta(days=3, hours=4)
    assert said("{% ago m %}", m=past) == '<time datetime="2026-11-22T08:39:04Z" data-ago>33 min ago</time>'
    assert said("{% age m %}", m=past) == '<time datetime="2026-11-22T08:39:04Z" data-age>33 min</time>'
    assert words("{% ago m %}", m=future) == "in 3 d 4 h"


def test_clock() -> None:
    drawn = said("{% clock m %}", m=NOW)
    assert 'data-now="2026-11-22T09:12:04Z" data-zone="America/Chicago" data-letters="CST"' in drawn
    assert words("{% clock m %}", m=NOW) == "Sun 22 Nov, 03:12 CST09:12 UTC"


def test_pill_has_icon_and_word() -> None:
    drawn = said("{% pill s %}", s=State("running", "Live failover", "live", "arrow-right-left"))
    assert drawn.startswith('<span class="pill live"><svg class="i" aria-hidden="true"')
    assert drawn.endswith('icons.svg#arrow-right-left"/></svg>Live failover</span>')


def test_pill_spins_only_while_something_moves() -> None:
    moving = State("provisioning", "Provisioning", "info", "loader-circle")
    assert 'class="i spin"' in said("{% pill s '64%' %}", s=moving)
    assert words("{% pill s 'Provisioning 64%' %}", s=moving) == "Provisioning 64%"
    assert "spin" not in said("{% pill s %}", s=State("protected", "Protected", "ok", "circle-check"))


def test_only_a_live_failover_has_the_yellow_icon() -> None:
    assert '<span class="fo" role="img" aria-label="Failover virtual machine">' in said("{% vm_icon 'live' %}")
    assert 'class="fo"' not in said("{% vm_icon 'test' %}{% vm_icon 'primary' %}")


def test_route_and_names_stay_on_one_line() -> None:
    assert words("{% route 'DFW01' 'PHX01' %}") == "DFW01 → to  PHX01"
    assert said("{% route 'PHX01' '' %}") == '<span class="nowrap">PHX01</span>'
    assert said("{{ 'web-01'|whole }}") == '<span class="id">web-01</span>'
    assert 'class="any"' in said("{{ n|whole }}", n="a-name-of-" + "x" * 60)


@pytest.mark.parametrize(
    "source",
    [
        "{{ x|whole }}",
        "{% route x x %}",
        "{% pill s x %}",
        "{% pill s %}",
        "{% icon x %}",
        "{% vm_icon x %}",
        "{% include 'parts/note.html' with tone='bad' title=x text=x href=x link=x %}",
        "{% include 'parts/empty.html' with title=x text=x href=x action=x %}",
        "{% include 'parts/pager.html' with previous=x next=x text=x %}",
        "{% include 'parts/crumbs.html' with href=x label=x number=x here=x number_href=x %}",
        "{% include 'parts/broken.html' with what=x href=x reference=x %}",
    ],
)
def test_hostile_words_are_escaped(source: str) -> None:
    drawn = said(source, x=HOSTILE, s=State(HOSTILE, HOSTILE, HOSTILE, HOSTILE))
    assert "<img" not in drawn
    assert 'onerror="' not in drawn


def test_every_icon_that_templates_name_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text()))
    templates = STATIC.parent / "templates"
    named = {name for page in templates.rglob("*.html") for name in re.findall(r'{% icon "([^"]+)"', page.read_text())}
    assert named
    assert not named - sprite
    assert not set(tags.TONE_ICONS.values()) - sprite


def test_numbers_of_things_dont_break_at_their_hyphens() -> None:
    words = said("{{ words|unbroken }}", words=f"Outage N-310 of {HOSTILE}")
    assert words.startswith('Outage <span class="id">N-310</span> of &lt;img') and "<img" not in words
