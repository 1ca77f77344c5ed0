"""What people are told of an outage: who first, in what words, and that it can't be switched off by whoever decides."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client

from accounts.actions import list_authorized
from ampdr import clock, work
from failover.actions import request_termination
from inventory import actions
from inventory.models import VM
from notices.models import Notice, Preference
from tests.cast import Cast, make_vms, protect, request, say_yes, sign_in
from tests.test_outages_strips import declare, key, over


@pytest.fixture
def vms(cast: Cast) -> list[VM]:
    """Of Northwind in Dallas: two protected, one bare."""
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01", "web-02", "bare-01"])
    protect(cast, found[:2])
    work.drive()
    Notice.objects.all().delete()
    mail.outbox.clear()
    return found


def sent(channel: str = "email") -> list[tuple[str, str, str]]:
    """To whom, what, and where it leads, in the order in which mails go out."""
    found = Notice.objects.filter(channel=channel, kind="outage").order_by("next_step_at", "pk")
    return [(one.email.partition("@")[0], one.title, one.path) for one in found]


def read_on() -> None:
    """Notices are made, and no mail is sent: the next ones to go stand in their order."""
    duty = next(one for one in work._duties if one.name == "read the record for notices")
    while batch := work.claim(duty):
        work.perform(batch)


def test_who_may_decide_is_told_first_and_asked(cast: Cast, vms: list[VM]) -> None:
    outage = declare(cast)
    read_on()
    first, *others = sent()
    assert first == (
        "priya", "[Outage] Dallas (DFW01): 3 of your VMs affected, your decision needed",
        "/northwind/failovers/new/?kind=live&site=DFW01",
    )  # fmt: skip
    page = f"/northwind/outages/{outage.number}/"
    assert sorted(others) == [(n, "[Outage] Dallas (DFW01): 3 of your VMs affected", page) for n in ("oscar", "ravi")]
    text = Notice.objects.get(email="ravi@example.com", channel="email").text
    assert "Hall A has no power: No power." in text and "Affected: 3 on it." in text and "UTC" in text
    assert "Nothing fails over by itself. A live failover of 2 protected VMs can be requested." in text
    assert "Told first, as who may request failovers: Priya Raman." in text
    assert {one for one, _, _ in sent("portal")} == {"priya", "oscar", "ravi"}
    assert not Notice.objects.filter(email="olga@example.com", kind="outage").exists()
    work.drive()
    assert [one.to[0] for one in mail.outbox] == ["priya@example.com"], "the others' wait a minute"
    with clock.ahead(timedelta(minutes=2)):
        work.drive()
    assert len(mail.outbox) == 3


def test_the_listed_of_one_account_come_before_the_others_of_any(cast: Cast, vms: list[VM]) -> None:
    make_vms(cast.contoso, cast.sites["DFW01"], ["c-01"])
    declare(cast)
    read_on()
    assert {one for one, _, _ in sent()[:2]} == {"priya", "olga"}


def test_who_decides_can_t_switch_it_off(cast: Cast, vms: list[VM], client: Client) -> None:
    for person in (cast.priya, cast.ravi):
        for channel in ("email", "portal"):
            Preference.objects.create(person=person, kind="outage", channel=channel, on=False)
    declare(cast)
    read_on()
    assert {one for one, _, _ in sent()} == {one for one, _, _ in sent("portal")} == {"priya", "oscar"}
    sign_in(client, cast.priya)
    assert "so you hear of every outage" in client.get("/northwind/notifications/settings/").content.decode()


def test_without_read_nobody_is_told(cast: Cast, vms: list[VM]) -> None:
    role = cast.northwind.roles.create(name="Watcher", permissions=["read_vms"])
    cast.ravi.memberships.get().roles.set([role])
    list_authorized(cast.actor("mary"), cast.northwind, cast.ravi)
    declare(cast)
    read_on()
    assert {one for one, _, _ in sent()} == {"priya", "oscar"}


def test_an_update_asks_while_something_waits_for_a_decision(cast: Cast, vms: list[VM]) -> None:
    outage = declare(cast)
    actions.update(cast.actor("mary"), outage, "Engineers are on site.", key())
    read_on()
    assert {title for _, title, _ in sent() if "update" in title} == {
        "[Outage] Dallas (DFW01): update, 2 of your VMs wait for your decision", "[Outage] Dallas (DFW01): update",
    }  # fmt: skip
    Notice.objects.all().delete()
    request(cast, vms[:2], "live")
    actions.update(cast.actor("mary"), outage, "More.", key())
    read_on()
    page = f"/northwind/outages/{outage.number}/"
    assert {(title, path) for _, title, path in sent()} == {("[Outage] Dallas (DFW01): update", page)}


def test_when_it_is_over_what_still_runs_elsewhere_is_named(cast: Cast, vms: list[VM]) -> None:
    outage, ticket = declare(cast), request(cast, vms[:2], "live")
    say_yes(cast, ticket)
    work.drive()
    Notice.objects.all().delete()
    over(cast, outage)
    read_on()
    first, *others = sent()
    title = "[Outage over] Dallas (DFW01): your 2 VMs still run in PHX01"
    assert first == ("priya", title, f"/northwind/failovers/{ticket.number}/terminate/")
    assert {path for _, _, path in others} == {f"/northwind/outages/{outage.number}/"}
    text = Notice.objects.get(email="priya@example.com", channel="email").text
    assert f"2 VMs still run in PHX01 ({ticket.number}). To bring them back, request termination." in text


def test_when_it_is_over_and_its_termination_is_requested(cast: Cast, vms: list[VM]) -> None:
    outage, ticket = declare(cast), request(cast, vms[:2], "live")
    say_yes(cast, ticket)
    work.drive()
    end = request_termination(cast.actor("priya"), ticket, "Back", "DFW01", "end-key-1")
    Notice.objects.all().delete()
    over(cast, outage)
    read_on()
    assert [path for who, _, path in sent() if who == "priya"] == [f"/northwind/failovers/{end.number}/"]
    text = Notice.objects.get(email="priya@example.com", channel="email", kind="outage").text
    assert f"({ticket.number}). Termination is requested: {end.number}." in text and "To bring" not in text


def test_when_it_is_over_and_nothing_runs_elsewhere(cast: Cast, vms: list[VM]) -> None:
    over(cast, declare(cast))
    read_on()
    assert ("priya", "[Outage over] Dallas (DFW01): it is back") in [(who, title) for who, title, _ in sent()]


def test_two_who_may_decide_read_of_each_other(cast: Cast, vms: list[VM]) -> None:
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar)
    declare(cast)
    read_on()
    assert [who for who, _, _ in sent()][2:] == ["ravi"]
    for one in Notice.objects.filter(kind="outage"):
        assert "Told first, as who may request failovers: Oscar Lind, Priya Raman." in one.text
