"""Notices: made from the record, once for each event, person and channel, whatever is killed or repeated."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import Count
from django.test.utils import CaptureQueriesContext

from accounts.actions import change_member, create_account, issue_token, list_authorized, unlist
from accounts.models import AuthorizedUser, Head, Membership, Permission, Person, Role
from ampdr import work
from ampdr.lifecycle import PORTAL, changes
from ampdr.work import Batch, claim, perform
from notices.actions import Opening, open_conversation, write
from notices.models import Notice, Preference, Reading
from notices.tasks import Read, registry
from notices.tasks import reading as reading_tasks
from replication.actions import stop_replication
from tests.cast import Cast, join, make_person, make_vms, protect, refuse, request, say_yes

OF_FAILOVERS = ("live_failover", "test_failover")


def told(*columns: str, **which: Any) -> list[Any]:
    return list(Notice.objects.filter(**which).order_by("pk").values_list(*columns, flat=len(columns) == 1))


def titles(name: str, **which: Any) -> list[str]:
    return told("title", email=f"{name}@example.com", channel="portal", **which)


def read_again() -> None:
    """As if nothing had been read yet."""
    Reading.objects.update(number=0)
    work.drive()


def next_reading() -> Batch:
    batch = claim(Read())
    assert batch
    return batch


def add_token(cast: Cast, name: str = "backup") -> None:
    issue_token(cast.actor("priya"), cast.priya, cast.northwind, name, ["read_vms"])


# ---- Once ------------------------------------------------------------------------------------------------------------


def test_one_notice_per_event_person_and_channel(cast: Cast) -> None:
    add_token(cast)
    protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "db-01"]))
    say_yes(cast, request(cast, vms, "live"))
    work.drive()
    assert told("email", "channel", event__startswith="token.issued") == [
        ("priya@example.com", "portal"), ("priya@example.com", "email")
    ]  # fmt: skip
    before = list(Notice.objects.order_by("pk").values_list("pk", "event"))
    for _ in range(3):
        read_again()
    assert list(Notice.objects.order_by("pk").values_list("pk", "event")) == before
    assert not Notice.objects.values("event", "email", "channel").annotate(n=Count("pk")).filter(n__gt=1)
    assert dict(Reading.objects.values_list("account", "number")) == dict(Head.objects.values_list("account", "number"))


def test_who_is_killed_before_the_end_repeats_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies after the notices were inserted and before the reading moved on."""
    work.drive()
    add_token(cast)
    before, place = Notice.objects.count(), dict(Reading.objects.values_list("pk", "number"))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    batch = next_reading()
    monkeypatch.setattr(reading_tasks, "count_unread", killed)
    with pytest.raises(KeyboardInterrupt):
        perform(batch)
    monkeypatch.undo()
    assert (Notice.objects.count(), dict(Reading.objects.values_list("pk", "number"))) == (before, place)
    Reading.objects.update(claim=None, next_step_at=None)
    work.drive()
    assert Notice.objects.count() == before + 2


def test_two_who_read_at_once_write_once(cast: Cast) -> None:
    """The first was frozen past its lease; what it then writes is the second one's already."""
    work.drive()
    add_token(cast)
    slow = next_reading()
    Reading.objects.update(next_step_at=None)
    quick = next_reading()
    perform(quick)
    once = Notice.objects.count()
    perform(slow)
    assert Notice.objects.count() == once and claim(Read()) is None


