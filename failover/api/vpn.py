"""SSL/VPN: which client reaches which of the account's virtual machines, and who can connect where."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import KEY_ACCEPTED, Door, Nothing, PagesByUuid, described, page_of, uuid_of
from accounts.models import Membership, Permission
from ampdr.errors import Absent
from failover.screens import reaching
from failover.screens.reaching import DOWN, OF_CLIENT, Place
from inventory.actions import gateway_named, let_in, let_out
from inventory.models import VpnClient, VpnGateway

MEMBER = OpenApiParameter("uuid", OpenApiTypes.UUID, OpenApiParameter.PATH, description="A member's uuid.")
PROFILE = OpenApiParameter("profile", OpenApiTypes.STR, OpenApiParameter.PATH, description="Such as PHX01-Recovery.")


class ClientShape(serializers.ModelSerializer[VpnClient]):
    """The program for one kind of computer."""

    class Meta:
        model = VpnClient
        fields = OF_CLIENT
        read_only_fields = fields


class FailoverVmsShape(serializers.Serializer[Any]):
    """The account's failover VMs that only this profile reaches."""

    live = serializers.IntegerField()
    tests = serializers.IntegerField()


class ProfileShape(serializers.Serializer[Any]):
    """A way in: to a site, or, with `recovery`, to its recovery environment. It holds no secret."""

    name = serializers.CharField()
    site = serializers.CharField()
    recovery = serializers.BooleanField()
    host = serializers.CharField()
    port = serializers.IntegerField()
    yours = serializers.BooleanField(help_text="whether the caller has it")
    outage = serializers.BooleanField(help_text="whether an outage of its site is open of which the account was told")
    failover_vms = FailoverVmsShape(required=False, help_text="of a recovery environment, with Read Virtual Machine(s)")
    clients = ClientShape(many=True)


class Profiles(serializers.Serializer[Any]):
    results = ProfileShape(many=True)


class MemberShape(serializers.Serializer[Any]):
    """A member of the account and the profiles that he has."""

    uuid = serializers.UUIDField()
    name = serializers.CharField()
    profiles = serializers.ListField(child=serializers.CharField())
    last_used_at = serializers.DateTimeField(allow_null=True)


class Vpn(Door):
    """The SSL/VPN profiles of the account's sites."""

    @described("list_vpn_profiles", Profiles, tags=["vpn"])
    def get(self, request: Request) -> Response:
        """What there is to connect to, with which client. While failover VMs run, first where they are reached."""
        self.actor.need(Permission.READ_VPN)
        found = reaching.places(self.actor, reaching.behind(self.actor))
        return Response({"results": [self.row(place) for place in found]})

    def row(self, place: Place) -> dict[str, Any]:
        gateway = place.gateway
        row = {
            "name": place.name, "site": gateway.site.code, "recovery": gateway.recovery,
            "host": gateway.host, "port": gateway.port, "yours": place.mine, "outage": place.state is DOWN,
            "clients": place.clients,
        }  # fmt: skip
        if gateway.recovery and self.actor.can(Permission.READ_VMS):
            row["failover_vms"] = {"live": place.behind.live, "tests": place.behind.tests}
        return row


class Members(Door):
    """Who has which profile."""

    @described("list_vpn_members", page_of(MemberShape), parameters=[PagesByUuid], tags=["vpn"])
    def get(self, request: Request) -> Response:
        """The account's SSL/VPN users; for who may let people in, every member who gets in at all."""
        mine = reaching.people(self.actor)
        rows = mine.values("uuid", "has", name=F("person__name"), last_used_at=F("used"))
        page = self.listed(self.query(PagesByUuid), mine, rows, "uuid", "-pk")
        names = {gateway.pk: gateway.name for gateway in VpnGateway.objects.select_related("site")}
        for row in page["results"]:
            row["profiles"] = sorted(names[key] for key in row.pop("has"))
        return Response(page)


class Member(Door):
    """One member and one profile."""

    @described(
        "let_in_to_vpn", None, status=204, request=None, parameters=[MEMBER, PROFILE, KEY_ACCEPTED], tags=["vpn"]
    )
    def post(self, request: Request, uuid: str, profile: str) -> Response:
        """Gives the member the profile. Who has it keeps it."""
        return self.act(let_in, uuid, profile)

    @described(
        "let_out_of_vpn", None, status=204, request=None, parameters=[MEMBER, PROFILE, KEY_ACCEPTED], tags=["vpn"]
    )
    def delete(self, request: Request, uuid: str, profile: str) -> Response:
        """Takes the profile from the member. Who doesn't have it has it no more than before."""
        return self.act(let_out, uuid, profile)

    def act(self, verb: Any, uuid: str, profile: str) -> Response:
        found = Membership.objects.visible_to(self.actor, Permission.READ_VPN).select_related("person")
        member, gateway = found.filter(uuid=uuid_of(uuid)).first(), gateway_named(profile)
        if member is None or gateway is None:
            raise Absent
        _, key = self.asked(Nothing, lambda: self.actor.need(Permission.WRITE_VPN))
        self.actor.need(Permission.WRITE_VPN)
        self.once(key, [verb.__name__, str(member.uuid), gateway.name], lambda: verb(self.actor, member, gateway))
        return Response(status=204)


urlpatterns = [
    path("vpn/", Vpn.as_view(), name="api-vpn"),
    path("vpn/members/", Members.as_view(), name="api-vpn-members"),
    path("vpn/members/<str:uuid>/<str:profile>/", Member.as_view(), name="api-vpn-member"),
]
