"""What no page of ours sends: a NUL in an address or a form is no reason to break."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.cast import Cast, make_vms, protect, request, sign_in

ADDRESSES = (
    "/failovers/FO%00/", "/northwind/failovers/FO%00/", "/northwind/failovers/FO%00/terminate/",
    "/northwind/failovers/new/?again=FO%00", "/northwind/failovers/new/?site=%00",
    "/northwind/failovers/new/?point=%00",
    "/northwind/failovers/new/confirm/?again=%00", "/northwind/failovers/?q=%00&kind=%00&state=%00&after=%00",
    "/northwind/vms/?q=%00&site=%00&state=%00&after=%00&before=%00", "/northwind/security/fim/?q=%00&status=%00",
    "/northwind/replication/?q=%00&site=%00&state=%00&after=%00", "/northwind/replication/orders/?q=%00&state=%00",
    "/northwind/replication/orders/RO%00/", "/northwind/replication/stop/?order=%00",
    "/northwind/replication/stop/?vm=%00",
    "/northwind/replication/not-protected/?q=%00&site=%00", "/northwind/replication/orders/new/?q=%00",
)  # fmt: skip
STAFF = (
    "/admin/failover/ticket/?q=%00", "/admin/failover/ticket/?state=%00", "/admin/failover/ticket/?account=%00",
    "/admin/inventory/vm/?group=%00", "/admin/inventory/vm/?shown=%00", "/admin/accounts/activity/?kind=%00",
    "/admin/accounts/activity/?q=%00", "/admin/failover/ticket/%00/change/", "/admin/accounts/account/%00/change/",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_nul_in_an_address(cast: Cast, client: Client, address: str) -> None:
    sign_in(client, cast.priya)
    assert client.get(address).status_code < 500


@pytest.mark.parametrize("address", STAFF)
def test_a_nul_in_an_address_of_admin(cast: Cast, client: Client, address: str) -> None:
    cast.mary.is_superuser = True
    cast.mary.save()
    sign_in(client, cast.mary)
    assert client.get(address).status_code < 500


def test_a_nul_in_a_form(cast: Cast, client: Client) -> None:
    vms = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])
    protect(cast, vms)
    ticket = request(cast, vms)
    sign_in(client, cast.priya)
    sent = {"kind": "test", "site": "DFW01", "key": "key-with-\0-in-it"}
    assert client.post("/northwind/failovers/new/confirm/", sent).status_code < 500
    again = {"vm": str(vms[0].uuid), "kind": "test", "key": "key-with-\0-in-it", "reason": "\0"}
    assert client.post("/northwind/failovers/new/confirm/", again).status_code < 500
    cast.mary.is_superuser = True
    cast.mary.save()
    sign_in(client, cast.mary)
    decision = {"decision": "reject", "reason": "no\0", "version": "\0"}
    assert client.post(f"/admin/failover/ticket/{ticket.pk}/change/", decision).status_code < 500
    page = client.get(f"/admin/failover/ticket/{ticket.pk}/change/")
    decision["version"] = page.context["version"]
    assert client.post(f"/admin/failover/ticket/{ticket.pk}/change/", decision).status_code < 500
