"""Who gets into admin, and that nothing is edited there."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client, RequestFactory
from django.urls import reverse

from ampdr.lifecycle import Stateful
from replication.models import Replication
from tests.cast import Cast, request
from tests.test_admin.desk import QUEUE, html, page, press, signed_in, state, vms


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


def test_who_may_only_look_decides_nothing(cast: Cast) -> None:
    ticket = request(cast, vms(cast))
    cast.tom.user_permissions.add(Permission.objects.get(codename="view_ticket"))
    tom = signed_in(cast.tom)
    shown = html(tom.get(page(ticket)))
    assert "doesn't decide on tickets" in shown.replace("&#x27;", "'") and 'value="approve"' not in shown
    assert press(tom, ticket, "approve").status_code == press(tom, ticket, "reject", reason="No").status_code == 403
    assert "approve_tests" not in html(tom.get(QUEUE))
    tom.post(QUEUE, {"action": "approve_tests", "_selected_action": [ticket.pk], "reason": "Go"})
    assert state(ticket) == "waiting"


def test_the_groups_open_every_list(cast: Cast) -> None:
    ticket = request(cast, vms(cast))
    cast.tom.groups.set(Group.objects.all())
    tom = signed_in(cast.tom)
    for model in admin.site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert tom.get(path).status_code == 200, path
        first = model._default_manager.first()
        if first is not None:
            assert tom.get(f"{path}{first.pk}/change/").status_code == 200, path
    assert tom.get("/admin/").status_code == 200
    assert tom.get(f"{page(ticket)[:-7]}history/", follow=True).status_code == 200


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
