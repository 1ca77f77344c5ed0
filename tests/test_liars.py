"""A provider that lies, in each way that we know: nothing is done twice (P2), nothing is silent (P5), and the other
lines of the same batch go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from ampdr import clock, work
from ampdr.work import claim, perform
from failover.actions import request_termination, retry
from failover.models import Failover, Launch, Ticket
from failover.tasks import Carry
from inventory.models import VM, Site
from replication.models import PointFeed, RecoveryPoint
from replication.providers import punctual
from replication.providers.base import Point, Points
from replication.providers.simulated import doubled, effects
from replication.providers.simulated.settings import ledger_path
from replication.providers.sites import provider_of
from replication.tasks import Collect, gone
from tests import liars
from tests.cast import Cast, drive_to, make_vms, protect, request, say_yes, states
from tests.liars import VICTIM
from tests.test_work import LEASE, claimed

OTHERS = ["vm-01", "vm-02", "vm-03", "vm-04"]


@pytest.fixture
def vms(cast: Cast) -> Iterator[list[VM]]:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [OTHERS[0], VICTIM, *OTHERS[1:]])
    protect(cast, vms)
    yield vms
    liars.honest()
    liars.Hangs.goes_on.set()
    punctual._barriers.clear()
    gone._begun.clear()


def lie(name: str, *sites: str) -> None:
    Site.objects.filter(code__in=sites or ["PHX01"]).update(provider=f"tests.liars.{name}")
    provider_of.cache_clear()
    liars.begin_to_lie()


def begin(cast: Cast, vms: list[VM], kind: str = "test") -> Ticket:
    ticket = request(cast, vms, kind)
    say_yes(cast, ticket)
    return ticket


def drive_on() -> None:
    """Lease after lease, until no line but the victim's waits for anything."""
    for n in range(12):
        with clock.ahead(n * (LEASE + timedelta(seconds=1))):
            work.drive(500)
        if n > 3 and not Failover.objects.exclude(vm__name=VICTIM).exclude(verb="").exists():
            return


def victim() -> Failover:
    return Failover.objects.get(vm__name=VICTIM)


def others() -> set[str]:
    return set(Failover.objects.exclude(vm__name=VICTIM).values_list("state", flat=True))


def speaks(line: Failover) -> bool:
    """Why it doesn't move, and who or what will move it (P5)."""
    return bool(line.last_error or line.step) and bool(line.waiting_on or (line.next_step_at and line.verb))


def each_once(*steps: str) -> bool:
    """Every one of these steps was done for every VM, and none twice."""
    done = Counter((effect.vm, effect.step) for effect in effects(ledger_path()) if effect.step in steps)
    return doubled(ledger_path()) == [] and set(done.values()) == {1} and len(done) == VM.objects.filter(
        role="primary").count() * len(steps)  # fmt: skip


SAYS = {
    "Chokes": "KeyError: 'liar-01'", "Exits": "RuntimeError: SystemExit: 3", "Cuts": "The line was cut.",
    "Half": "The provider did not say how it stands.", "Strangers": "The provider did not say how it stands.",
    "NoProgress": "The provider did not say how it stands.",
    "NoAnswer": "TypeError: 'NoneType' object is not iterable",
}  # fmt: skip


@pytest.mark.parametrize("name", SAYS)
def test_an_outcome_that_nobody_knows_is_asked_for_again(cast: Cast, vms: list[VM], name: str) -> None:
    lie(name)
    ticket = begin(cast, vms)
    drive_on()
    line = victim()
    assert others() == {"running"} and (line.state, line.last_error) == ("starting", SAYS[name])
    assert speaks(line) and line.attempts and line.next_step_at
    liars.honest()
    drive_to(ticket, "running")
    assert each_once("start_test") and Launch.objects.count() == 5
    assert (victim().last_error, victim().attempts) == ("", 0)


