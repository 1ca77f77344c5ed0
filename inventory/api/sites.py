"""The door of a site, and what its token is for."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import MachineDoor, described
from accounts.models import MachineToken
from ampdr.errors import Absent
from inventory.models import Site


class Row(serializers.Field[Any, Any, Any, Any]):
    """Of what a machine tells, as it came: the verb reads it, so that every bad row is named at once."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class SiteToken(serializers.Serializer[Any]):
    """What the token that was sent is for."""

    site = serializers.CharField()
    name = serializers.CharField()
    purpose = serializers.ChoiceField(MachineToken.Purpose.choices)
    expires_at = serializers.DateTimeField(allow_null=True)


class SiteDoor(MachineDoor):
    """A machine's door of one site. A token outlives its site's row: then there is nothing here."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not Site.objects.filter(code=self.site).exists():
            raise Absent


class OneSite(SiteDoor):
    """One site, as a machine's token sees it."""

    @described("get_site_token", SiteToken, tags=["sites"])
    def get(self, request: Request) -> Response:
        """Who am I: the site, the purpose and the end of the token that was sent."""
        token = self.token
        facts = {"name": token.name, "purpose": token.purpose, "expires_at": token.expires_at}
        return Response({"site": self.site, **facts})


SITE = [path("", OneSite.as_view(), name="api-site")]
