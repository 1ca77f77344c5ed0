"""Virtual machines as rule 11 lists them: the same rows as the pages, from the same query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import ROWS, ROWS_AT_MOST, VM_UUID, Body, Door, Text, described, page_of, uuid_of
from accounts.models import Permission
from ampdr.errors import Absent
from ampdr.lifecycle import Actor
from failover.lifecycle import FAILOVER, OPEN
from failover.models import Failover
from failover.screens.query import Filters, listed, rows
from failover.screens.security import SECURITY, Part, readable, worst
from inventory.models import GROUPS, PROTECTIONS, VM, Role


class FailoverName(serializers.Serializer[Any]):
    """The failover that a row is in: the ticket's number, and the state of this VM's line."""

    number = serializers.CharField()
    kind = serializers.ChoiceField(["live", "test"])
    state = serializers.ChoiceField([choice for choice in FAILOVER.choices() if choice[0] in OPEN])


STATUSES = [(one.name, one.word) for one in SECURITY.values()]


class PartShape(serializers.Serializer[Any]):
    status = serializers.ChoiceField(STATUSES)
    reported_at = serializers.DateTimeField(allow_null=True, help_text="null: never")


class FimShape(PartShape):
    fim_changes = serializers.IntegerField(help_text="in the 24 hours before the report")


class MalwareShape(PartShape):
    malware_agent = serializers.CharField()
    malware_scan_at = serializers.DateTimeField(allow_null=True)
    malware_findings = serializers.IntegerField()


class PatchingShape(PartShape):
    patches_missing = serializers.IntegerField()
    patches_critical = serializers.IntegerField()


class SecurityShape(serializers.Serializer[Any]):
    """The worst of its parts, and each part with Read FIM, Read AVAM and Read OS Packages; without any, null."""

    status = serializers.ChoiceField(STATUSES)
    fim = FimShape(required=False)
    malware = MalwareShape(required=False)
    patching = PatchingShape(required=False)


class VmShape(serializers.Serializer[Any]):
    """A row of every VM-keyed screen: while a live failover runs its stand-in, a running test beside its original.

    From `group` on the fields are there only with Read Server Replication.
    """

    uuid = serializers.UUIDField()
    name = serializers.CharField()
    display_name = serializers.CharField(help_text='the name, of a test with " - Test" behind it')
    role = serializers.ChoiceField(Role.choices)
    failover_kind = serializers.ChoiceField(["live", "test"], allow_null=True)
    original_id = serializers.UUIDField(allow_null=True, help_text="of a stand-in: the uuid of its original")
    site = serializers.CharField()
    recovery_environment = serializers.CharField(allow_null=True, help_text="of a stand-in: where it runs")
    os = serializers.CharField()
    address = serializers.IPAddressField(allow_null=True)
    addresses = serializers.ListField(child=serializers.IPAddressField(), help_text="`address` and its others")
    disk_gb = serializers.IntegerField(help_text="all disks together")
    disks_gb = serializers.ListField(child=serializers.IntegerField(), help_text="empty: not known")
    generation = serializers.IntegerField()
    power = serializers.ChoiceField(["on", "off"])
    vanished_at = serializers.DateTimeField(allow_null=True, help_text="since when its site's inventory lacks it")
    security = SecurityShape(allow_null=True)
    group = serializers.ChoiceField([(one.name, one.word) for one in GROUPS.values()], required=False)
    protection = serializers.ChoiceField([(one.name, one.word) for one in PROTECTIONS.values()], required=False)
    protected_to = serializers.CharField(required=False)
    rpo_target_seconds = serializers.IntegerField(required=False)
    newest_point_at = serializers.DateTimeField(allow_null=True, required=False)
    can_replicate = serializers.BooleanField(required=False)
    failover_address = serializers.IPAddressField(
        allow_null=True, required=False, help_text="that its failover VM would get, if that is known"
    )
    cannot_replicate = serializers.CharField(required=False, help_text="why not, in the words of the order; or empty")
    order = serializers.CharField(allow_null=True, required=False)
    failover = FailoverName(allow_null=True, required=False)
    last_test_at = serializers.DateTimeField(allow_null=True, required=False)


class VmPages(Body):
    """`after` and `before` come with the addresses `next` and `previous` of an answer."""

    state = serializers.ChoiceField([(one.name, one.word) for one in GROUPS.values()], required=False)
    site = Text(max_length=8, required=False, default="")
    q = Text(max_length=120, required=False, default="", help_text="how names begin, or an address")
    size = serializers.IntegerField(min_value=1, max_value=ROWS_AT_MOST, default=ROWS)
    after = Text(max_length=600, required=False, default="")
    before = Text(max_length=600, required=False, default="")


def security_of(actor: Actor, vm: VM) -> dict[str, Any] | None:
    """How its security stands, as far as this caller may read of it."""
    state = worst(actor, vm)
    return state and {"status": state.name, **{part.name: part_of(part, vm) for part in readable(actor)}}


def part_of(part: Part, vm: VM) -> dict[str, Any]:
    facts = {column.field: getattr(vm, column.field) for column in part.columns if column.field != part.reported}
    return {"status": part.status_of(vm).name, "reported_at": part.reported_at(vm), **facts}


def vm_row(actor: Actor, vm: VM) -> dict[str, Any]:
    """What whoever may read VMs sees: the right rows, names and kinds, nothing of replication."""
    stand_in = vm.original is not None
    return {
        "uuid": vm.uuid,
        "name": vm.name,
        "display_name": vm.display_name,
        "role": vm.role,
        "failover_kind": vm.role if stand_in else None,
        "original_id": vm.original.uuid if vm.original else None,
        "site": vm.site.code,
        "recovery_environment": vm.site.recovery_environment if stand_in else None,
        "os": vm.os,
        "address": vm.address,
        "addresses": [vm.address, *vm.other_addresses] if vm.address else [],
        "disk_gb": vm.disk_gb,
        "disks_gb": vm.disks_gb,
        "generation": vm.generation,
        "power": vm.power,
        "vanished_at": vm.vanished_at,
        "security": security_of(actor, vm),
    }


def vm_row_with_replication(actor: Actor, vm: VM, failover: dict[str, Any] | None) -> dict[str, Any]:
    return {
        **vm_row(actor, vm),
        "group": vm.group,
        "protection": vm.protection,
        "protected_to": vm.protected_to,
        "rpo_target_seconds": int(vm.rpo_target.total_seconds()),
        "newest_point_at": vm.newest_point_at,
        "can_replicate": not vm.why_not_orderable,
        "cannot_replicate": vm.why_not_orderable,
        "failover_address": vm.failover_address,
        "order": vm.order_number or None,
        "failover": failover,
        "last_test_at": vm.last_test_at,
    }


def vm_rows(actor: Actor, vms: Sequence[VM]) -> list[dict[str, Any]]:
    if not actor.can(Permission.READ_REPLICATION):
        return [vm_row(actor, vm) for vm in vms]
    failovers = failovers_of(vms)
    return [vm_row_with_replication(actor, vm, failovers.get(vm.made_by or vm.pk)) for vm in vms]


def failovers_of(vms: Sequence[VM]) -> dict[object, dict[str, Any]]:
    """The open failovers of these rows: a stand-in's by the uuid that made it, an original's by its key, live first."""
    held = [vm.family for vm in vms if vm.held_by]
    if not held:
        return {}
    found: dict[object, dict[str, Any]] = {}
    columns = ("uuid", "vm", "ticket__number", "kind", "state")
    lines = Failover.objects.filter(vm__in=held, state__in=OPEN).order_by("-kind").values_list(*columns)
    for uuid, vm, number, kind, state in lines:
        found[uuid] = found[vm] = {"number": number, "kind": kind, "state": state}
    return found


class VmList(Door):
    """Virtual machines."""

    @described("list_vms", page_of(VmShape), parameters=[VmPages])
    def get(self, request: Request) -> Response:
        """The VMs as every screen lists them. The filter `state` wants Read Server Replication."""
        self.actor.need(Permission.READ_VMS)
        if "state" in request.query_params:
            self.actor.need(Permission.READ_REPLICATION)
        page = rows(self.actor, Permission.READ_VMS, self.filters(), parts=readable(self.actor))
        return Response({
            "next": self.address("after", page.next) if page.next else None,
            "previous": self.address("before", page.previous) if page.previous else None,
            "results": vm_rows(self.actor, page.rows),
        })  # fmt: skip

    def filters(self) -> Filters:
        asked = self.query(VmPages)
        return Filters(**{**asked, "site": asked["site"].upper(), "q": asked["q"].strip(), "strict": True})


ELSEWHERE = OpenApiResponse(description="A live failover of it runs: `Location` is its stand-in's address.")


class OneVm(Door):
    """One virtual machine."""

    @described("get_vm", VmShape, also={303: ELSEWHERE}, parameters=[VM_UUID])
    def get(self, request: Request, uuid: str) -> HttpResponse:
        """One VM. While a live failover of it runs, its address leads (303) to its stand-in."""
        shown = listed(self.actor, Permission.READ_VMS).filter(uuid=uuid_of(uuid)).first()
        if shown is not None:
            return Response(vm_rows(self.actor, [shown])[0])
        stand_ins = VM.objects.visible_to(self.actor, Permission.READ_VMS).filter(role=Role.LIVE, shown=True)
        stand_in = stand_ins.filter(original__uuid=uuid).values_list("uuid", flat=True).first()
        if stand_in is None:
            raise Absent
        return Response(status=303, headers={"Location": reverse("api-vm", args=[self.slug, stand_in])})
