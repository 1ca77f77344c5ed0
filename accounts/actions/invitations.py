"""Invitations by e-mail. The mail is a notice made from the record; its link is signed when the mail is made.

invited (nonce 1) -> sent again (nonce 2: the older link opens nothing) -> accepted | withdrawn | run out
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db import IntegrityError
from django.urls import reverse

from accounts.actions.limits import spend
from accounts.actions.members import create_account, join, names_of, roles_as_they_stand
from accounts.actions.rights import check_gift, checked, keeper_only, lock_people, support_only
from accounts.models import Account, Invitation, Membership, Person, Role
from ampdr.errors import Absent, Conflict, Invalid
from ampdr.lifecycle import PORTAL, Actor, Change, changes

GOOD_FOR = timedelta(hours=96)
LOOK_AGAIN = "Please correct what is marked."
LONGEST_PASSWORD = 128
MAILS_A_DAY = 200  # of one account
NOT_SAID = ("invited_by", "accepted_at", "withdrawn_at")  # nobody types these
_signer = Signer(sep=".", salt="invitation")


# ---- Inviting --------------------------------------------------------------------------------------------------------


def invite(actor: Actor, account: Account, email: str, roles: Sequence[Role], name: str = "") -> Invitation:
    """Asks somebody by e-mail to join with these roles. Raises Invalid (fields), Forbidden."""
    keeper_only(actor, account.pk)
    _not_too_many(account.pk)
    invitation = Invitation(
        account=account, email=email.strip().lower(), name=name.strip(), invited_by_id=actor.person_id
    )
    with changes(actor) as change:
        lock_people(account.pk)
        now = roles_as_they_stand(account.pk, roles)
        check_gift(actor, (), now)
        invitation.invited_at, invitation.expires_at = change.at, change.at + GOOD_FOR
        checked(invitation, leave=NOT_SAID)
        _check_free(invitation)
        invitation.save()
        invitation.roles.set(now)
        _note_sent(change, invitation)
    return invitation


def _not_too_many(account_id: int) -> None:
    """Mails go to strangers in the house's name. Raises Conflict beyond so many of one account in a day."""
    if not spend(f"invitations:{account_id}", MAILS_A_DAY, timedelta(days=1)):
        raise Conflict(
            f"{MAILS_A_DAY} invitations were sent within a day. Send the others tomorrow, or ask Support.",
            code="too_many_invitations", title="Enough invitations for today",
        )  # fmt: skip


def open_account(actor: Actor, account: Account, email: str, name: str) -> Account:
    """A new account and the invitation of its first administrator, or neither. Support's verb."""
    support_only(actor)
    with changes(actor):
        made = create_account(actor, account.slug, account.name, account.number)
        invite(actor, made, email, [Role.objects.get(account=None, name="Admin")], name)
    return made


def resend(actor: Actor, invitation: Invitation) -> None:
    """A new mail with a new link, good for 96 hours from now; the older link opens nothing any more."""
    keeper_only(actor, invitation.account_id)
    _not_too_many(invitation.account_id)
    with changes(actor) as change:
        now = _open_one(invitation)
        check_gift(actor, (), now.roles.all())
        now.nonce, now.expires_at = now.nonce + 1, change.at + GOOD_FOR
        now.save()
        _note_sent(change, now)


def withdraw_invitation(actor: Actor, invitation: Invitation) -> None:
    """Its link opens nothing any more."""
    keeper_only(actor, invitation.account_id)
    with changes(actor) as change:
        now = _open_one(invitation)
        now.withdrawn_at = change.at
        now.save()
        change.note(Invitation.objects.filter(pk=now.pk), "invitation.withdrawn", email=now.email)


def invitation_path(invitation_pk: int) -> str:
    """The address of an invitation's page, without the origin. It is a secret: made for the mail, never kept."""
    uuid, nonce = Invitation.objects.values_list("uuid", "nonce").get(pk=invitation_pk)
    return reverse("invitation", args=[_signer.sign_object([str(uuid), nonce])])


# ---- Accepting -------------------------------------------------------------------------------------------------------


def read_invitation(token: str) -> Invitation:
    """The invitation that a link opens now. Raises Absent: no link of ours; Conflict: one that opens nothing more."""
    try:
        uuid, nonce = _signer.unsign_object(token)
        found = Invitation.objects.filter(uuid=uuid).select_related("account", "invited_by").prefetch_related("roles")
        invitation = found.get()
    except (BadSignature, ValueError, Invitation.DoesNotExist) as error:
        raise Absent("This is no invitation of ours. Take the whole link of the mail.") from error
    if why := _why_closed(invitation, nonce):
        raise Conflict(why, code="invitation_closed", title="This invitation can't be used")
    return invitation


