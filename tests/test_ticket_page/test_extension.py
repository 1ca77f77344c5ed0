"""A later end date of a test, as a customer asks for it, and how both tickets tell of it."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

from django.test import Client

from failover.models import Kind, Ticket
from inventory.models import VM
from tests.cast import Cast, say_yes
from tests.test_ticket_page.seen import LIST, heading, page, push, run, words

DAY = timedelta(days=1)


def test_a_test_is_extended_once_and_the_old_date_stands_until_then(cast: Cast, priya: Client, vms: list[VM]) -> None:
    test = run(cast, vms[:2], "test")
    assert f'href="{LIST}{test}/extend/"' in page(priya, test)
    html = priya.get(f"{LIST}{test}/extend/").content.decode()
    offered = [unescape(one) for one in re.findall(r'<option value="(20[^"]+)"', html)]
    assert [moment[:10] for moment in offered] == sorted(moment[:10] for moment in offered) and len(offered) == 4
    shown = words(html)
    for fact in (
        "web-01, web-02",
        "Ends now",
        "7 days in all",
        "a test is extended once",
        "1 d later",
        "4 d later",
    ):
        assert fact in shown, fact
    form = {"key": "extend-key-1", "ends_at": offered[1], "reason": "One more <clinic>"}
    answer = priya.post(f"{LIST}{test}/extend/", form)
    asked = Ticket.objects.get(kind=Kind.EXTEND)
    assert (answer.status_code, answer["Location"]) == (303, f"{LIST}{asked}/")
    assert priya.post(f"{LIST}{test}/extend/", form)["Location"] == f"{LIST}{asked}/"  # sent twice: the same one
    html = page(priya, asked)
    assert heading(html) == ("", "Waiting for Support")
    shown = words(html)
    for fact in ("the old end date stands", "Old end date", "2 d later", "Priya Raman requested the extension of"):
        assert fact in shown, fact
    html = page(priya, test)
    assert "Its extension is requested, from" in words(html) and f'href="{LIST}{asked}/"' in html
    assert "/extend/" not in html
    assert priya.get(f"{LIST}{test}/extend/").status_code == 409
    say_yes(cast, asked)
    push()
    assert heading(page(priya, asked)) == ("", "Extended")
    html = page(priya, test)
    assert heading(html) == ("test", "Running") and "in 4 d 23 h" in words(html) and "/extend/" not in html
    assert "The end date was moved" in words(html)
    assert "Extended" in words(priya.get(LIST, {"state": "extended"}).content.decode())
    assert str(test) not in priya.get(LIST, {"state": "extended", "kind": "test"}).content.decode()


def test_a_date_that_was_not_offered_is_refused_beside_the_field(cast: Cast, priya: Client, vms: list[VM]) -> None:
    test = run(cast, vms[:1], "test")
    late = (test.ends_at or test.requested_at) + 30 * DAY
    for ends_at in ("", "soon", late.isoformat()):
        answer = priya.post(f"{LIST}{test}/extend/", {"key": "extend-key-2", "ends_at": ends_at})
        assert answer.status_code == 400 and "One thing needs a look" in words(answer.content.decode())
    assert not Ticket.objects.filter(kind=Kind.EXTEND).exists()


def test_only_a_running_test_can_be_extended(cast: Cast, priya: Client, vms: list[VM]) -> None:
    live = run(cast, vms[:1])
    assert "/extend/" not in page(priya, live)
    answer = priya.get(f"{LIST}{live}/extend/")
    assert answer.status_code == 409 and "Only a test has an end date." in words(answer.content.decode())
