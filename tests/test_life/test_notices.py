"""What the life of tickets tells, to whom: in the portal, by e-mail, and to Support's own addresses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group

from accounts.actions import LEAD
from accounts.actions import SUPPORT as DUTY
from accounts.models import Person
from ampdr import clock, work
from ampdr.lifecycle import PORTAL, changes
from failover.actions import give_up, request_extension, request_termination, retry, withdraw
from failover.models import Failover, Ticket
from inventory.models import VM
from notices.models import Notice
from replication.providers.sites import provider_of
from tests.cast import Cast, drive_to, join, make_person, refuse, request, say_yes, states

SUPPORT = "support@ampdr.example"


@pytest.fixture
def leads(cast: Cast) -> list[Person]:
    """Two who decide, and two of the group who don't: one has left, one is a member of Northwind."""
    people = [
        make_person(f"{name}@ampdr.example", name.title(), is_staff=True) for name in ("ada", "ben", "cai", "dee")
    ]
    for person in people:
        person.groups.add(Group.objects.get(name=LEAD))
    Person.objects.filter(pk=people[2].pk).update(is_active=False)
    join(people[3], cast.northwind)
    return people


def mails(*addresses: str, after: int = 0) -> list[tuple[str, str]]:
    """Address and title of what was mailed, in the order in which it was made."""
    found = Notice.objects.filter(email__in=addresses, channel="email", pk__gt=after).order_by("pk")
    return list(found.values_list("email", "title"))


def told(name: str = "priya", **which: Any) -> list[str]:
    found = Notice.objects.filter(email=f"{name}@example.com", channel="portal", **which)
    return list(
        found.exclude(kind__in=("orders", "messages", "membership")).order_by("pk").values_list("title", flat=True)
    )


def text(title: str) -> str:
    return Notice.objects.filter(title__contains=title).order_by("-pk")[0].text


def sweep(ticket: Ticket, **later: float) -> None:
    with clock.ahead(ticket.requested_at + timedelta(**later) - clock.now()):
        work.drive()


# ---- Support ---------------------------------------------------------------------------------------------------------


def test_support_is_mailed_a_live_request_at_once_and_reminded_its_leads_from_the_tenth_minute(
    cast: Cast, vms: list[VM], leads: list[Person]
) -> None:
    ticket = request(cast, vms, "live")
    for minute in range(13):
        sweep(ticket, minutes=minute, seconds=1)
    what = "live failover of 3 VMs, DFW01 to PHX01"
    waits = [f"Northwind Health: {ticket.number} is not answered for {n} min, {what}" for n in (2, 5, 10)]
    assert mails(SUPPORT, *(lead.email for lead in leads)) == [
        (SUPPORT, f"Northwind Health: {ticket.number} waits for you, {what}"), (SUPPORT, waits[0]), (SUPPORT, waits[1]),
        (SUPPORT, waits[2]), ("ada@ampdr.example", waits[2]), ("ben@ampdr.example", waits[2]),
    ]  # fmt: skip
    last = Notice.objects.get(email="ada@ampdr.example")
    assert last.path == f"/admin/failover/ticket/{ticket.pk}/change/" and last.channel == "email"
    assert "This is reminder 3." in last.text and "Reason: Clinic sign-in is down" in last.text
    assert told() == [f"Priya Raman requested a live failover of 3 VMs: {ticket.number}"]


