"""What the pages of replication share: who visits, which VMs a form names, why there may be nothing to see."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpResponseRedirect, QueryDict
from django.urls import reverse

from accounts.models import Head, Permission
from accounts.views import Visit
from ampdr.errors import Absent, Forbidden
from ampdr.lifecycle import Actor
from replication.models import Order


class SeeOther(HttpResponseRedirect):
    """After a form did its work: look there, with a GET, whatever this was."""

    status_code = 303


class Reason(NamedTuple):
    """One of the three reasons why a screen of replication shows nothing (product.md, rule 4)."""

    title: str
    text: str
    true: bool
    note: str = ""


def here(request: Visit, name: str, *arguments: str) -> str:
    """The address of a page of this account."""
    return reverse(name, args=[request.actor.account_slug, *arguments])


def named_vms(sent: QueryDict) -> list[str]:
    """The VMs that a query or form names, `vm` once or often. A form of ours sends one field with commas in it:
    Django takes a thousand fields at most, and an order may be larger."""
    return [one for value in sent.getlist("vm") for one in value.split(",") if one]


def order_of(request: Visit, number: str) -> Order:
    """This account's order with this number. Raises Forbidden and Absent."""
    mine = Order.objects.visible_to(request.actor, Permission.READ_REPLICATION).select_related("ordered_by")
    found = mine.filter(number=number).first() if "\0" not in number else None
    if found is None:
        raise Absent
    return found


def need_read(actor: Actor) -> None:
    """Without Read the third reason is the true one, and nothing is told of the other two."""
    try:
        actor.need(Permission.READ_REPLICATION)
    except Forbidden as no:
        no.facts["reasons"] = [
            Reason("Not ordered", "Replication is ordered per VM.", False),
            Reason("Not fully provisioned yet", "The service appears only when provisioning is complete.", False),
            Reason("No permission", "Read Server Replication opens this screen.", True),
        ]  # fmt: skip
        raise


def why_nothing(actor: Actor, head: Head, administrators: list[dict[str, Any]]) -> list[Reason]:
    """The same three for who may read, from the account's kept counters."""
    building = head.setup + head.attention
    both = actor.can(Permission.WRITE_REPLICATION)
    who = ", ".join(person["name"] for person in administrators) or "An administrator of your account"
    return [
        Reason(
            "Not ordered", f"None of your {head.all_vms} VMs is protected. Replication is ordered per VM.",
            not building,
            "" if not building else "not the case here: something is ordered",
        ),
        Reason(
            "Not fully provisioned yet",
            "The service appears only when provisioning is complete, up to two days after the order.", bool(building),
            "" if building else "not the case here: nothing is being set up",
        ),
        Reason(
            "No permission",
            "Read Server Replication to see it, Write Server Replication to order it. "
            f"{who} can give them.", False,
            "not the case here: you have both" if both else "you may see it, but not order: that needs Write",
        ),
    ]  # fmt: skip