def test_what_has_no_words_keeps_nobody_from_the_rest(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    work.drive()

    def broken(event: Any) -> Any:
        raise ValueError(event)

    monkeypatch.setitem(registry.TELLERS, "membership.changed", (registry.Per.ROW, broken))
    oscar = Membership.objects.get(person=cast.oscar)
    change_member(cast.actor("mary"), oscar, list(Role.objects.filter(name="Billing")), True)
    add_token(cast)
    work.drive()
    assert titles("priya", kind="security") == ["An API token of yours was made"]


# ---- Summed up -------------------------------------------------------------------------------------------------------


def test_a_ticket_of_many_vms_is_one_notice_for_each_thing_that_befell_it(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many steps it is read in."""
    monkeypatch.setattr(reading_tasks, "ROWS", 1)
    monkeypatch.setattr(reading_tasks, "SEALS", 1)
    order = protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n:02}" for n in range(40)]))
    assert titles("priya", kind="orders") == [f"{order.number} is ready: 40 VMs are protected"]
    ticket = request(cast, vms, "live")
    say_yes(cast, ticket)
    work.drive()
    assert titles("priya", kind="live_failover") == [
        f"Priya Raman requested a live failover of 40 VMs: {ticket.number}", f"{ticket.number} was approved",
        f"40 VMs of {ticket.number} run in PHX01: please confirm",
    ]  # fmt: skip
    [link] = set(told("path", email="priya@example.com", title__contains="confirm"))
    assert link == f"/northwind/failovers/{ticket.number}/"


def test_what_could_not_be_started_is_told_with_the_rest(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    refuse(monkeypatch, "start_test")
    ticket = request(cast, vms)
    say_yes(cast, ticket)
    for _ in range(6):
        work.drive()
        ticket.lines.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
    assert titles("priya", kind="test_failover")[-1] == f"1 VM of {ticket.number} could not be started"


def test_stopping_is_told_each_time(cast: Cast) -> None:
    order = protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "db-01"]))
    for part in (vms[:2], vms[2:]):
        stop_replication(cast.actor("oscar"), [vm.uuid for vm in part], f"stop-these-{part[0].pk}")
        work.drive()
    assert titles("priya", kind="orders")[1:] == [
        f"Replication of 2 VMs of {order.number} was stopped", f"Replication of db-01 of {order.number} was stopped"
    ]  # fmt: skip


# ---- To whom ---------------------------------------------------------------------------------------------------------


def test_failovers_are_told_to_whom_they_concern(cast: Cast) -> None:
    """Authorized users, administrators and the requester: not everybody who may read."""
    protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    request(cast, vms)
    work.drive()
    assert set(told("email", kind="test_failover")) == {"priya@example.com"}
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar)
    request(cast, vms[:0] + make_protected(cast), "live")
    assert set(told("email", kind="live_failover")) == set()
    work.drive()
    people = {"priya@example.com", "oscar@example.com"}
    assert set(told("email", kind="live_failover")) == {*people, "support@ampdr.example"}
    assert set(told("email", kind="live_failover", channel="portal")) == people


def make_protected(cast: Cast) -> list[Any]:
    protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["app-01"]), "another-order")
    return vms


def test_without_read_nothing_of_orders_and_failovers_is_told(cast: Cast) -> None:
    """Rule 4. Sana is even on the list of authorized users, and has ordered nothing."""
    sana = make_person("sana@example.com", "Sana Iqbal")
    role = Role.objects.create(account=cast.northwind, name="Watcher", permissions=[Permission.READ_VMS])
    join(sana, cast.northwind).roles.set([role])
    list_authorized(cast.actor("mary"), cast.northwind, sana)
    protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    say_yes(cast, request(cast, vms, "live"))
    work.drive()
    assert titles("sana") == ["You may request failovers for Northwind Health"]
    assert titles("priya", kind="live_failover")


def test_nothing_reaches_another_account(cast: Cast) -> None:
    protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    say_yes(cast, request(cast, vms, "live"))
    add_token(cast)
    work.drive()
    assert not Notice.objects.filter(account=cast.northwind, email="olga@example.com")
    assert not Notice.objects.filter(account=cast.contoso).exclude(email="olga@example.com")


def test_a_disabled_person_is_told_so_by_mail_and_then_nothing_more(cast: Cast) -> None:
    work.drive()
    oscar = Membership.objects.get(person=cast.oscar)
    change_member(cast.actor("priya"), oscar, enabled=False)
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    assert told("title", "channel", email="oscar@example.com") == [
        ("You have no access to Northwind Health any more", "email")
    ]  # fmt: skip


def test_the_list_and_roles_are_told_to_whom_they_are_about(cast: Cast) -> None:
    work.drive()
    mary = cast.actor("mary")
    oscar = Membership.objects.get(person=cast.oscar)
    change_member(mary, oscar, list(Role.objects.filter(account=None, name="Billing")), True)
    listing = list_authorized(mary, cast.northwind, cast.oscar)
    unlist(mary, listing, "Left the team")
    work.drive()
    assert titles("oscar", kind="membership") == [
        "Your roles in Northwind Health were changed", "You may no longer request failovers for Northwind Health"
    ]  # fmt: skip
    assert AuthorizedUser.objects.filter(account=cast.northwind).count() == 1


@pytest.mark.parametrize(("event", "title"), [
    ("factor_added", "A second factor was set up for you"), ("factor_reset", "Your second factor was removed"),
    ("recovery_code_used", "A recovery code of yours was used"), ("password_changed", "Your password was changed"),
    ("signed_in", "You signed in from a device that is new here"),
])  # fmt: skip
def test_a_person_is_told_of_his_own_sign_in(cast: Cast, event: str, title: str) -> None:
    with changes(PORTAL) as change:
        change.note(Person.objects.filter(pk=cast.ravi.pk), f"person.{event}")
        change.note(Person.objects.filter(pk=cast.oscar.pk), "person.signed_in", known_device=True)
    work.drive()
    assert titles("ravi", account=None) == [title] and not titles("oscar", account=None)
    assert Membership.objects.get(person=cast.ravi).unread == 1


def test_each_side_of_a_conversation_hears_what_the_other_wrote(cast: Cast) -> None:
    """Ravi, who may not read tickets, hears nothing; Support's address does."""
    work.drive()
    said = Opening("other", "A question", "Is it on?")
    talk = open_conversation(cast.actor("oscar"), said, "conversation-key")
    write(cast.actor("mary"), talk, "It is.", "an-answer-key")
    work.drive()
    assert told("email", kind="messages", event__startswith="conversation.opened") == ["support@ampdr.example"]
    answer = Notice.objects.get(kind="messages", email="oscar@example.com", channel="portal")
    assert (answer.title, answer.text) == (f"Support wrote in {talk.number}: A question", "It is.")
    assert answer.path == f"/northwind/tickets/{talk.number}/" and answer.permission == "read_tickets"
    assert set(told("email", kind="messages", event=answer.event)) == {"oscar@example.com"}


# ---- Wishes ----------------------------------------------------------------------------------------------------------


def wish(cast: Cast, name: str, kind: str, channel: str, on: bool = False) -> None:
    Preference.objects.create(person=getattr(cast, name), kind=kind, channel=channel, on=on)


def test_what_is_switched_off_doesn_t_come(cast: Cast) -> None:
    wish(cast, "priya", "orders", "email")
    wish(cast, "oscar", "orders", "portal")
    protect(cast, make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"]))
    assert sorted(told("email", "channel", kind="orders")) == [
        ("oscar@example.com", "email"), ("priya@example.com", "portal")
    ]  # fmt: skip


def test_who_is_listed_hears_of_live_failovers_whatever_he_wishes(cast: Cast) -> None:
    """Priya is listed; Ada is an administrator and may choose."""
    join(ada := make_person("ada@example.com", "Ada Lund"), cast.northwind, "Admin")
    for person in (cast.priya, ada):
        for kind in OF_FAILOVERS:
            Preference.objects.create(person=person, kind=kind, channel="email", on=False)
    protect(cast, vms := make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "db-01"]))
    request(cast, vms[:1], "live")
    request(cast, vms[1:], "test")
    work.drive()
    assert set(told("email", "kind", channel="email", kind__in=OF_FAILOVERS, person__isnull=False)) == {
        ("priya@example.com", "live_failover")
    }


def test_what_is_of_the_sign_in_comes_whatever_one_wishes(cast: Cast) -> None:
    wish(cast, "priya", "security", "email")
    add_token(cast)
    work.drive()
    assert set(told("channel", kind="security", email="priya@example.com")) == {"portal", "email"}


# ---- Growing records -------------------------------------------------------------------------------------------------


def test_a_step_costs_the_same_for_two_rows_and_for_hundreds(cast: Cast) -> None:
    costs = []
    for n in (2, 300):
        make = make_vms(cast.northwind, cast.sites["DFW01"], [f"vm-{n}-{k}" for k in range(n)])
        protect(cast, make, f"order-of-{n}")
        Reading.objects.filter(account=cast.northwind).update(number=0)
        Notice.objects.all().delete()
        with CaptureQueriesContext(connection) as caught:
            perform(next_reading())
        costs.append(len(caught))
        assert len(titles("priya", kind="orders")) == len(costs)
        Reading.objects.update(next_step_at=None)
        work.drive()
    assert costs[1] - costs[0] < 5, costs  # of the second order


def test_a_new_account_is_read_from_its_beginning(cast: Cast) -> None:
    work.drive()
    account = create_account(PORTAL, "acme", "Acme", 4103)
    assert not Reading.objects.filter(account=account).exists()
    work.drive()
    assert Reading.objects.get(account=account).number == Head.objects.get(account=account).number > 0
