"""A person's second factor: set up, moved, renewed, removed; and Support's doors, which ask for one."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client

from tests.cast import METHODS, PASSWORD, Cast, sign_in
from tests.signing import as_if_later, code_of, events, give_app, give_codes, known, password, unused

PAGE = "/me/second-factor/"


def key_on(page: Any) -> str:
    found = re.search(r'class="mono strong any">([A-Z2-7 ]+)<', page.content.decode())
    assert found
    return found[1].replace(" ", "")


def set_up(client: Client, **more: str) -> Any:
    """Goes through the page with a new app."""
    secret = key_on(client.get(PAGE))
    return client.post(PAGE, {"code": code_of(secret), **more})


def shown_codes(page: Any) -> list[str]:
    return re.findall(r"\d{4} \d{4} \d{4}", page.content.decode())


def age(client: Client, minutes: int) -> None:
    """What this session proved, it proved so long ago."""
    session = client.session
    session[METHODS] = [{**record, "at": time.time() - 60 * minutes} for record in session[METHODS]]
    session.save()


def test_setting_it_up(cast: Cast, client: Client) -> None:
    password(client, "priya@example.com")
    page = client.get(PAGE)
    drawing = page.content.decode()
    assert '<svg class="qr"' in drawing and "style=" not in drawing and "data:" not in drawing
    assert key_on(page) == key_on(client.get(PAGE))  # a second look doesn't spoil what the app has scanned
    done = set_up(client)
    assert done.status_code == 200 and len(set(shown_codes(done))) == 10
    assert [code.replace(" ", "") for code in shown_codes(done)] == unused(cast.priya)
    assert events(cast.priya) == ["signed_in", "factor_added"]
    assert client.get("/northwind/vms/").wsgi_request.actor.fresh  # type: ignore[attr-defined]
    assert shown_codes(client.get(PAGE)) == []
    other = Client()
    assert password(other, "priya@example.com") == 302 and not known(other)


def test_who_signed_in_a_while_ago_types_his_password(cast: Cast, client: Client) -> None:
    password(client, "priya@example.com")
    age(client, 6)
    assert set_up(client).status_code == 400
    assert set_up(client, password="wrong horse battery").status_code == 400
    assert not Authenticator.objects.exists()
    assert set_up(client, password=PASSWORD).status_code == 200


@pytest.mark.parametrize("code", ["", "000000", "\0", "x" * 10_000, "\u202e123456", "<b>"])
def test_a_wrong_code_sets_nothing_up(cast: Cast, client: Client, code: str) -> None:
    password(client, "priya@example.com")
    client.get(PAGE)
    assert client.post(PAGE, {"code": code}).status_code == 400
    assert not Authenticator.objects.exists() and "factor_added" not in events(cast.priya)


def test_the_code_of_setting_up_counts_as_used(cast: Cast, client: Client) -> None:
    password(client, "priya@example.com")
    secret = key_on(client.get(PAGE))
    code = code_of(secret)
    client.post(PAGE, {"code": code})
    other = Client()
    password(other, "priya@example.com")
    assert other.post("/sign-in/code/", {"code": code}).status_code == 400


def test_new_recovery_codes_ask_for_a_fresh_proof_on_the_very_page(cast: Cast, client: Client) -> None:
    secret, old = give_app(cast.priya), give_codes(cast.priya)
    sign_in(client, cast.priya)
    age(client, 6)
    asked = client.post(f"{PAGE}recovery-codes/")
    assert asked.status_code == 400 and 'name="code"' in asked.content.decode() and unused(cast.priya) == old
    assert client.post(f"{PAGE}recovery-codes/", {"code": "1"}).status_code == 400
    made = client.post(f"{PAGE}recovery-codes/", {"code": code_of(secret)})
    assert made.status_code == 200 and len(shown_codes(made)) == 10 and not set(old) & set(unused(cast.priya))
    assert client.post(f"{PAGE}recovery-codes/").status_code == 200  # the proof is fresh now
    assert events(cast.priya) == ["wrong_code", "recovery_codes_made", "recovery_codes_made"]


def test_switching_to_a_new_app(cast: Cast, client: Client) -> None:
    before, codes = give_app(cast.priya), give_codes(cast.priya)
    sign_in(client, cast.priya, factor=True)
    age(client, 6)
    after = key_on(client.get(f"{PAGE}new-app/"))
    assert client.post(f"{PAGE}new-app/", {"code": code_of(after)}).status_code == 400
    assert client.post(f"{PAGE}new-app/", {"code": code_of(after), "proof": "12"}).status_code == 400
    assert client.post(f"{PAGE}new-app/", {"code": "12", "proof": code_of(before)}).status_code == 400
    assert client.post(f"{PAGE}new-app/", {"code": code_of(after)}).status_code == 302  # proved a moment ago
    as_if_later()
    other = Client()
    password(other, "priya@example.com")
    assert other.post("/sign-in/code/", {"code": code_of(before)}).status_code == 400
    assert other.post("/sign-in/code/", {"code": code_of(after)}).status_code == 302
    assert unused(cast.priya) == codes and "factor_changed" in events(cast.priya)


def test_removing_it(cast: Cast, client: Client) -> None:
    secret = give_app(cast.priya)
    sign_in(client, cast.priya)
    age(client, 6)
    assert client.post(f"{PAGE}remove/").status_code == 400
    assert client.post(f"{PAGE}remove/", {"code": code_of(secret)}).status_code == 302
    assert not Authenticator.objects.exists() and events(cast.priya) == ["factor_removed"]
    assert client.post(f"{PAGE}remove/").status_code == 409


def test_support_can_not_remove_theirs(cast: Cast, client: Client) -> None:
    give_app(cast.mary)
    sign_in(client, cast.mary)
    assert "Remove 1 second factor" not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}remove/").status_code == 403 and Authenticator.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_set_it_up_at_once_one_wins(cast: Cast, client: Client) -> None:
    password(client, "priya@example.com")
    secret = key_on(client.get(PAGE))
    answers: list[int] = []
    gate = threading.Barrier(2)

    def go(code: str) -> None:
        twin = Client()
        twin.cookies = client.cookies
        gate.wait()
        answers.append(twin.post(PAGE, {"code": code}).status_code)
        connection.close()

    threads = [threading.Thread(target=go, args=(code_of(secret),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(200) == 1 and events(cast.priya).count("factor_added") == 1


# ---- Support's doors -------------------------------------------------------------------------------------------------


def test_support_without_a_factor_is_led_to_set_one_up_and_back(cast: Cast, client: Client) -> None:
    start = client.get("/admin/failover/ticket/?kind=live", follow=True)
    assert start.redirect_chain[-1][0].startswith("/sign-in/?next=/admin/")
    sent = {"login": "mary@example.com", "password": PASSWORD, "next": "/admin/failover/ticket/?kind=live"}
    page = client.post("/sign-in/", sent, follow=True)
    assert page.redirect_chain[-1][0] == f"{PAGE}?next=/admin/failover/ticket/%3Fkind%3Dlive"
    done = client.post(
        page.redirect_chain[-1][0], {"code": code_of(key_on(page)), "next": "/admin/failover/ticket/?kind=live"}
    )
    assert 'href="/admin/failover/ticket/?kind=live"' in done.content.decode()
    assert client.get("/admin/failover/ticket/?kind=live").status_code == 200


def test_a_session_that_proved_nothing_proves_it_first(cast: Cast, client: Client) -> None:
    secret = give_app(cast.mary)
    sign_in(client, cast.mary, factor=False)
    led = client.get("/admin/")
    assert led.status_code == 302 and led["Location"] == f"{PAGE}?next=/admin/"
    assert client.post("/admin/failover/ticket/").status_code == 302
    assert client.post(led["Location"], {"code": "12", "next": "/admin/"}).status_code == 400
    back = client.post(led["Location"], {"code": code_of(secret), "next": "/admin/"})
    assert back["Location"] == "/admin/" and client.get("/admin/").status_code == 200


def test_it_leads_nobody_out_of_the_portal(cast: Cast, client: Client) -> None:
    secret = give_app(cast.mary)
    sign_in(client, cast.mary, factor=False)
    back = client.post(f"{PAGE}?next=//evil.example/", {"code": code_of(secret), "next": "https://evil.example"})
    assert back["Location"] == PAGE


def test_support_changes_a_password_where_everybody_does(cast: Cast, client: Client) -> None:
    """Admin's own page would write nothing down."""
    sign_in(client, cast.mary)
    sent = {"old_password": PASSWORD, "new_password1": "a stapler for all", "new_password2": "a stapler for all"}
    assert client.post("/admin/password_change/", sent)["Location"] == "/me/password/"
    cast.mary.refresh_from_db()
    assert cast.mary.check_password(PASSWORD) and 'href="/me/"' in client.get("/admin/").content.decode()


def test_support_signs_out_of_admin_without_a_factor(cast: Cast, client: Client) -> None:
    sign_in(client, cast.mary, factor=False)
    assert client.post("/admin/logout/")["Location"] == "/sign-in/" and not known(client)


def test_the_api_gives_supports_rights_to_proved_sessions_only(cast: Cast, client: Client) -> None:
    address = "/api/v1/accounts/northwind/tickets/FO-1/"
    sign_in(client, cast.mary, factor=False)
    refused = client.get(address)
    assert refused.status_code == 403 and refused.json()["code"] == "second_factor_needed"
    assert sign_in(client, cast.mary).get(address).status_code == 404