@pytest.mark.parametrize("kind", ["live", "terminate"])
def test_a_reminder_goes_to_support_from_the_tenth_minute_on_to_each_lead_and_to_nobody_else(
    cast: Cast, vms: list[VM], leads: list[Person], kind: str
) -> None:
    """By whatever channel: no customer, nobody of Support who is no lead, no lead who may not decide on it."""
    cast.mary.groups.add(Group.objects.get(name=DUTY))
    ticket = request(cast, vms, "live")
    if kind == "terminate":
        say_yes(cast, ticket)
        drive_to(ticket, "running")
        ticket = request_termination(cast.actor("priya"), ticket, "Dallas is back", "DFW01", "end-key-live")
    to: dict[int, list[str]] = {}
    for minute in (1, 2, 5, 10, 20, 30):
        sweep(ticket, minutes=minute, seconds=1)
        made = Notice.objects.filter(title__contains=f"{ticket.number} is not answered for {minute} min,")
        to[minute] = sorted(made.values_list("email", flat=True))
    both = ["ada@ampdr.example", "ben@ampdr.example", SUPPORT]
    assert to == {1: [], 2: [SUPPORT], 5: [SUPPORT], 10: both, 20: both, 30: both}
    assert Notice.objects.filter(title__contains="not answered").count() == 11


def test_without_an_address_of_support_the_leads_hear_of_it_all_the_same(
    cast: Cast, vms: list[VM], leads: list[Person], settings: LazySettings
) -> None:
    settings.SUPPORT_EMAIL = ""
    ticket = request(cast, vms, "live")
    sweep(ticket, minutes=2)
    assert not mails(SUPPORT, "ada@ampdr.example", "")
    sweep(ticket, minutes=20)
    assert [address for address, _ in mails(SUPPORT, "ada@ampdr.example", "")] == ["ada@ampdr.example"]


def test_the_termination_of_a_live_failover_is_mailed_to_support_and_that_of_a_test_is_not(
    cast: Cast, testing: Ticket, vms: list[VM]
) -> None:
    live = request(cast, vms[2:], "live", key="another")
    say_yes(cast, live)
    drive_to(live, "running")
    request_termination(cast.actor("priya"), testing, "", "", "end-key-test")
    work.drive()
    before = Notice.objects.order_by("-pk")[0].pk
    asked = request_termination(cast.actor("priya"), live, "Dallas is back", "DFW01", "end-key-live")
    work.drive()
    what = f"termination of {live.number}, PHX01 back to DFW01"
    assert mails(SUPPORT, after=before) == [(SUPPORT, f"Northwind Health: {asked.number} waits for you, {what}")]
    assert not Notice.objects.filter(email=SUPPORT, title__contains=testing.number)


def test_support_is_not_reminded_of_what_was_decided_before_the_mail_was_made(cast: Cast, vms: list[VM]) -> None:
    ticket = request(cast, vms, "live")
    with clock.ahead(timedelta(minutes=2)):
        work.drive(limit=1)
        assert Ticket.objects.get(pk=ticket.pk).reminders == 1
        withdraw(cast.actor("priya"), ticket)
        work.drive()
    assert not [title for _, title in mails(SUPPORT) if "not answered" in title]


# ---- Authorized users, administrators, the requester -----------------------------------------------------------------


def test_who_did_not_call_hears_of_it_whatever_was_switched_off(cast: Cast, vms: list[VM]) -> None:
    join(make_person("ida@example.com", "Ida Falk"), cast.northwind, "Admin")
    ticket = request(cast, vms[:1])
    Ticket.objects.filter(pk=ticket.pk).update(filed_by=cast.mary, called_back="+1 555 0142")
    work.drive()
    title = f"Mary Osei of Support filed a test failover of 1 VM for Priya Raman, who called: {ticket.number}"
    assert told(kind="by_phone") == told("ida", kind="by_phone") == [title]
    assert not told("ravi") and not told("oscar", kind="by_phone")
    assert "If Priya Raman did not call, withdraw it" in text(title) and "0142" not in text(title)