@pytest.mark.parametrize(("name", "says"), [("Babbles", "x" * 120), ("RoomFull", "Waits for room")])
def test_one_that_is_under_way_for_ever_says_so_and_keeps_nobody_busy(
    cast: Cast, vms: list[VM], name: str, says: str
) -> None:
    lie(name)
    ticket = begin(cast, vms)
    work.drive(500)
    line = victim()
    assert others() == {"running"} and (line.state, line.step, line.percent) == ("starting", says, 0)
    assert speaks(line) and line.accepted_at and line.next_step_at and line.next_step_at > line.accepted_at
    liars.honest()
    drive_to(ticket, "running")
    assert each_once("start_test")


def test_a_third_refusal_is_a_named_failure_of_that_line_alone(cast: Cast, vms: list[VM]) -> None:
    lie("Refuses")
    ticket = begin(cast, vms)
    drive_on()
    line = victim()
    assert others() == {"running"} and (line.state, line.waiting_on) == ("start_failed", "support")
    assert line.last_error == f"{VICTIM} is not to my liking." and line.refusals == 2 and speaks(line)
    liars.honest()
    retry(cast.actor("mary"), line)
    drive_to(ticket, "running")
    assert each_once("start_test")


def test_results_that_cannot_be_are_not_known_and_it_runs(cast: Cast, vms: list[VM]) -> None:
    lie("Nonsense")
    drive_to(begin(cast, vms), "running")
    launch = Launch.objects.get(failover=victim())
    assert (launch.address, launch.point_at, launch.loss_seconds) == (None, None, None)
    assert launch.running_since and launch.running_since <= clock.now()
    told = Launch.objects.exclude(pk=launch.pk).exclude(point_at=None).exclude(address=None)
    assert told.count() == 4 and each_once("start_test")


