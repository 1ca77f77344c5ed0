"""The verbs behind the pages, as an adversary would use them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from accounts.actions import support
from ampdr import clock, work
from ampdr.errors import Absent, Conflict, Forbidden, Invalid, Refusal
from failover.actions import Wish, confirm, reject, request_failover, request_termination, version_of, withdraw
from failover.actions import requests as requesting
from failover.models import Failover, Named, Ticket
from inventory.models import VM
from replication.actions import stop_replication
from replication.models import Replication
from tests.cast import Cast, make_vms, protect, request, say_yes, states
from tests.test_request.pages import live_running


def wish(vms: list[VM], **other: Any) -> Wish:
    return Wish(**{"kind": "test", "vms": [vm.uuid for vm in vms], **other})


def refused(cast: Cast, wanted: Wish, kind: type[Refusal]) -> Any:
    with pytest.raises(kind) as refusal:
        request_failover(cast.actor("priya"), wanted, "a-key-of-its-own")
    assert not Failover.objects.filter(ticket__reason="adversary").exists()
    return refusal.value


def test_what_is_no_uuid_names_no_vm(cast: Cast, vms: list[VM]) -> None:
    refused(cast, Wish("test", ["web-01"]), Absent)


def test_the_same_vm_twice_is_one_vm(cast: Cast, vms: list[VM]) -> None:
    once = request_failover(cast.actor("priya"), wish([vms[0], vms[0]]), "request-key-1")
    again = request_failover(cast.actor("priya"), Wish("test", [str(vms[0].uuid)] * 2), "request-key-1")
    assert once == again and once.vm_count == 1


def test_a_moment_that_has_not_come_is_no_recovery_point(cast: Cast, vms: list[VM]) -> None:
    refusal = refused(cast, wish(vms, point_at=clock.now() + timedelta(hours=1)), Invalid)
    assert list(refusal.fields) == ["point_at"]


def test_all_that_is_malformed_is_said_at_once_and_before_what_conflicts(cast: Cast, vms: list[VM]) -> None:
    there = make_vms(cast.northwind, cast.sites["PHX01"], ["far-01"])
    refusal = refused(cast, wish(vms[:1], kind="live"), Invalid)
    assert sorted(refusal.fields) == ["reason", "site_code"]
    refusal = refused(cast, wish([vms[0], there[0]], kind="live"), Invalid)
    assert sorted(refusal.fields) == ["reason"]
    assert refused(cast, wish([vms[0], there[0]], kind="live", reason="adversary"), Conflict).code == "two_sites"


def test_two_targets_of_one_site_are_two_routes(cast: Cast, vms: list[VM]) -> None:
    VM.objects.filter(pk=vms[1].pk).update(protected_to="LHR01")
    assert refused(cast, wish(vms[:2], reason="adversary"), Conflict).title == "VMs of two routes"


def test_another_end_under_the_same_key_is_another_request(cast: Cast, vms: list[VM]) -> None:
    priya, soon = cast.actor("priya"), clock.now() + timedelta(days=1)
    request_failover(priya, wish(vms[:1], ends_at=soon), "request-key-1")
    with pytest.raises(Conflict) as refusal:
        request_failover(priya, wish(vms[:1], ends_at=soon + timedelta(days=5)), "request-key-1")
    assert refusal.value.code == "idempotency_key_reused"


def test_live_beside_a_running_test_is_allowed_and_the_test_is_terminated_first(cast: Cast, vms: list[VM]) -> None:
    test = request(cast, vms[:1])
    assert (
        refused(cast, wish(vms[:1], kind="live", reason="x", site_code="PHX01"), Conflict).facts["ticket"]
        == test.number
    )
    say_yes(cast, test)
    work.drive()
    live = request(cast, vms[:1], "live")
    assert states(test) == ["running"] and states(live) == ["requested"]
    for kind in ("test", "live"):
        assert (
            refused(cast, wish(vms[:1], kind=kind, reason="x", site_code="PHX01"), Conflict).code
            == "already_in_failover"
        )
    say_yes(cast, live)
    work.drive()
    Ticket.objects.update(next_step_at="2020-01-01T00:00Z")
    work.drive()
    assert states(test) == ["terminated"] and states(live) == ["running"]


def test_another_accounts_ticket_is_absent_for_every_verb(cast: Cast, vms: list[VM]) -> None:
    ticket, olga = request(cast, vms[:1]), cast.actor("olga")
    verbs: tuple[Callable[[], Any], ...] = (
        lambda: withdraw(olga, ticket),
        lambda: confirm(olga, ticket),
        lambda: request_termination(olga, ticket, "", "", "end-key-1"),
    )
    for verb in verbs:
        with pytest.raises(Absent):
            verb()
    ticket.refresh_from_db()
    assert ticket.state == "waiting"


def test_the_requester_cannot_reject_his_own_request(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    cast.priya.is_staff = True
    cast.priya.save()
    with pytest.raises(Forbidden):
        reject(support(cast.priya), ticket, "Changed my mind", version_of(ticket))


def test_a_test_whose_end_has_passed_is_not_approved(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    with clock.ahead(timedelta(days=4)), pytest.raises(Conflict) as refusal:
        say_yes(cast, ticket)
    assert refusal.value.code == "end_passed"


def test_a_requester_who_may_no_longer_sign_in_is_not_approved(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms[:1])
    cast.priya.is_active = False
    cast.priya.save()
    with pytest.raises(Conflict) as refusal:
        say_yes(cast, ticket)
    assert refusal.value.code == "requester_not_listed"


def test_a_withdrawn_termination_can_be_requested_again_at_once(cast: Cast, vms: list[VM]) -> None:
    live, priya = live_running(cast, vms[:1]), cast.actor("priya")
    first = request_termination(priya, live, "Dallas is back", "DFW01", "end-key-1")
    with pytest.raises(Conflict) as refusal:
        request_termination(priya, live, "Dallas is back", "DFW01", "end-key-2")
    assert (refusal.value.facts["ticket"], refusal.value.facts["who"]) == (first.number, "Priya Raman")
    withdraw(priya, first)
    assert request_termination(priya, live, "Dallas is back", "DFW01", "end-key-3").state == "waiting"


def test_terminating_live_wants_a_reason_and_the_primary_sites_code(cast: Cast, vms: list[VM]) -> None:
    live, priya = live_running(cast, vms[:1]), cast.actor("priya")
    with pytest.raises(Invalid) as refusal:
        request_termination(priya, live, " ", "PHX01", "end-key-1")
    assert sorted(refusal.value.fields) == ["reason", "site_code"]
    assert "Type the site they go back to: DFW01" in refusal.value.fields["site_code"][0]
    assert not Named.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_stopping_a_replication_waits_for_a_request_of_it(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look at the same row. Without the request's lock the stop slips in between, and an open failover stands
    on a replication that is being removed."""
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    priya, outcome = cast.actor("priya"), list[Any]()

    def stop() -> None:
        try:
            outcome.append(stop_replication(priya, [vms[0].uuid]))
        except Conflict as refusal:
            outcome.append(refusal.code)
        finally:
            connections.close_all()

    stopper = threading.Thread(target=stop)
    look = requesting.refuse_unfit

    def look_and_let_the_other_in(*args: Any) -> None:
        look(*args)
        stopper.start()
        stopper.join(0.7)

    monkeypatch.setattr(requesting, "refuse_unfit", look_and_let_the_other_in)
    ticket = request(cast, vms)
    stopper.join()
    assert outcome == ["held_by_failover"]
    assert states(ticket) == ["requested"] and Replication.objects.get().state == "protected"
