"""Support may search through all accounts, and it is written down."""

from __future__ import annotations

from accounts.models import Person
from ampdr.lifecycle import Actor, changes

LONGEST = 200


def note_search(actor: Actor, model: str, text: str) -> None:
    """One line of the installation's log: who of Support looked for what, among which things."""
    with changes(actor) as change:
        me = Person.objects.filter(pk=actor.person_id or 0)
        change.note(me, "person.searched", model=model, query=text[:LONGEST])
