"""One transaction of moves: joined when nested, nothing of it when it fails, and a record that nobody edits."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.activity import faults
from accounts.models import Activity, Head, Seal
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, IllegalTransition
from ampdr.lifecycle import PORTAL, Actor, changes, journal
from failover.actions import approve, confirm, request_failover, version_of
from failover.actions.requests import Wish
from failover.models import Failover, Ticket
from inventory.models import VM
from replication.models import Replication
from tests.cast import Cast, make_vms, protect, request, say_yes
from tests.states import everything, make


def test_nested_changes_are_one_transaction_with_one_seal(cast: Cast) -> None:
    """Each part keeps its own actor and reason; the moment, the batch and the seal are one."""
    first, second = make(cast, "ticket", "waiting", cast.northwind), make(cast, "ticket", "waiting", cast.northwind)
    seals, last = Seal.objects.count(), Activity.objects.latest("id").pk
    with changes(PORTAL, "outer") as outer:
        outer.fire(first, "approve")
        with changes(Actor("Mary Osei", staff=True), "inner") as inner:
            inner.fire(second, "reject")
        assert inner.at == outer.at
        assert not Activity.objects.filter(pk__gt=last).exists()  # written when the outermost ends
    written = list(Activity.objects.filter(pk__gt=last).order_by("id"))
    assert [(one.event, one.actor, one.reason) for one in written] == [
        ("approve", "AMPDR", "outer"), ("reject", "Mary Osei", "inner"),
    ]  # fmt: skip
    assert len({one.batch for one in written}) == 1 and Seal.objects.count() == seals + 1
    assert list(faults()) == []


def test_a_failing_verb_leaves_nothing(cast: Cast) -> None:
    """Not even what stood in order before the failure, in a nested part or after it."""
    rows = make(cast, "ticket", "waiting", cast.northwind)
    before = everything()
    with pytest.raises(ZeroDivisionError), changes(PORTAL) as change:
        with changes(PORTAL) as inner:
            inner.fire(rows, "approve")
            inner.tally(cast.northwind.pk, "waiting", -1)
        change.touch([cast.contoso.pk])
        raise ZeroDivisionError
    assert everything() == before
    with changes(PORTAL) as change:  # and the next one begins afresh
        change.fire(rows, "reject")
    assert [row.state for row in rows] == ["rejected"] and list(faults()) == []


def test_what_the_record_can_not_take_is_not_done(cast: Cast) -> None:
    """The Activity row is part of the move: without it there is none."""
    rows = make(cast, "ticket", "waiting", cast.northwind)
    before = everything()
    with pytest.raises(Exception, match="too long"), changes(Actor("x" * 200)) as change:
        change.fire(rows, "approve")
    assert everything() == before


def test_staff_are_marked(cast: Cast) -> None:
    [vm] = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, [vm])
    ticket = request(cast, [vm])
    say_yes(cast, ticket)
    asked, decided = Activity.objects.filter(kind="ticket").order_by("id")
    assert (asked.actor, asked.staff, asked.via) == ("Priya Raman", False, "page")
    assert (decided.actor, decided.staff, decided.via) == ("Mary Osei", True, "admin")
    assert (asked.person_id, decided.person_id) == (cast.priya.pk, cast.mary.pk)
    with pytest.raises(Forbidden):
        approve(cast.actor("priya"), ticket, "please", version_of(ticket))


def test_a_refusal_names_who_moved_it_not_who_spoke_last(cast: Cast) -> None:
    """The customer's confirmation is a fact on a running failover; it is running by the portal's doing."""
    rows = make(cast, "failover", "running", cast.northwind)
    ticket = rows.get().ticket
    confirm(cast.actor("priya"), ticket)
    last = journal().last("failover", rows.get().pk)
    assert last and last.who == "Mary Osei, Support"
    with pytest.raises(IllegalTransition, match=r"Running since .* by Mary Osei, Support"), changes(PORTAL) as change:
        change.fire(rows, "start")


@pytest.mark.parametrize("table", ["accounts_activity", "accounts_seal"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET batch = gen_random_uuid()", "DELETE FROM {}"])
def test_the_record_is_append_only(cast: Cast, table: str, statement: str) -> None:
    before = everything()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Activity.objects.update(actor="Nobody") if table == "accounts_activity" else Seal.objects.all().delete()
    assert everything() == before


def test_one_open_replication_and_one_failover_of_a_kind_by_constraint(cast: Cast) -> None:
    """What must never happen twice is the database's to say, whoever writes."""
    [line] = make(cast, "failover", "running", cast.northwind)
    twin = {"vm": line.vm, "source": "DFW01", "target": "PHX01"}
    for_ticket = {**twin, "ticket": line.ticket, "replication": line.replication, "kind": "test"}
    with pytest.raises(IntegrityError, match="one_open_replication_per_vm"), transaction.atomic():
        Replication.objects.create(**twin)
    with pytest.raises(IntegrityError, match="one_started_per_vm"), transaction.atomic():
        Failover.objects.create(**for_ticket, state="starting")
    Failover.objects.create(**for_ticket)
    with pytest.raises(IntegrityError, match="one_requested_per_vm"), transaction.atomic():
        Failover.objects.create(**for_ticket)


def test_the_requester_is_not_the_approver_by_constraint(cast: Cast) -> None:
    rows = make(cast, "ticket", "waiting", cast.northwind)
    before = everything()
    with pytest.raises(IntegrityError, match="requester_is_not_the_approver"), changes(PORTAL) as change:
        change.fire(rows, "approve", decided_by=cast.priya.pk)
    assert everything() == before


def test_a_version_is_raised_once_by_each_change(cast: Cast) -> None:
    head = Head.objects.get(account=cast.northwind)
    rows = make(cast, "ticket", "waiting", cast.northwind, 2)
    with changes(PORTAL) as change:
        change.fire(rows, "approve")
        change.touch([cast.northwind.pk])
        change.tally(cast.northwind.pk, "waiting", 2)
        change.tally(cast.northwind.pk, "waiting", -2)
    assert Head.objects.get(account=cast.northwind).version == head.version + 2
    with changes(PORTAL) as change:
        change.touch([cast.northwind.pk])
    after = Head.objects.get(account=cast.northwind)
    assert (after.version, after.number) == (head.version + 3, head.number + 2)
    with changes(PORTAL):
        pass
    assert Head.objects.get(account=cast.northwind).version == head.version + 3


def test_a_refused_request_leaves_no_receipt(cast: Cast) -> None:
    """The key of a refused request is free: what it was to make was never made."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02"])
    protect(cast, vms[:1])
    wish = Wish("test", [vm.uuid for vm in vms], reason="trial")
    before = everything()
    with pytest.raises(Conflict):
        request_failover(cast.actor("priya"), wish, "one-key-for-all")
    assert everything() == before
    wish = Wish("test", [vms[0].uuid], reason="trial")
    assert request_failover(cast.actor("priya"), wish, "one-key-for-all") == Ticket.objects.get()
    assert VM.objects.get(pk=vms[0].pk).held_by == Ticket.objects.get().number


def test_the_clock_is_one(cast: Cast) -> None:
    """What the database says and what Python says differ by no more than the way between them."""
    rows = make(cast, "ticket", "waiting", cast.northwind)
    rows.update(decided_at=clock.db_now())
    assert abs((rows.get().decided_at - clock.now()).total_seconds()) < 2
