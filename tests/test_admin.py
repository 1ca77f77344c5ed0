"""Support's door: the queue, one page per ticket, every refusal there, and what else Support may do in admin."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse

from accounts import activity
from accounts.actions import SUPPORT, unlist
from accounts.models import RESERVED_SLUGS, Account, Activity, AuthorizedUser, Head, Membership, Person, Role
from ampdr import clock, work
from ampdr.lifecycle import Stateful
from failover.actions import request_termination, version_of, withdraw
from failover.models import Failover, Kind, Ticket
from inventory.models import VM, Site
from replication.actions import place_order
from replication.models import Replication
from replication.providers.sites import provider_of
from tests.cast import Cast, join, make_vms, protect, request, say_yes, states

QUEUE = "/admin/failover/ticket/"


@pytest.fixture
def mary(cast: Cast) -> Client:
    """Mary's browser. She is in the staff group, and no superuser."""
    cast.mary.groups.add(Group.objects.get(name=SUPPORT))
    return signed_in(cast.mary)


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def vms(cast: Cast, *names: str) -> list[VM]:
    found = make_vms(cast.northwind, cast.sites["DFW01"], names or ["web-01", "web-02", "db-01"])
    protect(cast, found, key=f"order-of-{found[0].name}")
    return found


def page(ticket: Ticket) -> str:
    return reverse("admin:failover_ticket_change", args=[ticket.pk])


def press(client: Client, ticket: Ticket, decision: str, **said: Any) -> Any:
    ticket.refresh_from_db()
    said = {"version": version_of(ticket), "quick": "outage", "reason": "", "decision": decision} | said
    return client.post(page(ticket), said)


def words(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def state(ticket: Ticket) -> str:
    ticket.refresh_from_db()
    return ticket.state


def faults(monkeypatch: pytest.MonkeyPatch, *rules: dict[str, Any]) -> None:
    monkeypatch.setenv("SIMULATION_FAULTS", json.dumps(rules))
    provider_of.cache_clear()


def html(response: Any) -> str:
    return str(response.content.decode())


# ---- Who gets in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin/", QUEUE, "/admin/login/", "/admin/accounts/person/"])
def test_a_customer_gets_the_403_page(cast: Cast, path: str) -> None:
    response = signed_in(cast.priya).get(path)
    assert response.status_code == 403
    assert "Only Support gets in here" in html(response)


@pytest.mark.parametrize("path", ["/admin/", QUEUE])
def test_anonymous_is_led_to_the_sign_in_page(db: None, path: str) -> None:
    response = Client().get(path, follow=True)
    assert response.redirect_chain[-1][0] == f"/sign-in/?next={path}"


def test_a_customer_can_not_post_to_a_ticket(cast: Cast) -> None:
    ticket = request(cast, vms(cast))
    assert press(signed_in(cast.priya), ticket, "approve").status_code == 403
    assert state(ticket) == "waiting"


def test_staff_outside_of_the_group_see_no_tickets(cast: Cast) -> None:
    ticket = request(cast, vms(cast))
    tom = signed_in(cast.tom)
    assert tom.get(QUEUE).status_code == tom.get(page(ticket)).status_code == 403
    assert press(tom, ticket, "approve").status_code == 403
    assert state(ticket) == "waiting"


def test_the_group_opens_every_list(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast))
    for model in admin.site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert mary.get(path).status_code == 200, path
        first = model._default_manager.first()
        if first is not None:
            assert mary.get(f"{path}{first.pk}/change/").status_code == 200, path
    assert mary.get("/admin/").status_code == 200
    assert mary.get(f"{page(ticket)[:-7]}history/", follow=True).status_code == 200


# ---- Nothing is edited -----------------------------------------------------------------------------------------------


def test_no_form_of_admin_edits_a_state(cast: Cast) -> None:
    cast.tom.is_superuser = True
    asked = RequestFactory().get("/admin/")
    asked.user = cast.tom
    for model, door in admin.site._registry.items():
        names = set(door.get_form(asked).base_fields) | set(door.list_editable)
        for inline in door.get_inline_instances(asked):
            names |= set(inline.get_formset(asked).form.base_fields)
        assert not names & {"state", "state_since", "protection", "group", "failover_state", "held_by"}, model
        if issubclass(model, Stateful):
            assert not door.has_add_permission(asked) and not door.has_change_permission(asked), model
        assert not door.has_delete_permission(asked), model


