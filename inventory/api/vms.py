"""The inventory by machines: what VMs there are at one site, or of one account (docs/inventory.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import KEY_ACCEPTED, Body, MachineDoor, Text, Uuid, described
from accounts.models import Account, MachineToken
from ampdr.errors import Invalid
from inventory.actions import AT_ONCE, Feed, upsert
from inventory.api.sites import Row, SiteDoor
from inventory.models import Site

PURPOSES = frozenset({MachineToken.Purpose.INVENTORY.value})
FIELDS = ("name", "power", "disk_gb", "disks_gb", "addresses", "os", "generation", "unsupported")


class TellVm(serializers.Serializer[Any]):
    """A VM by its uuid. What isn't told stays as it is; a new VM needs a name, an account and a site."""

    uuid = serializers.UUIDField()
    name = serializers.CharField(max_length=120, required=False)
    power = serializers.ChoiceField(["on", "off"], required=False)
    disks_gb = serializers.ListField(
        child=serializers.IntegerField(min_value=0), max_length=64, required=False, help_text="each disk's size"
    )
    disk_gb = serializers.IntegerField(min_value=0, required=False, help_text="all disks together, if that is known")
    addresses = serializers.ListField(
        child=serializers.IPAddressField(), max_length=16, required=False, help_text="the one to be shown first"
    )
    os = serializers.CharField(max_length=60, allow_blank=True, required=False)
    generation = serializers.ChoiceField([3, 4], required=False)
    unsupported = serializers.CharField(
        max_length=200, allow_blank=True, required=False, help_text="why it can't be replicated; empty if it can"
    )


class TellVmOfSite(TellVm):
    account = serializers.CharField(required=False, help_text="slug of the account; it never changes")


class TellVmOfAccount(TellVm):
    site = serializers.CharField(required=False, help_text="code of the site where it is now")


@extend_schema_field(TellVmOfSite)
class RowOfSite(Row): ...


@extend_schema_field(TellVmOfAccount)
class RowOfAccount(Row): ...


class Flag(serializers.BooleanField):
    """True or false: a word isn't one."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class InventoryBody(Body):
    round = Uuid(help_text="made by the caller, new for each telling of the whole inventory")
    complete = Flag(default=False, help_text="this is the round's last call: VMs that it didn't tell have vanished")
    allow_many = Flag(default=False, help_text="also when more than half of a site's VMs would vanish")


class SiteInventoryBody(InventoryBody):
    vms = serializers.ListField(child=RowOfSite(), max_length=AT_ONCE, help_text="all or none")


class AccountInventoryBody(InventoryBody):
    vms = serializers.ListField(child=RowOfAccount(), max_length=AT_ONCE, help_text="all or none")
    sites = serializers.ListField(
        child=Text(max_length=8), max_length=100, default=list, help_text="with `complete`: whose VMs were all told"
    )


class InventoryTaken(serializers.Serializer[Any]):
    """How many VMs of the call are new, changed, and as they were; `found` again are among the changed."""

    made = serializers.IntegerField()
    changed = serializers.IntegerField()
    same = serializers.IntegerField()
    vanished = serializers.IntegerField(help_text="marked: this round didn't tell them")
    found = serializers.IntegerField()


class Inventory(MachineDoor):
    """Where the inventory is told."""

    purposes = PURPOSES

    def take(self, feed: Feed, body: Mapping[str, Any], complete: Collection[str]) -> Response:
        """A repeat is harmless of itself, with or without a key."""
        how = {"allow_many": body["allow_many"], "known": FIELDS}
        return Response(upsert(self.actor, feed, body["vms"], body["round"], complete=complete, **how)._asdict())


class SiteInventory(Inventory, SiteDoor):
    """Of every account, at one site."""

    @described(
        "tell_inventory_of_site", InventoryTaken, request=SiteInventoryBody, parameters=[KEY_ACCEPTED], tags=["sites"]
    )
    def post(self, request: Request) -> Response:
        """What VMs are at the site, up to 1,000 in a call. Every bad row is named, and then nothing is taken."""
        body, _ = self.asked(SiteInventoryBody)
        site = Site.objects.get(code=self.site)
        return self.take(Feed(site=site), body, [site.code] if body["complete"] else ())


class AccountInventory(Inventory):
    """Of one account, at every site."""

    @described("tell_inventory_of_account", InventoryTaken, request=AccountInventoryBody, parameters=[KEY_ACCEPTED])
    def post(self, request: Request) -> Response:
        """What VMs the account has, up to 1,000 in a call. Every bad row is named, and then nothing is taken."""
        body, _ = self.asked(AccountInventoryBody)
        if body["complete"] and not body["sites"]:
            raise Invalid("Name the sites of which every VM was told.", fields={"sites": ["Needed with complete."]})
        account = Account.objects.get(pk=self.actor.account_id)
        return self.take(Feed(account=account), body, body["sites"] if body["complete"] else ())


SITE = [path("inventory/", SiteInventory.as_view(), name="api-site-inventory")]
ACCOUNT = [path("inventory/", AccountInventory.as_view(), name="api-account-inventory")]
