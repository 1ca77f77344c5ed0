"""FIM: what the last report says."""

import re
from datetime import timedelta
from typing import Any

from django.test import Client

from ampdr import clock, work
from inventory.models import VM
from tests.cast import Cast, make_vms, request, say_yes, sign_in
from tests.test_lists.reading import get, listing, main


def test_fim_judges_by_the_last_report_and_its_numbers_are_its_rows(cast: Cast, client: Client) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["a", "b", "c", "d", "e", "f", "g"])
    now, hour = clock.now(), timedelta(hours=1)
    reports: dict[str, dict[str, Any]] = {
        "a": {"fim_report_at": now - 23 * hour}, "b": {"fim_report_at": now - 24 * hour},
        "c": {"fim_report_at": now - 47 * hour}, "d": {"fim_report_at": now - 49 * hour},
        "e": {"made_at": now - 23 * hour}, "f": {"made_at": now - 25 * hour},
        "g": {"fim_report_at": now - 99 * hour, "power": "off"},
    }  # fmt: skip
    for name, facts in reports.items():
        VM.objects.filter(name=name).update(**facts)
    sign_in(client, cast.priya)
    html = get(client, "security/fim")
    assert [pills[0] for _, _, pills in listing(html)] == [
        "Secured", "Warning", "Warning", "Critical", "No report", "Warning", "No report",
    ]  # fmt: skip
    tiles = re.findall(r'<a href="(\?[^"]*)"[^>]*><b>(\d+)</b>', html)
    assert [int(number) for _, number in tiles] == [7, 1, 3, 1, 2]
    for link, number in tiles:
        assert len(listing(client.get("/northwind/security/fim/" + link).content.decode())) == int(number)


def test_fim_counts_a_new_test_and_tells_of_live_failovers(cast: Cast, client: Client, web: VM) -> None:
    VM.objects.update(fim_report_at=clock.now())
    test = request(cast, [VM.objects.get(name="db-01")])
    live = request(cast, [web], "live")
    for ticket in (test, live):
        say_yes(cast, ticket)
    work.drive()
    html = main(get(client, "security/fim"))
    assert [(name, pills) for name, _, pills in listing(html)] == [
        ("web-01", ["No report", "Live failover"]), ("db-01", ["Secured"]),
        ("db-01 - Test", ["No report", "Test failover"]),
    ]  # fmt: skip
    assert "2 VMs and 1 test" in html
    assert "1 VM is in live failover.</b> Its original isn't listed until the failover is terminated." in html
    assert f'<a class="id" href="/northwind/failovers/{live.number}/">{live.number}</a></p>' in html