def test_a_state_that_is_sent_along_changes_nothing(cast: Cast) -> None:
    ticket = request(cast, vms(cast))
    cast.tom.is_superuser = True
    cast.tom.save()
    tom = signed_in(cast.tom)
    assert tom.post(page(ticket), {"state": "approved", "_save": "Save"}).status_code == 400
    assert tom.post(f"{QUEUE}add/", {"state": "approved"}).status_code == 403
    assert tom.post(f"{QUEUE}{ticket.pk}/delete/", {"post": "yes"}).status_code == 403
    row = Replication.objects.first()
    assert row and tom.post(f"/admin/replication/replication/{row.pk}/change/", {"state": "failed"}).status_code == 403
    assert (state(ticket), row.state) == ("waiting", "protected")


# ---- The queue -------------------------------------------------------------------------------------------------------


def test_live_comes_first_and_the_oldest_first(cast: Cast, mary: Client) -> None:
    a, b, c, d, e = vms(cast, "a", "b", "c", "d", "e")
    with clock.ahead(timedelta(minutes=-40)):
        old_test = request(cast, [a], "test", key="request-1")
    with clock.ahead(timedelta(minutes=-17)):
        old_live = request(cast, [b], "live", key="request-2")
    with clock.ahead(timedelta(minutes=-7)):
        live = request(cast, [c], "live", key="request-3")
    test = request(cast, [d], "test", key="request-4")
    done = request(cast, [e], "live", key="request-5")
    say_yes(cast, done)
    shown = html(mary.get(QUEUE))
    at = [shown.index(f">{ticket.number}<") for ticket in (old_live, live, old_test, test)]
    assert at == sorted(at)
    assert done.number not in shown
    assert '<b class="num txt-bad">17 min</b>' in shown and '<b class="num txt-warn">7 min</b>' in shown
    assert "2 live requests wait<" in shown.replace("\n", "")
    assert html(mary.get(f"{QUEUE}?kind=test")).count("/change/") == 2
    assert done.number in html(mary.get(f"{QUEUE}?state=approved"))
    assert done.number in html(mary.get(f"{QUEUE}?q={done.number[3:]}"))


def test_the_queue_costs_the_same_for_one_ticket_and_for_200(cast: Cast, mary: Client) -> None:
    first = request(cast, vms(cast))
    with CaptureQueriesContext(
        connection,
    ) as one:
        assert mary.get(QUEUE).status_code == 200
    Ticket.objects.bulk_create(
        Ticket(
            number=f"FO-9{n:04}", account=cast.northwind, kind=Kind.TEST, source="DFW01", target="PHX01", vm_count=1,
            requested_by=cast.priya, requested_at=first.requested_at,
        )
        for n in range(199)
    )  # fmt: skip
    for query in ("", "?p=2", "?state=all", "?state=approved"):
        with CaptureQueriesContext(connection) as many:
            assert mary.get(QUEUE + query).status_code == 200
        statements = [row["sql"] for row in many.captured_queries]
        assert len(statements) <= len(one) + 1 <= 12, statements
        assert not [sql for sql in statements if "COUNT(" in sql and "LIMIT" not in sql and "GROUP BY" not in sql]
    assert html(mary.get(QUEUE)).count('name="_selected_action"') == 50
    assert html(mary.get(f"{QUEUE}?p=4")).count('name="_selected_action"') == 50


def test_tests_are_approved_together(cast: Cast, mary: Client) -> None:
    a, b, c = vms(cast)
    tests = [request(cast, [a], "test", key="request-1"), request(cast, [b], "test", key="request-2")]
    own = request(cast, [c], "test", key="request-3")
    Ticket.objects.filter(pk=own.pk).update(requested_by=cast.mary)
    said = {"action": "approve_tests", "_selected_action": [t.pk for t in [*tests, own]]}
    assert "Say why" in words(mary.post(QUEUE, said | {"reason": " "}))
    assert [state(ticket) for ticket in tests] == ["waiting", "waiting"]
    told = words(mary.post(QUEUE, said | {"reason": "Planned tests"}))
    assert [state(ticket) for ticket in [*tests, own]] == ["approved", "approved", "waiting"]
    assert "You requested it yourself" in told


