"""A source site that does not answer: RPO behind becomes Source unreachable, and back; how Resynchronising ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Activity, Head
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from ampdr.work import claim, perform
from inventory.models import VM
from replication.models import PointFeed, RecoveryPoint, Replication
from replication.providers.base import Health, Point, Points, Unreachable
from replication.providers.simulated import set_site_answers
from replication.providers.sites import provider_of
from replication.tasks import Collect, RaiseFlags
from replication.tasks.points import hold
from tests.cast import Cast, make_vms, protect

BEHIND, SILENT = "rpo_behind", "source_unreachable"


@pytest.fixture
def vms(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> list[VM]:
    """Three in DFW01 and one in PHX01, all protected half an hour ago; the provider tells no new points."""
    with clock.ahead(-timedelta(minutes=30)):
        made = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "web-03"])
        made += make_vms(cast.northwind, cast.sites["PHX01"], ["far-01"])
        protect(cast, made)
    RecoveryPoint.objects.all().delete()
    Replication.objects.update(newest_point_at=clock.now() - timedelta(minutes=10), next_step_at=None, flag="")
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps([{"fault": "points"}]))
    provider_of.cache_clear()
    return made


def fall_behind(*vms: VM) -> None:
    late = clock.now() - timedelta(minutes=20)
    found = Replication.objects.filter(vm__in=vms)
    found.update(newest_point_at=late, next_step_at=clock.now() - timedelta(minutes=5))


def a_round() -> None:
    """Every feed asks once more; what that makes due is done."""
    PointFeed.objects.update(next_step_at=clock.now() - timedelta(seconds=1), claim=None)
    work.drive()


def shown(vms: Sequence[VM]) -> list[str]:
    """What lists show, which is what the replications say."""
    flags = [Replication.objects.get(vm=vm).flag for vm in vms]
    found = [VM.objects.get(pk=vm.pk).protection for vm in vms]
    assert [flag or "protected" for flag in flags] == found
    assert Head.objects.get(account=vms[0].account).attention == sum(bool(flag) for flag in flags)
    return found


def told(event: str) -> int:
    return Activity.objects.filter(event=event).count()


def test_behind_while_the_site_is_silent_and_afterwards(vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    fall_behind(vms[0], vms[3])
    a_round()
    assert shown(vms) == [BEHIND, "protected", "protected", BEHIND]

    set_site_answers("DFW01", False)
    a_round()
    assert shown(vms) == [SILENT, "protected", "protected", BEHIND]  # flagged already, and another site
    feeds = dict(PointFeed.objects.values_list("site", "silent_since"))
    assert feeds["DFW01"] and not feeds["PHX01"]
    fall_behind(vms[1])
    a_round()
    assert shown(vms) == [SILENT, SILENT, "protected", BEHIND]  # behind meanwhile
    assert PointFeed.objects.get(site="DFW01").silent_since == feeds["DFW01"]
    assert (told(BEHIND), told(SILENT)) == (2, 2)

    set_site_answers("DFW01", True)
    a_round()
    assert shown(vms) == [BEHIND, BEHIND, "protected", BEHIND]  # until points come
    assert PointFeed.objects.get(site="DFW01").silent_since is None
    assert (told(BEHIND), told(SILENT)) == (4, 2)

    monkeypatch.setenv("SIMULATION_FAULTS", "[]")
    provider_of.cache_clear()
    a_round()
    assert shown(vms) == ["protected"] * 4
    assert told("caught_up") == 3


def test_nothing_is_written_when_nothing_changed(vms: list[VM]) -> None:
    set_site_answers("DFW01", False)
    fall_behind(*vms)
    a_round()
    a_round()
    version, rows = Head.objects.get(account=vms[0].account).version, Activity.objects.count()
    with CaptureQueriesContext(connection) as caught:
        a_round()
    written = [one["sql"] for one in caught if one["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
    assert written and all("replication_pointfeed" in sql.partition("SET")[0] for sql in written)
    assert (Head.objects.get(account=vms[0].account).version, Activity.objects.count()) == (version, rows)


def cut(*given: object) -> object:
    raise Unreachable("No route to the site")


def ask_again(site: str = "DFW01") -> PointFeed:
    """One call of this feed, of a round that it has begun."""
    PointFeed.objects.exclude(site=site).update(next_step_at=None)
    PointFeed.objects.filter(site=site).update(next_step_at=clock.now() - timedelta(seconds=1))
    batch = claim(Collect())
    assert batch
    perform(batch)
    return PointFeed.objects.get(site=site)


def test_a_provider_that_doesn_t_answer(vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_of("DFW01"), "health", cut)
    fall_behind(vms[0])
    for attempts in (1, 2):
        feed = ask_again()
        assert (feed.last_error, feed.attempts) == ("No route to the site", attempts)
        assert feed.silent_since and feed.next_step_at and feed.next_step_at > clock.now() - timedelta(minutes=1)
    work.drive()
    assert shown(vms)[:2] == [SILENT, "protected"]


def test_a_call_without_an_answer_turns_no_flag_while_the_site_answers(
    vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a round; and the site does fall silent, before the same round is over."""
    provider = provider_of("DFW01")
    fall_behind(*vms[:3])
    work.drive()
    monkeypatch.setattr(provider, "batch", 1)
    PointFeed.objects.update(cursor=0)
    assert ask_again().cursor
    monkeypatch.setattr(provider, "recovery_points", cut)
    for attempts in (1, 2):
        feed = ask_again()
        assert (feed.cursor > 0, feed.attempts, feed.silent_since) == (True, attempts, None)
    work.drive()
    assert shown(vms[:3]) == [BEHIND] * 3 and told(SILENT) == 0
    monkeypatch.setattr(provider, "health", cut)
    assert ask_again().silent_since
    work.drive()
    assert SILENT in shown(vms[:3])