def test_an_extension_is_told_with_its_date_at_each_step(cast: Cast, testing: Ticket) -> None:
    assert testing.ends_at
    until, priya = testing.ends_at + timedelta(days=1), cast.actor("priya")
    first = request_extension(priya, testing, until, "", "extend-key-1")
    withdraw(priya, first)
    second = request_extension(priya, testing, until, "", "extend-key-2")
    say_yes(cast, second)
    work.drive()
    assert told(about__in=(first.number, second.number)) == [
        f"Priya Raman requested an extension of {testing.number}: {first.number}", f"{first.number} was withdrawn",
        f"Priya Raman requested an extension of {testing.number}: {second.number}", f"{second.number} was approved",
    ]  # fmt: skip
    assert f"to {until:%-d %B %Y, %H:%M} UTC" in text(f"{second.number} was approved")
    assert "the test ends on that date" in text(f"{second.number} was approved")
    assert "the old date stands" in text(f"{first.number} was withdrawn")


def test_that_a_test_ends_is_told_once_a_day_before_and_anew_of_another_date(cast: Cast, testing: Ticket) -> None:
    assert testing.ends_at
    ends_at, until = testing.ends_at, testing.ends_at + timedelta(days=2)
    with clock.ahead(ends_at - timedelta(hours=23) - clock.now()):
        work.drive()
        title = f"The test {testing.number} in PHX01 ends on {ends_at:%-d %B %Y, %H:%M} UTC"
        assert told()[-1] == title and told().count(title) == 1
        assert "2 VMs are terminated then by themselves" in text(title) and "requests an extension" in text(title)
        say_yes(cast, request_extension(cast.actor("priya"), testing, until, "", "extend-key-1"))
        work.drive()
    with clock.ahead(until - timedelta(hours=23) - clock.now()):
        work.drive()
        assert told()[-1] == f"The test {testing.number} in PHX01 ends on {until:%-d %B %Y, %H:%M} UTC"
        assert "extension" not in text(told()[-1])


def test_what_lapsed_says_why(cast: Cast, testing: Ticket, vms: list[VM]) -> None:
    assert testing.ends_at
    asked = request_termination(cast.actor("priya"), testing, "", "", "end-key-1")
    with clock.ahead(testing.ends_at - clock.now() + timedelta(seconds=1)):
        drive_to(testing, "terminated")
        work.drive()
    assert f"{asked.number} lapsed: what it names of {testing.number} doesn't run any more" in told()
    waiting = request(cast, vms[:1], key="another")
    sweep(waiting, days=7)
    assert told()[-1] == f"{waiting.number} was not decided in time and lapsed"


def test_what_to_do_next_stands_in_the_notice_of_what_runs(cast: Cast, live: Ticket) -> None:
    said = text(f"2 VMs of {live.number} run in PHX01: please confirm")
    assert (
        "Connect with the SSL/VPN client of PHX01-Recovery" in said
        and f"confirm it on the page of {live.number}" in said
    )


