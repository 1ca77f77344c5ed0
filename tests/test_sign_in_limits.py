"""Wrong passwords: nobody guesses one, and nobody is locked out by those who try."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client

from accounts.actions import limits
from accounts.actions.sign_in import TRIES, Attempt, Limited, check_password
from accounts.models import Activity, Throttle
from ampdr import clock
from tests.cast import PASSWORD, Cast
from tests.signing import events, give_app, give_codes, known, password, unused

EMAIL = "priya@example.com"
WRONG = "wrong horse battery"


def flood(email: str = EMAIL, tries: int = TRIES + 2) -> list[int]:
    """So many wrong ones, each from an address and a device of its own."""
    return [
        Client(REMOTE_ADDR=f"10.0.{n // 250}.{n % 250}", headers={"X-Forwarded-For": f"203.0.113.{n % 250}"}).post(
            "/sign-in/", {"login": email, "password": f"{WRONG} {n}"}
        ).status_code
        for n in range(tries)
    ]  # fmt: skip


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that was hashed or checked."""
    found: list[str] = []
    encode = MD5PasswordHasher.encode

    def noted(self: MD5PasswordHasher, typed: str, salt: str) -> str:
        found.append(typed)
        return encode(self, typed, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", noted)
    return found


def test_the_eleventh_is_not_even_checked(cast: Cast, hashed: list[str]) -> None:
    assert flood() == [400] * 10 + [429] * 2
    assert len(hashed) == 10
    assert password(Client(), EMAIL) == 429 and len(hashed) == 10
    assert events(cast.priya) == ["wrong_password"] * 10 + ["limit_reached"]


def test_an_e_mail_that_nobody_has_answers_the_same(cast: Cast, hashed: list[str]) -> None:
    assert flood("niemand@example.com") == [400] * 10 + [429] * 2 and len(hashed) == 10
    sent = {"login": EMAIL, "password": WRONG}
    flood()
    ours, nobodys = (
        Client().post("/sign-in/", sent | {"login": email}).content.decode().split("<form")[0]
        for email in (EMAIL, "niemand@example.com")
    )
    assert ours == nobodys and "+1 555 0100" in ours and "recovery codes" in ours


def test_a_known_device_signs_in_meanwhile_and_has_a_limit_of_its_own(cast: Cast, client: Client) -> None:
    password(client, EMAIL)
    client.post("/sign-out/")
    flood()
    assert password(client, EMAIL) == 302 and known(client)
    client.post("/sign-out/")
    assert [password(client, EMAIL, WRONG) for _ in range(11)] == [400] * 10 + [429]
    assert password(client, EMAIL) == 429


def test_the_device_of_somebody_else_is_unknown(cast: Cast, client: Client) -> None:
    password(client, "ravi@example.com")
    client.post("/sign-out/")
    flood()
    assert password(client, EMAIL) == 429


def test_several_people_may_know_one_device(cast: Cast, client: Client) -> None:
    for email in ("ravi@example.com", EMAIL, "oscar@example.com"):
        password(client, email)
        client.post("/sign-out/")
    for email in ("ravi@example.com", EMAIL, "oscar@example.com"):
        flood(email, 11)
        assert password(client, email) == 302
        client.post("/sign-out/")


def test_password_and_recovery_code_open_the_door(cast: Cast, client: Client) -> None:
    give_app(cast.priya)
    code = give_codes(cast.priya)[0]
    flood()
    page = client.post("/sign-in/", {"login": EMAIL, "password": PASSWORD})
    assert page.status_code == 429 and 'name="recovery_code"' in page.content.decode()
    assert password(client, EMAIL, WRONG, recovery_code=code) == 400
    assert password(client, EMAIL, recovery_code="000000000000") == 400
    assert len(unused(cast.priya)) == 10 and not known(client)
    assert password(client, EMAIL, recovery_code=f"{code[:4]} {code[4:]}") == 302 and known(client)
    assert client.get("/northwind/vms/").status_code == 200
    signed = Activity.objects.get(event="signed_in")
    assert signed.facts["means"] == ["password", "recovery_codes"] and len(unused(cast.priya)) == 9
    other = Client()
    assert password(other, EMAIL, recovery_code=code) == 400 and not known(other)
    assert password(client, EMAIL) == 302  # the same browser: known from now on


def test_nobody_uses_up_the_way_in_by_recovery_code(cast: Cast, client: Client, hashed: list[str]) -> None:
    give_app(cast.priya)
    code = give_codes(cast.priya)[0]
    before = len(hashed)
    for n in range(30):
        assert password(Client(), EMAIL, WRONG, recovery_code=f"{n:012}") == 400
    assert len(hashed) == before  # and nobody learns from it whether a password is right
    assert password(client, EMAIL, recovery_code=code) == 302 and known(client)


def test_who_found_a_recovery_code_can_not_guess_the_password(cast: Cast, hashed: list[str]) -> None:
    give_app(cast.priya)
    code = give_codes(cast.priya)[0]
    for n in range(20):
        assert password(Client(), EMAIL, f"{WRONG} {n}", recovery_code=code) == 400
    assert len(hashed) == 10 and password(Client(), EMAIL, recovery_code=code) == 400


def test_waiting_helps(cast: Cast, client: Client) -> None:
    flood()
    with clock.ahead(timedelta(minutes=16)):
        assert password(client, EMAIL) == 302 and known(client)


def test_right_ones_are_not_counted(cast: Cast) -> None:
    assert [password(Client(), EMAIL) for _ in range(15)] == [302] * 15
    assert Throttle.objects.filter(key__startswith="password:", count__gt=0).count() == 0


@pytest.mark.django_db(transaction=True)
def test_ten_thousand_wrong_passwords(cast: Cast, client: Client, hashed: list[str]) -> None:
    """From as many addresses. None gets in, ten are looked at, and the person comes in meanwhile."""
    password(client, EMAIL)
    client.post("/sign-out/")
    hashed.clear()
    opened = 0
    for n in range(10_000):
        opened += gets_in(Attempt(EMAIL, f"{WRONG} {n}", address=f"10.{n // 65025}.{n // 255 % 255}.{n % 255}"))
        if n % 2_500 == 2_499:
            assert flood(tries=5) == [429] * 5
            assert password(client, EMAIL) == 302 and known(client)
            client.post("/sign-out/")
    assert opened == 0 and len([typed for typed in hashed if typed.startswith(WRONG)]) == 10
    assert events(cast.priya).count("wrong_password") == 10 and events(cast.priya).count("limit_reached") == 1


def gets_in(sent: Attempt) -> bool:
    try:
        return check_password(sent) is not None
    except Limited:
        return False


# ---- Counting --------------------------------------------------------------------------------------------------------


def test_a_window_is_begun_anew_when_it_is_over(db: None) -> None:
    minute = timedelta(minutes=1)
    assert [limits.count("a", 5, minute) for _ in range(3)] == [1, 2, 3] and limits.count("b", 5, minute) == 1
    assert [limits.spend("c", 2, minute) for _ in range(3)] == [True, True, False]
    limits.refund("c")
    limits.refund("c")
    assert limits.spend("c", 2, minute)
    with clock.ahead(timedelta(minutes=2)):
        assert limits.count("a", 5, minute) == 1
        assert limits.spend("c", 2, minute)


def test_a_flood_only_reads(db: None, django_assert_num_queries: Any) -> None:
    for _ in range(4):
        limits.spend("a", 3, timedelta(minutes=1))
    with django_assert_num_queries(1):
        assert not limits.spend("a", 3, timedelta(minutes=1))
    assert Throttle.objects.get(key="a").count == 4


def test_made_up_keys_do_not_pile_up(db: None) -> None:
    for n in range(50):
        limits.count(f"once-{n}", 5, timedelta(minutes=1))
    with clock.ahead(timedelta(minutes=2)):
        for n in range(5):
            limits.count(f"again-{n}", 5, timedelta(minutes=1))
        assert Throttle.objects.count() == 5
