"""The API's addresses of VMs, failover tickets and their lines, below /api/v1/accounts/<account>/."""

from django.urls import path

from failover.api import tickets, vms, vpn

urlpatterns = [
    path("vms/", vms.VmList.as_view(), name="api-vms"),
    path("vms/<str:uuid>/", vms.OneVm.as_view(), name="api-vm"),
    path("tickets/", tickets.Tickets.as_view(), name="api-tickets"),
    path("tickets/<str:number>/", tickets.OneTicket.as_view(), name="api-ticket"),
    path("tickets/<str:number>/failovers/", tickets.TicketLines.as_view(), name="api-failovers"),
    path("tickets/<str:number>/withdraw/", tickets.Withdraw.as_view(), name="api-withdraw"),
    path("tickets/<str:number>/confirm/", tickets.Confirm.as_view(), name="api-confirm"),
    path("tickets/<str:number>/terminate/", tickets.Terminate.as_view(), name="api-terminate"),
    path("tickets/<str:number>/extend/", tickets.Extend.as_view(), name="api-extend"),
    path("tickets/<str:number>/result/", tickets.Result.as_view(), name="api-result"),
    path("tickets/<str:number>/approve/", tickets.Approve.as_view(), name="api-approve"),
    path("tickets/<str:number>/reject/", tickets.Reject.as_view(), name="api-reject"),
    *vpn.urlpatterns,
]
