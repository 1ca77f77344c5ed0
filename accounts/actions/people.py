"""People as such: whoever can sign in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import Group

from accounts.actions.rights import checked, need_superuser, support_only
from accounts.models import Person
from ampdr.lifecycle import Actor, changes


def create_person(actor: Actor, email: str, name: str, password: str | None, time_zone: str = "UTC") -> Person:
    """Somebody who can sign in, not staff. Support's verb; it stands in the installation's log."""
    support_only(actor)
    person = Person(email=email.strip().lower(), name=name, time_zone=time_zone)
    person.set_password(password)
    with changes(actor) as change:
        checked(person).save()
        change.note(Person.objects.filter(pk=person.pk), "person.created", email=person.email)
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
    """Writes down that a superuser gave a person another password, inside the caller's `changes`."""
    need_superuser(actor)
    with changes(actor) as change:
        change.note(Person.objects.filter(pk=person.pk), "person.new_password", email=person.email)
