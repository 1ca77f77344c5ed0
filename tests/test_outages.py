"""Outages: who is told what, and that nothing else moves."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, Activity, Head
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, Invalid
from inventory import actions
from inventory.actions import Counts, affected, outages, outages_of, relist
from inventory.models import VM, Outage, OutageTold, OutageUpdate
from replication.actions import place_order, stop_replication
from tests.cast import Cast, drive_to, make_vms, protect, request, say_yes

WORDS = "Compute in DFW01 is down, network and storage too."


def key() -> str:
    return str(uuid.uuid4())


def declare(cast: Cast, site: str = "DFW01", **said: Any) -> Outage:
    words: dict[str, Any] = {
        "title": "Hall A has no power",
        "text": WORDS,
        "started_at": clock.now(),
        "key": key(),
    } | said
    return actions.declare(cast.actor("mary"), cast.sites[site], **words)


def told(account: Account | None, event: str = "declared") -> list[Activity]:
    return list(Activity.objects.filter(account=account, kind="outage", event=event).order_by("pk"))


def counts(row: Activity) -> Counts:
    return Counts(*(row.facts[name] for name in Counts._fields))


# ---- Whom it is about ------------------------------------------------------------------------------------------------


@pytest.fixture
def world(cast: Cast) -> Cast:
    """Northwind in DFW01: 2 bare, 3 protected of which one runs live and one in a test, in PHX01, and one whose live
    failover waits; 2 in PHX01, one protected. Contoso in PHX01: one protected to DFW01, one that is stopped.
    """
    northwind, contoso, dallas, phoenix = cast.northwind, cast.contoso, cast.sites["DFW01"], cast.sites["PHX01"]
    make_vms(northwind, dallas, ["bare-1", "bare-2"])
    live, tested, waiting = make_vms(northwind, dallas, ["live", "tested", "waiting"])
    there, _ = make_vms(northwind, phoenix, ["there", "bare-there"])
    ours, stopped = make_vms(contoso, phoenix, ["ours", "stopped"])
    protect(cast, [live, tested, waiting], "key-of-dallas")
    protect(cast, [there], "key-of-phoenix")
    protect(cast, [ours, stopped], "key-of-olga", who="olga")
    for vm, kind in ((live, "live"), (tested, "test")):
        ticket = request(cast, [vm], kind)
        say_yes(cast, ticket)
        drive_to(ticket, "running")
    request(cast, [waiting], "live", key="another-key")
    stop_replication(cast.actor("olga"), [stopped.uuid])  # and nothing is driven any more: it is stopping
    return cast


def test_the_groups_of_each_account(world: Cast) -> None:
    northwind, contoso = world.northwind.pk, world.contoso.pk
    dallas, phoenix, london = (world.sites[code] for code in ("DFW01", "PHX01", "LHR01"))
    # tested and waiting are in Dallas and protected, and so are the two bare ones; `live` runs in Phoenix.
    assert affected(dallas)[northwind] == Counts(on_it=4, protected=2, protected_towards=1, elsewhere=1)
    assert affected(dallas)[contoso] == Counts(protected_towards=1), "one is stopping: its copies don't count"
    # Stand-ins of `live` and `tested` run in Phoenix; of the three that are copied there `live` is paused.
    assert affected(phoenix)[northwind] == Counts(on_it=2, protected=1, running_there=2, protected_towards=2)
    assert affected(phoenix)[contoso] == Counts(on_it=2, protected=1)
    assert affected(london) == {}
    assert affected(dallas, [contoso]) == {contoso: Counts(protected_towards=1)}
    assert affected(dallas)[northwind].affected == 5


def test_only_copies_that_exist_are_protected_towards_a_site(cast: Cast) -> None:
    """What is ordered has no copy yet; what has one has it whatever its flag."""
    copied, behind, fresh = make_vms(cast.northwind, cast.sites["DFW01"], ["copied", "behind", "fresh"])
    protect(cast, [copied, behind])
    VM.objects.filter(pk=behind.pk).update(protection="rpo_behind")
    place_order(cast.actor("priya"), [fresh.uuid], key())
    phoenix, northwind = cast.sites["PHX01"], cast.northwind.pk
    for protection in ("ordered", "provisioning", "failed", "late", "needs_input"):
        VM.objects.filter(pk=fresh.pk).update(protection=protection)
        assert affected(phoenix) == {northwind: Counts(protected_towards=2)}, protection


def test_statements_do_not_grow_with_the_vms(cast: Cast) -> None:
    said = []
    for number in (1, 60):
        make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{number}-{n}" for n in range(number)])
        make_vms(cast.contoso, cast.sites["PHX01"], [f"vm-{number}-{n}" for n in range(number)])
        with CaptureQueriesContext(connection) as asked:
            outage = declare(cast)
            actions.update(cast.actor("mary"), outage, "More soon.", key())
            actions.close(cast.actor("mary"), outage, "Power is back.", clock.now(), key())
        said.append(len(asked))
    assert said[0] == said[1]


# ---- What they are told ----------------------------------------------------------------------------------------------


def test_each_account_that_it_is_about_is_told_its_own_numbers(world: Cast) -> None:
    bystander = Account.objects.create(slug="fabrikam", name="Fabrikam", number=4109)
    Head.objects.create(account=bystander)
    make_vms(bystander, world.sites["LHR01"], ["london-1"])
    outage = declare(world)
    assert outage.number.startswith("N-") and outage.declared_by == world.mary
    (ours,), (theirs,) = told(world.northwind), told(world.contoso)
    assert counts(ours) == Counts(on_it=4, protected=2, protected_towards=1, elsewhere=1)
    assert counts(theirs) == Counts(protected_towards=1)
    assert told(bystander) == []
    for row in (ours, theirs):
        assert (row.about, row.reason, row.actor, row.staff) == (outage.number, WORDS, "Mary Osei", True)
        assert (row.from_state, row.to_state, row.facts["site"]) == ("", "", "DFW01")
        assert row.facts["title"] == "Hall A has no power"
    (log,) = told(None)
    assert (log.about, log.facts["accounts"]) == (outage.number, 2)
    assert not set(Counts._fields) & set(log.facts)


def test_who_was_told_hears_of_it_to_its_end(world: Cast) -> None:
    """Also an account whose VMs it isn't about any more, and one that it is about only now."""
    mary, outage = world.actor("mary"), declare(world)
    VM.objects.filter(account=world.contoso).update(protected_to="", protection="none")
    actions.update(mary, outage, "Engineers are on site.", key())
    assert counts(told(world.contoso, "updated")[0]) == Counts()
    late = Account.objects.create(slug="fabrikam", name="Fabrikam", number=4109)
    Head.objects.create(account=late)
    make_vms(late, world.sites["DFW01"], ["new-1"])
    over_at = clock.now()
    actions.close(mary, outage, "Power is back.", over_at, key())
    (row,) = told(late, "over")
    assert counts(row) == Counts(on_it=1) and row.facts["over_at"] == over_at.isoformat()
    assert [len(told(account, "over")) for account in (world.northwind, world.contoso)] == [1, 1]
    assert told(late) == told(late, "updated") == []
    outage.refresh_from_db()
    assert outage.over_at == over_at
    assert list(outage.updates.order_by("pk").values_list("text", flat=True)) == [
        WORDS, "Engineers are on site.", "Power is back.",
    ]  # fmt: skip
    assert OutageTold.objects.get(outage=outage, account=world.northwind).on_it == 4


