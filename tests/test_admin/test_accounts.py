"""Accounts, people, members, the list, sites and the record: all by verbs."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from accounts import activity
from accounts.actions import SUPPORT, list_authorized
from accounts.models import (
    RESERVED_SLUGS,
    Account,
    Activity,
    AuthorizedUser,
    Head,
    Invitation,
    Membership,
    Person,
    Role,
)
from inventory.models import Site
from tests.cast import Cast
from tests.test_admin.desk import html, signed_in, vms, words


def test_an_account_is_made_with_its_head(cast: Cast, lead: Client) -> None:
    said: dict[str, Any] = {"name": "Lakeside Bank", "slug": "lakeside", "number": 4103}
    said |= {"first_email": "Nadia@lakeside.example", "first_name": "Nadia Ali"}
    assert lead.post("/admin/accounts/account/add/", said | {"first_email": "nobody"}).status_code == 200
    assert lead.post("/admin/accounts/account/add/", said).status_code == 302
    made = Account.objects.get(slug="lakeside")
    assert Head.objects.filter(account=made).exists()
    row = Activity.objects.get(account=made, kind="account")
    assert (row.kind, row.event, row.actor, row.staff) == ("account", "created", "Tom Ueda", True)
    assert lead.post(f"/admin/accounts/account/{made.pk}/change/", said | {"name": "Other"}).status_code == 403
    invited = Invitation.objects.get(account=made)
    assert (invited.email, invited.roles.get().name) == ("nadia@lakeside.example", "Admin")
    path = "/admin/accounts/invitation/"
    for action, word in (("send_again", "is sent again"), ("withdraw", "is withdrawn")):
        assert word in words(lead.post(path, {"action": action, "_selected_action": [invited.pk]}, follow=True))
    invited.refresh_from_db()
    assert invited.nonce == 2 and invited.withdrawn_at


@pytest.mark.parametrize("field", ["name", "first_name"])
def test_names_typed_by_support_are_one_line_of_visible_signs(cast: Cast, lead: Client, field: str) -> None:
    said = {"name": "L", "slug": "lakeside", "number": 4103, "first_email": "n@x.example", "first_name": "N"}
    for name in ("two\nlines", "turned\u202eround", "x" * 10_000, "  "):
        response = lead.post("/admin/accounts/account/add/", said | {field: name})
        assert response.status_code == 200 and "errorlist" in html(response), name
    assert not Account.objects.filter(slug="lakeside").exists()


def test_accounts_with_fewer_than_two_are_marked(cast: Cast, mary: Client) -> None:
    page = html(mary.get("/admin/accounts/account/"))
    assert page.count("1, fewer than two") == 2
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar)
    Head.objects.filter(account=cast.contoso).update(protected=3)
    page = html(mary.get("/admin/accounts/account/"))
    assert page.count("fewer than two") == 1 and "3 VMs protected" in page
    Membership.objects.filter(person=cast.oscar).update(enabled=False)
    assert html(mary.get("/admin/accounts/account/")).count("fewer than two") == 2
    assert "Suspended" in html(mary.get("/admin/accounts/authorizeduser/"))


def test_a_lead_removes_a_member(cast: Cast, lead: Client) -> None:
    path, ravi = "/admin/accounts/membership/", Membership.objects.get(person=cast.ravi)
    said = {"action": "remove", "_selected_action": [ravi.pk]}
    assert "is no member of Northwind Health any more" in words(lead.post(path, said, follow=True))
    assert not Membership.objects.filter(person=cast.ravi).exists()


@pytest.mark.parametrize("slug", ["admin", "sign-in", "api", "northwind", "Upper", "9lives", "a", ""])
def test_a_slug_must_be_free(cast: Cast, lead: Client, slug: str) -> None:
    before = Account.objects.count()
    response = lead.post("/admin/accounts/account/add/", {"name": "New", "slug": slug, "number": 4104})
    assert response.status_code == 200 and "errorlist" in html(response)
    assert Account.objects.count() == before


def test_the_first_words_of_all_addresses_are_reserved() -> None:
    firsts = {str(pattern.pattern).split("/")[0] for pattern in get_resolver().url_patterns}
    words_ = {first for first in firsts if first and "<" not in first and "." not in first}
    assert words_ <= RESERVED_SLUGS


def test_support_makes_people_but_no_staff(cast: Cast, lead: Client) -> None:
    said = {
        "email": "Jonas@Example.com", "name": "Jonas Lindqvist", "time_zone": "Europe/Stockholm",
        "usable_password": "true", "password1": "a long enough phrase", "password2": "a long enough phrase",
        "is_staff": "on", "is_superuser": "on",
    }  # fmt: skip
    assert lead.post("/admin/accounts/person/add/", said).status_code == 302
    jonas = Person.objects.get(email="jonas@example.com")
    assert jonas.check_password("a long enough phrase") and not jonas.is_staff and not jonas.is_superuser
    assert Activity.objects.get(kind="person", event="created").staff
    path = f"/admin/accounts/person/{cast.mary.pk}/change/"
    assert lead.post(path, {"email": "m@example.com", "name": "Mary", "is_superuser": "on"}).status_code == 403
    assert lead.post(f"/admin/accounts/person/{jonas.pk}/password/", said).status_code == 403
    assert 'name="is_superuser"' not in html(lead.get(path))


def test_a_superuser_changes_people_and_it_stands_in_the_record(cast: Cast) -> None:
    Person.objects.filter(pk=cast.tom.pk).update(is_superuser=True)
    tom, path = signed_in(cast.tom), f"/admin/accounts/person/{cast.mary.pk}/"
    group = Group.objects.get(name=SUPPORT)
    said = {"email": "mary@example.com", "name": "Mary Osei", "time_zone": "UTC", "is_active": "on", "is_staff": "on"}
    assert tom.post(f"{path}change/", said | {"groups": [group.pk]}).status_code == 302
    assert list(cast.mary.groups.all()) == [group]
    assert Activity.objects.get(kind="person", event="changed").facts["groups"] == [SUPPORT]
    new = {"usable_password": "true", "password1": "a long enough phrase", "password2": "a long enough phrase"}
    assert tom.post(f"/admin/accounts/person/{cast.mary.pk}/password/", new).status_code == 302
    assert Activity.objects.filter(kind="person", event="new_password").count() == 1


def test_members_are_added_and_changed_by_verbs(cast: Cast, lead: Client) -> None:
    admin_role, billing = Role.objects.get(name="Admin"), Role.objects.get(name="Billing")
    said = {"account": "contoso", "person": "ravi@example.com", "roles": [billing.pk]}
    assert lead.post("/admin/accounts/membership/add/", said).status_code == 302
    made = Membership.objects.get(account=cast.contoso, person=cast.ravi)
    assert made.enabled and list(made.roles.all()) == [billing]
    path = f"/admin/accounts/membership/{made.pk}/change/"
    assert lead.post(path, {"roles": [admin_role.pk], "enabled": "on"}).status_code == 302
    assert lead.post(path, {"roles": [billing.pk]}).status_code == 302
    made.refresh_from_db()
    assert not made.enabled and list(made.roles.all()) == [billing]
    assert Activity.objects.filter(kind="membership", staff=True, account=cast.contoso).count() == 3


def test_the_last_administrator_stays(cast: Cast, lead: Client) -> None:
    olga = Membership.objects.get(person=cast.olga)
    path = f"/admin/accounts/membership/{olga.pk}/change/"
    assert lead.post(path, {"roles": [Role.objects.get(name="Billing").pk], "enabled": "on"}).status_code == 409
    assert lead.post(path, {"roles": [Role.objects.get(name="Admin").pk]}).status_code == 409
    olga.refresh_from_db()
    assert olga.enabled and olga.roles.get().name == "Admin"


def test_another_accounts_role_is_no_choice(cast: Cast, lead: Client) -> None:
    viewer = Role.objects.get(name="Viewer", account=cast.northwind)
    said = {"account": "contoso", "person": "ravi@example.com", "roles": [viewer.pk]}
    assert lead.post("/admin/accounts/membership/add/", said).status_code == 200
    assert not Membership.objects.filter(account=cast.contoso, person=cast.ravi).exists()


def test_the_list_of_authorized_users_is_kept_by_verbs(cast: Cast, lead: Client) -> None:
    path = "/admin/accounts/authorizeduser/"
    said = {"account": "northwind", "person": "oscar@example.com", "phone": "+1 555 0150", "confirmed_on": ""}
    assert lead.post(f"{path}add/", said | {"person": "olga@example.com"}).status_code == 200  # no member
    assert lead.post(f"{path}add/", said).status_code == 302
    oscar = AuthorizedUser.objects.get(person=cast.oscar)
    assert oscar.added_by == cast.tom
    assert lead.post(f"{path}{oscar.pk}/change/", {"phone": "+1 555 0151", "confirmed_on": ""}).status_code == 302
    assert "can't request failovers" in words(lead.post(path, {"action": "take_off", "_selected_action": [oscar.pk]}))
    assert not AuthorizedUser.objects.filter(person=cast.oscar).exists()
    told = Activity.objects.filter(account=cast.northwind, facts__person="Oscar Lind", staff=True).order_by("id")
    assert [row.event for row in told] == ["listed", "changed", "unlisted"]
    assert not list(activity.faults())


def test_a_site_gets_another_pair(cast: Cast, lead: Client) -> None:
    london, phoenix = cast.sites["LHR01"], cast.sites["PHX01"]
    path = f"/admin/inventory/site/{london.pk}/change/"
    said = {"city": "London", "failover_site": phoenix.pk, "provider": london.provider, "code": "XXX01"}
    assert lead.post(path, said | {"failover_site": london.pk}).status_code == 200
    assert lead.post(path, said).status_code == 302
    changed = Site.objects.get(pk=london.pk)
    assert (changed.code, changed.failover_site) == ("LHR01", phoenix)
    assert Activity.objects.get(kind="site").facts["failover_site"] == "PHX01"


def test_default_roles_and_the_record_are_read_only(cast: Cast) -> None:
    Person.objects.filter(pk=cast.tom.pk).update(is_superuser=True)
    tom = signed_in(cast.tom)
    role, row = Role.objects.filter(account=None)[0], Activity.objects.all()[0]
    for path in (
        f"role/{role.pk}/change/",
        f"activity/{row.pk}/change/",
        "activity/add/",
        f"activity/{row.pk}/delete/",
    ):
        assert tom.post(f"/admin/accounts/{path}", {"name": "X", "post": "yes"}).status_code == 403


def test_lists_are_not_counted(cast: Cast, lead: Client) -> None:
    vms(cast, *(f"web-{n:02}" for n in range(60)))
    lead.get("/admin/inventory/vm/?q=WEB-1")  # what is searched for is written down, once
    for path in ("accounts/activity/", "inventory/vm/", "inventory/vm/?q=WEB-1", "replication/replication/?p=2"):
        with CaptureQueriesContext(connection) as found:
            assert lead.get(f"/admin/{path}").status_code == 200
        statements = [row["sql"] for row in found.captured_queries]
        assert len(statements) <= 9, statements
        assert not [sql for sql in statements if "COUNT(" in sql and "failover_ticket" not in sql]