def test_no_live_failover_is_approved_together(cast: Cast, mary: Client) -> None:
    a, b, c = vms(cast)
    test = request(cast, [a], "test", key="request-1")
    live = request(cast, [b, c], "live", key="request-2")
    said = {
        "action": "approve_tests",
        "_selected_action": [test.pk, live.pk],
        "reason": "Planned",
        "select_across": "1",
    }
    assert "Nothing was approved" in words(mary.post(QUEUE, said))
    assert (state(test), state(live)) == ("waiting", "waiting")


# ---- The page --------------------------------------------------------------------------------------------------------


def test_the_page_says_what_will_run(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    shown = html(mary.get(page(ticket)))
    for told in (
        "Approve live failover of 3 VMs", "Reject the request", "web-01", "web-02", "db-01", "given at start",
        "Clinic sign-in is down", "Dallas to Phoenix", "Authorized user with Read Server Replication",
        "All 3 VMs are protected", "Not your own request", "+1 555 0142", "Up to ",
    ):  # fmt: skip
        assert told in shown, told
    assert shown.count("<dt>") >= 6


def test_a_big_ticket_shows_fifty(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast, *(f"web-{n:02}" for n in range(53))), "live")
    shown = html(mary.get(page(ticket)))
    assert shown.count("given at start") == 50 and "and 3 more" in shown