def test_the_record_of_it_fits_its_seals(world: Cast) -> None:
    declare(world)
    call_command("verify_activity")


# ---- Nothing else moves (product rule 9) -----------------------------------------------------------------------------

MOVED = {"Head": ("number", "hash", "version")}  # the record goes on; the counters stay as they were
TOLD = ("Activity", "Seal", "Outage", "OutageUpdate", "OutageTold", "Session", "LogEntry")


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of every model but what an outage writes."""
    found = {}
    for model in apps.get_models():
        name = model.__name__
        if model._meta.app_config.name in OURS and name not in TOLD:
            rows = model._default_manager.order_by("pk").values()
            found[name] = [{key: row[key] for key in row if key not in MOVED.get(name, ())} for row in rows]
    return found


OURS = ("accounts", "notices", "inventory", "replication", "failover")


def road(cast: Cast) -> None:
    mary = cast.actor("mary")
    outage = declare(cast)
    actions.update(mary, outage, "Engineers are on site.", key())
    actions.close(mary, outage, "Power is back.", clock.now(), key())


def test_an_outage_moves_nothing(world: Cast) -> None:
    before = everything()
    assert {"Failover", "Ticket", "Replication", "Order", "VM", "Head", "Conversation"} <= before.keys()
    assert len(before["VM"]) == 11 and len(before["Failover"]) == 3
    road(world)
    assert everything() == before


def test_a_move_that_is_planted_is_seen(world: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: an outage that raised a flag on the VMs of its site, or began what waits."""
    tell = outages._tell

    def meddle(change: Any, outage: Outage, *said: Any) -> None:
        tell(change, outage, *said)
        relist(change, VM.objects.filter(site=outage.site, name="waiting"), protection="source_unreachable")

    monkeypatch.setattr(outages, "_tell", meddle)
    before = everything()
    road(world)
    after = everything()
    assert {name for name in before if after[name] != before[name]} == {"VM", "Head"}