def test_two_places_alarm_support_and_the_authorized_users(
    cast: Cast, live: Ticket, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    VM.objects.filter(pk__in=[vm.pk for vm in vms[:2]]).update(power="on")
    work.drive()
    title = f"2 VMs of {live.number} run in two places, DFW01 and PHX01"
    assert told()[-1] == title and mails(SUPPORT)[-1] == (SUPPORT, f"Northwind Health: {title}")
    VM.objects.filter(pk__in=[vm.pk for vm in vms[:2]]).update(power="off")
    work.drive()
    refuse(monkeypatch, "fence")
    VM.objects.filter(pk=vms[0].pk).update(power="on")
    work.drive()
    assert told()[-1] == f"web-01 of {live.number} runs in two places, DFW01 and PHX01"


def test_an_outcome_that_nobody_knows_is_told_when_nothing_moves_any_more(cast: Cast, vms: list[VM]) -> None:
    """The last line's: of the others it was known before."""
    ticket = request(cast, vms[:1])
    say_yes(cast, ticket)
    work.drive(limit=1)
    lines = Failover.objects.filter(ticket=ticket)
    lines.update(flag="outcome_unknown", waiting_on="support", next_step_at=None)
    from_now = Notice.objects.order_by("-pk")[0].pk if Notice.objects.exists() else 0
    with changes(PORTAL) as change:
        change.note(lines, "failover.outcome_unknown")
    work.drive()
    titles = Notice.objects.filter(pk__gt=from_now, kind="test_failover", channel="portal").values_list(
        "title", flat=True
    )
    assert f"1 VM of {ticket.number} could not be started" in titles


# ---- Failing again, giving up ----------------------------------------------------------------------------------------


def notice_of(ticket: Ticket) -> list[str]:
    return told(about=ticket.number, kind__in=("live_failover", "test_failover"))


def test_a_start_that_fails_again_after_a_retry_is_told_again(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "start_live")
    ticket = request(cast, vms[:1], "live")
    say_yes(cast, ticket)
    drive_to(ticket, "start_failed")
    failure = f"1 VM of {ticket.number} could not be started"
    assert notice_of(ticket).count(failure) == 1
    retry(cast.actor("mary"), Failover.objects.filter(ticket=ticket))
    drive_to(ticket, "start_failed")
    assert notice_of(ticket).count(failure) == 2
    work.drive()
    assert notice_of(ticket).count(failure) == 2


def test_a_termination_that_fails_again_after_a_retry_is_told_again(
    cast: Cast, testing: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "stop")
    say_yes(cast, request_termination(cast.actor("priya"), testing, "", "", "end-key-1"))
    drive_to(testing, "termination_failed")
    failure = f"2 VMs of {testing.number} could not be terminated"
    assert notice_of(testing).count(failure) == 1
    retry(cast.actor("mary"), Failover.objects.filter(ticket=testing))
    drive_to(testing, "termination_failed")
    assert notice_of(testing).count(failure) == 2


def test_what_support_gives_up_is_told_with_its_reason_and_again_when_nothing_of_it_is_left(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a part too: the other VM runs on."""
    monkeypatch.setenv("SIMULATION_FAULTS", '[{"fault": "refuse", "kind": "start_live", "vm": "web-01"}]')
    provider_of.cache_clear()
    ticket = request(cast, vms[:2], "live")
    say_yes(cast, ticket)
    for _ in range(5):
        work.drive()
        Failover.objects.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
    assert states(ticket) == ["start_failed", "running"]
    give_up(cast.actor("mary"), Failover.objects.filter(vm=vms[0]), "The disk in PHX01 can't be read")
    work.drive()
    assert states(ticket) == ["dropped", "running"]
    assert notice_of(ticket)[-2:] == [
        f"Support gave up the start of 1 VM of {ticket.number}", f"1 VM of {ticket.number} was given up",
    ]  # fmt: skip
    assert "Reason: The disk in PHX01 can't be read" in text("gave up the start")
    assert "released and started again in DFW01" in text("was given up")
    assert not told("ravi", about=ticket.number)


def test_a_test_that_is_given_up_leaves_its_original_as_it_was(
    cast: Cast, vms: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "start_test")
    ticket = request(cast, vms[:2])
    say_yes(cast, ticket)
    drive_to(ticket, "start_failed")
    give_up(cast.actor("mary"), Failover.objects.filter(ticket=ticket), "No room")
    drive_to(ticket, "dropped")
    assert notice_of(ticket)[-1] == f"2 VMs of {ticket.number} were given up"
    assert "The originals in DFW01 went on all the time" in text("were given up")


def test_of_a_late_fence_that_nobody_knows_of_nobody_is_asked_to_confirm_anew(
    cast: Cast, live: Ticket, vms: list[VM]
) -> None:
    """The last failed start was given up since: so many run as never before were counted."""
    work.drive()
    before = notice_of(live)
    Failover.objects.filter(vm=vms[0]).update(state="dropped", running_at=None)
    late = Failover.objects.filter(vm=vms[1])
    late.update(verb="fence", flag="outcome_unknown", waiting_on="support")
    with changes(PORTAL) as change:
        change.note(late, "failover.outcome_unknown")
    work.drive()
    assert notice_of(live) == before
