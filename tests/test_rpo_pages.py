"""RPO on pages and in the API: the chart with its table, its words and its outages, the line in a row, all points."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from ampdr import clock
from inventory.models import VM, Outage
from replication.actions import kept_hours, last_hours, rpo_series
from replication.models import RecoveryPoint, Replication, RpoHistory
from replication.tasks.history import Gap, end_gaps, record
from tests.cast import Cast, make_vms, protect, sign_in

WEB = "/northwind/vms/web-01/"


@pytest.fixture
def web(cast: Cast, client: Client) -> VM:
    """Protected for 40 days, with a point every 4 minutes but for an hour 5 hours ago; the newest is a minute old."""
    vm = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])[0]
    protect(cast, [vm])
    now = clock.now()
    RecoveryPoint.objects.all().delete()
    Replication.objects.update(protected_at=now - timedelta(days=40), newest_point_at=now - timedelta(minutes=1))
    VM.objects.update(newest_point_at=now - timedelta(minutes=1))
    end = now.timestamp() - 60
    points = [end - 240 * n for n in range(40 * 360) if not 300 <= n * 4 < 360]
    moments = sorted(points)
    record({Replication.objects.get().pk: [Gap(*pair) for pair in itertools.pairwise(moments)]})
    sign_in(client, cast.priya)
    return vm


def look(client: Client, address: str = WEB) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return unescape(response.content.decode())


@pytest.mark.parametrize(("period", "values"), [("24h", 96), ("7d", 84), ("30d", 90)])
def test_a_series_is_the_maximum_of_each_step(web: VM, period: str, values: int) -> None:
    found = rpo_series(Replication.objects.get(), period)
    assert len(found.values) == values and None not in found.values
    highest = max(one for one in found.values if one is not None)
    assert 3600 <= highest <= 3900
    assert found.begins_at + (values - 1) * found.step <= found.ends_at < found.begins_at + values * found.step
    assert found.begins_at.timestamp() % found.step.total_seconds() == 0
    assert min(one for one in found.values[:-1] if one is not None) >= 200


@pytest.mark.parametrize("zone", ["America/Chicago", "Asia/Singapore"])
def test_a_series_is_the_same_wherever_its_reader_is(web: VM, zone: str) -> None:
    of, now = Replication.objects.get(), clock.now()
    here = {period: rpo_series(of, period) for period in ("24h", "7d", "30d")}
    with timezone.override(zone):
        for period, found in here.items():
            there = rpo_series(of, period)
            assert there.values[:-1] == found.values[:-1] and there.begins_at == found.begins_at
        row = VM.objects.annotate(**kept_hours()).get(pk=web.pk)
        assert None not in last_hours(row, now)


def test_what_no_point_has_ended_yet_counts_up_to_now(web: VM) -> None:
    of = Replication.objects.get()
    with clock.ahead(timedelta(hours=2)):
        assert rpo_series(of).values[-1] in range(7200, 7900)
        RpoHistory.objects.all().delete()
        assert [one for one in rpo_series(of).values[-8:] if one is not None][-1] in range(7200, 7900)
    long = timedelta(days=60)
    with clock.ahead(long):
        assert all(one and one > 86400 for one in rpo_series(of, "30d").values)


def test_while_paused_nothing_counts(web: VM) -> None:
    now = clock.now()
    paused = now - timedelta(hours=3)
    Replication.objects.update(paused_at=paused, newest_point_at=paused - timedelta(minutes=30))
    RpoHistory.objects.all().delete()
    end_gaps(Replication.objects.all())
    of = Replication.objects.get()
    of.__dict__["state"] = "paused"
    values = rpo_series(of).values
    assert max(one for one in values if one is not None) == 1800 and set(values[-10:]) == {None}
    Replication.objects.update(resumed_at=now - timedelta(minutes=40))
    values = rpo_series(Replication.objects.get()).values
    assert values[-1] in range(2400, 3000) and max(one for one in values if one is not None) == values[-1]
    assert values[-6] is None


def test_the_chart_says_in_words_and_in_a_table_what_it_draws(web: VM, client: Client) -> None:
    html = look(client)
    assert "RPO (minutes)" in html and '<title id="rpo-chart-t">RPO of web-01 over 24 hours</title>' in html
    words = re.search(r'<desc id="rpo-chart-d">([^<]*)</desc>', html)
    assert words and re.match(r"Between \d min and 1 h( 4 min| 3 min), the highest at .+ UTC\. ", words[1])
    assert re.search(r"The target is 15 min: it was exceeded in \d+ of 96 spans of 15 min\.$", words[1])
    assert ">target 15 min</text>" in html and html.count('class="g"') == 4
    table = html[html.index("Show as table") : html.index("</details>", html.index("Show as table"))]
    rows = re.findall(r'<time datetime="([^"]+)">[^<]+ UTC</time></td><td class="num">([^<]+)<', table)
    series = rpo_series(Replication.objects.get())
    assert len(rows) == 96 and rows[0][0] > rows[-1][0]
    assert sum(said.startswith("1 h") for _, said in rows) == sum((one or 0) >= 3600 for one in series.values)
    drawn = re.search(r'<polyline class="l" points="([^"]+)"', html)
    assert drawn and len(drawn[1].split()) == 97
    assert 'aria-current="true">24 h</a>' in html and 'href="?rpo=7d#rpo"' in html


def test_another_time_span_is_a_link_and_lasts(web: VM, client: Client) -> None:
    html = look(client, f"{WEB}?rpo=30d")
    assert "RPO of web-01 over 30 days" in html and 'aria-current="true">30 d</a>' in html
    poll = re.search(r'id="vm" hx-get="([^"]*)"', html)
    assert poll and "rpo=30d" in poll[1]
    assert "RPO of web-01 over 24 hours" in look(client, f"{WEB}?rpo=<b>")


def test_outages_of_its_site_are_shaded_and_named(cast: Cast, web: VM, client: Client) -> None:
    now = clock.now()
    begun = {"title": "Power", "started_at": now - timedelta(hours=5)}
    Outage.objects.create(number="N-1", site=cast.sites["DFW01"], over_at=now - timedelta(hours=4), **begun)
    Outage.objects.create(number="N-2", site=cast.sites["PHX01"], over_at=now - timedelta(hours=4), **begun)
    old = {"title": "Old", "started_at": now - timedelta(days=3), "over_at": now - timedelta(days=2)}
    Outage.objects.create(number="N-3", site=cast.sites["DFW01"], **old)
    html = look(client)
    assert html.count('class="ob"') == 1 and ">DFW01 outage N-1</text>" in html
    assert re.search(r"Outage N-1 of DFW01 from \d\d:\d\d UTC|Outage N-1 of DFW01 from \d+ \w+, \d\d:\d\d UTC", html)
    assert "N-2" not in html and "N-3" not in html
    assert html.count('class="ob"') == 1
    assert look(client, f"{WEB}?rpo=7d").count('class="ob"') == 2


def test_without_points_the_chart_says_so(cast: Cast, client: Client) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["bare"])
    sign_in(client, cast.priya)
    assert 'id="rpo"' not in look(client, "/northwind/vms/bare/")


@pytest.mark.parametrize("page", ["/northwind/vms/", "/northwind/replication/"])
def test_a_row_has_its_last_24_hours_as_a_line(web: VM, client: Client, page: str) -> None:
    html = look(client, page)
    found = re.search(r'<svg class="spark( w)?"[^>]*>.*?<polyline points="([^"]*)"/></svg>', html)
    assert found and not found[1] and len(found[2].split()) == 24
    heights = [int(point.split(",")[1]) for point in found[2].split()]
    assert heights.count(1) in (1, 2) and max(heights) <= 18  # the hour of silence reaches the top
    with clock.ahead(timedelta(hours=2)):
        html = look(client, page)
    assert '<svg class="spark w"' in html
    RpoHistory.objects.all().delete()
    assert "spark" not in look(client, page)


def test_all_recovery_points(web: VM, client: Client, cast: Cast) -> None:
    of, now = Replication.objects.get(), clock.now()
    moments = [now - timedelta(minutes=5 * n) for n in range(120)]
    RecoveryPoint.objects.bulk_create(RecoveryPoint(replication=of, at=moment) for moment in moments)
    assert f'href="{WEB}points/"' in look(client)
    seen: list[str] = []
    address = f"{WEB}points/"
    for _ in range(3):
        html = look(client, address)
        seen += re.findall(r'class="nw"><b><time datetime="([^"]+)"', html)
        onward = re.search(r'href="([^"]+)" rel="next"', html)
        address = f"{WEB}points/{onward[1]}" if onward else ""
    assert len(seen) == len(set(seen)) == 120 and seen == sorted(seen, reverse=True) and not address
    make_vms(cast.northwind, cast.sites["DFW01"], ["bare"])
    assert "No recovery points" in look(client, "/northwind/vms/bare/points/")


def test_the_api_tells_the_same_series(web: VM, client: Client) -> None:
    address = f"/api/v1/accounts/northwind/replications/{web.uuid}/rpo/"
    found = client.get(address).json()
    assert (found["period"], found["step_seconds"], found["rpo_target_seconds"]) == ("24h", 900, 900)
    assert found["values_seconds"][:90] == list(rpo_series(Replication.objects.get()).values[:90])
    assert len(client.get(f"{address}?period=30d").json()["values_seconds"]) == 90
    assert client.get(f"{address}?period=1y").status_code == 400
