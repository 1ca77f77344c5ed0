"""The VMs of a request: as a query string or a form names them, and whether they fit together."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Lower
from django.http import QueryDict

from accounts.models import Permission
from ampdr.errors import Absent
from ampdr.lifecycle import Actor
from failover.models import Kind, Ticket
from failover.screens import row
from failover.screens.query import SIZES
from inventory.actions import chosen as kept_choice
from inventory.models import VM

FEW = 6
PICKS = 50
A_PAGE = max(SIZES)  # VMs that a page of a list can name
KEPT = ("kind", "point", "moment", "days")  # what stays in every link of step 1; a `key` is for one request


@dataclass(frozen=True)
class Choice:
    """VMs `named` one by one, or all free ones of a `site`, or those of an `earlier` ticket.

    Or a large choice kept on the server (`draft`, its uuid). What isn't named may be `narrowed`: to a site, to a
    target, to those that fit. What is requested again may be named one by one: its reason goes along.
    """

    vms: list[VM]
    site: str = ""
    earlier: Ticket | None = None
    draft: str = ""
    narrowed: Mapping[str, str] = field(default_factory=dict)
    named: bool = False

    @property
    def again(self) -> str:
        return self.earlier.number if self.earlier else ""

    @property
    def whole(self) -> bool:
        """Whether it is more than its VMs one by one."""
        return not self.named and bool(self.site or self.again or self.draft)

    @property
    def fields(self) -> list[tuple[str, str]]:
        """How a link or a form names this choice again: never by thousands of fields where one will do."""
        again = [("again", self.again)] if self.again else []
        if not self.whole:
            return [*self.by_name, *again]
        first = again or [("site", self.site) if self.site else ("choice", self.draft)]
        return [*first, *(one for one in self.narrowed.items() if one[0] != first[0][0])]

    @property
    def by_name(self) -> list[tuple[str, str]]:
        return [("vm", str(vm.uuid)) for vm in self.vms]

    def part(self, vms: list[VM], **narrowed: str) -> Choice:
        """Some of them; of a large choice by what it is narrowed to."""
        if self.whole:
            return replace(self, vms=vms, narrowed={**self.narrowed, **narrowed})
        return Choice(vms, earlier=self.earlier, named=True)

    @property
    def digest(self) -> str:
        """What a preview showed. A site's free VMs may be others by the time it is sent."""
        return hashlib.sha256("".join(sorted(str(vm.uuid) for vm in self.vms)).encode()).hexdigest()[:16]

    @property
    def routes(self) -> list[tuple[str, str]]:
        return sorted({(vm.site.code, vm.protected_to) for vm in self.vms})

    def parts(self) -> list[tuple[str, str, Choice]]:
        """What one request can hold: the VMs of a site; where they are protected towards two, those of a target.

        Site, target (where it divides) and the VMs. A VM that is protected nowhere goes with the first of its site.
        """
        by_site = _by([vm.site.code for vm in self.vms], self.vms)
        if len(by_site) > 1:
            return [(code, "", self.part(vms, site=code)) for code, vms in by_site.items()]
        targets = sorted({vm.protected_to for vm in self.vms if vm.protected_to})
        by_target = _by([vm.protected_to or targets[0] for vm in self.vms], self.vms) if len(targets) > 1 else {}
        return [(self.vms[0].site.code, to, self.part(vms, to=to)) for to, vms in by_target.items()]

    def unfit(self, kind: str) -> list[tuple[VM, str]]:
        """The VMs that can't be in a request of this kind, each with the reason in a few words."""
        return [(vm, why) for vm in self.vms if (why := why_not(vm, kind))]


def _by(keys: list[str], vms: list[VM]) -> dict[str, list[VM]]:
    found: dict[str, list[VM]] = {}
    for key, vm in zip(keys, vms, strict=True):
        found.setdefault(key, []).append(vm)
    return dict(sorted(found.items()))