def test_an_answer_that_comes_too_late_is_nobodys_any_more(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs past its time; another worker does the work; then the first call goes through, with the same key."""
    monkeypatch.setattr(punctual, "GRACE", 0.2)
    lie("Hangs")
    provider_of("PHX01").timeout = 0.1
    ticket = begin(cast, vms)
    drive_on()
    line = victim()
    assert others() == {"running"} and (line.state, line.last_error) == ("starting", "PHX01 gave no answer for 0 s.")
    assert speaks(line)
    liars.honest()
    provider_of("PHX01").timeout = 60
    with clock.ahead(timedelta(hours=2)):  # what hung alone is asked again in an hour at the latest
        drive_to(ticket, "running")
    before = list(Failover.objects.order_by("pk").values())
    liars.Hangs.goes_on.set()  # all that hung does now what it was asked
    assert liars.Hangs.went_on.wait(60)
    work.drive(500)
    assert list(Failover.objects.order_by("pk").values()) == before
    assert each_once("start_test")


def test_a_vm_that_hangs_for_ever_stops_no_other_at_its_site(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found once, it is asked by itself: what comes to its site later goes through in one call, whoever hangs."""
    more = make_vms(cast.northwind, cast.sites["DFW01"], [f"more-{n:02}" for n in range(40)])
    late = make_vms(cast.northwind, cast.sites["DFW01"], [f"late-{n:02}" for n in range(20)])
    protect(cast, [*more, *late], "order-of-more")
    monkeypatch.setattr(punctual, "GRACE", 0.5)
    lie("Hangs")
    provider_of("PHX01").timeout = 0.5
    begin(cast, [*vms, *more])
    for n in range(6):
        with clock.ahead(12 * n * LEASE):
            drive_on()
        if others() == {"running"}:
            break
    assert others() == {"running"} and victim().state == "starting" and speaks(victim())
    before = threads()
    assert before < punctual.MOST / 2
    ticket = request(cast, late, key="late-request")
    say_yes(cast, ticket)
    with clock.ahead(80 * LEASE):
        Failover.objects.filter(vm__name=VICTIM).update(next_step_at=clock.now() - timedelta(seconds=1))
        work.drive(500)
    assert states(ticket) == ["running"] * 20 and threads() <= before + 3
    liars.honest()
    liars.Hangs.goes_on.set()
    assert liars.Hangs.went_on.wait(60)
    with clock.ahead(timedelta(hours=4)):
        work.drive(500)
    assert victim().state == "running" and each_once("start_test")


def threads() -> int:
    return punctual._hanging["PHX01"]


def test_done_is_done_once(cast: Cast, vms: list[VM]) -> None:
    """Two workers hear "done"; and whatever the provider says of it later, it runs."""
    liars.honest()
    ticket = begin(cast, vms)
    work.perform(claimed_ticket())
    slow = claimed(Carry)
    answer = slow.duty.call(slow.site, slow.duty.load(slow.keys))
    with clock.ahead(LEASE + timedelta(seconds=1)):
        perform(claimed(Carry))
        work._commit(slow, slow.keys, answer)
    assert states(ticket) == ["running"] * 5 and Launch.objects.count() == 5
    lie("Half")
    with clock.ahead(timedelta(minutes=5)):
        assert claim(Carry()) is None
    assert each_once("start_test")


def claimed_ticket() -> work.Batch:
    from_all = [duty for duty in work._duties if duty.model is Ticket and duty.priority == 20]
    batch = claim(from_all[0])
    assert batch
    return batch


def test_what_is_still_listed_is_not_gone(cast: Cast, vms: list[VM]) -> None:
    """Neither Terminating nor Undoing ends while something of it exists, whatever the provider says. Its list has a
    minute to follow, each of three times."""
    ticket = begin(cast, vms, "live")
    drive_to(ticket, "running")
    lie("KeepsIt", "DFW01", "PHX01")
    end = request_termination(cast.actor("priya"), ticket, "Enough", "DFW01", "end-of-live")
    say_yes(cast, end)
    for minutes in range(5):
        with clock.ahead(timedelta(minutes=2 * minutes)):
            drive_on()
    line = victim()
    assert others() == {"terminated"} and (line.state, line.waiting_on) == ("termination_failed", "support")
    assert line.last_error == "PHX01 says that it is gone, and still lists it." and speaks(line)
    liars.honest()
    retry(cast.actor("mary"), line)
    drive_to(ticket, "terminated")
    assert each_once("fence", "start_live", "stop", "release")


def test_a_source_that_is_well_and_never_answers_of_a_bar_holds_no_live_failover_up(cast: Cast, vms: list[VM]) -> None:
    """The others start planned. That one goes on as if its site were silent, and is barred as soon as it is told so."""
    lie("Cuts", "DFW01")
    ticket = begin(cast, vms, "live")
    for n in range(16):
        with clock.ahead(n * (LEASE + timedelta(seconds=1))):
            work.drive(500)
    line = victim()
    assert states(ticket) == ["running"] * 5 and (line.mode, line.fenced) == ("unplanned", "pending")
    assert set(Failover.objects.exclude(pk=line.pk).values_list("mode", "fenced")) == {("planned", "yes")}
    liars.honest()
    with clock.ahead(17 * LEASE):
        work.drive()
    assert victim().fenced == "yes" and each_once("fence", "start_live")


def test_twin_what_is_not_listed_is_believed(cast: Cast, vms: list[VM]) -> None:
    ticket = begin(cast, vms)
    drive_to(ticket, "running")
    lie("ListsNothing")
    say_yes(cast, request_termination(cast.actor("priya"), ticket, "", "", "end-of-test"))
    drive_to(ticket, "terminated")
    assert not each_once("start_test", "stop")


def test_points_that_cannot_be_are_left_out(cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the future would say for ever that all is well; one of a VM that wasn't asked for stops nobody."""
    RecoveryPoint.objects.all().delete()
    now = clock.now()
    wild = Points((Point(now - timedelta(minutes=2)), Point(now + timedelta(days=400))), now + timedelta(days=1))
    said = {str(vms[0].uuid): wild, str(vms[1].uuid): "nonsense", "somebody-else": wild}
    monkeypatch.setattr(provider_of("DFW01"), "recovery_points", lambda since: said)
    PointFeed.objects.update(next_step_at=now - timedelta(seconds=1), claim=None)
    perform(claimed(Collect))
    [kept] = RecoveryPoint.objects.all()
    assert kept.at == now - timedelta(minutes=2)
    feed = PointFeed.objects.get(site="DFW01")
    assert (feed.last_error, feed.waiting_on) == ("", "")
