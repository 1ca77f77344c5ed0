"""People as such: whoever can sign in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from allauth.account.utils import user_pk_to_url_str
from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.urls import reverse

from accounts.actions.limits import refund, spend
from accounts.actions.rights import checked, need_superuser, support_only
from accounts.actions.sign_in import SOMEBODY, TRIES, WINDOW, acting, digest, note_person
from accounts.models import Person, check_time_zone
from ampdr import clock
from ampdr.errors import Absent, Conflict, Invalid
from ampdr.lifecycle import Actor, Change, changes


def create_person(actor: Actor, email: str, name: str, password: str | None, time_zone: str = "UTC") -> Person:
    """Somebody who can sign in, not staff. Support's verb; it stands in the installation's log."""
    support_only(actor)
    person = Person(email=email.strip().lower(), name=name, time_zone=time_zone)
    person.set_password(password)
    with changes(actor) as change:
        checked(person).save()
        change.note(Person.objects.filter(pk=person.pk), "person.created", email=person.email)
    return person


def create_staff(actor: Actor, email: str, name: str, password: str | None, groups: Sequence[Group]) -> Person:
    """Somebody of staff, in these groups. The installation's own verb, or a superuser's."""
    if actor.person_id is not None:
        need_superuser(actor)
    person = Person(email=email.strip().lower(), name=name.strip(), is_staff=True)
    person.set_password(password)
    with changes(actor) as change:
        checked(person).save()
        person.groups.set(groups)
        names = sorted(group.name for group in groups)
        change.note(Person.objects.filter(pk=person.pk), "person.created", email=person.email, staff=True, groups=names)
    return person


def change_person(actor: Actor, person: Person, groups: Sequence[Group], **facts: Any) -> None:
    """Who a person is and what of Support he may do. For superusers only: nobody makes himself or others more."""
    need_superuser(actor)
    rows = Person.objects.filter(pk=person.pk)
    with changes(actor) as change:
        rows.update(**facts)
        person.groups.set(groups)
        shown = {key: facts[key] for key in ("email", "is_active", "is_staff", "is_superuser") if key in facts}
        change.note(rows, "person.changed", **shown, groups=sorted(group.name for group in groups))


def note_new_password(actor: Actor, person: Person) -> None:
    """A superuser gave a person another password: that is written down, and the person's sessions end. Inside the
    caller's `changes`."""
    need_superuser(actor)
    with changes(actor) as change:
        end_them(UserSession.objects.filter(user=person.pk))
        change.note(Person.objects.filter(pk=person.pk), "person.new_password", email=person.email)


# ---- What people do for themselves -----------------------------------------------------------------------------------

RESETS, AN_HOUR = 3, timedelta(hours=1)
SESSIONS = 50  # of one person
CORRECT = "Please correct what is marked."


def choose_time_zone(actor: Actor, name: str) -> None:
    """In which zone the person reads times."""
    try:
        check_time_zone(name)
    except ValidationError as wrong:
        raise Invalid(CORRECT, fields={"time_zone": wrong.messages}) from wrong
    with changes(actor) as change:
        if Person.objects.filter(pk=actor.person_id or 0).exclude(time_zone=name).update(time_zone=name):
            note_person(change, actor, "time_zone_chosen", time_zone=name)


def need_password(actor: Actor, person: Person, password: str, field: str = "password") -> None:
    """The person types his own password once more. Raises Invalid beside `field`; ten wrong ones in 15 minutes."""
    key = f"own-password:{person.pk}"
    if not spend(key, TRIES, WINDOW):
        raise Invalid(CORRECT, fields={field: ["Too many wrong passwords. Wait 15 minutes."]})
    if not person.check_password(password):
        raise Invalid(CORRECT, fields={field: ["This isn't your password."]})
    refund(key)


def set_password(actor: Actor, person: Person, password: str, how: str, kept_session: str = "") -> None:
    """A new password, which the caller has checked against the rules. Every other session ends with it.

    A filtered UPDATE: of two at once, or of two with one link, one wins. Raises Conflict for the other.
    """
    before, person.password = person.password, make_password(password)
    mine = Person.objects.filter(pk=person.pk, password=before, is_active=True)
    with changes(actor) as change:
        if not mine.update(password=person.password):
            raise Conflict("Nothing was done: your password was changed a moment ago. Sign in with the new one.")
        end_them(UserSession.objects.filter(user=person.pk).exclude(session_key=kept_session))
        note_person(change, acting(person), "password_changed", how=how)


def ask_reset(email: str) -> None:
    """Writes down that whoever has this e-mail asked for a link to a new password; the notices' worker mails it.

    The caller learns nothing: neither whether somebody has it, nor whether it was asked too often.
    """
    email = email.strip().lower()
    within = spend(f"reset:{digest(email)}", RESETS, AN_HOUR)
    with changes(SOMEBODY) as change:
        change.note(Person.objects.filter(email=email if within else "", is_active=True), "person.reset_asked")


def reset_path(person: Person) -> str:
    """The path of the link, with a token signed now: good for PASSWORD_RESET_TIMEOUT, and until the person signs in
    or has another password. Made when the mail is made, and stored nowhere."""
    token = default_token_generator.make_token(person)
    return reverse("account_reset_password_from_key", args=[user_pk_to_url_str(person), token])


def sessions_of(actor: Actor) -> QuerySet[UserSession]:
    """The person's sessions that are open now."""
    there = Session.objects.filter(expire_date__gt=clock.now()).values("session_key")
    mine: QuerySet[UserSession] = UserSession.objects.filter(user=actor.person_id or 0, session_key__in=there)
    return mine


def make_room(person: Person) -> None:
    """Before one more session: the oldest beyond the number that a person has end, so that they don't pile up."""
    mine = UserSession.objects.filter(user=person.pk).order_by("-created_at", "-pk")
    end_them(UserSession.objects.filter(pk__in=list(mine.values_list("pk", flat=True)[SESSIONS - 1 :])))


def end_session(actor: Actor, number: int) -> None:
    """Ends one of the person's sessions, wherever it is. Absent if it is none of his."""
    with changes(actor) as change:
        found = sessions_of(actor).select_for_update().filter(pk=number).first()
        if found is None:
            raise Absent("This session has ended already.")
        _end_noted(change, actor, [found])


def end_other_sessions(actor: Actor, kept_session: str) -> int:
    """Ends every session of the person but this one. How many it were."""
    with changes(actor) as change:
        found = list(sessions_of(actor).exclude(session_key=kept_session).select_for_update().order_by("pk"))
        _end_noted(change, actor, found)
    return len(found)


def _end_noted(change: Change, actor: Actor, found: Sequence[UserSession]) -> None:
    end_them(UserSession.objects.filter(pk__in=[one.pk for one in found]))
    for one in found[:50]:
        note_person(change, actor, "session_ended", address=one.ip, since=one.created_at.isoformat(timespec="seconds"))


def end_them(sessions: QuerySet[UserSession]) -> None:
    Session.objects.filter(session_key__in=list(sessions.values_list("session_key", flat=True))).delete()
    sessions.delete()
