"""An hour of an outage: nothing fails over by itself (product rule 9), and what was requested is all that moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from accounts.models import Activity, Head
from ampdr import clock, work
from ampdr.lifecycle import Change
from ampdr.work import NOTHING_TO_DO, Duty
from failover.models import Failover, Ticket
from inventory.models import VM, Outage
from replication.models import Replication
from replication.providers.simulated import effects, set_site_answers
from replication.providers.simulated.settings import ledger_path
from tests.cast import Cast, make_vms, protect, request, say_yes
from tests.test_outages_strips import declare

STEP = timedelta(minutes=5)


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """A hundred protected ones in Dallas, which is silent since its outage was declared."""
    found = make_vms(cast.northwind, cast.sites["DFW01"], [f"web-{n:03}" for n in range(100)])
    protect(cast, found)
    declare(cast, since=timedelta())
    set_site_answers("DFW01", False)
    return found


def an_hour() -> None:
    """The clock is set forward step by step, and everything that is due at each is done."""
    for step in range(13):
        with clock.ahead(step * STEP):
            work.drive()


def newest() -> int:
    return Activity.objects.order_by("-pk").values_list("pk", flat=True)[0]


def moves(since: int) -> Counter[str]:
    """Every change of a state since then, by what it was: the record of a transition is its row of Activity."""
    rows = Activity.objects.filter(pk__gt=since).exclude(to_state="")
    return Counter(f"{row.kind}.{row.event}" for row in rows)


def states() -> dict[str, Any]:
    """How everything that has a state stands, and what is shown."""
    return {
        "replications": Counter(Replication.objects.values_list("state", flat=True)),
        "tickets": Counter(Ticket.objects.values_list("state", flat=True)),
        "lines": Counter(Failover.objects.values_list("state", flat=True)),
        "rows": Counter(VM.objects.values_list("role", "shown", "site__code", "failover_state", "held_by")),
        "live": list(Head.objects.order_by("pk").values_list("live", "tests", "waiting", "running")),
    }


def done() -> Counter[str]:
    """What the provider has done: every effect that it ever had, by step."""
    return Counter(one.step for one in effects(ledger_path()))


def refuse_any_move() -> None:
    """Lets an hour go by and says what moved meanwhile."""
    since, before, had = newest(), states(), done()
    an_hour()
    assert moves(since) == Counter(), "a state was changed"
    assert states() == before, "something stands otherwise"
    assert done() == had, "the provider did something"


def test_in_an_hour_of_an_outage_nothing_moves(cast: Cast, vms: list[VM]) -> None:
    assert Outage.objects.get().over_at is None and Head.objects.get(account=cast.northwind).outages == 1
    refuse_any_move()
    assert Outage.objects.get().over_at is None


def test_one_approved_ticket_moves_its_own_and_nothing_else(cast: Cast, vms: list[VM]) -> None:
    since, had = newest(), done()
    chosen: Sequence[VM] = vms[:3]
    ticket = request(cast, chosen, "live")
    say_yes(cast, ticket)
    an_hour()
    assert moves(since) == {
        "ticket.request": 1, "failover.request": 3, "ticket.approve": 1, "failover.start": 3, "failover.run": 3,
        "replication.pause": 3,
    }  # fmt: skip
    assert done() - had == {"start_live": 3}
    assert set(Failover.objects.values_list("vm__name", "state")) == {(vm.name, "running") for vm in chosen}
    assert VM.objects.filter(shown=False).count() == VM.objects.filter(role="live").count() == 3


# ---- The twin: a worker that fails over on an outage -----------------------------------------------------------------


def eager(cast: Cast) -> Duty:
    """Requests and approves, by itself, a live failover of one VM of a site that is down."""

    class FailOver(Duty):
        name, model, priority, size = "fail over on an outage", Replication, 1, 1

        def due(self) -> QuerySet[Any]:
            down = Outage.objects.filter(over_at=None).values("site")
            mine = Replication.objects.filter(vm__site__in=down, state="protected", held_by="")
            return mine.exclude(vm__account__in=Ticket.objects.values("account"))

        def commit(self, change: Change, mine: QuerySet[Any], answer: Any) -> None:
            ticket = request(cast, [mine.select_related("vm").get().vm], "live")
            say_yes(cast, ticket)
            mine.update(**NOTHING_TO_DO)

    return FailOver()


def test_a_worker_that_fails_over_by_itself_would_be_seen(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_duties", [eager(cast), *work._duties])
    with pytest.raises(AssertionError, match="a state was changed"):
        refuse_any_move()
