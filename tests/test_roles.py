"""Custom roles: made, copied, changed and deleted by who may; default ones stay as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from accounts.actions import (
    ask_for_access,
    change_member,
    change_role,
    clone_role,
    create_role,
    delete_role,
    enter,
    invite,
    remove_member,
    withdraw_invitation,
)
from accounts.models import AccessRequest, Activity, Membership, Permission, Role
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from tests.cast import Cast
from tests.test_members import can, keeper, member
from tests.threads import raised, together

FEW = [Permission.READ_VMS, Permission.READ_TICKETS]
NIGHT = "Night shift"


def make(cast: Cast, name: str = NIGHT, who: str = "priya", permissions: Any = FEW) -> Role:
    return create_role(cast.actor(who), cast.actor(who).account_id, name, permissions)


def test_a_role_is_made_and_written_down(cast: Cast) -> None:
    made = make(cast, f"  {NIGHT} ")
    assert (made.name, made.slug, made.permissions) == (NIGHT, "night-shift", sorted(FEW))
    row = Activity.objects.get(kind="role", event="created")
    assert (row.account, row.facts["permissions"]) == (cast.northwind, sorted(FEW))


def test_a_changed_role_acts_on_the_next_request(cast: Cast) -> None:
    viewer = Role.objects.get(name="Viewer")
    change_role(cast.actor("priya"), viewer, "Looker", [*viewer.permissions, Permission.VIEW_ACTIVITY])
    assert Permission.VIEW_ACTIVITY in can(cast, "ravi")
    viewer.refresh_from_db()
    assert (viewer.name, viewer.slug) == ("Looker", "viewer")  # its address stays
    row = Activity.objects.get(kind="role", event="changed")
    assert (row.facts["before"], row.facts["added"], row.facts["removed"]) == ("Viewer", ["view_activity"], [])
    change_role(cast.actor("priya"), viewer, "Looker", viewer.permissions)
    assert Activity.objects.filter(kind="role", event="changed").count() == 1


def test_a_copy_grants_what_is_granted_now(cast: Cast) -> None:
    copy = clone_role(cast.actor("priya"), Role.objects.get(name="Admin"), "Deputies")
    assert copy.grants() == set(Permission.values) and not copy.all_permissions
    assert Activity.objects.get(kind="role", event="created").facts["copied"] == "Admin"


@pytest.mark.parametrize("name", ["Admin", "Technical", "Billing"])
def test_default_roles_are_locked(cast: Cast, name: str) -> None:
    found = Role.objects.get(name=name, account=None)
    before = (found.name, found.permissions, found.all_permissions)
    deeds: list[Any] = [
        lambda: change_role(cast.actor("priya"), found, "Mine", FEW),
        lambda: delete_role(cast.actor("priya"), found),
    ]
    for deed in deeds:
        with pytest.raises(Conflict) as refusal:
            deed()
        assert refusal.value.code == "role_locked"
    found.refresh_from_db()
    assert (found.name, found.permissions, found.all_permissions) == before


@pytest.mark.parametrize("permissions", [[], ["fly"], [*FEW, "fly"]])
def test_a_role_has_permissions_that_exist(cast: Cast, permissions: list[str]) -> None:
    with pytest.raises(Invalid) as wrong:
        make(cast, permissions=permissions)
    assert "permissions" in wrong.value.fields
    with pytest.raises(Invalid):
        change_role(cast.actor("priya"), Role.objects.get(name="Viewer"), "Viewer", permissions)
    assert can(cast, "ravi")


HOSTILE = [
    "", "   ", "x" * 61, "x" * 10_000, "two\nlines", "Night\r\nBcc: all", "nul\0", "turned\u202eround", "mark\u200fed",
    "\u2066isolated", "soft\u00adhyphen", "line\u2028end", "bell\a", "tag\U000e0041",
]  # fmt: skip
HARMLESS = ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "Équipe de nuit", "夜勤", "‌می‌خواهم", "O'Neill & Söhne"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_one_line_of_visible_signs(cast: Cast, name: str) -> None:
    with pytest.raises(Invalid) as wrong:
        make(cast, name)
    assert "name" in wrong.value.fields
    assert not Role.objects.filter(account=cast.northwind).exclude(name="Viewer").exists()


@pytest.mark.parametrize("name", HARMLESS)
def test_other_text_is_a_name(cast: Cast, name: str) -> None:
    made = make(cast, name)
    assert made.name == name.strip() and made.slug


@pytest.mark.parametrize("name", ["Viewer", "viewer", "ADMIN", " Billing "])
def test_a_name_is_there_once(cast: Cast, name: str) -> None:
    with pytest.raises(Invalid) as wrong:
        make(cast, name)
    assert "name" in wrong.value.fields


def test_slugs_are_apart(cast: Cast) -> None:
    names = ["New", "夜勤", "日勤", "A b", "A-b", "Admins"]
    slugs = [make(cast, name).slug for name in names]
    assert slugs == ["new-2", "role", "role-2", "a-b", "a-b-2", "admins"]
    assert make(cast, "A b", "olga").slug == "a-b"  # another account's are no hindrance


# ---- Who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ravi", "oscar"])
def test_without_write_identity_nobody_changes_roles(cast: Cast, who: str) -> None:
    viewer = Role.objects.get(name="Viewer")
    deeds: list[Any] = [
        lambda: make(cast, who=who), lambda: change_role(cast.actor(who), viewer, "Mine", FEW),
        lambda: delete_role(cast.actor(who), viewer), lambda: clone_role(cast.actor(who), viewer, "Mine"),
    ]  # fmt: skip
    for deed in deeds:
        with pytest.raises(Forbidden):
            deed()


def test_another_accounts_role_is_absent(cast: Cast) -> None:
    viewer = Role.objects.get(name="Viewer")
    deeds: list[Any] = [
        lambda: change_role(cast.actor("olga"), viewer, "Mine", FEW), lambda: delete_role(cast.actor("olga"), viewer),
    ]  # fmt: skip
    for deed in deeds:
        with pytest.raises(Absent):
            deed()


def test_nobody_makes_a_role_that_grants_what_he_lacks(cast: Cast) -> None:
    kim, viewer = keeper(cast), Role.objects.get(name="Viewer")
    deeds: list[Any] = [
        lambda: create_role(kim, kim.account_id, "More", [Permission.WRITE_REPLICATION]),
        lambda: clone_role(kim, Role.objects.get(name="Admin"), "More"),
        lambda: change_role(kim, viewer, "Viewer", [*viewer.permissions, Permission.WRITE_REPLICATION]),
    ]
    for deed in deeds:
        with pytest.raises(Forbidden) as refusal:
            deed()
        assert refusal.value.code == "more_than_own"
    change_role(kim, viewer, "Viewer", [*viewer.permissions, Permission.READ_IDENTITY])


def test_nobody_takes_from_a_role_that_he_has(cast: Cast) -> None:
    kim, people = keeper(cast), Role.objects.get(name="People")
    with pytest.raises(Conflict) as refusal:
        change_role(kim, people, "People", [Permission.READ_VMS])
    assert refusal.value.code == "not_oneself"
    change_role(cast.actor("priya"), people, "People", [Permission.READ_VMS])
    assert enter(Membership.objects.get(roles=people).person, "northwind").actor.permissions == {"read_vms"}


# ---- Deleting --------------------------------------------------------------------------------------------------------


def test_only_a_role_that_nobody_has_is_deleted(cast: Cast) -> None:
    priya, viewer = cast.actor("priya"), Role.objects.get(name="Viewer")
    with pytest.raises(Conflict) as refusal:
        delete_role(priya, viewer)
    assert refusal.value.code == "role_in_use"
    asked = invite(priya, cast.northwind, "new@example.com", [viewer])
    remove_member(priya, member(cast, "ravi"))
    with pytest.raises(Conflict):
        delete_role(priya, viewer)  # somebody is invited to it
    withdraw_invitation(priya, asked)
    delete_role(priya, viewer)
    assert Activity.objects.get(kind="account", event="role_deleted").facts["name"] == "Viewer"
    with pytest.raises(Conflict):
        delete_role(priya, viewer)


@pytest.mark.django_db(transaction=True)
def test_a_role_is_deleted_or_given_not_both(cast: Cast) -> None:
    made, priya = make(cast), cast.actor("priya")
    mary = replace(cast.actor("mary"))
    lost = raised(
        together(
            lambda: delete_role(priya, made), lambda: change_member(mary, member(cast, "ravi"), [made]),
        )
    )  # fmt: skip
    there = Role.objects.filter(pk=made.pk).exists()
    assert member(cast, "ravi").roles.filter(pk=made.pk).exists() == there
    assert len(lost) == 1 and isinstance(lost[0], Conflict | Invalid), lost


def test_who_asked_for_what_his_role_grants_now_has_got_it(cast: Cast) -> None:
    viewer = Role.objects.get(name="Viewer")
    ask_for_access(cast.actor("ravi"), Permission.READ_TICKETS)
    change_role(cast.actor("priya"), viewer, "Viewer", [*viewer.permissions, Permission.READ_PACKAGES])
    assert AccessRequest.objects.get().closed_at is None
    viewer.refresh_from_db()
    change_role(cast.actor("priya"), viewer, "Viewer", [*viewer.permissions, Permission.READ_TICKETS])
    assert AccessRequest.objects.get().closed_at