# ---- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["priya", "olga"])
def test_customers_declare_nothing(cast: Cast, name: str) -> None:
    outage, actor = declare(cast), cast.actor(name)
    with pytest.raises(Forbidden):
        actions.declare(actor, cast.sites["PHX01"], "Down", WORDS, clock.now(), key())
    with pytest.raises(Forbidden):
        actions.update(actor, outage, "More", key())
    with pytest.raises(Forbidden):
        actions.close(actor, outage, "Over", clock.now(), key())
    assert OutageUpdate.objects.count() == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"title": " "}, "title"), ({"title": "x" * 121}, "title"), ({"title": "two\nlines"}, "title"),
        ({"title": "a\0b"}, "title"), ({"text": ""}, "text"), ({"text": "x" * 2001}, "text"),
        ({"text": "a\0b"}, "text"), ({"started_at": clock.now() + timedelta(minutes=30)}, "started_at"),
    ],
)  # fmt: skip
def test_what_is_not_well_formed_is_named(cast: Cast, said: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        declare(cast, **said)
    assert list(refusal.value.fields) == [field]
    assert not Outage.objects.exists()


def test_an_end_lies_between_the_start_and_now(cast: Cast) -> None:
    mary, outage = cast.actor("mary"), declare(cast, started_at=clock.now() - timedelta(hours=1))
    for over_at in (clock.now() - timedelta(hours=2), clock.now() + timedelta(hours=1)):
        with pytest.raises(Invalid) as refusal:
            actions.close(mary, outage, "Over", over_at, key())
        assert list(refusal.value.fields) == ["over_at"]
    for text in ("", "\0", "x" * 2001):
        with pytest.raises(Invalid) as refusal:
            actions.close(mary, outage, text, clock.now(), key())
        assert list(refusal.value.fields) == ["text"]
        with pytest.raises(Invalid):
            actions.update(mary, outage, text, key())
    with pytest.raises(Invalid):
        actions.update(mary, outage, "A key of no form", "no-key")
    assert outage.updates.count() == 1


def test_a_double_click_says_it_once(cast: Cast) -> None:
    make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    mary, keys = cast.actor("mary"), [key() for _ in range(3)]
    for _ in range(2):
        outage = declare(cast, key=keys[0])
        actions.update(mary, outage, "More soon.", keys[1])
    for _ in range(2):
        actions.close(mary, outage, "Over", clock.now(), keys[2])
    assert Outage.objects.count() == 1 and outage.updates.count() == 3
    assert [len(told(cast.northwind, event)) for event in ("declared", "updated", "over")] == [1, 1, 1]


def test_a_second_one_of_a_site_is_refused_by_its_number(cast: Cast) -> None:
    first = declare(cast)
    with pytest.raises(Conflict, match=first.number):
        declare(cast)
    other = declare(cast, "PHX01")
    actions.close(cast.actor("mary"), first, "Over", clock.now(), key())
    assert {first.number, other.number} != {declare(cast).number}


def test_who_closes_a_closed_one_hears_who_was_first(cast: Cast) -> None:
    mary, outage = cast.actor("mary"), declare(cast)
    actions.close(mary, outage, "Over", clock.now(), key())
    again: list[Callable[[], None]] = [
        lambda: actions.close(mary, outage, "Over, I say", clock.now(), key()),
        lambda: actions.update(mary, outage, "More", key()),
    ]
    for deed in again:
        with pytest.raises(Conflict, match=f"Mary Osei closed {outage.number}") as refusal:
            deed()
        assert refusal.value.facts["who"] == "Mary Osei" and refusal.value.facts["since"]


def test_outages_of_a_span(cast: Cast) -> None:
    mary, noon = cast.actor("mary"), clock.now()
    hour = timedelta(hours=1)
    with clock.ahead(-10 * hour):
        past = declare(cast, started_at=noon - 10 * hour)
    actions.close(mary, past, "Over", noon - 8 * hour, key())
    now = declare(cast, started_at=noon - hour)
    assert list(outages_of("DFW01", noon - 24 * hour, noon)) == [past, now]
    assert list(outages_of("DFW01", noon - 9 * hour, noon - 2 * hour)) == [past]
    assert list(outages_of("DFW01", noon - 8 * hour, noon - hour)) == []
    assert list(outages_of("DFW01", noon, noon + hour)) == [now]
    assert list(outages_of("PHX01", noon - 24 * hour, noon)) == []