def test_approving_needs_a_reason_and_starts_the_failover(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    for missing in ({"quick": ""}, {"quick": "own"}, {"quick": "own", "reason": "  "}):
        response = press(mary, ticket, "approve", **missing)
        assert response.status_code == 400 and "Say why" in html(response)
    assert state(ticket) == "waiting"
    response = press(mary, ticket, "approve", reason="Dallas has no power")
    assert response.status_code == 302 and "is approved" in words(response)
    assert state(ticket) == "approved" and ticket.decided_by == cast.mary
    assert ticket.decision_reason == "Outage confirmed: Dallas has no power"
    row = Activity.objects.get(kind="ticket", event="approve")
    assert (row.actor, row.staff, row.reason) == ("Mary Osei", True, ticket.decision_reason)
    work.drive()
    assert states(ticket) == ["running"] * 3
    shown = html(mary.get(page(ticket)))
    assert "Approve live" not in shown and "Running" in shown and "Mary Osei" in shown
    assert not list(activity.faults())


def test_rejecting_needs_words_for_the_customer(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    response = press(mary, ticket, "reject")  # "Outage confirmed" is no reason to reject
    assert response.status_code == 400 and state(ticket) == "waiting"
    assert press(mary, ticket, "reject", reason="Not yours").status_code == 302
    work.drive()
    assert state(ticket) == "rejected" and states(ticket) == ["dropped"] * 3


def test_a_termination_is_decided_likewise(cast: Cast, mary: Client) -> None:
    live = request(cast, vms(cast), "live")
    say_yes(cast, live)
    work.drive()
    end = request_termination(cast.actor("priya"), live, "Dallas is back", "dfw01", "end-key-1")
    shown = html(mary.get(page(end)))
    assert "Approve termination of 3 VMs" in shown and "All changes since then" in shown
    assert press(mary, end, "approve", quick="phone").status_code == 302
    work.drive()
    assert states(live) == ["terminated"] * 3
    assert mary.get(page(end)).status_code == 200


# ---- Every refusal ---------------------------------------------------------------------------------------------------


def test_nobody_decides_on_his_own_request(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    Ticket.objects.filter(pk=ticket.pk).update(requested_by=cast.mary)
    shown = html(mary.get(page(ticket)))
    assert "You requested it yourself" in shown
    assert 'value="approve"' not in shown and 'value="reject"' not in shown
    assert press(mary, ticket, "approve").status_code == 403
    assert press(mary, ticket, "reject", reason="No").status_code == 403
    assert state(ticket) == "waiting"


def test_no_member_of_the_account_decides(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    join(cast.mary, cast.northwind, "Billing")
    shown = html(mary.get(page(ticket)))
    assert "You are a member of this account" in shown and 'value="approve"' not in shown
    assert press(mary, ticket, "approve").status_code == 403
    assert state(ticket) == "waiting"


def test_withdrawn_meanwhile_is_told_and_nothing_runs(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    seen = version_of(ticket)
    withdraw(cast.actor("priya"), ticket, "Dallas is back")
    for decision in ("approve", "reject"):
        response = press(mary, ticket, decision, version=seen, reason="Go")
        assert response.status_code == 409
        assert "Priya Raman was first" in html(response) and "Withdrawn" in html(response)
    work.drive()
    assert state(ticket) == "withdrawn" and states(ticket) == ["dropped"] * 3


def test_another_version_is_refused(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    for version in ("", "waiting:0.000000", version_of(ticket) + "1"):
        assert press(mary, ticket, "approve", version=version).status_code == 409
    assert state(ticket) == "waiting"
    assert press(mary, ticket, "approve").status_code == 302
    assert press(mary, ticket, "approve").status_code == 409  # the second click
    assert Activity.objects.filter(kind="ticket", event="approve").count() == 1


def test_unlisted_meanwhile_is_refused(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    unlist(cast.actor("mary"), AuthorizedUser.objects.get(person=cast.priya))
    shown = html(mary.get(page(ticket)))
    assert "no longer an authorized user" in shown and 'value="approve"' not in shown and 'value="reject"' in shown
    response = press(mary, ticket, "approve")
    assert response.status_code == 302 and "no longer an authorized user" in words(response)
    assert state(ticket) == "waiting"


def test_a_vm_that_lost_its_protection_is_refused(cast: Cast, mary: Client) -> None:
    ticket = request(cast, vms(cast), "live")
    Replication.objects.filter(vm__name="web-02").update(state="failed")
    assert "web-02: not protected any more" in html(mary.get(page(ticket)))
    response = press(mary, ticket, "approve")
    assert response.status_code == 302 and "web-02" in words(response)
    assert state(ticket) == "waiting"


@pytest.mark.parametrize("pk", ["0", "abc", "99999999"])
def test_there_is_no_such_ticket(cast: Cast, mary: Client, pk: str) -> None:
    assert mary.get(f"{QUEUE}{pk}/change/").status_code == 404


# ---- Lines that failed -----------------------------------------------------------------------------------------------


def fail_start(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Ticket:
    ticket = request(cast, vms(cast), "live")
    faults(monkeypatch, {"fault": "refuse", "kind": "start_live", "vm": "web-02"})
    say_yes(cast, ticket)
    finish()
    assert sorted(states(ticket)) == ["running", "running", "start_failed"]
    faults(monkeypatch)
    return ticket


def finish() -> None:
    """Drives, also what is only due after a pause."""
    for _ in range(6):
        Failover.objects.exclude(next_step_at=None).filter(verb__gt="").update(next_step_at="2020-01-01T00:00Z")
        work.drive()


def line(ticket: Ticket, name: str = "web-02") -> Failover:
    return Failover.objects.get(ticket=ticket, vm__name=name)


def test_a_failed_start_is_tried_again(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = fail_start(cast, monkeypatch)
    shown = html(mary.get(page(ticket)))
    assert "Retry web-02" in shown and "Give up web-02" in shown and "Retry web-01" not in shown
    assert press(mary, ticket, "retry", line=line(ticket).pk).status_code == 302
    finish()
    assert states(ticket) == ["running"] * 3
    assert Activity.objects.get(event="retry_start").staff
    told = press(mary, ticket, "retry", line=line(ticket).pk)
    assert "doesn't wait for Support" in words(told)


def test_a_failed_start_is_given_up_with_a_reason(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = fail_start(cast, monkeypatch)
    assert press(mary, ticket, "give_up", line=line(ticket).pk).status_code == 400
    assert line(ticket).state == "start_failed"
    assert press(mary, ticket, "give_up", line=line(ticket).pk, reason="Its disk is broken").status_code == 302
    finish()
    assert line(ticket).state == "dropped"
    row = Activity.objects.get(event="give_up")
    assert row.staff and row.reason == "Its disk is broken"
    assert press(mary, ticket, "give_up", line=line(ticket).pk, reason="Again").status_code == 409


def test_a_failed_termination_is_tried_again(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    live = request(cast, vms(cast), "live")
    say_yes(cast, live)
    work.drive()
    end = request_termination(cast.actor("priya"), live, "Dallas is back", "dfw01", "end-key-1")
    faults(monkeypatch, {"fault": "refuse", "kind": "stop", "vm": "db-01"})
    say_yes(cast, end)
    finish()
    assert line(live, "db-01").state == "termination_failed"
    faults(monkeypatch)
    shown = html(mary.get(page(end)))
    assert "Retry db-01" in shown and "Give up db-01" not in shown
    assert press(mary, end, "retry", line=line(live, "db-01").pk).status_code == 302
    finish()
    assert states(live) == ["terminated"] * 3


def test_a_line_of_another_ticket_is_not_there(cast: Cast, mary: Client) -> None:
    a, b, _ = vms(cast)
    one, two = request(cast, [a], key="request-1"), request(cast, [b], key="request-2")
    assert press(mary, one, "retry", line=two.lines.get().pk).status_code == 404
    assert press(mary, one, "retry", line="x").status_code == 404


def test_a_failed_replication_is_tried_again(cast: Cast, mary: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    found = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    faults(monkeypatch, {"fault": "refuse", "kind": "protect"})
    place_order(cast.actor("priya"), [found[0].uuid], "order-key-1")
    for _ in range(6):
        Replication.objects.exclude(next_step_at=None).update(next_step_at="2020-01-01T00:00Z")
        work.drive()
    row = Replication.objects.get()
    assert row.state == "failed"
    faults(monkeypatch)
    path = "/admin/replication/replication/"
    mary.post(path, {"action": "retry", "_selected_action": [row.pk]})
    work.drive()
    row.refresh_from_db()
    assert row.state == "protected"
    assert "Failed" not in words(mary.post(path, {"action": "retry", "_selected_action": [row.pk]}))


# ---- Accounts, people, the list --------------------------------------------------------------------------------------


def test_an_account_is_made_with_its_head(cast: Cast, mary: Client) -> None:
    said = {"name": "Lakeside Bank", "slug": "lakeside", "number": 4103}
    assert mary.post("/admin/accounts/account/add/", said).status_code == 302
    made = Account.objects.get(slug="lakeside")
    assert Head.objects.filter(account=made).exists()
    row = Activity.objects.get(account=made)
    assert (row.kind, row.event, row.actor, row.staff) == ("account", "created", "Mary Osei", True)
    assert mary.post(f"/admin/accounts/account/{made.pk}/change/", said | {"name": "Other"}).status_code == 403


@pytest.mark.parametrize("slug", ["admin", "sign-in", "api", "northwind", "Upper", "9lives", "a", ""])
def test_a_slug_must_be_free(cast: Cast, mary: Client, slug: str) -> None:
    before = Account.objects.count()
    response = mary.post("/admin/accounts/account/add/", {"name": "New", "slug": slug, "number": 4104})
    assert response.status_code == 200 and "errorlist" in html(response)
    assert Account.objects.count() == before


def test_the_first_words_of_all_addresses_are_reserved() -> None:
    firsts = {str(pattern.pattern).split("/")[0] for pattern in get_resolver().url_patterns}
    words_ = {first for first in firsts if first and "<" not in first and "." not in first}
    assert words_ <= RESERVED_SLUGS


def test_support_makes_people_but_no_staff(cast: Cast, mary: Client) -> None:
    said = {
        "email": "Jonas@Example.com", "name": "Jonas Lindqvist", "time_zone": "Europe/Stockholm",
        "usable_password": "true", "password1": "a long enough phrase", "password2": "a long enough phrase",
        "is_staff": "on", "is_superuser": "on",
    }  # fmt: skip
    assert mary.post("/admin/accounts/person/add/", said).status_code == 302
    jonas = Person.objects.get(email="jonas@example.com")
    assert jonas.check_password("a long enough phrase") and not jonas.is_staff and not jonas.is_superuser
    assert Activity.objects.get(kind="person", event="created").staff
    path = f"/admin/accounts/person/{cast.mary.pk}/change/"
    assert mary.post(path, {"email": "m@example.com", "name": "Mary", "is_superuser": "on"}).status_code == 403
    assert mary.post(f"/admin/accounts/person/{jonas.pk}/password/", said).status_code == 403
    assert 'name="is_superuser"' not in html(mary.get(path))


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


def test_members_are_added_and_changed_by_verbs(cast: Cast, mary: Client) -> None:
    admin_role, billing = Role.objects.get(name="Admin"), Role.objects.get(name="Billing")
    said = {"account": cast.contoso.pk, "person": cast.ravi.pk, "roles": [billing.pk]}
    assert mary.post("/admin/accounts/membership/add/", said).status_code == 302
    made = Membership.objects.get(account=cast.contoso, person=cast.ravi)
    assert made.enabled and list(made.roles.all()) == [billing]
    path = f"/admin/accounts/membership/{made.pk}/change/"
    assert mary.post(path, {"roles": [admin_role.pk], "enabled": "on"}).status_code == 302
    assert mary.post(path, {"roles": [billing.pk]}).status_code == 302
    made.refresh_from_db()
    assert not made.enabled and list(made.roles.all()) == [billing]
    assert Activity.objects.filter(kind="membership", staff=True, account=cast.contoso).count() == 3


def test_the_last_administrator_stays(cast: Cast, mary: Client) -> None:
    olga = Membership.objects.get(person=cast.olga)
    path = f"/admin/accounts/membership/{olga.pk}/change/"
    assert mary.post(path, {"roles": [Role.objects.get(name="Billing").pk], "enabled": "on"}).status_code == 409
    assert mary.post(path, {"roles": [Role.objects.get(name="Admin").pk]}).status_code == 409
    olga.refresh_from_db()
    assert olga.enabled and olga.roles.get().name == "Admin"


def test_another_accounts_role_is_no_choice(cast: Cast, mary: Client) -> None:
    viewer = Role.objects.get(name="Viewer", account=cast.northwind)
    said = {"account": cast.contoso.pk, "person": cast.ravi.pk, "roles": [viewer.pk]}
    assert mary.post("/admin/accounts/membership/add/", said).status_code == 200
    assert not Membership.objects.filter(account=cast.contoso, person=cast.ravi).exists()


def test_the_list_of_authorized_users_is_kept_by_verbs(cast: Cast, mary: Client) -> None:
    path = "/admin/accounts/authorizeduser/"
    said = {"account": cast.northwind.pk, "person": cast.oscar.pk, "phone": "+1 555 0150", "confirmed_on": ""}
    assert mary.post(f"{path}add/", said | {"person": cast.olga.pk}).status_code == 200  # no member
    assert mary.post(f"{path}add/", said).status_code == 302
    oscar = AuthorizedUser.objects.get(person=cast.oscar)
    assert oscar.added_by == cast.mary
    assert mary.post(f"{path}{oscar.pk}/change/", {"phone": "+1 555 0151", "confirmed_on": ""}).status_code == 302
    assert "can't request failovers" in words(mary.post(path, {"action": "take_off", "_selected_action": [oscar.pk]}))
    assert not AuthorizedUser.objects.filter(person=cast.oscar).exists()
    told = Activity.objects.filter(account=cast.northwind, facts__person="Oscar Lind", staff=True).order_by("id")
    assert [row.event for row in told] == ["listed", "changed", "unlisted"]
    assert not list(activity.faults())


def test_a_site_gets_another_pair(cast: Cast, mary: Client) -> None:
    london, phoenix = cast.sites["LHR01"], cast.sites["PHX01"]
    path = f"/admin/inventory/site/{london.pk}/change/"
    said = {"city": "London", "failover_site": phoenix.pk, "provider": london.provider, "code": "XXX01"}
    assert mary.post(path, said | {"failover_site": london.pk}).status_code == 200
    assert mary.post(path, said).status_code == 302
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


def test_lists_are_not_counted(cast: Cast, mary: Client) -> None:
    vms(cast, *(f"web-{n:02}" for n in range(60)))
    for path in ("accounts/activity/", "inventory/vm/", "inventory/vm/?q=WEB-1", "replication/replication/?p=2"):
        with CaptureQueriesContext(connection) as found:
            assert mary.get(f"/admin/{path}").status_code == 200
        statements = [row["sql"] for row in found.captured_queries]
        assert len(statements) <= 9, statements
        assert not [sql for sql in statements if "COUNT(" in sql and "failover_ticket" not in sql]
