"""Who may connect to which gateway of SSL/VPN, and what Support keeps of gateways and clients."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Count, Q

from inventory.models import VpnMember


class Profiles(NamedTuple):
    with_it: int
    of: int


def profile_count(account_id: int, site_code: str) -> Profiles:
    """How many of the account's SSL/VPN users have the profile of a site's recovery environment, and of how many.

    SSL/VPN users are the people who have any profile and can sign in.
    """
    theirs = VpnMember.objects.standing().filter(membership__account=account_id)
    here = Q(gateway__recovery=True, gateway__site__code=site_code)
    found = theirs.aggregate(
        with_it=Count("membership", filter=here, distinct=True), of=Count("membership", distinct=True)
    )
    return Profiles(**found)
