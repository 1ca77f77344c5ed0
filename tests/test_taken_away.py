"""What must end with a membership, a second factor or an address, and who hears of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from accounts.actions import (
    LEAD,
    change_member,
    invitations,
    invite,
    issue_token,
    open_token,
    remove_member,
    update_listing,
)
from accounts.actions.resets import approve_factor_reset, ask_factor_reset
from accounts.models import Activity, AuthorizedUser, Invitation, Membership, Person, Role
from ampdr import clock, work
from ampdr.errors import Conflict
from ampdr.lifecycle import PORTAL, changes
from notices.models import Notice
from notices.tasks.mail import vain
from tests.cast import Cast, join
from tests.codes import give_factor

WHY = "Called +1 555 0142 back; Priya knew her last ticket"


def test_how_somebody_was_recognised_stays_with_the_house(cast: Cast) -> None:
    """The reason of a reset stands in the installation's log; the accounts hear that it was done, and by whom."""
    cast.tom.groups.set([Group.objects.get(name=LEAD)])
    secret = issue_token(cast.actor("priya"), cast.priya, cast.northwind, "backup", ["read_vms"])
    approve_factor_reset(cast.actor("mary"), ask_factor_reset(cast.actor("tom"), give_factor(cast.priya), WHY))
    assert (
        Activity.objects.filter(account=cast.northwind, event="factor_reset").values_list("reason", flat=True).get()
        == ""
    )
    assert Activity.objects.filter(account=None, event="factor_reset").values_list("reason", flat=True).get() == WHY
    assert open_token(secret) is None


@pytest.mark.parametrize("way", ["removed", "disabled"])
def test_no_invitation_outlives_who_sent_it(cast: Cast, way: str) -> None:
    adam = join(cast.tom, cast.northwind, "Admin")
    mine = invite(cast.actor("priya"), cast.northwind, "keep@example.com", [Role.objects.get(name="Billing")])
    his = Invitation.objects.create(
        account=cast.northwind,
        email="back@example.com",
        invited_by=cast.tom,
        expires_at=clock.now() + timedelta(days=4),
    )
    if way == "removed":
        remove_member(cast.actor("priya"), adam)
    else:
        change_member(cast.actor("priya"), adam, enabled=False)
    his.refresh_from_db()
    mine.refresh_from_db()
    assert his.withdrawn_at and not mine.withdrawn_at
    assert Activity.objects.filter(event="withdrawn", facts__email="back@example.com").exists()


def test_invitations_of_a_day_are_counted(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MAILS_A_DAY", 2)
    billing = [Role.objects.get(name="Billing")]
    for n in range(2):
        invite(cast.actor("priya"), cast.northwind, f"n{n}@example.com", billing)
    with pytest.raises(Conflict, match="within a day"):
        invite(cast.actor("priya"), cast.northwind, "n2@example.com", billing)
    assert Invitation.objects.count() == 2
    invite(cast.actor("olga"), cast.contoso, "n2@example.com", billing)


def test_another_number_to_call_back_is_told_to_him_and_the_administrators(cast: Cast) -> None:
    join(Person.objects.create_user("ada@example.com", "Ada"), cast.northwind, "Admin")
    update_listing(cast.actor("mary"), AuthorizedUser.objects.get(person=cast.priya), "+1 555 0199", None)
    work.drive()
    told = Notice.objects.filter(channel="email", title__startswith="Support changed the entry of Priya Raman")
    assert set(told.values_list("email", flat=True)) == {"priya@example.com", "ada@example.com"}
    assert not told.filter(text__contains="0199").exists()
    assert Membership.objects.filter(account=cast.northwind).count() > 2


@pytest.mark.parametrize("way", ["late", "moved"])
def test_a_link_to_another_password_goes_out_soon_and_to_the_present_address_or_not(cast: Cast, way: str) -> None:
    with changes(PORTAL) as change:
        change.note(Person.objects.filter(pk=cast.ravi.pk), "person.reset_asked")
    work.drive()
    row = Notice.objects.get(secret="reset")
    assert vain([row]) == []
    if way == "late":
        row.made_at -= timedelta(hours=5)
    else:
        Person.objects.filter(pk=cast.ravi.pk).update(email="elsewhere@example.com")
    assert vain([row]) == [row.pk]
