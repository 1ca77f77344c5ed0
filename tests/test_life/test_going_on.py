"""A line that goes on to another step: what was open of the one before doesn't follow it."""

from __future__ import annotations

import json

import pytest
from django.db.models import F

from ampdr import work
from ampdr.errors import Conflict
from ampdr.work import fresh, perform
from failover.actions import request_termination, settle, tries_of
from failover.models import Failover, Ticket
from failover.tasks import Spread
from inventory.models import VM
from replication.providers.base import Kind as Ask
from replication.providers.sites import provider_of
from tests.cast import Cast, say_yes, states
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
