"""Races on real rows with real threads: one winner, everybody else is told who it was. Each has a twin without the
guard, which shows that the race is real."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import F

from accounts.activity import faults
from accounts.models import Activity, Head, Seal
from ampdr.errors import Conflict, IllegalTransition, Refusal
from ampdr.lifecycle import PORTAL, changes
from failover.actions import Wish, approve, reject, request_failover, request_termination, version_of, withdraw
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.actions import place_order, stop_replication
from replication.models import Order, Replication
from tests.cast import Cast, make_vms, protect, request, say_yes
from tests.states import make
from tests.test_counters import check_heads, drive
from tests.threads import raised, together

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 5


@pytest.fixture
def world(transactional_db: None, request: pytest.FixtureRequest) -> Cast:
    cast: Cast = request.getfixturevalue("cast")
    return cast


def protected(cast: Cast, n: int) -> list[VM]:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{uuid.uuid4().hex[:6]}" for _ in range(n)])
    protect(cast, vms, key=f"order-{uuid.uuid4()}")
    return vms


def only_refusals(came: Sequence[Any]) -> list[Conflict]:
    """What was refused; any other error is a failure of the portal."""
    assert [one for one in raised(came) if not isinstance(one, Refusal)] == []
    refused = [one for one in came if isinstance(one, Conflict)]
    assert len(refused) == len(raised(came)), came
    return refused


# ---- One decision on one ticket --------------------------------------------------------------------------------------

DECISIONS = {
    "mary approves": ("approve", "Mary Osei, Support"), "tom approves": ("approve", "Tom Ueda, Support"),
    "tom rejects": ("reject", "Tom Ueda, Support"), "priya withdraws": ("withdraw", "Priya Raman"),
}  # fmt: skip
STATES = {"approve": "approved", "reject": "rejected", "withdraw": "withdrawn"}


def deed(cast: Cast, ticket: Ticket, what: str) -> Callable[[], Any]:
    """The deed as its door does it: actor and version are there before the race begins."""
    actor, version = cast.actor(what.split(maxsplit=1)[0]), version_of(ticket)
    if what.endswith("withdraws"):
        return lambda: withdraw(actor, ticket, "No longer needed")
    verb = approve if what.endswith("approves") else reject
    return lambda: verb(actor, ticket, "Seen", version)


@pytest.mark.parametrize(
    "racers",
    [
        ["mary approves", "tom approves"], ["mary approves", "tom rejects"], ["mary approves", "priya withdraws"],
        ["tom rejects", "priya withdraws"], ["mary approves", "tom rejects", "priya withdraws"] * 4,
    ],
    ids=lambda racers: f"{racers[0]} and {racers[-1]}, {len(racers)}".replace(" ", "-"),
)  # fmt: skip
def test_one_decision_wins_and_the_others_learn_whose(world: Cast, racers: list[str]) -> None:
    vms = protected(world, ROUNDS)
    for vm in vms:
        ticket = request(world, [vm], key=f"request-{vm.pk}")
        came = together(*[deed(world, ticket, what) for what in racers])
        refused = only_refusals(came)
        [winner] = [what for what, one in zip(racers, came, strict=True) if one is None]
        move, who = DECISIONS[winner]
        ticket.refresh_from_db()
        assert ticket.state == STATES[move] and len(refused) == len(racers) - 1
        assert {(one.status, one.facts["who"]) for one in refused} == {(409, who)}
        assert Activity.objects.filter(kind="ticket", subject_id=ticket.pk, event__in=STATES).count() == 1
    drive()
    check_heads()
    assert list(faults()) == []


def test_twin_a_look_before_an_update_lets_two_win(world: Cast) -> None:
    """The same decision by read and write, as it is written without a lock: nobody is told, and the last one wins."""

    def decide(who: str, state: str) -> str:
        with transaction.atomic():
            ticket = Ticket.objects.get(pk=pk)
            look.wait()
            if ticket.state != "waiting":
                raise IllegalTransition(f"{who} came too late")
            Ticket.objects.filter(pk=pk).update(state=state)
        return who

    pk = make(world, "ticket", "waiting", world.northwind).get().pk
    look = Look(2)
    came = together(lambda: decide("Mary", "approved"), lambda: decide("Priya", "withdrawn"))
    assert came == ["Mary", "Priya"], "both were told that they had decided"


class Look:
    """Both have looked before either goes on: what a busy machine does by itself now and then."""

    def __init__(self, parties: int) -> None:
        self.barrier = threading.Barrier(parties)

    def wait(self) -> None:
        self.barrier.wait(10)


# ---- One live failover of one VM -------------------------------------------------------------------------------------


def test_one_of_two_live_requests_is_filed(world: Cast) -> None:
    priya = world.actor("priya")
    for vm in protected(world, ROUNDS):
        wish = Wish("live", [vm.uuid], reason="Down", site_code="PHX01")
        ask = [lambda n=n: request_failover(priya, wish, f"ask-for-{vm.pk}-{n}") for n in range(8)]  # noqa: B023
        came = together(*ask)
        [ticket] = [one for one in came if isinstance(one, Ticket)]
        for one in only_refusals(came):
            assert (one.code, one.facts["ticket"], one.facts["who"]) == (
                "already_in_failover", ticket.number, "Priya Raman",
            )  # fmt: skip
        assert Failover.objects.filter(vm=vm).count() == 1
    check_heads()
    assert list(faults()) == []


def test_twin_without_the_lock_the_constraint_still_refuses(world: Cast) -> None:
    """Requests that don't lock the replications race on: the database lets one line in."""
    [line] = make(world, "failover", "terminated", world.northwind)

    def insert() -> Failover:
        with transaction.atomic():
            held = Failover.objects.filter(vm=line.vm, state="requested").exists()
            look.wait()
            assert not held, "nobody was first yet"
            facts = {"kind": "live", "source": "DFW01", "target": "PHX01", "replication": line.replication}
            return Failover.objects.create(ticket=line.ticket, vm=line.vm, **facts)

    look = Look(2)
    came = together(insert, insert)
    assert Counter(type(one) for one in came) == {Failover: 1, IntegrityError: 1}


