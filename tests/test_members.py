"""Members: who may change whom, who stays, and what ends with a membership."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from accounts import activity
from accounts.actions import (
    add_member,
    administrators,
    ask_for_access,
    change_member,
    enter,
    issue_token,
    remove_member,
)
from accounts.actions import members as verbs
from accounts.models import AccessRequest, Activity, AuthorizedUser, Membership, Permission, Role, Token
from ampdr.errors import Absent, Conflict, Forbidden, Invalid, Refusal
from ampdr.lifecycle import PORTAL, Actor
from failover.actions import listed_names
from tests.cast import Cast, join, make_person
from tests.threads import raised, together


def member(cast: Cast, name: str) -> Membership:
    return Membership.objects.get(person__email=f"{name}@example.com", account=cast.northwind)


def role(name: str) -> Role:
    return Role.objects.get(name=name)


def keeper(cast: Cast, name: str = "Kim Ode") -> Actor:
    """Somebody who may write identity and little else: no administrator."""
    made = Role.objects.create(
        account=cast.northwind, name="People", permissions=["read_identity", "write_identity", "read_vms"]
    )
    person = make_person("kim@example.com", name)
    join(person, cast.northwind).roles.set([made])
    return enter(person, "northwind").actor


def can(cast: Cast, name: str) -> frozenset[str]:
    return enter(getattr(cast, name), "northwind").actor.permissions


def events(cast: Cast, kind: str) -> list[str]:
    rows = Activity.objects.filter(account=cast.northwind, kind=kind)
    return list(rows.order_by("id").values_list("event", flat=True))


# ---- Changing --------------------------------------------------------------------------------------------------------


def test_an_administrator_gives_other_roles_and_they_act_at_once(cast: Cast) -> None:
    change_member(cast.actor("priya"), member(cast, "ravi"), [role("Technical")])
    assert Permission.WRITE_REPLICATION in can(cast, "ravi")
    row = Activity.objects.get(kind="membership", event="changed")
    assert (row.account, row.actor) == (cast.northwind, "Priya Raman")
    assert (row.facts["before"], row.facts["roles"]) == (["Viewer"], ["Technical"])


def test_disabled_is_out_and_enabled_in_again(cast: Cast) -> None:
    secret = issue_token(PORTAL, cast.oscar, cast.northwind, "mine", ["read_vms"])
    change_member(cast.actor("priya"), member(cast, "oscar"), enabled=False)
    with pytest.raises(Absent):
        enter(cast.oscar, "northwind")
    change_member(cast.actor("priya"), member(cast, "oscar"), enabled=True)
    assert can(cast, "oscar") and secret
    assert events(cast, "membership") == ["disabled", "enabled"]


def test_support_changes_members_by_the_same_verb(cast: Cast) -> None:
    change_member(cast.actor("mary"), member(cast, "ravi"), [role("Billing")])
    assert Activity.objects.get(kind="membership", event="changed").staff


def test_nothing_changed_is_nothing_written(cast: Cast) -> None:
    change_member(cast.actor("priya"), member(cast, "oscar"), [role("Technical")], enabled=True)
    assert events(cast, "membership") == []


@pytest.mark.parametrize("who", ["ravi", "oscar"])
def test_without_write_identity_nobody_changes_members(cast: Cast, who: str) -> None:
    for deed in (remove_member, change_member):
        with pytest.raises(Forbidden) as refusal:
            deed(cast.actor(who), member(cast, "priya"))
        assert refusal.value.facts["permission"] == Permission.WRITE_IDENTITY


def test_another_accounts_member_is_absent(cast: Cast) -> None:
    for deed in (remove_member, change_member):
        with pytest.raises(Absent):
            deed(cast.actor("olga"), member(cast, "ravi"))


def test_customers_add_nobody_past_an_invitation(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        add_member(cast.actor("priya"), cast.northwind, cast.olga, [role("Billing")])


@pytest.mark.parametrize("roles", [[], ["Bookkeeper"]])
def test_a_member_has_roles_of_his_account(cast: Cast, roles: Sequence[str]) -> None:
    Role.objects.create(account=cast.contoso, name="Bookkeeper", permissions=["read_vms"])
    with pytest.raises(Invalid) as wrong:
        change_member(cast.actor("priya"), member(cast, "ravi"), [role(name) for name in roles])
    assert "roles" in wrong.value.fields
    assert can(cast, "ravi")


# ---- Oneself, and the last administrator -----------------------------------------------------------------------------


def test_nobody_disables_demotes_or_removes_himself(cast: Cast) -> None:
    join(cast.tom, cast.northwind, "Admin")
    priya, mine = cast.actor("priya"), member(cast, "priya")
    deeds: list[Any] = [
        lambda: change_member(priya, mine, [role("Technical")]),
        lambda: change_member(priya, mine, enabled=False),
        lambda: remove_member(priya, mine),
    ]
    for deed in deeds:
        with pytest.raises(Conflict) as refusal:
            deed()
        assert refusal.value.code == "not_oneself"
    change_member(priya, mine, [role("Admin"), role("Billing")])  # more is no less
    assert enter(cast.priya, "northwind").actor.roles == ("Admin", "Billing")


def test_the_last_administrator_stays(cast: Cast) -> None:
    kim = keeper(cast)
    deeds: list[Any] = [
        lambda: remove_member(kim, member(cast, "priya")),
        lambda: demote(cast, kim, "priya", "People"),
    ]
    for deed in deeds:
        with pytest.raises(Conflict) as refusal:
            deed()
        assert refusal.value.code == "last_administrator"
    assert [one["name"] for one in administrators(cast.northwind.pk)] == ["Priya Raman"]


def test_an_administrator_who_cannot_sign_in_is_none(cast: Cast) -> None:
    join(make_person("gone@example.com", "Gone Away", is_active=False), cast.northwind, "Admin")
    with pytest.raises(Conflict):
        remove_member(cast.actor("mary"), member(cast, "priya"))


def demote(cast: Cast, actor: Actor, name: str, to: str = "Billing") -> None:
    change_member(actor, member(cast, name), [role(to)])


def race(cast: Cast) -> list[Exception]:
    """Two administrators demote each other at one instant."""
    join(cast.tom, cast.northwind, "Admin")
    tom = replace(enter(cast.tom, "northwind").actor)
    priya = cast.actor("priya")
    return raised(together(lambda: demote(cast, priya, "tom"), lambda: demote(cast, tom, "priya")))


@pytest.mark.django_db(transaction=True)
def test_two_who_demote_each_other_leave_one(cast: Cast) -> None:
    lost = race(cast)
    assert len(lost) == 1 and isinstance(lost[0], Refusal), lost
    assert len(administrators(cast.northwind.pk)) == 1
    assert not list(activity.faults())


@pytest.mark.django_db(transaction=True)
def test_the_race_is_real(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: without the lock both look before either has written, and nobody is left."""
    asked, both = administrators, threading.Barrier(2)

    def slowly(account_id: int) -> list[Any]:
        found = asked(account_id)
        both.wait(10)
        return found

    monkeypatch.setattr(verbs, "lock_people", lambda account_id: None)
    monkeypatch.setattr(verbs, "administrators", slowly)
    assert race(cast) == [] and not asked(cast.northwind.pk)


