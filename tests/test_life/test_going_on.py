"""A line that goes on to another step: what was open of the one before doesn't follow it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from django.db.models import F

from ampdr import clock, work
from ampdr.errors import Conflict
from ampdr.work import fresh, perform
from failover.actions import ending_of, give_up, reject, request_termination, settle, tries_of, version_of
from failover.models import Failover, Ticket
from failover.tasks import Spread
from inventory.models import VM
from replication.providers.base import Kind as Ask
from replication.providers.base import Progress, Request
from replication.providers.simulated import Simulated
from replication.providers.sites import provider_of
from tests.cast import Cast, drive_to, request, say_yes, states
from tests.test_work import claimed


def forget(monkeypatch: pytest.MonkeyPatch, *rules: dict[str, object]) -> None:
    monkeypatch.setenv("SIMULATION_REMEMBERS_KEYS", "0")
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
    provider_of.cache_clear()


def test_what_is_unknown_of_a_late_fence_does_not_settle_the_termination(
    cast: Cast, live: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Failover.objects.filter(ticket=live)
    late = fresh(Ask.FENCE, F("source"), fenced="pending", fence_generation=F("fence_generation") + 1)
    lines.update(**late)
    forget(monkeypatch, {"fault": "lost_answer", "kind": "fence"})
    work.drive()
    assert set(lines.values_list("verb", "flag", "waiting_on")) == {("fence", "outcome_unknown", "support")}
    seen, forgotten = tries_of(lines.all()), list(lines.all())
    forget(monkeypatch)
    say_yes(cast, request_termination(cast.actor("priya"), live, "Back", "DFW01", "end-key-1"))
    perform(claimed(Spread))
    assert set(lines.values_list("verb", "flag")) == {("stop", "")} and tries_of(lines.all()) != seen
    with pytest.raises(Conflict):
        settle(cast.actor("mary"), forgotten, True, "The source is barred, I looked")
    work.drive()
    assert states(live) == ["terminated"] * 2 and not VM.objects.filter(role="live").exists()
    assert not [one for one in provider_of("PHX01").existing("")[0] if one.kind == Ask.START_LIVE]


def test_a_source_that_was_stopped_by_a_fence_that_was_then_refused_is_released(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider stops and bars it, and then says no, three times. Given up, nothing of it is left (rule 13)."""
    submit = Simulated.submit

    def stops_and_refuses(self: Simulated, requests: Sequence[Request]) -> Mapping[str, Progress]:
        said = dict(submit(self, requests))
        fences = [one.key for one in requests if one.kind == Ask.FENCE]
        return said | dict.fromkeys(fences, Progress(refused="The last sync failed; it was stopped"))

    monkeypatch.setattr(Simulated, "submit", stops_and_refuses)
    ticket = request(cast, vms[:1], "live")
    say_yes(cast, ticket)
    drive_to(ticket, "start_failed")
    assert [one for one in provider_of("DFW01").existing("")[0] if one.kind == Ask.FENCE]
    give_up(cast.actor("mary"), Failover.objects.filter(ticket=ticket), "No room")
    drive_to(ticket, "dropped")
    assert not [one for one in provider_of("DFW01").existing("")[0] if one.kind == Ask.FENCE]


def test_a_late_fence_that_is_under_way_at_the_termination_bars_nothing_afterwards(
    cast: Cast, live: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is accepted and takes its time; the termination doesn't wait for it, and the release is the last word."""
    lines = Failover.objects.filter(ticket=live)
    monkeypatch.setenv("SIMULATION_FAULTS", '[{"fault": "slow", "kind": "fence"}]')
    provider_of.cache_clear()
    again = {"fenced": "pending", "fence_generation": F("fence_generation") + 1}
    lines.update(**fresh(Ask.FENCE, F("source")), **again)
    work.drive()
    assert set(lines.values_list("verb", flat=True)) == {"fence"} and not lines.filter(accepted_at=None).exists()
    say_yes(cast, request_termination(cast.actor("priya"), live, "Back", "DFW01", "end-key-1"))
    drive_to(live, "terminated")
    with clock.ahead(timedelta(minutes=10)):
        work.drive()
        assert not [one for one in provider_of("DFW01").existing("")[0] if one.kind == Ask.FENCE]


def test_what_was_rejected_ends_nothing_though_no_worker_was_there(cast: Cast, live: Ticket) -> None:
    asked = request_termination(cast.actor("priya"), live, "Back", "DFW01", "end-key-1")
    assert [one["ticket__number"] for one in ending_of(live)] == [asked.number]
    reject(cast.actor("mary"), asked, "Not now", version_of(asked))
    assert not ending_of(live)