def test_the_same_key_at_one_moment_makes_one_ticket(world: Cast) -> None:
    priya, [vm] = world.actor("priya"), protected(world, 1)
    wish = Wish("test", [vm.uuid], reason="Trial")
    came = together(*[lambda: request_failover(priya, wish, "one-key-for-all")] * 8)
    assert {one.number for one in came} == {Ticket.objects.get().number}
    order = together(*[lambda: stop_replication(world.actor("oscar"), [vm.uuid])] * 2)
    assert {one.code for one in only_refusals(order)} == {"held_by_failover"}


def test_a_stop_and_a_live_request_of_one_vm(world: Cast) -> None:
    """Either it is stopped and can't fail over, or it is held and can't be stopped."""
    priya, oscar = world.actor("priya"), world.actor("oscar")
    outcomes = Counter[str]()
    for vm in protected(world, 2 * ROUNDS):
        wish = Wish("live", [vm.uuid], reason="Down", site_code="PHX01")
        ask = partial(request_failover, priya, wish, f"ask-for-{vm.pk}")
        [refused] = only_refusals(together(ask, partial(stop_replication, oscar, [vm.uuid])))
        outcomes[refused.code] += 1
        held = Failover.objects.filter(vm=vm, state="requested").exists()
        assert (Replication.objects.get(vm=vm).state == "stopping") is not held
    assert set(outcomes) <= {"held_by_failover", "not_protected", "two_sites", "conflict"}
    drive()
    check_heads()
    assert list(faults()) == []


