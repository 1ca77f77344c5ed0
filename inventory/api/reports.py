"""Security reports by machines: what agents in VMs of one site or one account say (docs/security-reports.md)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import KEY_ACCEPTED, Body, MachineDoor, described
from accounts.models import MachineToken
from inventory.actions import AT_MOST, report
from inventory.api.sites import Row, SiteDoor
from inventory.models import VM

PURPOSES = frozenset({MachineToken.Purpose.SECURITY_REPORTS.value})


class AnyReport(serializers.Serializer[Any]):
    """What every report says. `at`: when it was made; a report that isn't newer than the known one counts as stale."""

    vm = serializers.UUIDField(help_text="uuid of the VM, or of the stand-in that runs in a failover")
    at = serializers.DateTimeField()


class FimReport(AnyReport):
    kind = serializers.ChoiceField(["fim"])
    changes = serializers.IntegerField(min_value=0, help_text="changed files in the 24 hours before `at`")


class MalwareReport(AnyReport):
    kind = serializers.ChoiceField(["malware"])
    agent = serializers.CharField(max_length=40, help_text="its name or version")
    scan_at = serializers.DateTimeField(allow_null=True, help_text="end of the last scan; null: never scanned")
    findings = serializers.IntegerField(min_value=0)


class PatchReport(AnyReport):
    kind = serializers.ChoiceField(["patch"])
    missing = serializers.IntegerField(min_value=0, help_text="patches, the critical ones among them")
    critical = serializers.IntegerField(min_value=0)


KINDS = {"fim": FimReport, "malware": MalwareReport, "patch": PatchReport}


@extend_schema_field(PolymorphicProxySerializer("SecurityReport", KINDS, "kind"))  # type: ignore[arg-type]
class AnyRow(Row): ...


class ReportsBody(Body):
    reports = serializers.ListField(child=AnyRow(), max_length=AT_MOST, help_text="all or none")


class ReportsTaken(serializers.Serializer[Any]):
    """`taken` are known now; `stale` told nothing new, as every report of a repeated call."""

    taken = serializers.IntegerField()
    stale = serializers.IntegerField()


class Reports(MachineDoor):
    """Where security reports arrive."""

    purposes = PURPOSES

    def take(self, reach: QuerySet[VM]) -> Response:
        body, _ = self.asked(ReportsBody)  # a repeat is harmless of itself, with or without a key
        return Response(report(self.actor, body["reports"], reach)._asdict())


class SiteReports(Reports, SiteDoor):
    """Of the VMs at one site, of every account."""

    @described("report_security_of_site", ReportsTaken, request=ReportsBody, parameters=[KEY_ACCEPTED], tags=["sites"])
    def post(self, request: Request) -> Response:
        """What agents report, in batches of up to 1,000. Every bad row is named, and then nothing is taken."""
        return self.take(VM.objects.filter(site__code=self.site))


class AccountReports(Reports):
    """Of the VMs of one account, at every site."""

    @described("report_security_of_account", ReportsTaken, request=ReportsBody, parameters=[KEY_ACCEPTED])
    def post(self, request: Request) -> Response:
        """What agents report, in batches of up to 1,000. Every bad row is named, and then nothing is taken."""
        return self.take(VM.objects.filter(account=self.actor.account_id))


SITE = [path("security-reports/", SiteReports.as_view(), name="api-site-reports")]
ACCOUNT = [path("security-reports/", AccountReports.as_view(), name="api-account-reports")]
