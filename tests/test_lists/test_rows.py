"""Rule 11: which rows the lists have in every state of a failover, and the numbers above them."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from ampdr import clock, work
from failover.actions import give_up, request_termination
from failover.models import Failover
from inventory.models import VM
from tests.cast import Cast, drive_to, make_vms, refuse, request, say_yes
from tests.test_lists.reading import DB, LIVE, TEST, Row, expect, get, listing, main


def test_rows_of_a_live_failover_in_every_state(
    cast: Cast, client: Client, web: VM, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = request(cast, [web], "live")
    expect(client, DB, ("web-01", "", ["Protected", "Requested"]))
    say_yes(cast, live)
    work.drive(limit=1)
    expect(client, DB, ("web-01", "", ["Protected", "Starting"]))
    refuse(monkeypatch, "start_live")
    drive_to(live, "start_failed")
    expect(client, DB, ("web-01", "", ["Protected", "Start failed"]))
    give_up(cast.actor("mary"), Failover.objects.get(), "The site has no room")
    expect(client, DB, ("web-01", "", ["Protected", "Undoing"]))
    drive_to(live, "dropped")
    expect(client, DB, ("web-01", "", ["Protected"]))

    refuse(monkeypatch, "stop")
    live = request(cast, [web], "live", key="second-key")
    say_yes(cast, live)
    drive_to(live, "running")
    expect(client, ("web-01", LIVE, ["Live failover"]), DB)
    end = request_termination(cast.actor("priya"), live, "Dallas is back", "DFW01", "end-key-1")
    say_yes(cast, end)
    work.drive(limit=1)
    expect(client, ("web-01", LIVE, ["Live failover", "Terminating"]), DB)
    drive_to(live, "termination_failed")
    expect(client, ("web-01", LIVE, ["Live failover", "Termination failed"]), DB)
    refuse(monkeypatch)
    again = request_termination(cast.actor("priya"), live, "Again", "DFW01", "end-key-2")
    say_yes(cast, again)
    drive_to(live, "terminated")
    expect(client, DB, ("web-01", "", ["Resynchronising"]))


def test_rows_of_a_test_failover_in_every_state(
    cast: Cast, client: Client, web: VM, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Row = ("web-01", "", ["Protected"])
    refuse(monkeypatch, "start_test")
    test = request(cast, [web])
    expect(client, DB, ("web-01", "", ["Protected", "Requested"]))
    say_yes(cast, test)
    work.drive(limit=1)
    expect(client, DB, ("web-01", "", ["Protected", "Starting"]))
    drive_to(test, "start_failed")
    expect(client, DB, ("web-01", "", ["Protected", "Start failed"]))
    give_up(cast.actor("mary"), Failover.objects.get(), "The site has no room")
    expect(client, DB, ("web-01", "", ["Protected", "Undoing"]))
    drive_to(test, "dropped")
    expect(client, DB, original)

    refuse(monkeypatch, "stop")
    test = request(cast, [web], key="second-key")
    say_yes(cast, test)
    drive_to(test, "running")
    expect(client, DB, original, ("web-01 - Test", TEST, ["Test failover"]))
    end = request_termination(cast.actor("priya"), test, "Done", "", "end-key-1")
    say_yes(cast, end)
    work.drive(limit=1)
    expect(client, DB, original, ("web-01 - Test", TEST, ["Test failover", "Terminating"]))
    assert main(get(client)).count("Request failover<") == 1  # of db-01: the verb refuses it for web-01 now
    drive_to(test, "termination_failed")
    expect(client, DB, original, ("web-01 - Test", TEST, ["Test failover", "Termination failed"]))
    refuse(monkeypatch)
    say_yes(cast, request_termination(cast.actor("priya"), test, "Again", "", "end-key-2"))
    drive_to(test, "terminated")
    expect(client, DB, original)


def test_a_live_failover_requested_beside_a_running_test(cast: Cast, client: Client, web: VM) -> None:
    say_yes(cast, request(cast, [web]))
    work.drive()
    assert "Request failover" in main(get(client))
    request(cast, [web], "live")
    wanted: list[Row] = [("web-01", "", ["Protected", "Requested"]), ("web-01 - Test", TEST, ["Test failover"])]
    expect(client, DB, *wanted)


def test_the_numbers_of_the_tiles_add_up_and_lead_to_as_many_rows(cast: Cast, client: Client, web: VM) -> None:
    make_vms(cast.northwind, cast.sites["LHR01"], ["lon-01", "lon-02"])
    say_yes(cast, request(cast, [web]))
    work.drive()
    Failover.objects.filter(kind="test").update(ends_at=clock.now() + timedelta(days=3, hours=4, minutes=1))
    say_yes(cast, request(cast, [VM.objects.get(name="db-01")], "live"))
    work.drive()
    html = get(client)
    tiles = re.findall(r'<a href="(\?[^"]*)"[^>]*><b>(\d+)</b>', html)
    numbers = [int(number) for _, number in tiles]
    assert numbers[0] == sum(numbers[1:-1]) == 4 and numbers == [4, 1, 0, 1, 0, 2, 1]
    for link, number in tiles[1:]:
        assert len(listing(client.get("/northwind/vms/" + link).content.decode())) == int(number)
    assert ">in 3 d 4 h</time>" in html and "running now" in html
    assert "London (LHR01) has no failover site." in html  # why it can't be ordered, in the order's own words
    assert re.search(r"DFW01 .*PHX01-Recovery", html)