def why_not(vm: VM, kind: str) -> str:
    """Why a VM can't be in a request; empty if it can. The verb says the same, later and for good."""
    if vm.protection not in row.REPLICATED and vm.protection != "paused":
        return "Replication is not fully provisioned"
    if vm.failover_state or (vm.held_by and kind == Kind.TEST):
        return f"In {vm.held_by} already"
    return ""


def mine(actor: Actor) -> QuerySet[VM]:
    found = VM.objects.visible_to(actor, Permission.READ_REPLICATION).filter(role="primary")
    return found.select_related("site").order_by("name_key", "pk")


def free(kind: str) -> Q:
    """Protected and in no failover; beside a running test a live one may be requested (rule 8)."""
    held = Q(failover_state="") if kind == Kind.LIVE else Q(held_by="")
    return held & Q(protection__in=row.REPLICATED)


def chosen(actor: Actor, query: QueryDict, kind: str) -> Choice:
    """Raises Absent for a VM or ticket that isn't this account's."""
    if draft := query.get("choice", ""):
        return of_draft(actor, query, kind, draft)
    earlier = _earlier(actor, query.get("again", "").replace("\0", ""))
    if named := query.getlist("vm"):
        wanted = set(map(_uuid, named))
        vms = list(mine(actor).filter(uuid__among=wanted))
        if len(vms) != len(wanted):
            raise Absent
        return Choice(vms, earlier=earlier, named=True)
    if earlier:
        return narrowed(Choice(list(mine(actor).filter(failovers__ticket=earlier)), earlier=earlier), query, kind)
    if site := query.get("site", "").replace("\0", "").upper():
        return narrowed(Choice(list(mine(actor).filter(free(kind), site__code=site)), site=site), query, kind)
    return Choice([])


def _earlier(actor: Actor, number: str) -> Ticket | None:
    """The live or test ticket that is requested again. Raises Absent."""
    if not number:
        return None
    found = Ticket.objects.visible_to(actor, Permission.READ_REPLICATION).filter(number=number).first()
    if found is None:
        raise Absent
    return found


def of_draft(actor: Actor, query: QueryDict, kind: str, draft: str) -> Choice:
    """A choice kept on the server. One that fits a page is as if its VMs were named one by one."""
    vms = list(mine(actor).filter(pk__among=list(kept_choice(actor, draft).values_list("pk", flat=True))))
    found = narrowed(Choice(vms, draft=draft), query, kind)
    return found if len(vms) > A_PAGE else Choice(found.vms, named=True)


def narrowed(choice: Choice, query: QueryDict, kind: str) -> Choice:
    """Only those of the site and target that the query names, or only those that fit, if it says so."""
    asked = {name: text for name in ("site", "to", "fit") if (text := query.get(name, "").replace("\0", ""))}
    found, site, to = choice.vms, asked.get("site", "").upper(), asked.get("to", "")
    if site:
        found = [vm for vm in found if vm.site.code == site]
    if to:
        found = [vm for vm in found if vm.protected_to == to]
    if "fit" in asked:
        found = [vm for vm in found if not why_not(vm, kind)]
    return replace(choice, vms=found, narrowed=asked)


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise Absent from error


def picks(actor: Actor, choice: Choice, kind: str, text: str) -> list[VM]:
    """What can be added: free VMs whose name begins so; of the chosen ones' site once there are some."""
    found = mine(actor).filter(free(kind)).exclude(uuid__among=[vm.uuid for vm in choice.vms])
    if choice.vms:
        found = found.filter(site=choice.vms[0].site)
    if text:
        found = found.filter(name_key__startswith=Lower(Value(text)))
    return list(found[:PICKS])


def kept(query: QueryDict, fields: list[tuple[str, str]], **other: Any) -> str:
    """A query string of step 1 with these VMs; what else was entered is kept."""
    entered = {name: query[name] for name in KEPT if query.get(name)} | other
    return urlencode([*entered.items(), *fields])


def names(vms: list[VM]) -> dict[str, Any]:
    """The first few names, and how many more there are."""
    return {"names": [vm.name for vm in vms[:FEW]], "more": max(0, len(vms) - FEW)}