def test_the_site_is_asked_once_in_a_round(vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    """A round of several batches: what it found at its beginning holds to its end."""
    asked: list[str] = []
    provider = provider_of("DFW01")

    def health() -> Health:
        asked.append("DFW01")
        return Health(answers=False)

    monkeypatch.setattr(provider, "health", health)
    monkeypatch.setattr(provider, "batch", 1)
    PointFeed.objects.update(cursor=0)
    fall_behind(*vms[:3])
    a_round()
    assert asked == ["DFW01"] and shown(vms[:3]) == [SILENT] * 3


def test_a_flag_that_is_right_already_is_not_told_again(vms: list[VM]) -> None:
    """The site fell silent and answered again before anybody looked."""
    fall_behind(vms[0])
    for _ in range(2):
        work.drive()
        Replication.objects.filter(vm=vms[0]).update(next_step_at=clock.now() - timedelta(seconds=1))
    assert shown(vms[:1]) == [BEHIND] and told(BEHIND) == 1


# ---- After a live failover -------------------------------------------------------------------------------------------


def bring(of: Replication, *ages: int) -> None:
    """What `Collect` does with points so many minutes old."""
    points = {of.pk: Points(tuple(Point(clock.now() - timedelta(minutes=age)) for age in ages), None)}
    with changes(PORTAL) as change:
        Collect().write(change, hold(points), points)


@pytest.fixture
def resumed(vms: list[VM]) -> Replication:
    """Resumed three minutes ago."""
    now = clock.now()
    Replication.objects.filter(vm=vms[0]).update(
        flag="resynchronising", paused_at=now - timedelta(minutes=9), resumed_at=now - timedelta(minutes=3),
        next_step_at=now + timedelta(minutes=12),
    )  # fmt: skip
    VM.objects.filter(pk=vms[0].pk).update(protection="resynchronising")
    Head.objects.filter(account=vms[0].account).update(attention=1)
    return Replication.objects.get(vm=vms[0])


def test_resynchronising_ends_with_the_first_point_after_it(resumed: Replication) -> None:
    bring(resumed, 4)  # made before, told now: as young as it is, it says nothing of what goes on
    resumed.refresh_from_db()
    assert resumed.flag == "resynchronising" and resumed.newest_point_at
    assert resumed.next_step_at and resumed.next_step_at > clock.now() + timedelta(minutes=10)
    bring(resumed, 1)
    resumed.refresh_from_db()
    assert resumed.flag == "" and VM.objects.get(pk=resumed.vm_id).protection == "protected"
    assert told("caught_up") == 1


def test_resynchronising_longer_than_the_target_is_rpo_behind(resumed: Replication, vms: list[VM]) -> None:
    work.drive()
    assert shown(vms)[0] == "resynchronising"
    with clock.ahead(timedelta(minutes=13)):
        batch = claim(RaiseFlags())
        assert batch
        perform(batch)
    assert shown(vms)[0] == BEHIND
