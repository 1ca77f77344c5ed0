"""The recovery point that a test has proved: shown only where there is one, and of how many VMs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from ampdr import clock, work
from failover.models import Failover, Launch, Ticket
from failover.screens.proved import busiest, proved
from inventory.models import VM
from replication.models import RecoveryPoint, Replication
from tests.cast import Cast, request, say_yes
from tests.test_request.pages import CONFIRM, NEW, form, link, text

OPTION = "Newest proved by a test"
SENT = {"reason": "An attack", "site_code": "PHX01"}


def well_tested(cast: Cast, vms: list[VM], result: str = "passed", key: str = "test-key") -> Ticket:
    """A test that started from the newest points there were, with what the customer said of it. It doesn't run now."""
    ticket = request(cast, vms, key=key)
    say_yes(cast, ticket)
    work.drive()
    Ticket.objects.filter(pk=ticket.pk).update(result=result)
    Failover.objects.filter(ticket=ticket).update(state="terminated")
    VM.objects.filter(pk__in=[vm.pk for vm in vms]).update(held_by="", failover_state="")
    VM.objects.filter(role="test").delete()
    return ticket


def points(vm: VM, *minutes: int) -> dict[int, datetime]:
    """The VM's points are these now: so many minutes old."""
    replication = Replication.objects.get(vm=vm)
    RecoveryPoint.objects.filter(replication=replication).delete()
    found = {n: clock.now() - timedelta(minutes=n) for n in minutes}
    RecoveryPoint.objects.bulk_create(RecoveryPoint(replication=replication, at=at) for at in found.values())
    return found


def from_point(vm: VM, at: datetime) -> None:
    Launch.objects.filter(failover__vm=vm).update(point_at=at)


def test_what_a_real_test_started_from_is_found(cast: Cast, priya: Client, vms: list[VM]) -> None:
    ticket = well_tested(cast, vms[:1])
    at = Launch.objects.get().point_at
    found = proved(vms[:1])
    assert found and (found.at, found.n, found.ticket) == (at, 1, ticket.number)
    shown = text(priya.get(f"{NEW}?{link(vms[:1], kind='live')}"))
    assert f"{OPTION} It was started from this point in test {ticket.number} on" in shown
    page = priya.get(f"{CONFIRM}?{link(vms[:1], kind='live', point='proved')}")
    assert f"It was started from this point in test {ticket.number} on" in text(page)
    assert priya.post(CONFIRM, form(page) | SENT).status_code == 303
    assert Failover.objects.get(kind="live").point_at == at


@pytest.mark.parametrize("result", ["", "failed"])
def test_a_test_of_which_nobody_said_that_it_passed_proves_nothing(
    cast: Cast, priya: Client, vms: list[VM], result: str
) -> None:
    well_tested(cast, vms[:1], result)
    assert proved(vms[:1]) is None
    assert OPTION not in text(priya.get(f"{NEW}?{link(vms[:1], kind='live')}"))
    page = priya.get(f"{CONFIRM}?{link(vms[:1], kind='live', point='proved')}")
    assert page.status_code == 400 and "No point that a test has proved is kept any more." in text(page)
    assert 'name="point" value="" checked' in page.content.decode()


def test_a_point_that_is_no_longer_kept_is_not_offered(cast: Cast, priya: Client, vms: list[VM]) -> None:
    well_tested(cast, vms[:1], "remarks")
    assert proved(vms[:1])
    points(vms[0], 5)
    assert proved(vms[:1]) is None and proved(vms) is None
    assert OPTION not in text(priya.get(f"{NEW}?{link(vms[:1], kind='live')}"))


def test_without_a_vm_there_is_none(cast: Cast, vms: list[VM]) -> None:
    assert proved([]) is None


def test_of_several_vms_it_is_a_moment_proved_for_all_or_said_of_how_many(
    cast: Cast, priya: Client, vms: list[VM]
) -> None:
    well_tested(cast, vms)
    mine = [points(vm, 5, 20 + n, 40, 60) for n, vm in enumerate(vms)]
    for vm, kept in zip(vms, mine, strict=True):
        from_point(vm, kept[40])
    found = proved(vms)
    assert found and found.n == 3 and max(kept[40] for kept in mine) <= found.at < mine[2][22]
    assert "All 3 were started from these points in test" in text(priya.get(f"{NEW}?{link(vms, kind='live')}"))
    from_point(vms[2], mine[2][5])
    found = proved(vms)
    assert found and found.n == 2 and found.at < mine[0][20]
    shown = text(priya.get(f"{NEW}?{link(vms, kind='live')}"))
    assert "2 of 3 were started from these points in test" in shown and "its last point before it" in shown


def test_a_vm_without_a_point_so_old_lets_the_moment_be_a_later_one(cast: Cast, vms: list[VM]) -> None:
    well_tested(cast, vms[:2])
    first, second = points(vms[0], 60, 10), points(vms[1], 30, 5)
    from_point(vms[0], first[60])
    from_point(vms[1], second[5])
    found = proved(vms[:2])
    assert found and found.n == 1 and found.at == second[5]  # as many as at any other moment, and newer
    from_point(vms[1], clock.now())
    found = proved(vms[:2])
    assert found and found.at == second[30]  # the other VM has a point from then on only


def test_two_good_tests_of_one_point_count_once(cast: Cast, vms: list[VM]) -> None:
    for key in ("first-key", "second-key"):
        ticket = well_tested(cast, vms[:1], key=key)
    Launch.objects.update(point_at=RecoveryPoint.objects.latest("at").at)
    found = proved(vms[:1])
    assert found and found.n == 1 and found.ticket == ticket.number


def at(minute: int) -> datetime:
    return datetime(2026, 11, 22, 3, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spans", "moment", "n"),
    [
        ([], None, 0),
        ([(1, None)], 1, 1),
        ([(1, 5), (3, None)], 3, 2),
        ([(1, 3), (3, None)], 3, 1),
        ([(1, 9), (2, 9), (4, None), (9, None)], 4, 3),
        ([(5, 5), (6, 4)], None, 0),
    ],
    ids=str,
)
def test_the_busiest_moment(spans: list[Any], moment: int | None, n: int) -> None:
    found = busiest((at(begin), None if until is None else at(until)) for begin, until in spans)
    assert found == (None if moment is None else at(moment), n)


def test_it_is_kept_through_change_and_through_the_links(cast: Cast, priya: Client, vms: list[VM]) -> None:
    well_tested(cast, vms[:1])
    page = priya.get(f"{CONFIRM}?{link(vms[:1], kind='live', point='proved')}").content.decode()
    change = re.findall(r'href="(/northwind/failovers/new/\?[^"]+)">Change', page)[0].replace("&amp;", "&")
    assert 'value="proved" checked' in priya.get(change).content.decode()
