"""A person's own pages: profile, password, sessions."""

from __future__ import annotations

import re

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.actions import people
from accounts.models import Activity, Person
from tests.cast import PASSWORD, Cast, join, make_vms, protect, request, sign_in
from tests.signing import events, known, password

NEW = "a stapler for every battery"
HOSTILE = ("\0", "x" * 10_000, "\u202egnp.exe", "<script>alert(1)</script>", "../../etc/passwd", "Etc/Nowhere", "")


def new_password(client: Client, before: str = PASSWORD, new: str = NEW, again: str | None = None) -> int:
    sent = {"password": before, "password1": new, "password2": new if again is None else again}
    return client.post("/me/password/", sent).status_code


# ---- Profile ---------------------------------------------------------------------------------------------------------


def test_the_profile_says_who_one_is_and_where(cast: Cast, client: Client) -> None:
    join(cast.priya, cast.contoso, "Billing")
    page = sign_in(client, cast.priya).get("/me/").content.decode()
    for word in ("Priya Raman", "priya@example.com", "Northwind Health", "Contoso Freight", "Admin", "Billing"):
        assert word in page
    for there in ("password", "second-factor", "sessions", "tokens"):
        assert f'href="/me/{there}/"' in page


def test_every_page_leads_there(cast: Cast, client: Client) -> None:
    assert 'href="/me/"' in sign_in(client, cast.priya).get("/northwind/vms/").content.decode()


def times(page: str) -> list[tuple[str, str]]:
    """Each time as machines and as people read it; ages and the clock, which go on, are left out."""
    found = re.findall(r'<time datetime="([^"]+)">([^<]+)</time>', page[page.index("<main") :])
    return [(at, text) for at, text in found if " UTC" in text or re.search(" C[SD]T", text)]


def test_another_time_zone_changes_the_text_and_not_the_attribute(cast: Cast, client: Client) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    address = f"/northwind/failovers/{request(cast, vms).number}/"
    sign_in(client, cast.priya)
    before = times(client.get(address).content.decode())
    assert client.post("/me/", {"time_zone": "America/Chicago"}).status_code == 302
    after = times(client.get(address).content.decode())
    stayed = [(was, now) for (at, was), (then, now) in zip(before, after, strict=True) if at == then]
    assert len(stayed) >= 2 and all("UTC" in was and re.search("C[SD]T", now) for was, now in stayed)
    assert events(cast.priya)[-1] == "time_zone_chosen"
    client.post("/me/", {"time_zone": "America/Chicago"})
    assert events(cast.priya).count("time_zone_chosen") == 1  # nothing changed: nothing to write down


@pytest.mark.parametrize("text", HOSTILE)
def test_no_hostile_time_zone(cast: Cast, client: Client, text: str) -> None:
    response = sign_in(client, cast.priya).post("/me/", {"time_zone": text})
    assert response.status_code == 400 and "<script>alert" not in response.content.decode()
    cast.priya.refresh_from_db()
    assert cast.priya.time_zone == "UTC"


def test_the_theme_survives_signing_out(cast: Cast, client: Client) -> None:
    sign_in(client, cast.priya)
    back = client.post("/theme/", {"theme": "dark"}, headers={"Referer": "http://testserver/me/"})
    assert back["Location"] == "http://testserver/me/"
    assert b'data-theme="dark"' in client.get("/me/").content
    client.post("/sign-out/")
    assert b'<html lang="en" data-theme="dark">' in client.get("/sign-in/").content


# ---- Password --------------------------------------------------------------------------------------------------------


def test_another_password_ends_every_other_session(cast: Cast, client: Client) -> None:
    other = Client()
    for one in (client, other):
        password(one, "priya@example.com")
    assert new_password(client) == 302
    assert client.get("/me/").status_code == 200 and other.get("/me/").status_code == 302
    assert UserSession.objects.get(user=cast.priya).session_key == client.session.session_key
    assert events(cast.priya)[-1] == "password_changed"
    client.post("/sign-out/")
    assert password(client, "priya@example.com") == 400 and password(client, "priya@example.com", NEW) == 302
    assert Activity.objects.filter(event="signed_in").latest("id").facts["known_device"]  # it stayed known


