"""Who may connect to which gateway of SSL/VPN, and what Support keeps of gateways and clients."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models import Count, OuterRef, Q, Subquery, Value
from django.db.models.functions import JSONObject

from accounts.actions import checked, support_only
from accounts.actions.rights import lock_people
from accounts.models import Membership, Permission, Person
from ampdr.errors import Absent, Conflict
from ampdr.lifecycle import Actor, changes
from inventory.models import VpnClient, VpnGateway, VpnMember

# ---- Who may connect -------------------------------------------------------------------------------------------------


def let_in(actor: Actor, membership: Membership, gateway: VpnGateway) -> bool:
    """Gives a member of the actor's account the profile of a gateway. Whether he got it now: who has it keeps it.

    Raises Conflict for somebody who was removed or disabled meanwhile: changes of an account's people wait for each
    other.
    """
    _own(actor, membership)
    with changes(actor) as change:
        lock_people(membership.account_id)
        rows = Membership.objects.filter(pk=membership.pk)
        _standing(rows.select_related("person").first(), membership)
        _, new = VpnMember.objects.get_or_create(
            membership=membership, gateway=gateway,
            defaults={"added_by_id": actor.person_id, "added_at": change.at},
        )  # fmt: skip
        if new:
            change.note(rows, "vpn_member.let_in", person=membership.person.name, gateway=gateway.name)
    return new


def let_out(actor: Actor, membership: Membership, gateway: VpnGateway) -> bool:
    """Takes the profile of a gateway from a member of the actor's account. Whether he had it.

    The row goes, so what is written down stands on his membership, as it does when he is let in.
    """
    _own(actor, membership)
    with changes(actor) as change:
        lock_people(membership.account_id)
        gone, _ = VpnMember.objects.filter(membership=membership, gateway=gateway).delete()
        if gone:
            rows = Membership.objects.filter(pk=membership.pk)
            change.note(rows, "vpn_member.let_out", person=membership.person.name, gateway=gateway.name)
    return bool(gone)


def _own(actor: Actor, membership: Membership) -> None:
    actor.need(Permission.WRITE_VPN)
    if membership.account_id != actor.account_id:
        raise Absent


def _standing(now: Membership | None, asked: Membership) -> None:
    name = asked.person.name
    if now is None:
        raise Conflict(f"{name} is no member of this account any more.", code="not_a_member")
    if not (now.enabled and now.person.is_active):
        raise Conflict(f"{name} is disabled and can't be let in. Enable {name} first.", code="disabled")


def keepers(account_id: int) -> list[str]:
    """The names of the members who may let others in and out."""
    granted = Q(memberships__roles__all_permissions=True)
    granted |= Q(memberships__roles__permissions__contains=[Permission.WRITE_VPN])
    found = Person.objects.filter(granted, memberships__account=account_id, memberships__enabled=True, is_active=True)
    return list(found.order_by("name").distinct().values_list("name", flat=True))


def gateway_named(name: str) -> VpnGateway | None:
    """By the name of its profile: PHX01, or PHX01-Recovery."""
    code = name.removesuffix("-Recovery")
    found = VpnGateway.objects.select_related("site").filter(site__code=code.replace("\0", ""), recovery=code != name)
    return found.first()


class Profiles(NamedTuple):
    with_it: int
    of: int


def profile_count(account_id: int, site_code: str, *, recovery: bool = True) -> Profiles:
    """How many of the account's SSL/VPN users have the profile of a site's recovery environment, and of how many.

    SSL/VPN users are the people who have any profile and can sign in. `recovery=False`: of the site itself.
    """
    theirs = VpnMember.objects.standing().filter(membership__account=account_id)
    return Profiles(**theirs.aggregate(**_counts(site_code, recovery)))


def profiles_of(account: OuterRef, site_code: OuterRef) -> Subquery:
    """The same of a recovery environment for each row of a statement: `with_it` and `of`, or null without any user."""
    theirs = VpnMember.objects.standing().filter(membership__account=account).order_by().values(all=Value(1))
    return Subquery(theirs.annotate(found=JSONObject(**_counts(site_code, True))).values("found"))


def _counts(site_code: str | OuterRef, recovery: bool) -> dict[str, Count]:
    here = Q(gateway__recovery=recovery, gateway__site__code=site_code)
    return {"with_it": Count("membership", filter=here, distinct=True), "of": Count("membership", distinct=True)}


# ---- What Support keeps ----------------------------------------------------------------------------------------------


def save_gateway(actor: Actor, gateway: VpnGateway) -> VpnGateway:
    """A new gateway, or another host or port of one. Support's verb; it stands in the installation's log."""
    support_only(actor)
    event = "vpn_gateway.changed" if gateway.pk else "vpn_gateway.added"
    with changes(actor) as change:
        checked(gateway).save()
        facts: dict[str, Any] = {"code": gateway.name, "host": gateway.host, "port": gateway.port}
        change.note(VpnGateway.objects.filter(pk=gateway.pk), event, **facts)
    return gateway


def save_client(actor: Actor, client: VpnClient) -> VpnClient:
    """A new client of a gateway, or another version or address of one. Support's verb; likewise."""
    support_only(actor)
    event = "vpn_client.changed" if client.pk else "vpn_client.added"
    with changes(actor) as change:
        checked(client).save()
        facts: dict[str, Any] = {
            "code": f"{client.gateway.name}, {client.get_system_display()}", "client": client.name,
            "version": client.version, "download_url": client.download_url, "generation": client.generation,
        }  # fmt: skip
        change.note(VpnClient.objects.filter(pk=client.pk), event, **facts)
    return client