def test_terminations_of_one_ticket(world: Cast) -> None:
    priya, vms = world.actor("priya"), protected(world, 2)
    ticket = request(world, vms, "live")
    say_yes(world, ticket)
    drive()
    end = [lambda n=n: request_termination(priya, ticket, "Back", "DFW01", f"end-key-{n}") for n in range(8)]
    came = together(*end)
    [first] = [one for one in came if isinstance(one, Ticket)]
    assert {(one.code, one.facts["ticket"]) for one in only_refusals(came)} == {("already_requested", first.number)}
    check_heads()


# ---- Orders ----------------------------------------------------------------------------------------------------------


def test_twenty_who_order_one_vm(world: Cast) -> None:
    """One order stands; everybody else reads its number."""
    priya = world.actor("priya")
    vms = make_vms(world.northwind, world.sites["DFW01"], [f"vm-{n}" for n in range(ROUNDS)])
    for vm in vms:
        came = together(*[lambda n=n, vm=vm: place_order(priya, [vm.uuid], f"order-{vm.pk}-{n}") for n in range(20)])
        [order] = [one for one in came if isinstance(one, Order)]
        refused = only_refusals(came)
        assert len(refused) == 19 and {one.code for one in refused} == {"cannot_replicate"}
        assert all(order.number in one.message for one in refused)
    check_heads()
    assert Replication.objects.count() == ROUNDS and list(faults()) == []


def test_twin_without_the_constraint_everybody_orders(world: Cast) -> None:
    [vm] = make_vms(world.northwind, world.sites["DFW01"], ["vm-1"])
    priya = world.actor("priya")
    index = (
        "CREATE UNIQUE INDEX one_open_replication_per_vm ON replication_replication (vm_id) WHERE state <> 'stopped'"
    )
    execute("DROP INDEX one_open_replication_per_vm")
    try:
        came = together(*[lambda n=n: place_order(priya, [vm.uuid], f"order-key-{n}") for n in range(20)])
        assert len([one for one in came if isinstance(one, Order)]) > 1
    finally:
        execute("TRUNCATE replication_replication CASCADE")
        execute(index)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


# ---- Locks in order --------------------------------------------------------------------------------------------------


def test_moves_of_overlapping_sets_do_not_deadlock(world: Cast) -> None:
    """Locked in key order whatever the order of the wish, and heads last of all and in account order."""
    mine, theirs = make(world, "ticket", "waiting", world.northwind, 20), make(
        world, "ticket", "waiting", world.contoso, 20
    )  # fmt: skip
    keys = [row.pk for row in (*mine, *theirs)]
    seals = Seal.objects.count()

    def note(backwards: bool) -> None:
        for n in range(10):
            chosen = (keys[n:] + keys[:n])[:30][:: -1 if backwards else 1]
            with changes(PORTAL) as change:
                rows = Ticket.objects.filter(pk__in=chosen).order_by("-pk" if backwards else "pk")
                list(rows.order_by("pk").select_for_update(no_key=True))
                change.note(rows, "ticket.noted")
                change.tally(world.contoso.pk if backwards else world.northwind.pk, "waiting", 1)

    came = together(*[lambda n=n: note(bool(n % 2)) for n in range(4)])
    assert came == [None] * 4
    assert Seal.objects.count() == seals + 4 * 10 * 2
    heads = Head.objects.exclude(account=None).values_list("waiting", flat=True)
    assert sorted(heads) == [20, 20]
    assert list(faults()) == []


def test_twin_unordered_updates_deadlock(world: Cast) -> None:
    keys = [row.pk for row in make(world, "ticket", "waiting", world.northwind, 2)]

    def update(order: list[int]) -> None:
        with transaction.atomic():
            for key in order:
                Ticket.objects.filter(pk=key).update(attempts=F("attempts") + 1)
                if key == order[0]:
                    look.wait()

    look = Look(2)
    came = together(lambda: update(keys), lambda: update(keys[::-1]))
    [victim] = raised(came)
    assert isinstance(victim, OperationalError) and "deadlock" in str(victim)