@pytest.mark.parametrize(
    ("new", "words"),
    [("short", "too short"), ("priya@example", "too similar"), ("Priya Raman 1", "too similar"),
     ("password1234", "too common"), ("\0" * 14, "Null characters"), ("x" * 10_000, "at most 1000")],
)  # fmt: skip
def test_bad_passwords_are_refused(cast: Cast, client: Client, new: str, words: str) -> None:
    sent = {"password": PASSWORD, "password1": new, "password2": new}
    response = sign_in(client, cast.priya).post("/me/password/", sent)
    assert response.status_code == 400 and words in response.content.decode()
    cast.priya.refresh_from_db()
    assert cast.priya.check_password(PASSWORD)


def test_the_password_so_far_is_asked_for_and_limited(cast: Cast, client: Client) -> None:
    sign_in(client, cast.priya)
    assert [new_password(client, "wrong horse battery") for _ in range(10)] == [400] * 10
    assert new_password(client) == 400
    assert new_password(client, again="another one") == 400 and "password_changed" not in events(cast.priya)


def test_a_password_changed_a_moment_ago_is_not_changed_again(cast: Cast, client: Client) -> None:
    """The person's row is another one than this request has read: one of two at once wins."""
    sign_in(client, cast.priya)
    assert new_password(client) == 302
    stale = Client()
    stale.force_login(cast.priya)  # with the password before
    assert stale.get("/me/password/").status_code == 302


# ---- Sessions --------------------------------------------------------------------------------------------------------


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Safari/604.1"


def test_sessions_are_listed_and_ended(cast: Cast, client: Client) -> None:
    phone, third = Client(headers={"User-Agent": IPHONE}, REMOTE_ADDR="198.51.100.7"), Client()
    for one in (client, phone, third):
        password(one, "priya@example.com")
    page = client.get("/me/sessions/").content.decode()
    assert "Safari on iOS" in page and "198.51.100.7" in page and page.count("This one") == 1
    session = UserSession.objects.get(user=cast.priya, ip="198.51.100.7")
    assert client.post("/me/sessions/", {"session": session.pk}).status_code == 302
    assert phone.get("/me/").status_code == 302 and third.get("/me/").status_code == 200
    client.post("/me/sessions/", {"others": "1"})
    assert third.get("/me/").status_code == 302 and client.get("/me/").status_code == 200
    assert events(cast.priya)[-2:] == ["session_ended", "session_ended"]


@pytest.mark.parametrize("number", ["0", "-1", "9" * 18, "9" * 5_000, "\0", "x", "٣"])
def test_no_session_of_others_is_ended(cast: Cast, client: Client, number: str) -> None:
    other = Client()
    password(other, "ravi@example.com")
    sign_in(client, cast.priya)
    theirs = UserSession.objects.get(user=cast.ravi)
    foreign = client.post("/me/sessions/", {"session": str(theirs.pk)})
    absent = client.post("/me/sessions/", {"session": number})
    assert foreign.status_code == absent.status_code == 404 and other.get("/me/").status_code == 200
    assert client.post("/me/sessions/").status_code == 400


def test_signing_out_takes_the_session_off_the_list(cast: Cast, client: Client) -> None:
    password(client, "priya@example.com")
    assert UserSession.objects.filter(user=cast.priya).count() == 1
    client.post("/sign-out/")
    assert not UserSession.objects.exists() and not known(client)


def test_sessions_do_not_pile_up(cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "SESSIONS", 3)
    browsers = [Client() for _ in range(5)]
    for one in browsers:
        password(one, "priya@example.com")
    assert [one.get("/me/").status_code for one in browsers] == [302, 302, 200, 200, 200]
    assert UserSession.objects.filter(user=cast.priya).count() == Session.objects.count() == 3


def test_sessions_cost_the_same_however_many(cast: Cast, client: Client, django_assert_max_num_queries: object) -> None:
    for _ in range(5):
        password(Client(), "priya@example.com")
    sign_in(client, cast.priya)
    with django_assert_max_num_queries(6):  # type: ignore[operator]
        client.get("/me/sessions/")


def test_names_of_cookies(cast: Cast, client: Client) -> None:
    password(client, "priya@example.com")
    cookie = client.cookies[settings.DEVICE_COOKIE_NAME]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["max-age"] == 90 * 24 * 3600


def test_another_password_by_a_superuser_ends_the_persons_sessions(cast: Cast, client: Client) -> None:
    theirs = Client()
    password(theirs, "priya@example.com")
    Person.objects.filter(pk=cast.mary.pk).update(is_superuser=True)
    cast.mary.refresh_from_db()
    sent = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    sign_in(client, cast.mary).post(f"/admin/accounts/person/{cast.priya.pk}/password/", sent)
    assert theirs.get("/me/").status_code == 302 and not UserSession.objects.exists()
    assert events(cast.priya)[-1] == "new_password"
