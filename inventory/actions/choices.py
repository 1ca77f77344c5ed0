"""Choices: VMs that somebody picked out, kept on the server so that no address or form names thousands of them."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import F, QuerySet, Value

from accounts.models import Permission
from ampdr import clock
from ampdr.errors import Absent, Invalid
from ampdr.lifecycle import Actor
from ampdr.sets import insert_select
from inventory.models import VM, Choice

KEPT = timedelta(days=1)
NOTHING = "There is no VM in this choice. Choose at least one."


def keep(actor: Actor, vms: QuerySet[VM]) -> Choice:
    """Keeps these VMs of the actor's account, in one statement whatever their number; own ones older than a day go.

    Nothing of record happens, so nothing is written into Activity. Raises Forbidden, and Invalid for no VM at all.
    """
    actor.need(Permission.READ_REPLICATION)
    mine = {"account_id": actor.account_id, "person_id": actor.person_id}
    with transaction.atomic():
        Choice.objects.filter(**mine, made_at__lt=clock.now() - KEPT).delete()
        choice = Choice.objects.create(**mine)
        rows = vms.filter(account=actor.account_id).order_by("pk").values_list(Value(choice.pk), F("pk"))
        if not insert_select(Choice.vms.through, ["choice", "vm"], rows):
            raise Invalid(NOTHING, fields={"vms": [NOTHING]})
    return choice


def chosen(actor: Actor, text: str) -> QuerySet[VM]:
    """The VMs of a choice of one's own, named by its uuid. Raises Forbidden, and Absent for any other."""
    mine = Choice.objects.visible_to(actor, Permission.READ_REPLICATION).filter(person=actor.person_id)
    try:
        key = mine.filter(uuid=uuid.UUID(text)).values_list("pk", flat=True).first()
    except ValueError as error:
        raise Absent from error
    if key is None:
        raise Absent
    kept = Choice.vms.through.objects.filter(choice=key).values("vm")
    return VM.objects.visible_to(actor, Permission.READ_REPLICATION).filter(pk__in=kept)
