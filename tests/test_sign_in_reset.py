"""A forgotten password: asked for alike by anybody, set by a link that is good once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core import mail
from django.test import Client

from accounts.actions.people import reset_path, set_password
from accounts.actions.sign_in import acting
from accounts.models import Activity, Person
from ampdr.errors import Conflict
from tests.cast import PASSWORD, Cast
from tests.signing import events, known, password

ASK, EMAIL, NEW = "/sign-in/forgotten/", "priya@example.com", "a stapler for every battery"


def ask(client: Client, email: str = EMAIL) -> tuple[int, str]:
    response = client.post(ASK, {"email": email})
    return response.status_code, response.get("Location", "")


def follow(client: Client, person: Person) -> str:
    """Where the link leads, without the token."""
    return client.get(reset_path(person))["Location"]


def put(client: Client, path: str, new: str = NEW) -> int:
    return client.post(path, {"password1": new, "password2": new}).status_code


def test_asking_is_written_down_and_nothing_is_mailed(cast: Cast, client: Client) -> None:
    assert ask(client, " Priya@Example.com ") == (302, "/sign-in/forgotten/asked/")
    row = Activity.objects.get(event="reset_asked")
    assert (row.account, row.subject_id, row.person_id, row.facts) == (None, cast.priya.pk, None, {})
    assert mail.outbox == [] and not EmailAddress.objects.exists()


def test_the_answer_is_the_same_for_anybody(cast: Cast, client: Client) -> None:
    cast.ravi.is_active = False
    cast.ravi.save()
    emails = (EMAIL, "niemand@example.com", "ravi@example.com")
    assert {ask(client, email) for email in emails} == {(302, "/sign-in/forgotten/asked/")}
    assert Activity.objects.filter(event="reset_asked").count() == 1


def test_no_more_than_three_in_an_hour(cast: Cast, client: Client) -> None:
    assert {ask(client) for _ in range(8)} == {(302, "/sign-in/forgotten/asked/")}
    assert events(cast.priya) == ["reset_asked"] * 3


@pytest.mark.parametrize(
    "text", ["\0", "x" * 10_000 + "@example.com", "\u202egnp@exe", "<b>@x", "", "a@b\r\nBcc: c@d.e"]
)
def test_hostile_text(cast: Cast, client: Client, text: str) -> None:
    assert ask(client, text) == (400, "")


def test_the_link_sets_a_new_password_once(cast: Cast, client: Client) -> None:
    elsewhere = Client()
    password(elsewhere, EMAIL)
    cast.priya.refresh_from_db()
    link = reset_path(cast.priya)
    there = client.get(link)["Location"]
    assert link.split("/")[-2] not in there and client.get(there).status_code == 200
    assert put(client, there) == 302
    assert elsewhere.get("/me/").status_code == 302 and not known(client)
    assert events(cast.priya)[-1] == "password_changed"
    assert Activity.objects.get(event="password_changed").facts == {"how": "reset link"}
    again = Client().get(link)
    assert again.status_code == 200 and "no longer good" in again.content.decode()
    assert put(client, there) == 200  # the same page, in words: nothing is set
    assert password(client, EMAIL) == 400 and password(client, EMAIL, NEW) == 302


def test_who_was_locked_out_is_known_on_this_device_after_the_link(cast: Cast, client: Client) -> None:
    for n in range(12):
        password(Client(), EMAIL, f"wrong horse {n}")
    put(client, follow(client, cast.priya))
    assert password(Client(), EMAIL, NEW) == 429 and password(client, EMAIL, NEW) == 302


@pytest.mark.parametrize("new", ["short", "priya@example", "password1234", "", "\0" * 14, "x" * 10_000])
def test_bad_passwords_are_refused_here_too(cast: Cast, client: Client, new: str) -> None:
    assert put(client, follow(client, cast.priya), new) == 400
    cast.priya.refresh_from_db()
    assert cast.priya.check_password(PASSWORD)


def test_old_and_made_up_links(cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    link = reset_path(cast.priya)
    with monkeypatch.context() as clock:
        later = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=4, minutes=1)
        clock.setattr(PasswordResetTokenGenerator, "_now", lambda self: later)
        assert "no longer good" in client.get(link).content.decode()
    token = link.split("/")[-2]
    forged = token[:-1] + ("a" if token[-1] != "a" else "b")
    for uid, key in (
        (link.split("/")[-3], forged),
        ("z" * 16, "x-y"),
        ("1", "x" * 5_000),
        ("1y2p0ij32e8e7", "set-password"),
    ):
        page = client.get(f"/sign-in/new-password/{uid}/{key}/")
        assert page.status_code == 200 and "no longer good" in page.content.decode(), key
    assert client.get("/sign-in/new-password/%00/%00/").status_code < 500


def test_a_link_ends_with_signing_in(cast: Cast, client: Client) -> None:
    link = reset_path(cast.priya)
    password(Client(), EMAIL)
    assert "no longer good" in client.get(link).content.decode()


def test_whoever_is_disabled_gets_no_new_password(cast: Cast, client: Client) -> None:
    there = follow(client, cast.priya)
    Person.objects.filter(pk=cast.priya.pk).update(is_active=False)
    assert put(client, there) == 409
    cast.priya.refresh_from_db()
    assert cast.priya.check_password(PASSWORD) and events(cast.priya) == []


def test_of_two_at_once_with_one_link_one_wins(cast: Cast) -> None:
    """Both have had the link checked; the row is another one by the time the second one writes."""
    first, second = (Person.objects.get(pk=cast.priya.pk) for _ in range(2))
    set_password(acting(first), first, NEW, "reset link")
    with pytest.raises(Conflict):
        set_password(acting(second), second, "the thief's own battery", "reset link")
    assert Person.objects.get(pk=cast.priya.pk).check_password(NEW) and events(cast.priya) == ["password_changed"]


def test_the_link_of_another_signs_one_out_first(cast: Cast, client: Client) -> None:
    password(client, "ravi@example.com")
    put(client, follow(client, cast.priya))
    assert not known(client)
