"""What a site says is gone, and its list: long, late, silent or without an end. Terminations go on, and say why not."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest

from ampdr import clock, work
from ampdr.work import perform
from failover.actions import request_termination
from failover.models import Failover, Ticket
from failover.tasks import Carry, Spread
from inventory.models import VM
from replication.providers.base import Existing, Kind, Progress
from replication.providers.sites import provider_of
from replication.tasks import deny_what_remains, gone
from tests import liars
from tests.cast import Cast, drive_to, make_vms, protect, request, say_yes, states
from tests.liars import LongList
from tests.test_liars import lie, vms
from tests.test_work import claimed

__all__ = ["vms"]


def running(cast: Cast, vms: list[VM], key: str = "first") -> Ticket:
    ticket = request(cast, vms, key=f"{key}-request")
    say_yes(cast, ticket)
    drive_to(ticket, "running")
    return ticket


def end(cast: Cast, ticket: Ticket) -> None:
    say_yes(cast, request_termination(cast.actor("priya"), ticket, "", "", f"end-of-{ticket.number}"))


def drive_after(seconds: float) -> None:
    with clock.ahead(timedelta(seconds=seconds)):
        work.drive(500)


def lines_of(ticket: Ticket) -> list[Failover]:
    return list(ticket.lines.order_by("pk"))


def test_a_list_longer_than_a_lease_is_read_on_where_it_stopped(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page takes a fifth of the lease, and there are more than five: no call asks for more than fit in it."""
    lie("LongList")
    stays = make_vms(cast.northwind, cast.sites["DFW01"], [f"stays-{n:02}" for n in range(12)])
    protect(cast, stays, "order-of-what-stays")
    running(cast, stays, "stays")
    ticket = running(cast, vms)
    end(cast, ticket)
    LongList.pages = 0
    calls: list[int] = []
    monkeypatch.setattr(gone, "monotonic", lambda: LongList.pages * 6.0 - sum(calls) * 6.0)
    monkeypatch.setattr("failover.tasks.lines.monotonic", lambda: 0.0)

    def call(self: Carry, site: str, rows: list[Any]) -> Any:
        before = LongList.pages
        calls.append(0)
        try:
            return whole(self, site, rows)
        finally:
            calls[-1] = LongList.pages - before

    whole = Carry.call
    monkeypatch.setattr(Carry, "call", call)
    for n in range(1, 12):
        drive_after(10 * n)
    assert states(ticket) == ["terminated"] * 5
    assert 0 < max(calls) <= 3 and sum(calls) >= 12


def test_who_waits_for_a_list_holds_nobody_else_up(cast: Cast, vms: list[VM]) -> None:
    """Stops and starts in one batch; the list can't be had: the starts run, the stops say what they wait for."""
    ending = running(cast, vms[:2])
    lie("NoList")
    end(cast, ending)
    starting = request(cast, vms[2:], key="second")
    say_yes(cast, starting)
    work.drive(500)
    assert states(starting) == ["running"] * 3
    waits = "PHX01 says that it is gone. Its list: The list takes too long."
    assert [(one.state, one.step, one.refusals) for one in lines_of(ending)] == [("terminating", waits, 0)] * 2
    assert all(one.next_step_at for one in lines_of(ending))
    liars.honest()
    drive_after(60)
    assert states(ending) == ["terminated"] * 2


def test_its_minute_begins_when_it_is_said_to_be_gone(cast: Cast, vms: list[VM]) -> None:
    """Not when the stop was accepted, which may have been long under way."""
    ticket = running(cast, vms[:1])
    lie("NoList")
    end(cast, ticket)
    perform(claimed(Spread))
    ticket.lines.update(accepted_at=clock.now() - timedelta(hours=1))
    perform(claimed(Carry))
    [line] = lines_of(ticket)
    assert gone.GONE in line.step and line.accepted_at and line.accepted_at > clock.now() - timedelta(minutes=30)


def test_a_list_that_lags_has_a_minute(cast: Cast, vms: list[VM]) -> None:
    ticket = running(cast, vms)
    lie("Lags")
    end(cast, ticket)
    for seconds in (0, 10, 50):
        drive_after(seconds)
        says = {(one.state, one.refusals, one.step) for one in lines_of(ticket)}
        assert says == {("terminating", 0, "PHX01 says that it is gone, and still lists it.")}
    liars.honest()
    drive_after(59)
    assert states(ticket) == ["terminated"] * 5


