"""Ten thousand VMs, and two feeds at one moment."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from accounts.activity import faults
from ampdr.errors import Refusal
from inventory.actions import Feed, Outcome, listing
from inventory.models import VM
from replication.actions import place_order
from tests.cast import Cast, make_vms
from tests.test_counters import check_heads
from tests.test_inventory.telling import identity, row, site, tell
from tests.threads import raised, together

LOCK_NOT_AVAILABLE = "55P03"


def chunks(n: int, **facts: Any) -> list[list[dict[str, Any]]]:
    rows = [row(place, account=("northwind", "contoso")[place % 2], power="on", **facts) for place in range(n)]
    return [rows[start : start + 1000] for start in range(0, n, 1000)]


def statements(deed: Callable[[], Any]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        deed()
    return len(queries)


def test_ten_thousand_in_ten_calls(cast: Cast) -> None:
    """Made, told again, all changed, half of them gone. The seconds are printed for whoever looks (`-s`)."""
    told = {
        "made": (chunks(10_000), Outcome(made=10_000)),
        "the same": (chunks(10_000), Outcome(same=10_000)),
        "all changed": (chunks(10_000, addresses=["10.0.0.1"], os="Debian 12"), Outcome(changed=10_000)),
        "half gone": (chunks(5_000, addresses=["10.0.0.1"], os="Debian 12"), Outcome(same=5_000, vanished=5_000)),
    }
    for what, (calls, wanted) in told.items():
        began, round_id = time.monotonic(), uuid.uuid4()
        came = [tell(site(cast), call, round_id) for call in calls]
        came.append(tell(site(cast), [], round_id, complete=True))
        assert Outcome(*map(sum, zip(*came, strict=True))) == wanted
        print(f"10,000 VMs {what}: {time.monotonic() - began:.1f} s")
    check_heads()
    assert not list(faults())


@pytest.mark.parametrize("what", ["new", "same", "changed", "renamed", "vanished"])
def test_a_call_costs_the_same_for_any_number_of_rows(cast: Cast, what: str) -> None:
    """Statements for 10, 100 and 1,000 rows, of which 250 are written at once."""
    found = []
    for place, n in enumerate((10, 100, 1000)):
        rows = [{**row(place * 1000 + one), "power": "on"} for one in range(n)]
        if what != "new":
            tell(site(cast), rows)
        now = {"changed": {"power": "off"}, "renamed": {"name": "web"}}.get(what, {})
        call = [] if what == "vanished" else [one | now for one in rows]
        how: dict[str, Any] = {"complete": what == "vanished", "allow_many": True}
        found.append(statements(lambda: tell(site(cast), call, **how)))  # noqa: B023  done at once
    assert found[0] == found[1] <= 40, found
    assert found[2] <= found[0] + 3, found


def patient(deed: Callable[[], Any]) -> Callable[[], Any]:
    """Again when a lock wasn't had in time, as on a slow machine; a circle is another error."""

    def do() -> Any:
        deadline = time.monotonic() + 60
        while True:
            try:
                return deed()
            except OperationalError as late:
                if getattr(late.__cause__, "pgcode", "") != LOCK_NOT_AVAILABLE or time.monotonic() > deadline:
                    raise

    return do


@pytest.mark.django_db(transaction=True)
def test_feeds_and_orders_at_one_moment(transactional_db: None, request: pytest.FixtureRequest) -> None:
    """A site's and an account's feed tell the same VMs in other orders, some new, while people order them.

    None waits for another in a circle: whoever is refused is told so, and every VM is there once.
    """
    cast: Cast = request.getfixturevalue("cast")
    tell(site(cast), [row(n) for n in range(40)])
    whole = list(range(60))

    def of_site(names: str) -> Callable[[], Any]:
        rows = [row(n, f"{names}-{n}") for n in random.Random(names).sample(whole, 60)]
        return lambda: tell(site(cast), rows, complete=True)

    def of_account(names: str) -> Callable[[], Any]:
        rows = [{"uuid": identity(n), "name": f"{names}-{n}", "site": "DFW01"} for n in reversed(whole)]
        return lambda: tell(Feed(account=cast.northwind), rows, sites=["DFW01"])

    def of_people(key: str) -> Callable[[], Any]:
        actor, wanted = cast.actor("priya"), [identity(n) for n in range(0, 40, 3)]
        return lambda: place_order(actor, wanted, f"order-key-{key}")

    for turn in ("a", "b", "c"):
        deeds = [of_site(f"s{turn}"), of_account(f"x{turn}"), of_site(f"t{turn}"), of_people(turn)]
        came = together(*(patient(deed) for deed in deeds))
        assert [one for one in raised(came) if not isinstance(one, Refusal)] == []
        assert not any(isinstance(one, Refusal) for one in came[:3]), came
        names = set(VM.objects.values_list("name", flat=True))
        assert len(names) == VM.objects.count() == 60
        assert {name.partition("-")[0] for name in names} <= {f"s{turn}", f"x{turn}", f"t{turn}"}
        assert not VM.objects.exclude(vanished_at=None).exists()
    check_heads()
    assert not list(faults())


def test_a_new_slug_costs_the_same_however_many_names_are_alike(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in other scripts are all "vm": each number is looked at once in a call, not once for each VM."""
    seen: list[int] = []

    def counted(start: int) -> Iterator[int]:
        for number in count(start):
            seen.append(number)
            yield number

    make_vms(cast.northwind, cast.sites["DFW01"], ["vm", *(f"vm-{n}" for n in range(2, 301))])
    monkeypatch.setattr(listing, "count", counted)
    tell(site(cast), [row(n, "データベース") for n in range(200)])
    assert sorted(seen) == list(range(2, 501))
    assert set(VM.objects.values_list("slug", flat=True)) == {"vm", *(f"vm-{n}" for n in range(2, 501))}


def test_names_and_their_slugs_stay_apart_in_big_accounts(cast: Cast) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["web"])
    assert tell(site(cast), [row(n, "web") for n in range(1000)]).made == 1000
    assert len(set(VM.objects.values_list("slug", flat=True))) == 1001
