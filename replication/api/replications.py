"""The API's addresses of replications and their recovery points."""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    KEY_ACCEPTED,
    VM_UUID,
    Door,
    Nothing,
    PagesByTime,
    Vms,
    described,
    page_of,
    uuid_of,
)  # fmt: skip
from accounts.models import Permission
from ampdr.errors import Absent
from ampdr.lifecycle import Actor
from replication.actions import rpo_series, stop_replication
from replication.api.shapes import (
    REPLICATION_ROW,
    Lists,
    PointShape,
    ReplicationPages,
    ReplicationShape,
    RpoPeriod,
    RpoShape,
    Stopped,
    replication_row,
    rpo_row,
)
from replication.models import RecoveryPoint, Replication


class Replications(Lists):
    """Replications that aren't stopped."""

    @described("list_replications", page_of(ReplicationShape), parameters=[ReplicationPages])
    def get(self, request: Request) -> Response:
        """The account's open replications, newest first."""
        mine = Replication.objects.visible_to(self.actor, Permission.READ_REPLICATION)
        asked = self.query(ReplicationPages)
        rows = mine.filter(state=asked["state"]) if "state" in asked else mine.exclude(state="stopped")
        page = self.listed(asked, mine, rows.values(*REPLICATION_ROW), "uuid")
        return Response({**page, "results": [replication_row(row) for row in page["results"]]})


def open_replications(actor: Actor, vm: str) -> QuerySet[Replication]:
    """The open replication of this VM, one at most."""
    mine = Replication.objects.visible_to(actor, Permission.READ_REPLICATION)
    return mine.filter(vm__uuid=uuid_of(vm)).exclude(state="stopped")


class OneReplication(Door):
    """The open replication of one VM."""

    @described("get_replication", ReplicationShape, parameters=[VM_UUID])
    def get(self, request: Request, uuid: str) -> Response:
        """The open replication of this VM."""
        row = open_replications(self.actor, uuid).values(*REPLICATION_ROW).first()
        if row is None:
            raise Absent
        return Response(replication_row(row))

    @described("stop_replication", None, status=204, request=None, parameters=[VM_UUID, KEY_ACCEPTED])
    def delete(self, request: Request, uuid: str) -> Response:
        """Ends the service on this VM at once. The billing cycle is charged to its end."""
        self.actor.need(Permission.READ_REPLICATION)
        _, key = self.asked(Nothing, lambda: self.actor.need(Permission.WRITE_REPLICATION))
        stop_replication(self.actor, [uuid_of(uuid)], key)
        return Response(status=204)


class Points(Door):
    """Recovery points of one VM."""

    @described("list_recovery_points", page_of(PointShape), parameters=[VM_UUID, PagesByTime])
    def get(self, request: Request, uuid: str) -> Response:
        """The moments to which this VM can be recovered, newest first. A request may name one as `point_at`."""
        found = open_replications(self.actor, uuid).values_list("pk", flat=True).first()
        if found is None:
            raise Absent
        mine = RecoveryPoint.objects.filter(replication=found)
        return Response(self.listed(self.query(PagesByTime), mine, mine.values("at", "consistent"), "at", "-at"))


class Rpo(Door):
    """The RPO of one VM over time."""

    @described("read_rpo", RpoShape, parameters=[VM_UUID, RpoPeriod])
    def get(self, request: Request, uuid: str) -> Response:
        """The highest RPO of each step of a time span, oldest first; null: not protected then."""
        found = open_replications(self.actor, uuid).first()
        if found is None:
            raise Absent
        period = self.query(RpoPeriod)["period"]
        return Response(rpo_row(found, period, rpo_series(found, period)))


class Stop(Door):
    """Ends the service on several VMs, all or none."""

    @described("stop_replications", Stopped, request=Vms, parameters=[KEY_ACCEPTED])
    def post(self, request: Request) -> Response:
        """Ends the service on these VMs at once. The billing cycle is charged to its end."""
        self.actor.need(Permission.READ_REPLICATION)
        body, key = self.asked(Vms, lambda: self.actor.need(Permission.WRITE_REPLICATION))
        return Response({"stopped": stop_replication(self.actor, body["vms"], key)})


urlpatterns = [
    path("replications/", Replications.as_view(), name="api-replications"),
    path("replications/stop/", Stop.as_view(), name="api-replications-stop"),
    path("replications/<str:uuid>/", OneReplication.as_view(), name="api-replication"),
    path("replications/<str:uuid>/points/", Points.as_view(), name="api-points"),
    path("replications/<str:uuid>/rpo/", Rpo.as_view(), name="api-rpo"),
]
