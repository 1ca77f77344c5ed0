"""What a ticket's page says beside the states: flags, filing by phone, how long nobody answered, how its RPO went."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.test import Client

from ampdr import clock
from failover.actions import withdraw
from failover.models import Failover, Launch, Ticket
from inventory.actions import close, declare
from inventory.models import VM
from replication.providers.sites import provider_of
from tests.cast import Cast, request, say_yes
from tests.test_ticket_page.seen import LIST, end, page, push, run, statements, words


@pytest.mark.parametrize(
    ("flag", "pill", "note"),
    [
        ("two_places", "Running in two places", "1 of 2 VMs runs in two places."),
        ("outcome_unknown", "Outcome unknown", "Outcome unknown for 1 of 2 VMs."),
    ],
)
def test_a_flag_stands_beside_its_vm_and_on_top(
    cast: Cast, priya: Client, vms: list[VM], flag: str, pill: str, note: str
) -> None:
    ticket = run(cast, vms[:2])
    Failover.objects.filter(vm=vms[1]).update(flag=flag)
    html = page(priya, ticket)
    assert note in words(html)
    assert pill in words(html[html.index('id="line-') :])
    assert pill in words(priya.get("/northwind/vms/web-02/").content.decode())
    assert pill not in words(priya.get("/northwind/vms/web-01/").content.decode())


def test_a_source_that_is_not_barred_yet(
    cast: Cast, priya: Client, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMULATION_SITES_DOWN", "DFW01")
    provider_of.cache_clear()
    shown = words(page(priya, run(cast, vms[:1])))
    assert "Source not fenced for 1 of 1 VM. DFW01 didn't answer at the start" in shown


def test_by_phone(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1], "live")
    Ticket.objects.update(filed_by=cast.tom, called_back="+1 555 0142")
    shown = words(page(priya, ticket))
    assert "Filed by Tom Ueda (Support lead) for Priya Raman, called back at +1 555 0142." in shown
    assert "Requested by Priya Raman, by phone" in shown and "filed a live failover for Priya Raman" in shown


def test_the_termination_of_a_live_failover_is_urgent_too(cast: Cast, priya: Client, vms: list[VM]) -> None:
    live, test = run(cast, vms[:1]), run(cast, vms[1:2], "test", "key-of-test")
    of_live, of_test = end(cast, live), end(cast, test, "end-of-test")
    with clock.ahead(timedelta(minutes=12, seconds=5)):
        assert "Not answered for 12 min: call +1 555 0100" in words(page(priya, of_live))
        assert "Not answered" not in words(page(priya, of_test))


def test_a_termination_that_was_withdrawn_deleted_nothing(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ending = Ticket.objects.get(number=str(end(cast, run(cast, vms[:1]))))
    assert "Changes Deleted" in words(page(priya, ending))
    withdraw(cast.actor("priya"), ending)
    shown = words(page(priya, ending))
    assert "Changes Not deleted" in shown and "It was about FO-" in shown and "It ends" not in shown


def test_the_rpo_of_the_worst_vm_with_the_outage_shaded(cast: Cast, priya: Client, vms: list[VM]) -> None:
    mary, site = cast.actor("mary"), cast.sites["DFW01"]
    outage = declare(mary, site, "No power", "Hall A.", clock.now() - timedelta(hours=1), str(uuid.uuid4()))
    ticket = run(cast, vms)
    worst = "web-02"
    Launch.objects.filter(failover__vm__name=worst).update(loss_seconds=300)
    html = page(priya, ticket)
    shown = words(html)
    assert f"RPO of {worst} (" in shown and "it lost the most of 3 VMs" in shown and "Show as table" in shown
    assert f"DFW01 outage {outage.number}" in shown and f"Outage {outage.number} of DFW01 from" in shown
    assert 'class="ob"' in html and 'role="img"' in html
    close(mary, outage, "Power is back.", clock.now(), str(uuid.uuid4()))
    week = words(priya.get(f"{LIST}{ticket}/", {"rpo": "7d"}).content.decode())
    assert f"RPO of {worst} over 7 days" in week and f"Outage {outage.number} of DFW01 from" in week
    assert statements(priya, f"{LIST}{ticket}/") <= 10
    with clock.ahead(timedelta(days=31)):
        assert "RPO of" not in words(page(priya, ticket)), "the days after it are not its own"


def test_the_preview_of_a_termination_warns_while_the_outage_is_open(cast: Cast, priya: Client, vms: list[VM]) -> None:
    mary, site = cast.actor("mary"), cast.sites["DFW01"]
    outage = declare(mary, site, "No power", "Hall A.", clock.now() - timedelta(hours=1), str(uuid.uuid4()))
    live = run(cast, vms[:1])
    shown = words(priya.get(f"{LIST}{live}/terminate/").content.decode())
    assert "Dallas (DFW01) is still down" in shown and f"Outage {outage.number} since" in shown
    assert "neither it nor the failover VM would run" in shown and "originals" not in shown
    close(mary, outage, "Power is back.", clock.now(), str(uuid.uuid4()))
    shown = words(priya.get(f"{LIST}{live}/terminate/").content.decode())
    assert "is still down" not in shown and "Primary site Normal DFW01 since" in shown


def test_back_for_a_day(cast: Cast, priya: Client, vms: list[VM]) -> None:
    say_yes(cast, end(cast, run(cast, vms[:1])))
    push()
    for address in ("/northwind/vms/", "/northwind/vms/web-01/"):
        assert "Back in DFW01 since" in words(priya.get(address).content.decode())
        with clock.ahead(timedelta(hours=25)):
            assert "Back in DFW01 since" not in words(priya.get(address).content.decode())