def test_after_a_minute_what_is_listed_counts_as_refused(cast: Cast, vms: list[VM]) -> None:
    ticket = running(cast, vms)
    lie("Lags")
    end(cast, ticket)
    drive_after(0)
    drive_after(70)
    assert {(one.state, one.refusals) for one in lines_of(ticket)} == {("terminating", 1)}
    drive_after(80)  # the next key has a minute of its own
    assert {(one.state, one.refusals) for one in lines_of(ticket)} == {("terminating", 1)}


def test_a_list_without_an_end_is_left(cast: Cast, vms: list[VM]) -> None:
    ticket = running(cast, vms)
    lie("EndlessList")
    end(cast, ticket)
    for seconds in (0, 10, 20):
        drive_after(seconds)
    assert {(one.state, one.step) for one in lines_of(ticket)} == {
        ("terminating", "PHX01 says that it is gone. Its list: It has no end.")
    }
    liars.honest()
    drive_after(60)
    assert states(ticket) == ["terminated"] * 5


Row = namedtuple("Row", "pk verb step accepted_at vm__uuid")


def test_a_list_that_was_begun_before_is_not_believed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page on which it would stand may have been read before it was said to be gone, or not have been written."""
    provider, now = provider_of("PHX01"), clock.now()
    old = gone.Listing(now - timedelta(seconds=9), monotonic(), "last page", {""})
    old.seen[(Kind.START_TEST, "new")] = now - timedelta(seconds=9)
    monkeypatch.setattr(gone, "_begun", {"PHX01": old})
    monkeypatch.setattr(provider, "existing", lambda cursor="": ([], ""))
    rows = [Row(1, "stop", "", None, "new"), Row(2, "stop", f"PHX01{gone.GONE}.", now - timedelta(seconds=10), "old")]
    said = {1: Progress(done=True), 2: Progress(done=True)}
    deny_what_remains(provider, rows, said, monotonic())
    assert said[1].step == "PHX01 says that it is gone. Its list is being read." and said[2].done
    again = {1: Progress(done=True)}
    deny_what_remains(provider, rows[:1], again, monotonic())
    assert again[1].done


def test_a_bar_that_is_listed_is_none_of_a_stop(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = provider_of("PHX01")
    found = [Existing("", Kind.FENCE, "vm"), Existing("", Kind.PROTECT, "vm"), Existing("", Kind.START_LIVE, "other")]
    monkeypatch.setattr(provider, "existing", lambda cursor="": (found, ""))
    said = {1: Progress(done=True), 2: Progress(done=True)}
    rows = [Row(1, "stop", "", None, "vm"), Row(2, "release", "", None, "vm")]
    deny_what_remains(provider, rows, said, monotonic())
    assert said[1].done and not said[2].done and not said[2].refused


def empty_pages(monkeypatch: pytest.MonkeyPatch, after: Callable[[str], str]) -> list[str]:
    """The list of PHX01 is of empty pages; which of them were asked for."""
    pages: list[str] = []

    def existing(cursor: str = "") -> tuple[list[Existing], str]:
        pages.append(cursor)
        return [], after(cursor)

    monkeypatch.setattr(provider_of("PHX01"), "existing", existing)
    return pages


def test_a_list_whose_every_page_names_another_one_is_left(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    provider, pages = provider_of("PHX01"), empty_pages(monkeypatch, lambda cursor: f"{cursor}+")
    monkeypatch.setattr(gone, "PAGES", 3)
    monkeypatch.setattr(gone, "_begun", {})
    said = {1: Progress(done=True)}
    deny_what_remains(provider, [Row(1, "stop", "", None, "vm")], said, monotonic())
    assert pages == ["", "+", "++"] and not gone._begun
    assert not said[1].done and said[1].step == "PHX01 says that it is gone. Its list: It has no end."


@pytest.mark.parametrize("stale", [False, True])
def test_a_list_that_was_begun_long_ago_is_not_read_on(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, stale: bool
) -> None:
    provider, now, pages = provider_of("PHX01"), clock.now(), empty_pages(monkeypatch, lambda cursor: "")
    begun = gone.Listing(now - timedelta(seconds=9), monotonic() - stale * (gone.STALE + 1), "last", {""})
    monkeypatch.setattr(gone, "_begun", {"PHX01": begun})
    said = {1: Progress(done=True)}
    waits = Row(1, "stop", f"PHX01{gone.GONE}.", now - timedelta(seconds=10), "vm")
    deny_what_remains(provider, [waits], said, monotonic())
    assert pages == ([""] if stale else ["last"]) and said[1].done
