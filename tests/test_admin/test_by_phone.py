"""Filing by phone: a Support lead, a listed person, the number of the list, and a second one who approves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from accounts import activity
from accounts.actions import LEAD, unlist
from accounts.models import Activity, AuthorizedUser, Membership
from ampdr import work
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import Actor
from failover.actions import Wish, approve, end_by_phone, file_by_phone, reject, version_of
from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, join, say_yes, states
from tests.test_admin.desk import vms

PHONE = "+1 (555) 0142"  # as somebody writes it who reads +1 555 0142 from the list


@pytest.fixture
def tom(cast: Cast) -> Actor:
    """Tom leads Support."""
    cast.tom.groups.add(Group.objects.get(name=LEAD))
    return cast.actor("tom")


def listing(cast: Cast) -> AuthorizedUser:
    return AuthorizedUser.objects.select_related("person", "account").get(person=cast.priya)


def wish(found: list[VM], kind: str = "live", code: str = "phx01") -> Wish:
    return Wish(kind, [vm.uuid for vm in found], "Clinic sign-in is down", code)


def file(cast: Cast, lead: Actor, kind: str = "live", number: str = PHONE, key: str = "phone-key-1") -> Ticket:
    found = list(VM.objects.filter(role="primary")) or vms(cast)
    return file_by_phone(lead, listing(cast), wish(found, kind), number, key)


def test_a_lead_files_for_a_listed_person(cast: Cast, tom: Actor) -> None:
    ticket = file(cast, tom)
    assert (ticket.requested_by, ticket.filed_by, ticket.called_back) == (cast.priya, cast.tom, "+1 555 0142")
    assert (ticket.kind, ticket.vm_count, ticket.account) == ("live", 3, cast.northwind)
    row = Activity.objects.get(kind="ticket", event="request")
    assert (row.actor, row.staff, row.account_id) == ("Tom Ueda", True, cast.northwind.pk)
    assert row.facts["requested_by"] == "Priya Raman" and row.facts["filed_by"] == "Tom Ueda"
    assert row.facts["called_back"] == "+1 555 0142" and row.facts["second_factor"] == "totp"
    assert file(cast, tom).pk == ticket.pk, "the same key gets the same ticket"
    say_yes(cast, ticket)
    work.drive()
    assert states(ticket) == ["running"] * 3 and list(activity.faults()) == []


def test_who_filed_it_decides_nothing_on_it(cast: Cast, tom: Actor) -> None:
    ticket = file(cast, tom)
    for verb in (approve, reject):
        with pytest.raises(Forbidden, match="You filed it by phone"):
            verb(tom, ticket, "Go", version_of(ticket))
    with pytest.raises(IntegrityError), transaction.atomic():
        Ticket.objects.filter(pk=ticket.pk).update(decided_by=cast.tom)


def test_only_a_lead_may_and_never_for_his_own_account(cast: Cast, tom: Actor) -> None:
    vms(cast)
    with pytest.raises(Forbidden, match="Ask a Support lead"):
        file(cast, cast.actor("mary"))
    with pytest.raises(Forbidden):
        file(cast, cast.actor("priya"))
    join(cast.tom, cast.northwind, "Billing")
    with pytest.raises(Forbidden, match="member of this account"):
        file(cast, tom)
    assert not Ticket.objects.exists()


def test_a_test_wants_a_fresh_second_factor_too(cast: Cast, tom: Actor) -> None:
    for kind in ("live", "test"):
        with pytest.raises(Forbidden) as refused:
            file(cast, replace(tom, proved_at=None), kind, key=f"phone-{kind}-1")
        assert refused.value.code == "second_factor_needed"


@pytest.mark.parametrize("number", ["", "+1 555 0143", "0142"])
def test_another_number_than_the_list_s(cast: Cast, tom: Actor, number: str) -> None:
    with pytest.raises(Invalid) as refused:
        file(cast, tom, number=number)
    assert "0142" not in str(refused.value.fields["called_back"]), "it doesn't say the right one"
    AuthorizedUser.objects.update(phone="")
    with pytest.raises(Invalid, match="marked") as refused:
        file(cast, tom, number=number)
    assert "nobody can be called back" in str(refused.value.fields["called_back"])
    assert not Ticket.objects.exists()


@pytest.mark.parametrize("lost", ["listing", "read", "membership", "person"])
def test_who_may_not_request_can_t_by_phone_either(cast: Cast, tom: Actor, lost: str) -> None:
    found, mine = vms(cast), listing(cast)
    if lost == "listing":
        unlist(cast.actor("mary"), listing(cast))
    elif lost == "read":
        Membership.objects.get(person=cast.priya).roles.clear()
    elif lost == "membership":
        Membership.objects.filter(person=cast.priya).update(enabled=False)
    else:
        type(cast.priya).objects.filter(pk=cast.priya.pk).update(is_active=False)
        mine = listing(cast)
    with pytest.raises(Invalid) as refused:
        file_by_phone(tom, mine, wish(found), PHONE, "phone-key-1")
    assert "person" in refused.value.fields and not Ticket.objects.exists()


def test_the_end_of_a_live_one_by_phone(cast: Cast, tom: Actor) -> None:
    live = file(cast, tom)
    say_yes(cast, live)
    work.drive()
    with pytest.raises(Invalid):
        end_by_phone(tom, listing(cast), live, ("Dallas is back", "phx01"), PHONE, "phone-key-2")
    end = end_by_phone(tom, listing(cast), live, ("Dallas is back", "dfw01"), PHONE, "phone-key-3")
    assert (end.kind, end.requested_by, end.filed_by) == ("terminate", cast.priya, cast.tom)
    say_yes(cast, end)
    work.drive()
    assert states(live) == ["terminated"] * 3 and list(activity.faults()) == []
