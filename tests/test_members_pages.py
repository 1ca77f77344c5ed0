"""The screens of people: users, roles, authorized users, asking for access, several accounts."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from accounts.actions import change_member, invite, list_authorized, remove_member
from accounts.models import AccessRequest, Activity, AuthorizedUser, Invitation, Membership, Permission, Person, Role
from ampdr.pages import SIZE
from tests.cast import Cast, join, make_person, sign_in
from tests.test_members import member, role


def at(name: str, *arguments: Any, slug: str = "northwind") -> str:
    return reverse(name, args=[slug, *arguments])


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def priya(cast: Cast) -> Client:
    return sign_in(Client(), cast.priya)


def looker(cast: Cast, *permissions: str, listed: bool = False) -> Client:
    """Ravi, with these permissions instead of his own."""
    Role.objects.filter(name="Viewer").update(permissions=list(permissions))
    if listed:
        list_authorized(cast.actor("mary"), cast.northwind, cast.ravi)
    return sign_in(Client(), cast.ravi)


# ---- Users -----------------------------------------------------------------------------------------------------------


def test_the_list_shows_what_matters_of_each(cast: Cast, priya: Client) -> None:
    Authenticator.objects.create(user=cast.oscar, type="totp", data={})
    change_member(cast.actor("priya"), member(cast, "ravi"), enabled=False)
    invite(cast.actor("priya"), cast.northwind, "nadia@example.com", [role("Billing")], "Nadia Ali")
    page = text(priya.get(at("users")))
    for word in ("Priya Raman", "oscar@example.com", "Technical", "Disabled", "Since", "Nadia Ali", "3 d left"):
        assert word in page
    rows = {part.split("</a>")[0].split(">")[-1]: part for part in page.split('<tr role="row">')}
    assert 'circle-check"/></svg>On' in rows["Oscar Lind"] and "</svg>Off" in rows["Priya Raman"]
    assert "Olga Berg" not in page


def test_filters_and_finding(cast: Cast, priya: Client) -> None:
    def names(query: str) -> set[str]:
        page = text(priya.get(at("users") + query)).split("<main")[1]
        known = ("Priya Raman", "Oscar Lind", "Ravi Patel", "nadia@example.com")
        return {name for name in known if f">{name}<" in page}

    invite(cast.actor("priya"), cast.northwind, "nadia@example.com", [role("Billing")])
    assert names("?q=lind") == {"Oscar Lind"} and names("?q=ravi@") == {"Ravi Patel"}
    assert names("?role=admin") == {"Priya Raman"} and names("?state=invited") == {"nadia@example.com"}
    assert names("?state=active") == {"Priya Raman", "Oscar Lind", "Ravi Patel"}
    assert names("?state=nonsense&after=nonsense") == names("")
    assert "Nobody matches" in text(priya.get(at("users") + "?q=zzz"))


def test_the_list_is_cut_by_place(cast: Cast, priya: Client) -> None:
    for n in range(SIZE + 3):
        join(make_person(f"p{n:03}@example.com", f"Person {n:03}"), cast.northwind, "Billing")
    first = priya.get(at("users") + "?q=Person")
    way = first.content.decode().split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    second = text(priya.get(at("users") + way))
    assert "Person 049" in text(first) and "Person 050" not in text(first)
    assert "Person 050" in second and "Person 052" in second and "Person 049" not in second


def test_an_administrator_changes_a_member(cast: Cast, priya: Client) -> None:
    path = at("user", member(cast, "ravi").uuid)
    page = text(priya.get(path))
    assert "Disable Ravi Patel" in page and "Remove Ravi Patel from Northwind Health" in page
    assert priya.post(path, {"do": "roles", "role": ["technical", "billing"]}).status_code == 302
    assert {one.name for one in member(cast, "ravi").roles.all()} == {"Technical", "Billing"}
    assert "The roles of Ravi Patel are kept" in text(priya.get(path))
    priya.post(path, {"do": "disable"})
    assert not member(cast, "ravi").enabled and "Enable Ravi Patel" in text(priya.get(path))
    assert priya.post(path, {"do": "remove"})["Location"] == at("users")
    assert priya.get(path).status_code == 404


@pytest.mark.parametrize("sent", [{"do": "roles"}, {"do": "roles", "role": "nonsense"}, {"do": "roles", "role": "n\0"},
                                  {"do": "fly"}, {}])  # fmt: skip
def test_what_means_nothing_changes_nothing(cast: Cast, priya: Client, sent: dict[str, str]) -> None:
    before = Activity.objects.count()
    assert priya.post(at("user", member(cast, "ravi").uuid), sent).status_code == 400
    assert Activity.objects.count() == before


def test_no_button_that_the_verb_refuses(cast: Cast, priya: Client) -> None:
    page = text(priya.get(at("user", member(cast, "priya").uuid)))
    assert "Disable Priya Raman" not in page and "Another administrator can" in page
    assert priya.post(at("user", member(cast, "priya").uuid), {"do": "disable"}).status_code == 409
    oscar = sign_in(Client(), cast.oscar)
    page = text(oscar.get(at("user", member(cast, "ravi").uuid)))
    assert "Disable" not in page and "Write Identity" in page


def test_inviting_from_the_page(cast: Cast, priya: Client) -> None:
    path = at("user-invite")
    assert priya.post(path, {"email": "no", "roles": "billing"}).status_code == 400
    assert "Choose at least one" in text(priya.post(path, {"email": "n@example.com"}))
    assert priya.post(path, {"email": "n@example.com", "name": "N", "roles": "billing"}).status_code == 302
    made = Invitation.objects.get()
    for do in ("resend", "withdraw"):
        assert priya.post(at("user-invitation", made.uuid), {"do": do}).status_code == 302
    assert priya.post(at("user-invitation", made.uuid), {"do": "resend"}).status_code == 409
    made.refresh_from_db()
    assert made.nonce == 2 and made.withdrawn_at


# ---- Roles -----------------------------------------------------------------------------------------------------------


def test_roles_are_made_changed_and_deleted_on_their_pages(cast: Cast, priya: Client) -> None:
    said = {"name": "Night shift", "permissions": ["read_vms", "read_tickets"], "do": "save"}
    path = priya.post(at("role-new"), said)["Location"]
    assert path == at("role", "night-shift")
    page = text(priya.get(path))
    assert "Custom" in page and "Delete the role Night shift" in page and page.count(" checked>") == 2
    priya.post(path, said | {"permissions": ["read_vms"]})
    assert Role.objects.get(slug="night-shift").permissions == ["read_vms"]
    assert priya.post(path, said | {"permissions": []}).status_code == 400
    assert priya.post(path, said | {"name": "Admin"}).status_code == 400
    assert priya.post(path, {"do": "delete"})["Location"] == at("roles")
    assert priya.get(path).status_code == 404


def test_default_roles_have_a_badge_and_no_boxes(cast: Cast, priya: Client) -> None:
    page = text(priya.get(at("role", "technical")))
    assert "Default, fixed" in page and 'type="checkbox"' not in page and "Copy this role" in page
    assert (
        priya.post(at("role", "technical"), {"do": "save", "name": "X", "permissions": "read_vms"}).status_code == 409
    )
    assert text(priya.get(at("roles"))).count("Default, fixed") == 3


def test_a_copy_begins_with_the_ticks_of_the_other(cast: Cast, priya: Client) -> None:
    page = text(priya.get(at("role-new") + "?from=billing"))
    assert "Copy of Billing" in page and page.count(" checked>") == 3
    assert priya.get(at("role-new") + "?from=nonsense").status_code == 404


def test_the_members_of_a_role_are_of_this_account(cast: Cast, priya: Client) -> None:
    join(cast.olga, cast.northwind, "Billing")
    page = text(priya.get(at("role", "admin")))
    assert "Priya Raman" in page and "Olga Berg" not in page  # Contoso's Admin
    assert "1 person" in text(priya.get(at("roles")))


# ---- Authorized users ------------------------------------------------------------------------------------------------


def test_the_list_is_read_only_and_warns_of_fewer_than_two(cast: Cast, priya: Client) -> None:
    page = text(priya.get(at("authorized-users")))
    assert "Fewer than two" in page and "+1 555 0142" in page and "Mary Osei, Support" in page
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar)
    assert "Fewer than two" not in text(priya.get(at("authorized-users")))
    remove_member(cast.actor("priya"), member(cast, "oscar"))
    page = text(priya.get(at("authorized-users")))
    assert "Suspended" in page and "Fewer than two" in page
    AuthorizedUser.objects.all().delete()
    assert "Nobody may request a failover" in text(priya.get(at("authorized-users")))
    assert priya.post(at("authorized-users")).status_code == 405


# ---- The page that says no -------------------------------------------------------------------------------------------


def test_four_cases_have_four_texts(cast: Cast) -> None:
    """Acceptance point 27."""
    no_read = looker(cast, "read_vms")
    page = no_read.get(at("replication"))
    assert page.status_code == 403
    assert "Read Server Replication" in text(page) and "<b>Viewer</b>" in text(page)
    assert "priya@example.com" in text(page) and "Ask for access" in text(page) and "authorized user," not in text(page)
    only_read = looker(cast, "read_vms", "read_replication")
    page = only_read.get(at("replication"))
    assert page.status_code == 200 and "New order" not in text(page)
    page = only_read.get(at("order-new"))
    assert page.status_code == 403 and "You can see replication" in text(page)
    assert "Write Server Replication" in text(page) and "priya@example.com" in text(page)
    page = only_read.get(at("failover-new"))
    assert page.status_code == 403 and "Support keeps the list" in text(page) and "Ask for access" not in text(page)
    assert "Request failover" not in text(only_read.get(at("failovers")))


def test_listed_without_read(cast: Cast, settings: Any) -> None:
    settings.SUPPORT_PHONE = "+1 555 0100"
    page = looker(cast, "read_vms", listed=True).get(at("replication"))
    assert page.status_code == 403 and "You are an authorized user, and" in text(page)
    assert "priya@example.com" in text(page) and "+1 555 0100" in text(page)


def test_asking_writes_one_message(cast: Cast) -> None:
    join(cast.tom, cast.northwind, "Admin")
    join(cast.mary, cast.northwind, "Admin")
    ravi, back = looker(cast, "read_vms"), "http://testserver" + at("replication")
    said = {"permission": "read_replication"}
    for _ in range(2):
        assert ravi.post(at("ask-access"), said, headers={"Referer": back})["Location"] == back
    assert Activity.objects.get(kind="access", event="asked").account == cast.northwind
    page = text(ravi.get(at("replication")))
    assert "Asked " in page and "Mary Osei and 2 others were told" in page and "Ask for access" not in page
    change_member(cast.actor("priya"), member(cast, "ravi"), [role("Billing")])
    assert AccessRequest.objects.get().closed_at
    assert "Ask for access" in text(ravi.get(at("replication")))


@pytest.mark.parametrize(("permission", "status"), [("", 400), ("fly", 400), ("n\0", 400), ("read_vms", 409)])
def test_asking_for_nothing(cast: Cast, permission: str, status: int) -> None:
    ravi = looker(cast, "read_vms")
    assert ravi.post(at("ask-access"), {"permission": permission}).status_code == status
    assert not AccessRequest.objects.exists()


def test_asking_leads_to_no_other_site(cast: Cast) -> None:
    ravi = looker(cast, "read_vms")
    for referer in ("https://evil.example/", "//evil.example", "javascript:alert(1)", ""):
        answer = ravi.post(at("ask-access"), {"permission": "read_tickets"}, headers={"Referer": referer})
        assert answer["Location"] == "/northwind/"


# ---- Several accounts ------------------------------------------------------------------------------------------------


def test_who_has_several_accounts_switches_in_the_top_bar(cast: Cast, priya: Client) -> None:
    assert "choose another account" not in text(priya.get(at("vms")))
    join(cast.priya, cast.contoso, "Billing")
    page = text(priya.get(at("vms")))
    assert "choose another account" in page and 'href="/contoso/"' in page
    priya.get(at("vms", slug="contoso"))
    assert priya.get("/")["Location"] == "/contoso/" and priya.get("/contoso/").status_code == 200
    Membership.objects.filter(person=cast.priya, account=cast.contoso).update(enabled=False)
    assert "choose another account" not in text(priya.get(at("vms")))
    assert priya.get("/")["Location"] == "/northwind/"


def test_an_account_begins_with_overview_whatever_one_may_open(cast: Cast) -> None:
    desk = Role.objects.create(account=cast.northwind, name="Desk", slug="desk", permissions=["view_activity"])
    join(cast.tom, cast.northwind).roles.set([desk])
    assert "Last events" in text(sign_in(Client(), cast.tom).get("/northwind/"))
    desk.permissions = []
    desk.save()
    assert "Last events" not in text(sign_in(Client(), cast.tom).get("/northwind/"))


# ---- Hostile text ----------------------------------------------------------------------------------------------------


def test_hostile_names_are_text_on_every_page(cast: Cast, priya: Client) -> None:
    evil = "<script>alert(1)</script>"
    Person.objects.filter(pk=cast.ravi.pk).update(name=evil)
    Role.objects.filter(name="Viewer").update(name=evil, permissions=[Permission.READ_VMS], slug="evil")
    list_authorized(cast.actor("mary"), cast.northwind, cast.ravi, phone="<b>1</b>")
    invite(cast.actor("priya"), cast.northwind, "nadia@example.com", [role("Billing")], evil)
    ravi = member(cast, "ravi").uuid
    for path in (
        at("users"),
        at("user", ravi),
        at("roles"),
        at("role", "evil"),
        at("authorized-users"),
        at("user-invite"),
    ):
        page = text(priya.get(path))
        assert evil not in page and "&lt;script&gt;" in page and "<b>1</b>" not in page, path
    page = text(sign_in(Client(), cast.ravi).get(at("replication")))
    assert evil not in page and "&lt;script&gt;" in page