# ---- Giving more than one has ----------------------------------------------------------------------------------------


def test_nobody_gives_what_he_lacks(cast: Cast) -> None:
    kim = keeper(cast)
    for name in ("Admin", "Technical"):
        with pytest.raises(Forbidden) as refusal:
            change_member(kim, member(cast, "ravi"), [role(name)])
        assert refusal.value.code == "more_than_own"
    mine = Membership.objects.get(person__email="kim@example.com")
    with pytest.raises(Forbidden):
        change_member(kim, mine, [*mine.roles.all(), role("Admin")])
    change_member(kim, member(cast, "ravi"), [role("People")])


def test_who_keeps_people_keeps_what_they_had_before(cast: Cast) -> None:
    change_member(keeper(cast), member(cast, "oscar"), [role("Technical"), role("People")])
    assert Permission.WRITE_IDENTITY in can(cast, "oscar")


def test_enabling_gives_again(cast: Cast) -> None:
    change_member(cast.actor("priya"), member(cast, "oscar"), enabled=False)
    with pytest.raises(Forbidden):
        change_member(keeper(cast), member(cast, "oscar"), enabled=True)


# ---- Removing --------------------------------------------------------------------------------------------------------


def test_what_ends_with_a_membership(cast: Cast) -> None:
    AuthorizedUser.objects.create(account=cast.northwind, person=cast.ravi)
    issue_token(PORTAL, cast.ravi, cast.northwind, "mine", ["read_vms"])
    ask_for_access(cast.actor("ravi"), Permission.READ_TICKETS)
    assert "Ravi Patel" in listed_names(cast.northwind.pk)
    remove_member(cast.actor("priya"), member(cast, "ravi"))
    with pytest.raises(Absent):
        enter(cast.ravi, "northwind")
    assert Token.objects.get(person=cast.ravi).revoked_at
    assert AccessRequest.objects.get(person=cast.ravi).closed_at
    assert AuthorizedUser.objects.annotate_suspended().get(person=cast.ravi).suspended  # type: ignore[attr-defined]
    assert "Ravi Patel" not in listed_names(cast.northwind.pk)
    row = Activity.objects.get(kind="account", event="member_removed")
    assert (row.account, row.facts["person"]) == (cast.northwind, "Ravi Patel")
    assert not list(activity.faults())


def test_tokens_of_other_accounts_stay(cast: Cast) -> None:
    join(cast.ravi, cast.contoso, "Billing")
    issue_token(PORTAL, cast.ravi, cast.contoso, "theirs", ["read_vms"])
    remove_member(cast.actor("priya"), member(cast, "ravi"))
    assert Token.objects.get(person=cast.ravi).revoked_at is None


def test_removed_twice_is_said_once(cast: Cast) -> None:
    ravi = member(cast, "ravi")
    remove_member(cast.actor("priya"), ravi)
    with pytest.raises(Conflict):
        remove_member(cast.actor("priya"), ravi)
    assert events(cast, "account").count("member_removed") == 1
