"""A person's own API tokens: made, shown once, used within his own permissions, ended."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.actions import issue_token, make_token, open_token, revoke_tokens
from accounts.models import Activity, Membership, Person, Role, Token
from ampdr import clock
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import PORTAL, changes
from tests.caller import Caller, said
from tests.cast import Cast, join, sign_in

PAGE = "/me/tokens/"
WISH = {"account": "northwind", "name": "Nightly report", "scopes": ["read_vms", "read_replication"], "days": "30"}


@pytest.fixture
def priya(cast: Cast, client: Client) -> Client:
    return sign_in(client, cast.priya)


def made(client: Client, **other: Any) -> str:
    """Makes a token on the page and reads its secret there, as the person does."""
    answer = client.post(PAGE, {**WISH, **other})
    assert answer.status_code == 200, answer.content.decode()
    found = re.findall(r'value="(ampdr_[0-9a-f]{40})"', answer.content.decode())
    assert len(found) == 1
    return str(found[0])


def bearer(secret: str, slug: str = "northwind") -> Caller:
    return Caller(slug, {"Authorization": f"Bearer {secret}"})


# ---- The page --------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_kept_as_a_hash(cast: Cast, priya: Client) -> None:
    secret = made(priya)
    token = Token.objects.get()
    assert (token.person, token.account, token.scopes) == (cast.priya, cast.northwind, ["read_replication", "read_vms"])
    assert token.expires_at and timedelta(days=29) < token.expires_at - clock.now() <= timedelta(days=30)
    assert token.digest == Token.digest_of(secret) and secret not in str(vars(token))
    page = priya.get(PAGE)
    assert secret not in page.content.decode() and f"ampdr_{token.prefix}…" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert secret not in str(dict(priya.session)) + str(Activity.objects.filter(kind="token").values())
    assert bearer(secret).get("vms/").status == 200


def test_the_answer_with_the_secret_is_not_stored(priya: Client) -> None:
    answer = priya.post(PAGE, WISH)
    assert "no-store" in answer["Cache-Control"] and answer["Referrer-Policy"] == "same-origin"
    assert not answer.cookies.get("messages")


def test_the_page_tells_what_each_token_is(cast: Cast, priya: Client) -> None:
    bearer(made(priya)).get("vms/")
    body = priya.get(PAGE).content.decode()
    for words in ("Nightly report", "Read Virtual Machine(s), Read Server Replication", "last used", "ends"):
        assert words in body or ", ".join(reversed(words.split(", "))) in body
    assert "Revoke token Nightly report" in body


def test_only_ones_own_permissions_are_offered(cast: Cast, client: Client) -> None:
    role = Role.objects.create(
        account=cast.northwind, name="Robots", permissions=["read_vms", "read_tokens", "write_tokens"]
    )
    Membership.objects.get(person=cast.ravi).roles.set([role])
    sign_in(client, cast.ravi)
    body = client.get(PAGE).content.decode()
    offered = re.findall(r'type="checkbox" name="scopes" value="(\w+)"', body)
    assert offered == ["read_vms", "read_tokens", "write_tokens"]
    refused = client.post(PAGE, {**WISH, "scopes": ["read_vms", "write_replication"]})
    assert refused.status_code == 400 and "of those that you have yourself" in refused.content.decode()
    with pytest.raises(Invalid) as wrong:
        make_token(cast.actor("ravi"), "x", ["write_replication"], 30)
    assert set(wrong.value.fields) == {"scopes"}
    assert not Token.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "   "), ("name", "x" * 61), ("name", "a\nb"), ("name", "a\0b"), ("scopes", []),
     ("scopes", ["nothing"]), ("days", "31"), ("days", "0"), ("days", "99999999999999999999"), ("days", "x")],
)  # fmt: skip
def test_what_is_not_well_formed_makes_no_token(priya: Client, field: str, value: Any) -> None:
    answer = priya.post(PAGE, {**WISH, field: value})
    assert answer.status_code == 400
    assert f'href="#id_{field}' in answer.content.decode()
    assert not Token.objects.exists()


def test_seeing_and_changing_need_their_permissions(cast: Cast, client: Client) -> None:
    """Technical has neither; whoever may only read sees his own and no form."""
    sign_in(client, cast.oscar)
    refused = client.get(PAGE)
    assert refused.status_code == 403
    assert "Read API Tokens" in refused.content.decode() and "priya@example.com" in refused.content.decode()
    role = Role.objects.create(account=cast.northwind, name="Looks at tokens", permissions=["read_tokens"])
    Membership.objects.get(person=cast.oscar).roles.add(role)
    page = client.get(PAGE)
    assert page.status_code == 200 and "Make the token" not in page.content.decode()
    assert client.post(PAGE, WISH).status_code == 403
    with pytest.raises(Forbidden):
        make_token(cast.actor("oscar"), "x", ["read_vms"], 30)
    assert not Token.objects.exists()


def test_tokens_are_of_one_account(cast: Cast, priya: Client) -> None:
    """A member of two has tokens in each; another's account isn't there."""
    join(cast.priya, cast.contoso, "Billing")
    made(priya)
    elsewhere = priya.get(PAGE, {"account": "contoso"})
    assert elsewhere.status_code == 403 and "Nightly report" not in elsewhere.content.decode()
    assert "Northwind Health" in elsewhere.content.decode()  # the way back to where he may
    assert priya.post(PAGE, {**WISH, "account": "contoso"}).status_code == 403
    Membership.objects.get(person=cast.priya, account=cast.contoso).delete()
    foreign, absent = (priya.get(PAGE, {"account": slug}) for slug in ("contoso", "never-made"))
    assert foreign.status_code == 404 and foreign.content == absent.content


def test_fifty_tokens_are_enough_and_cost_no_more_than_one(cast: Cast, priya: Client) -> None:
    costs = []
    for n in range(50):
        issue_token(PORTAL, cast.priya, cast.northwind, f"token {n}", ["read_vms"])
        if n in (0, 49):
            with CaptureQueriesContext(connection) as caught:
                priya.get(PAGE)
            costs.append(len(caught))
    assert costs[0] == costs[1] <= 6
    refused = priya.post(PAGE, WISH)
    assert refused.status_code == 409 and "Revoke one first" in refused.content.decode()
    assert Token.objects.count() == 50


# ---- Revoking --------------------------------------------------------------------------------------------------------


def test_a_revoked_token_opens_nothing(cast: Cast, priya: Client) -> None:
    secret = made(priya)
    token = Token.objects.get()
    answer = priya.post(f"{PAGE}{token.prefix}/revoke/")
    assert (answer.status_code, answer["Location"]) == (302, "/me/tokens/?account=northwind")
    assert said(bearer(secret).get("vms/")) == (401, "invalid_token")
    assert "Nightly report" not in priya.get(PAGE).content.decode()
    events = Activity.objects.filter(kind="token").order_by("pk")
    assert [(row.event, row.actor, row.account) for row in events] == [
        ("issued", "Priya Raman", cast.northwind), ("revoked", "Priya Raman", cast.northwind)
    ]  # fmt: skip
    assert priya.post(f"{PAGE}{token.prefix}/revoke/").status_code == 302  # once more changes nothing
    assert Activity.objects.filter(kind="token", event="revoked").count() == 1


def test_nobody_revokes_anothers(cast: Cast, priya: Client) -> None:
    made(priya)
    token = Token.objects.get()
    join(cast.tom, cast.northwind, "Admin")
    for person in (cast.tom, cast.olga, cast.ravi):
        other = sign_in(Client(), person)
        foreign, absent = (other.post(f"{PAGE}{prefix}/revoke/") for prefix in (token.prefix, "0" * 12))
        assert foreign.status_code == 404 and foreign.content == absent.content
    assert Token.objects.filter(revoked_at=None).exists()


def test_every_token_of_a_removed_member_ends(cast: Cast, priya: Client) -> None:
    join(cast.priya, cast.contoso, "Admin")
    secrets = [made(priya), made(priya), made(priya, account="contoso")]
    with changes(cast.actor("mary")) as change:
        revoke_tokens(change, cast.northwind, cast.priya)
    assert [open_token(secret) is None for secret in secrets] == [True, True, False]
    assert Activity.objects.filter(kind="token", event="revoked", account=cast.northwind).count() == 2


# ---- Using -----------------------------------------------------------------------------------------------------------


def test_a_token_ends_with_its_owner_at_once(cast: Cast, priya: Client) -> None:
    caller = bearer(made(priya))
    membership = Membership.objects.get(person=cast.priya)
    assert caller.get("vms/").status == 200
    Membership.objects.filter(pk=membership.pk).update(enabled=False)
    assert caller.get("vms/").status == 404
    Membership.objects.filter(pk=membership.pk).update(enabled=True)
    Person.objects.filter(pk=cast.priya.pk).update(is_active=False)
    assert caller.get("vms/").status == 401
    Person.objects.filter(pk=cast.priya.pk).update(is_active=True)
    membership.delete()
    assert caller.get("vms/").status == 404


def test_a_token_ends_on_its_day(cast: Cast, priya: Client) -> None:
    caller = bearer(made(priya))
    with clock.ahead(timedelta(days=29)):
        assert caller.get("vms/").status == 200
    with clock.ahead(timedelta(days=31)):
        assert said(caller.get("vms/")) == (401, "invalid_token")
        assert "Expired" in priya.get(PAGE).content.decode()


def test_a_token_never_may_more_than_its_owner_now(cast: Cast, priya: Client) -> None:
    caller = bearer(made(priya))
    assert caller.get("orders/").status == 200
    only_vms = Role.objects.create(account=cast.northwind, name="VMs", permissions=["read_vms"])
    Membership.objects.get(person=cast.priya).roles.set([only_vms])
    assert caller.get("vms/").status == 200
    assert said(caller.get("orders/")) == (403, "forbidden")


def test_a_token_opens_no_page(cast: Cast, priya: Client) -> None:
    headers = {"Authorization": f"Bearer {made(priya)}"}
    for page in (PAGE, "/northwind/vms/", "/admin/"):
        answer = Client().get(page, headers=headers)
        assert answer.status_code == 302 and re.match("/sign-in/|/admin/login/", answer["Location"])


def test_a_token_from_the_shell(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_token", "PRIYA@example.com", "northwind", "backup", "read_vms", "--days", "90")
    secret = capsys.readouterr().out.strip()
    assert bearer(secret).get("vms/").status == 200
    token = Token.objects.get()
    assert token.expires_at and token.expires_at - clock.now() > timedelta(days=89)
