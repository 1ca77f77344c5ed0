"""Addresses of failovers and of every VM-keyed screen, below /<account>/."""

from django.urls import path

from failover.screens.security import FIM, MALWARE, PATCHING
from failover.views import (
    bulk,
    confirm,
    ending,
    extending,
    lists,
    outage,
    overview,
    points,
    report,
    request,
    security,
    ticket,
    tickets,
    vm,
    vpn,
)

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("vms/", lists.vms, name="vms"),
    path("vms/choose/", bulk.choose, name="vms-choose"),
    path("vms/<slug:slug>/", vm.detail, name="vm"),
    path("vms/<slug:slug>/test/", vm.test, name="vm-test"),
    path("vms/<slug:slug>/points/", points.points, name="vm-points"),
    path("security/fim/", security.screen, {"part": FIM}, name="fim"),
    path("security/malware/", security.screen, {"part": MALWARE}, name="malware"),
    path("security/patching/", security.screen, {"part": PATCHING}, name="patching"),
    path("vpn/", vpn.vpn, name="vpn"),
    path("vpn/members/<uuid:member>/", vpn.member, name="vpn-member"),
    path("vpn/<str:profile>/profile/", vpn.profile, name="vpn-profile"),
    path("outages/now/", outage.now, name="outage-strips"),
    path("outages/<str:number>/", outage.detail, name="outage"),
    path("failovers/", tickets.index, name="failovers"),
    path("failovers/new/", request.choose, name="failover-new"),
    path("failovers/new/confirm/", confirm.confirm, name="failover-confirm"),
    path("failovers/<str:number>/", ticket.detail, name="failover"),
    path("failovers/<str:number>/withdraw/", ticket.withdraw, name="failover-withdraw"),
    path("failovers/<str:number>/works/", ticket.works, name="failover-works"),
    path("failovers/<str:number>/messages/", ticket.message, name="failover-message"),
    path("failovers/<str:number>/result/", ticket.result, name="failover-result"),
    path("failovers/<str:number>/terminate/", ending.terminate, name="failover-terminate"),
    path("failovers/<str:number>/extend/", extending.extend, name="failover-extend"),
    path("failovers/<str:number>/facts.json", report.as_json, name="failover-json"),
    path("failovers/<str:number>/facts.csv", report.as_csv, name="failover-csv"),
]
