"""Invitations: sent, sent again, withdrawn, accepted; links that open nothing any more; nothing stored half."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts import activity
from accounts.actions import (
    accept_as_newcomer,
    accept_invitation,
    administrators,
    enter,
    invitation_path,
    invite,
    open_account,
    read_invitation,
    resend,
    withdraw_invitation,
)
from accounts.actions import invitations as verbs
from accounts.actions.rights import lock_people
from accounts.models import Account, Activity, Invitation, Membership, Person, Role
from ampdr import clock
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from tests.cast import Cast, join, sign_in
from tests.test_members import keeper, member
from tests.test_roles import HOSTILE
from tests.threads import raised, together

NEW = "nadia@example.com"
PHRASE = "a long enough phrase"
SAID = {"name": "Nadia Ali", "password": PHRASE, "time_zone": "Europe/Berlin"}


def asked(cast: Cast, email: str = NEW, who: str = "priya", role: str = "Billing") -> Invitation:
    roles = [Role.objects.get(name=role)]
    return invite(cast.actor(who), cast.contoso if who == "olga" else cast.northwind, email, roles, "Nadia Ali")


def token(invitation: Invitation) -> str:
    return invitation_path(invitation.pk).split("/")[2]


def known(cast: Cast) -> int:
    return Person.objects.count() + Membership.objects.count()


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


# ---- Inviting --------------------------------------------------------------------------------------------------------


def test_an_invitation_is_good_for_four_days_and_written_down(cast: Cast) -> None:
    made = asked(cast, " Nadia@Example.com ")
    assert (made.email, made.expires_at - made.invited_at) == (NEW, timedelta(hours=96))
    row = Activity.objects.get(kind="invitation", event="sent")
    assert (row.account, row.subject_id, row.facts["roles"]) == (cast.northwind, made.pk, ["Billing"])
    assert token(made) not in str(row.facts)  # the secret is made for the mail, never kept
    assert not list(activity.faults())


def test_one_open_invitation_for_an_address(cast: Cast) -> None:
    made = asked(cast)
    with pytest.raises(Invalid) as wrong:
        asked(cast)
    assert "email" in wrong.value.fields
    asked(cast, who="olga")  # another account's is its own affair
    withdraw_invitation(cast.actor("priya"), made)
    asked(cast)


ADDRESSES = [
    "", "nobody", "a@b", "two@x.example\nbcc: y@x.example", "n\0@x.example", "ravi@example.com",
    "x" * 10_000 + "@x.example", "a@x.example, b@x.example",
]  # fmt: skip


@pytest.mark.parametrize("email", ADDRESSES)
def test_an_address_is_one_and_not_a_members(cast: Cast, email: str) -> None:
    with pytest.raises(Invalid) as wrong:
        asked(cast, email)
    assert "email" in wrong.value.fields and not Invitation.objects.exists()


@pytest.mark.parametrize("name", HOSTILE[2:])
def test_a_name_goes_into_a_mail_and_is_clean(cast: Cast, name: str) -> None:
    name = name if len(name) != 61 else "x" * 121
    with pytest.raises(Invalid):
        invite(cast.actor("priya"), cast.northwind, NEW, [Role.objects.get(name="Billing")], name)


def test_nobody_invites_to_more_than_he_has(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        invite(keeper(cast), cast.northwind, NEW, [Role.objects.get(name="Admin")])
    made = asked(cast, role="Technical")
    with pytest.raises(Forbidden):
        resend(keeper_again(), made)


def keeper_again() -> Any:
    return enter(Person.objects.get(email="kim@example.com"), "northwind").actor


@pytest.mark.parametrize("who", ["ravi", "oscar"])
def test_without_write_identity_nobody_invites(cast: Cast, who: str) -> None:
    made = asked(cast)
    deeds: list[Any] = [
        lambda: asked(cast, "other@example.com", who), lambda: resend(cast.actor(who), made),
        lambda: withdraw_invitation(cast.actor(who), made),
    ]  # fmt: skip
    for deed in deeds:
        with pytest.raises(Forbidden):
            deed()


def test_another_accounts_invitation_is_absent(cast: Cast) -> None:
    made = asked(cast)
    for verb in (resend, withdraw_invitation):
        with pytest.raises(Absent):
            verb(cast.actor("olga"), made)


def test_an_account_begins_with_its_first_administrators_invitation(cast: Cast) -> None:
    made = open_account(cast.actor("mary"), Account(slug="lakeside", name="Lakeside", number=77), NEW, "Nadia Ali")
    invited = Invitation.objects.get(account=made)
    accept_as_newcomer(token(invited), **SAID)
    assert [one["email"] for one in administrators(made.pk)] == [NEW]


def test_without_a_good_address_there_is_no_account(cast: Cast) -> None:
    with pytest.raises(Invalid):
        open_account(cast.actor("mary"), Account(slug="lakeside", name="Lakeside", number=77), "nobody", "N")
    assert not Account.objects.filter(slug="lakeside").exists()


# ---- Accepting -------------------------------------------------------------------------------------------------------


def test_a_newcomer_sets_a_password_and_is_in(cast: Cast, client: Client) -> None:
    made = asked(cast)
    page = text(client.get(invitation_path(made.pk)))
    assert "Northwind Health" in page and "Priya Raman" in page and "Billing" in page
    response = client.post(invitation_path(made.pk), SAID)
    assert (response.status_code, response["Location"]) == (302, "/sign-in/?next=/northwind/")
    person = Person.objects.get(email=NEW)
    assert person.check_password(PHRASE) and (person.name, person.time_zone) == ("Nadia Ali", "Europe/Berlin")
    assert enter(person, "northwind").actor.roles == ("Billing",)
    events = {(row.kind, row.event, row.actor) for row in Activity.objects.filter(person_id=person.pk)}
    assert {row[2] for row in events} == {"Nadia Ali"}
    assert {row[:2] for row in events} == {("person", "created"), ("membership", "added"), ("invitation", "accepted")}
    assert not list(activity.faults())


@pytest.mark.parametrize(
    ("field", "value"),
    [("password", "short"), ("password", "password1234"), ("password", "nadia@example.com"), ("password", "x" * 10_000),
     ("password", ""), ("name", ""), ("name", "two\nlines"), ("name", "x" * 10_000), ("name", "nul\0"),
     ("time_zone", "Mars/Olympus")],
)  # fmt: skip
def test_bad_input_stores_nothing(cast: Cast, client: Client, field: str, value: str) -> None:
    made, before = asked(cast), known(cast)
    response = client.post(invitation_path(made.pk), SAID | {field: value})
    assert response.status_code == 400 and f'id="id_{field}_error"' in text(response)
    assert known(cast) == before and Invitation.objects.get().accepted_at is None


def test_who_is_known_signs_in_and_accepts_with_one_button(cast: Cast, client: Client) -> None:
    made = asked(cast, "olga@example.com")
    path = invitation_path(made.pk)
    assert "/sign-in/?next=/invitation/" in text(client.get(path))
    assert client.post(path, SAID)["Location"].startswith("/sign-in/")
    assert not Membership.objects.filter(person=cast.olga, account=cast.northwind).exists()
    sign_in(client, cast.olga)
    assert "Join Northwind Health" in text(client.get(path))
    assert client.post(path)["Location"] == "/northwind/"
    assert enter(cast.olga, "northwind").accounts == [
        {"slug": "contoso", "name": "Contoso Freight"}, {"slug": "northwind", "name": "Northwind Health"},
    ]  # fmt: skip


def test_the_wrong_person_is_told_so_and_learns_no_address(cast: Cast, client: Client) -> None:
    path = invitation_path(asked(cast).pk)
    sign_in(client, cast.olga)
    for response in (client.get(path), client.post(path)):
        assert response.status_code == 403 and "somebody else's" in text(response) and NEW not in text(response)
    with pytest.raises(Conflict):
        accept_invitation(cast.olga, path.split("/")[2])


# ---- Links that open nothing -----------------------------------------------------------------------------------------


def closed(client: Client, path: str) -> str:
    """What the page says; whether looked at or sent to, nothing is stored."""
    before = Person.objects.count()
    pages = [client.get(path), client.post(path, SAID)]
    assert [page.status_code for page in pages] == [410, 410]
    assert Person.objects.count() == before and not Person.objects.filter(email=NEW).exists()
    return text(pages[0])


def test_an_old_one(cast: Cast, client: Client) -> None:
    path = invitation_path(asked(cast).pk)
    with clock.ahead(timedelta(hours=95)):
        assert client.get(path).status_code == 200
    with clock.ahead(timedelta(hours=96)):
        assert "four days, and they are over. Ask Priya Raman" in closed(client, path)
        resend(cast.actor("priya"), Invitation.objects.get())
        assert client.get(invitation_path(Invitation.objects.get().pk)).status_code == 200


def test_one_sent_again_kills_the_older_link(cast: Cast, client: Client) -> None:
    made = asked(cast)
    older = invitation_path(made.pk)
    resend(cast.actor("priya"), made)
    assert "newest mail" in closed(client, older)
    assert client.get(invitation_path(made.pk)).status_code == 200
    assert Activity.objects.filter(kind="invitation", event="sent").count() == 2


def test_a_withdrawn_one(cast: Cast, client: Client) -> None:
    made = asked(cast)
    withdraw_invitation(cast.actor("priya"), made)
    assert "withdrawn" in closed(client, invitation_path(made.pk))
    for verb in (resend, withdraw_invitation):
        with pytest.raises(Conflict):
            verb(cast.actor("priya"), made)


def test_a_used_one(cast: Cast, client: Client) -> None:
    made = asked(cast)
    accept_as_newcomer(token(made), **SAID)
    assert client.get(invitation_path(made.pk)).status_code == 410
    sign_in(client, Person.objects.get(email=NEW))
    assert "used already" in text(client.post(invitation_path(made.pk)))
    with pytest.raises(Conflict):
        accept_as_newcomer(token(made), **SAID)


@pytest.mark.parametrize("link", ["nonsense", "a.b", "WyJ4Il0.x", "x" * 3000])
def test_no_link_of_ours(cast: Cast, client: Client, link: str) -> None:
    answer = client.get(f"/invitation/{link}/")
    assert answer.status_code == 404 and answer.content == client.get("/invitation/other/").content


def test_a_member_gets_nothing_more_by_an_invitation(cast: Cast) -> None:
    made = asked(cast, "olga@example.com", role="Admin")
    membership = join(cast.olga, cast.northwind, "Billing")
    with pytest.raises(Conflict):
        accept_invitation(cast.olga, token(made))
    assert membership.roles.get().name == "Billing"


@pytest.mark.django_db(transaction=True)
def test_two_at_one_moment_are_one(cast: Cast) -> None:
    link = token(asked(cast))
    lost = raised(together(*[lambda: accept_as_newcomer(link, **SAID)] * 3))
    assert len(lost) == 2 and all(isinstance(one, Conflict | Invalid) for one in lost), lost
    assert Membership.objects.filter(person__email=NEW).count() == 1
    assert not list(activity.faults())


@pytest.mark.django_db(transaction=True)
def test_accepted_or_withdrawn_not_both(cast: Cast) -> None:
    made, priya = asked(cast), cast.actor("priya")
    link = token(made)
    lost = raised(together(lambda: withdraw_invitation(priya, made), lambda: accept_as_newcomer(link, **SAID)))
    made.refresh_from_db()
    assert len(lost) == 1 and bool(made.accepted_at) != bool(made.withdrawn_at), lost
    assert Person.objects.filter(email=NEW).exists() == bool(made.accepted_at)
    assert member(cast, "ravi")


@pytest.mark.django_db(transaction=True)
def test_it_is_looked_at_again_under_the_lock(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody withdraws it after the link was read and before the lock is had."""
    made, priya, lock = asked(cast, "olga@example.com"), cast.actor("priya"), lock_people
    link = token(made)

    def late(account_id: int) -> None:
        monkeypatch.setattr(verbs, "lock_people", lock)
        assert not raised(together(lambda: withdraw_invitation(priya, made)))
        lock(account_id)

    monkeypatch.setattr(verbs, "lock_people", late)
    with pytest.raises(Conflict):
        accept_invitation(cast.olga, link)
    assert not Membership.objects.filter(person=cast.olga, account=cast.northwind).exists()


def test_a_link_is_read_with_its_account(cast: Cast) -> None:
    assert read_invitation(token(asked(cast, who="olga"))).account == cast.contoso