def accept_as_newcomer(token: str, name: str, password: str, time_zone: str) -> Invitation:
    """Somebody who never was here gets a password and is a member, or nothing is stored. Raises Invalid (fields)."""
    invitation = read_invitation(token)
    person = Person(email=invitation.email, name=name.strip(), time_zone=time_zone)
    if invitation.known:
        raise _known_here()
    _check_password(person, password)
    person.set_password(password)  # takes a while: before the transaction
    checked(person)
    try:
        with changes(PORTAL):
            person.save()
            with changes(Actor(person.name, person.pk)) as change:
                change.note(Person.objects.filter(pk=person.pk), "person.created", email=person.email)
                _join(change, token, person)
    except IntegrityError as race:
        raise _known_here() from race
    return invitation


def accept_invitation(person: Person, token: str) -> Invitation:
    """A signed-in person joins. Raises Conflict: the invitation is another person's, or opens nothing more."""
    invitation = read_invitation(token)
    if person.email != invitation.email:
        raise Conflict(
            "It was sent to another address than the one you are signed in with.",
            code="not_invited", title="This invitation is somebody else's",
        )  # fmt: skip
    with changes(Actor(person.name, person.pk)) as change:
        _join(change, token, person)
    return invitation


def _join(change: Change, token: str, person: Person) -> None:
    """Looks again under the lock: of two who use a link at one moment, one does."""
    lock_people(read_invitation(token).account_id)
    invitation = read_invitation(token)
    if Membership.objects.filter(account=invitation.account, person=person).exists():
        raise Conflict(f"You are a member of {invitation.account} already.", title="You are in already")
    join(change, invitation.account, person, list(invitation.roles.all()))
    rows = Invitation.objects.filter(pk=invitation.pk)
    rows.update(accepted_at=change.at)
    change.note(rows, "invitation.accepted", email=invitation.email)


def _known_here() -> Conflict:
    return Conflict("Somebody signs in with this address already. Sign in, then open the link of the mail again.")


def _check_password(person: Person, password: str) -> None:
    try:
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(f"At most {LONGEST_PASSWORD} characters.")
        validate_password(password, person)
    except ValidationError as error:
        raise Invalid(LOOK_AGAIN, fields={"password": error.messages}) from error


def _why_closed(invitation: Invitation, nonce: int) -> str:
    again = f"Ask {invitation.inviter} for another one."
    if invitation.accepted_at:
        return f"It was used already. Sign in to get to {invitation.account}."
    if invitation.withdrawn_at:
        return f"It was withdrawn. {again}"
    if nonce != invitation.nonce:
        return "A newer one was sent since. Use the link of the newest mail."
    return f"It was good for four days, and they are over. {again}" if invitation.over else ""


def _open_one(invitation: Invitation) -> Invitation:
    """The row as it stands, under the lock. Raises Conflict if nothing can be done with it any more."""
    lock_people(invitation.account_id)
    now = Invitation.objects.filter(pk=invitation.pk).prefetch_related("roles").get()
    if now.accepted_at or now.withdrawn_at:
        what = "accepted" if now.accepted_at else "withdrawn"
        raise Conflict(f"The invitation of {now.email} was {what} meanwhile.", code="invitation_closed")
    return now


def _check_free(invitation: Invitation) -> None:
    mine = {"account": invitation.account}
    if Membership.objects.filter(**mine, person__email=invitation.email).exists():
        raise Invalid(LOOK_AGAIN, fields={"email": ["Somebody with this address is a member already."]})
    if Invitation.objects.filter(**mine, email=invitation.email, accepted_at=None, withdrawn_at=None).exists():
        raise Invalid(LOOK_AGAIN, fields={"email": ["This address is invited already. Send that invitation again."]})


def _note_sent(change: Change, invitation: Invitation) -> None:
    """From this row a notice makes the mail; what is asked for again is a row of its own, and another mail."""
    change.note(
        Invitation.objects.filter(pk=invitation.pk), "invitation.sent", email=invitation.email,
        name=invitation.name, roles=names_of(invitation.roles.all()), nonce=invitation.nonce,
    )  # fmt: skip
