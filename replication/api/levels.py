"""The API's address of service levels."""

from __future__ import annotations

from datetime import timedelta

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import Door, described
from accounts.models import Permission
from replication.actions import offered_levels
from replication.api.shapes import Levels

MINUTE = timedelta(minutes=1)


class ServiceLevels(Door):
    """Service levels. They are the house's own: the same for every account."""

    @described("list_service_levels", Levels)
    def get(self, request: Request) -> Response:
        """What can be ordered now, the default first."""
        self.actor.need(Permission.READ_REPLICATION)
        rows = [
            {
                "name": level.name,
                "rpo_target_minutes": level.rpo_target // MINUTE,
                "rpo_minimum_minutes": level.rpo_minimum // MINUTE,
                "retention_hours": level.retention_hours,
                "is_default": level.is_default,
            }
            for level in offered_levels()
        ]
        return Response({"results": rows})


urlpatterns = [path("service-levels/", ServiceLevels.as_view(), name="api-service-levels")]
