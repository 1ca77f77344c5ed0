"""RPO around the pause of a live failover: what counted until then is kept, and the pause itself nowhere counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ampdr import clock, work
from ampdr.work import perform
from failover.actions import request_termination
from inventory.models import VM
from replication.actions import kept_hours, last_hours, rpo_series
from replication.models import PointFeed, Replication, RpoHistory
from replication.tasks import CALM, EndGaps, end_gaps
from tests.cast import Cast, drive_to, make_vms, protect, request, say_yes
from tests.test_work import claimed


@pytest.fixture
def web(cast: Cast) -> VM:
    """Protected for three days."""
    (vm,) = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, [vm])
    Replication.objects.update(protected_at=clock.now() - timedelta(days=3))
    return vm


@pytest.mark.parametrize("shown", ["resynchronising", "rpo_behind"])
def test_after_a_live_failover_a_row_says_what_the_chart_says(web: VM, shown: str) -> None:
    """Neither counts the hours in which it was paused, though no point has come since."""
    now = clock.now()
    paused = now - timedelta(hours=20)
    newest = paused - timedelta(minutes=5)
    Replication.objects.update(newest_point_at=newest, paused_at=paused)
    end_gaps(Replication.objects.all())
    Replication.objects.update(resumed_at=now - timedelta(minutes=20), flag="")
    VM.objects.update(newest_point_at=newest, protection=shown)
    row = last_hours(VM.objects.annotate(**kept_hours()).get(), now)
    drawn = rpo_series(Replication.objects.get()).values
    assert row[-1] == 20 * 60 == max(one for one in row if one is not None)
    assert max(one for one in drawn if one is not None) in range(20 * 60, 25 * 60)


def test_the_pause_of_a_live_failover_keeps_what_counted_until_then(cast: Cast, web: VM) -> None:
    Replication.objects.update(newest_point_at=clock.now() - timedelta(hours=2))
    PointFeed.objects.update(next_step_at=None)  # no point comes meanwhile
    ticket = request(cast, [web], "live")
    say_yes(cast, ticket)
    drive_to(ticket, "running")
    of = Replication.objects.get()
    assert of.state == "paused" and of.paused_at and of.newest_point_at
    kept = int((of.paused_at - of.newest_point_at).total_seconds())
    assert highest(of) == kept and written() < kept  # reckoned by whoever looks
    drawn = rpo_series(of).values
    with clock.ahead(2 * CALM):
        work.drive()
    of.refresh_from_db()
    assert (of.state, of.next_step_at, written()) == ("paused", None, kept)
    assert drawn == rpo_series(of).values


def highest(of: Replication) -> int:
    return max(one for one in rpo_series(of).values if one is not None)


def written() -> int:
    return max((one or 0 for row in RpoHistory.objects.values_list("maxima", flat=True) for one in row), default=0)


def test_a_pause_that_is_over_at_once_is_kept_too(cast: Cast, web: VM) -> None:
    """Terminated before the pause's own step came; that step, claimed meanwhile, undoes nothing of what follows."""
    Replication.objects.update(newest_point_at=clock.now() - timedelta(hours=2))
    PointFeed.objects.update(next_step_at=None)
    ticket = request(cast, [web], "live")
    say_yes(cast, ticket)
    drive_to(ticket, "running")
    kept = highest(Replication.objects.get())
    with clock.ahead(2 * CALM):
        late = claimed(EndGaps)
    say_yes(cast, request_termination(cast.actor("priya"), ticket, "Enough", "DFW01", "end-of-live"))
    drive_to(ticket, "terminated")
    perform(late)
    of = Replication.objects.get()
    assert of.state == "protected" and of.next_step_at and kept == written() == highest(of)
