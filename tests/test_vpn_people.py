"""Who stands on the SSL/VPN page, and letting people in and out there."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.models import Membership, Permission
from inventory.models import VpnMember
from tests.cast import Cast, join, make_person, sign_in
from tests.test_vpn_page import Gateways, gateways, give, look, viewer, vms, words  # noqa: F401  fixtures

pytestmark = pytest.mark.usefixtures("vms")


def test_letting_somebody_in_and_out_on_the_page(cast: Cast, client: Client, gateways: Gateways) -> None:  # noqa: F811
    sign_in(client, cast.priya)
    oscar = Membership.objects.get(person=cast.oscar)
    there = f"/northwind/vpn/members/{oscar.uuid}/"
    done = (("in", "Oscar Lind has PHX01-Recovery.", 1), ("out", "doesn't have PHX01-Recovery any more", 0))
    for do, said, has in done:
        response: Any = client.post(there, {"site": "PHX01-Recovery", "do": do}, follow=True)
        assert said in unescape(response.content.decode())
        assert response.redirect_chain == [("/northwind/vpn/?site=PHX01-Recovery#people", 302)]
        assert VpnMember.objects.filter(membership=oscar).count() == has
    for site, do in (("XXX99", "in"), ("PHX01-Recovery", "push"), ("\0", "in"), ("", "")):
        assert client.post(there, {"site": site, "do": do}).status_code == 400
    Membership.objects.filter(pk=oscar.pk).update(enabled=False)
    assert client.post(there, {"site": "PHX01-Recovery", "do": "in"}).status_code == 409


def test_who_stands_in_the_table(cast: Cast, client: Client, gateways: Gateways) -> None:  # noqa: F811
    """Who lets people in sees every member who gets in at all, others those with a profile, by name."""
    give(gateways["PHX01-Recovery"], cast.oscar)
    sign_in(client, cast.priya)

    def names(html: str) -> list[str]:
        return re.findall(r"(Oscar Lind|Priya Raman|Ravi Patel|Kim Sato)<", html[html.index('id="people"') :])

    html = look(client, "?site=PHX01-Recovery")
    assert [name for name in names(html) if name] == ["Oscar Lind", "Priya Raman", "Ravi Patel"]
    assert "1 of 1 SSL/VPN user has PHX01-Recovery" in words(html)
    sign_in(client, viewer(cast, Permission.READ_VPN, Permission.READ_VMS))
    assert names(look(client)) == ["Oscar Lind"]
    Membership.objects.filter(person=cast.oscar).update(enabled=False)
    assert "Nobody has a profile yet" in look(client)


def test_pages_of_people_and_finding_one(cast: Cast, client: Client, gateways: Gateways) -> None:  # noqa: F811
    people = [make_person(f"p{n}@example.com", f"Person {n:03}") for n in range(60)]
    for person in people:
        join(person, cast.northwind, "Billing")
    sign_in(client, cast.priya)
    html = look(client, "?site=DFW01")
    onward = re.search(r'href="(\?[^"]*after[^"]*)#people" rel="next"', html)
    assert onward and "Person 047" in html and "Person 049" not in html
    html = look(client, onward[1])
    assert "Person 049" in html and "Ravi Patel" in html and "Oscar Lind" not in html
    html = look(client, "?q=person 059")
    assert "Person 059" in html and "Oscar Lind" not in html
    assert "Nobody matches" in look(client, "?q=zzz")
