"""The whole road by its verbs, with the real simulated provider and no delays."""

from accounts import activity
from accounts.models import Head
from ampdr import work
from failover.actions import request_termination
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, request, rows, say_yes, states


def counters(cast: Cast) -> dict[str, int]:
    head = Head.objects.get(account=cast.northwind)
    return {name: getattr(head, name) for name in Head.COUNTERS if getattr(head, name)}


def test_order_test_live_and_back(cast: Cast) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01"])
    assert counters(cast) == {"unprotected": 2}
    protect(cast, vms)
    assert counters(cast) == {"protected": 2}

    test = request(cast, vms[1:])
    assert counters(cast) == {"protected": 2, "waiting": 1}
    say_yes(cast, test)
    work.drive()
    assert states(test) == ["running"]
    assert rows(cast) == [("db-01", "primary"), ("web-01", "primary"), ("web-01 - Test", "test")]
    assert counters(cast) == {"protected": 2, "tests": 1}

    live = request(cast, vms, "live")
    say_yes(cast, live)
    work.drive()
    Ticket.objects.update(next_step_at="2020-01-01T00:00Z")  # web-01 waited until its test was terminated
    work.drive()
    assert states(live) == ["running", "running"] and states(test) == ["terminated"]
    assert rows(cast) == [("db-01", "live"), ("web-01", "live")]
    assert counters(cast) == {"live": 2, "running": 2}

    end = request_termination(cast.actor("priya"), live, "Dallas is back", "dfw01", "end-key-1")
    say_yes(cast, end)
    work.drive()
    assert states(live) == ["terminated", "terminated"]
    assert rows(cast) == [("db-01", "primary"), ("web-01", "primary")]
    assert set(VM.objects.values_list("protection", flat=True)) <= {"protected", "resynchronising"}
    assert not list(activity.faults())
