"""How a test went: asked for on its page, told there with who and when, and as a word wherever its VMs are listed."""

from __future__ import annotations

from django.test import Client

from failover.models import Ticket
from inventory.models import VM
from tests.cast import Cast, request, say_yes, sign_in
from tests.test_ticket_page.seen import LIST, end, page, push, run, words

ASKED = "How did the test go?"


def test_it_is_asked_for_while_the_test_runs_and_after(cast: Cast, priya: Client, vms: list[VM]) -> None:
    test = request(cast, vms[:1], "test")
    assert ASKED not in page(priya, test)
    say_yes(cast, test)
    push()
    assert ASKED in page(priya, test)
    say_yes(cast, end(cast, test))
    push()
    assert ASKED in page(priya, test)
    answer = priya.post(f"{LIST}{test}/result/", {"result": "remarks", "notes": "Sign-in was <slow>"})
    assert answer.status_code == 303
    html = page(priya, test)
    shown = words(html)
    assert "How the test went Passed with remarks Sign-in was <slow> Priya Raman" in shown and "&lt;slow&gt;" in html
    assert "Priya Raman told how it went: Passed with remarks" in shown and ASKED not in shown
    assert words(priya.get("/northwind/vms/").content.decode()).count("· remarks") == 1
    assert "Passed with remarks" in words(priya.get("/northwind/vms/web-01/").content.decode())
    assert "Change the result" in shown
    assert priya.post(f"{LIST}{test}/result/", {"result": "passed"}).status_code == 303
    assert words(page(priya, test)).count("told how it went: Passed") == 1


def test_what_is_missing_is_said_beside_the_field_and_kept(cast: Cast, priya: Client, vms: list[VM]) -> None:
    test = run(cast, vms[:1], "test")
    answer = priya.post(f"{LIST}{test}/result/", {"notes": "Half of it"})
    shown = words(answer.content.decode())
    assert answer.status_code == 400 and "Choose one of the three." in shown and "Half of it" in shown
    answer = priya.post(f"{LIST}{test}/result/", {"result": "failed"})
    assert answer.status_code == 400 and "Say what was found." in words(answer.content.decode())
    assert 'value="failed" checked' in answer.content.decode()
    assert Ticket.objects.get().result == ""


def test_a_live_failover_has_no_result_and_a_reader_is_not_asked(cast: Cast, client: Client, vms: list[VM]) -> None:
    sign_in(client, cast.priya)
    live = run(cast, vms[:1])
    assert ASKED not in page(client, live)
    answer = client.post(f"{LIST}{live}/result/", {"result": "passed"})
    assert answer.status_code == 409 and "Only a test has a result." in words(answer.content.decode())
    test = run(cast, vms[1:2], "test", "key-of-test")
    sign_in(client, cast.ravi)
    assert ASKED not in page(client, test)
    assert client.post(f"{LIST}{test}/result/", {"result": "passed"}).status_code == 403
