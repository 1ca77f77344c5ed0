"""What Support alone does with replications."""

from __future__ import annotations

from django.db.models import F

from accounts.models import forbid_customer
from ampdr import work
from ampdr.lifecycle import Actor, changes
from ampdr.work import fresh
from replication.models import Replication
from replication.providers.base import Kind
from replication.tasks import list_as


def retry_replication(actor: Actor, replication: Replication) -> None:
    """Support tries a failed step again, with a new key."""
    forbid_customer(actor)
    verb, move = (Kind.UNPROTECT, "retry_stopping") if replication.failed_in == "stopping" else (
        Kind.PROTECT, "retry_provisioning",
    )  # fmt: skip
    with changes(actor) as change:
        one = Replication.objects.filter(pk=replication.pk)
        facts = fresh(verb, F("source"), generation=F("generation") + 1, failed_in="")
        rows = change.fire(one, move, **facts)
        list_as(change, [row.vm_id for row in rows], "stopping" if move == "retry_stopping" else "provisioning")
        work.ring()
