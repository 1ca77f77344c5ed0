"""Signing in and out: password, second step, where one is led, and what of it stands in the record."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.conf import settings
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.models import Activity
from ampdr import clock
from tests.cast import PASSWORD, Cast
from tests.signing import as_if_later, code_of, events, give_app, give_codes, known, password, unused

HOSTILE = ("\0", "x" * 10_000, "\u202egnp.exe", "<script>alert(1)</script>", "' OR 1=1 --", "🚀" * 40, "=1+1", "")


def test_a_password_signs_in_and_it_is_written_down(cast: Cast, client: Client) -> None:
    response = client.post("/sign-in/", {"login": " Priya@Example.com ", "password": PASSWORD})
    assert response.status_code == 302 and response["Location"] == "/" and known(client)
    row = Activity.objects.get(kind="person", event="signed_in")
    assert (row.account, row.actor, row.subject_id, row.staff) == (None, "Priya Raman", cast.priya.pk, False)
    assert row.facts == {"address": "127.0.0.1", "known_device": False, "means": ["password"]}


def test_a_wrong_password_says_the_same_as_an_e_mail_that_nobody_has(cast: Cast, client: Client) -> None:
    wrong = client.post("/sign-in/", {"login": "priya@example.com", "password": "wrong horse battery"})
    nobody = client.post("/sign-in/", {"login": "niemand@example.com", "password": "wrong horse battery"})
    cast.ravi.is_active = False
    cast.ravi.save()
    disabled = client.post("/sign-in/", {"login": "ravi@example.com", "password": PASSWORD})
    pages = [page.content.decode().replace(name, "") for page, name in
             ((wrong, "priya"), (nobody, "niemand"), (disabled, "ravi"))]  # fmt: skip
    bare = {page[: page.index("csrfmiddlewaretoken")] + page[page.index("</form>") :] for page in pages}
    assert {page.status_code for page in (wrong, nobody, disabled)} == {400} and len(bare) == 1
    assert "fit together" in pages[0] and not known(client)
    assert events(cast.priya) == ["wrong_password"]


def test_an_unknown_device_is_known_from_then_on(cast: Cast, client: Client) -> None:
    password(client, "priya@example.com")
    client.post("/sign-out/")
    password(client, "priya@example.com")
    seen = [row.facts["known_device"] for row in Activity.objects.filter(event="signed_in").order_by("id")]
    assert seen == [False, True]
    assert events(cast.priya) == ["signed_in", "signed_out", "signed_in"]


def test_a_forged_header_is_nobodys_address(cast: Cast, client: Client) -> None:
    sent = {"login": "priya@example.com", "password": PASSWORD}
    client.post("/sign-in/", sent, headers={"X-Forwarded-For": "6.6.6.6"}, REMOTE_ADDR="")
    assert Activity.objects.get(event="signed_in").facts["address"] == "0.0.0.0"


ELSEWHERE = (
    "https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "http:///evil.example",
    "\x08//evil.example", "https:evil.example",
)  # fmt: skip


@pytest.mark.parametrize("there", ELSEWHERE)
def test_nobody_is_led_elsewhere(cast: Cast, client: Client, there: str) -> None:
    sent = {"login": "priya@example.com", "password": PASSWORD, "next": there}
    response = client.post("/sign-in/", sent)
    assert (
        response.status_code == 302 and "evil" not in response["Location"] and "javascript" not in response["Location"]
    )


def test_one_is_led_to_where_one_wanted(cast: Cast, client: Client) -> None:
    give_app(cast.priya)
    page = client.get("/northwind/vms/?q=web")
    assert page["Location"] == "/sign-in/?next=/northwind/vms/%3Fq%3Dweb"
    assert 'name="next" value="/northwind/vms/?q=web"' in client.get(page["Location"]).content.decode()


# ---- The second step -------------------------------------------------------------------------------------------------


def test_who_has_a_factor_proves_it(cast: Cast, client: Client) -> None:
    secret = give_app(cast.priya)
    response = client.post("/sign-in/", {"login": "priya@example.com", "password": PASSWORD, "next": "/northwind/vms/"})
    assert response["Location"] == "/sign-in/code/" and not known(client)
    response = client.post("/sign-in/code/", {"code": f" {code_of(secret)[:3]} {code_of(secret)[3:]} "})
    assert response["Location"] == "/northwind/vms/" and known(client)
    assert Activity.objects.get(event="signed_in").facts["means"] == ["password", "totp"]


def test_a_recovery_code_is_good_once(cast: Cast, client: Client) -> None:
    give_app(cast.priya)
    code = give_codes(cast.priya)[3]
    password(client, "priya@example.com")
    assert client.post("/sign-in/code/", {"code": f"{code[:4]} {code[4:8]}-{code[8:]}"}).status_code == 302
    assert known(client) and len(unused(cast.priya)) == 9
    other = Client()
    password(other, "priya@example.com")
    assert other.post("/sign-in/code/", {"code": code}).status_code == 400 and not known(other)
    assert events(cast.priya) == ["recovery_code_used", "signed_in", "wrong_code"]


def test_wrong_old_and_used_codes_are_refused(cast: Cast, client: Client) -> None:
    secret = give_app(cast.priya)
    password(client, "priya@example.com")
    now = code_of(secret)
    for code in (
        "000000" if now != "000000" else "111111",
        code_of(secret, -3),
        code_of(secret, 3),
        "٤٥٦٧٨٩",
        *HOSTILE,
    ):
        response = client.post("/sign-in/code/", {"code": code})
        assert response.status_code == 400 and not known(client), code
        as_if_later()
    assert client.post("/sign-in/code/").status_code == 400
    assert client.post("/sign-in/code/", {"credential": "{}"}).status_code == 400


def test_a_code_counts_once(cast: Cast, client: Client) -> None:
    secret, other = give_app(cast.priya), Client()
    for one in (client, other):
        password(one, "priya@example.com")
    code = code_of(secret)
    assert client.post("/sign-in/code/", {"code": code}).status_code == 302
    assert other.post("/sign-in/code/", {"code": code}).status_code == 400 and not known(other)


def test_codes_are_limited_and_apart_for_a_known_device(cast: Cast, client: Client) -> None:
    secret = give_app(cast.priya)
    password(client, "priya@example.com")
    client.post("/sign-in/code/", {"code": code_of(secret)})
    client.post("/sign-out/")
    thief = Client()
    password(thief, "priya@example.com")
    for _ in range(11):
        thief.post("/sign-in/code/", {"code": "12"})
    as_if_later()
    refused = thief.post("/sign-in/code/", {"code": code_of(secret)})
    assert refused.status_code == 400 and "Too many wrong codes" in refused.content.decode() and not known(thief)
    password(client, "priya@example.com")
    assert client.post("/sign-in/code/", {"code": code_of(secret)}).status_code == 302 and known(client)
    assert events(cast.priya).count("wrong_code") == 10 and events(cast.priya).count("limit_reached") == 1


def test_starting_over(cast: Cast, client: Client) -> None:
    give_app(cast.priya)
    password(client, "priya@example.com")
    assert client.get("/sign-in/")["Location"] == "/sign-in/code/"
    client.post("/sign-out/")
    assert client.get("/sign-in/").status_code == 200
    assert client.get("/sign-in/code/")["Location"] == "/sign-in/"


def test_who_is_disabled_between_two_steps_is_not_let_in(cast: Cast, client: Client) -> None:
    secret = give_app(cast.priya)
    password(client, "priya@example.com")
    cast.priya.is_active = False
    cast.priya.save()
    client.post("/sign-in/code/", {"code": code_of(secret)})
    assert not known(client) and "signed_in" not in events(cast.priya)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_breaks_nothing(cast: Cast, client: Client, text: str) -> None:
    for field in ("login", "password", "recovery_code", "next"):
        sent = {"login": "priya@example.com", "password": "no", field: text}
        response = client.post("/sign-in/", sent)
        assert response.status_code in (400, 429) and "<script>alert" not in response.content.decode()
    client.cookies[settings.DEVICE_COOKIE_NAME] = f"not:a:{text[:50]!a}"
    assert password(client, "priya@example.com") == 302


def known_devices() -> list[bool]:
    return [row.facts["known_device"] for row in Activity.objects.filter(event="signed_in").order_by("id")]


def test_a_known_device_is_forgotten_after_90_days(cast: Cast, client: Client) -> None:
    for days in (0, 89, 89 + 91):  # each signing in begins the 90 days anew
        with clock.ahead(timedelta(days=days)):
            password(client, "priya@example.com")
            client.post("/sign-out/")
    assert known_devices() == [False, True, False]


def test_a_known_device_is_forgotten_with_another_password(cast: Cast, client: Client) -> None:
    for typed in (PASSWORD, "another horse battery"):
        cast.priya.set_password(typed)
        cast.priya.save()
        password(client, "priya@example.com", typed)
        client.post("/sign-out/")
    assert known_devices() == [False, False]


def test_allauth_sends_no_mail(cast: Cast, client: Client) -> None:
    secret = give_app(cast.priya)
    password(client, "priya@example.com")
    client.post("/sign-in/code/", {"code": code_of(secret)})
    assert mail.outbox == []


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_with_one_code_one_wins(cast: Cast) -> None:
    secret, clients = give_app(cast.priya), (Client(), Client())
    codes = give_codes(cast.priya)
    for code in (code_of(secret), codes[0]):
        for one in clients:
            one.post("/sign-out/")
            password(one, "priya@example.com")
        answers: list[int] = []
        gate = threading.Barrier(2)

        def try_it(one: Client, code: str = code, gate: threading.Barrier = gate, said: list[int] = answers) -> None:
            gate.wait()
            said.append(one.post("/sign-in/code/", {"code": code}).status_code)
            connection.close()

        threads = [threading.Thread(target=try_it, args=(one,)) for one in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [302, 400]
