"""What the tables of permissions name: one of each kind of thing, made in an account, and one that never was."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from accounts.actions import invitation_path, invite, issue_machine_token, issue_token
from accounts.models import Account, Activity, AuthorizedUser, FactorReset, Membership, Permission, Role, Token
from ampdr import clock, work
from ampdr.lifecycle import PORTAL
from failover.actions import version_of
from inventory.actions import declare, keep
from inventory.models import VM, Outage, OutageTold, VpnClient, VpnGateway, VpnMember
from notices.actions import Opening, open_conversation
from notices.models import Notice
from replication.models import Replication, ServiceLevel
from tests.cast import Cast, join, make_person, make_vms, protect, request, say_yes

KEY = "permission-table-key"
NOW = clock.now()


@dataclass(frozen=True)
class Things:
    """What rows name: of Northwind, of Contoso, or made up."""

    web: str  # slug of a protected VM
    web_uuid: str
    free_uuid: str  # not protected yet
    tested: str  # a test of it runs
    order: str
    waiting: str  # a ticket that waits for Support
    running: str  # one whose live failover runs
    testing: str  # one whose test runs
    version: str  # of `waiting`
    talk: str  # a conversation with Support
    outage: str  # number of one that this account alone was told of
    choice: str  # VMs that who furnished it has chosen
    key: str
    member: str  # uuid of a membership
    invited: str  # uuid of an open invitation
    link: str  # what the invitation's mail leads to
    role: str  # slug of a role of its own
    token: str  # prefix of an API token of who furnished it
    accounts_account: str
    accounts_person: str
    accounts_role: str
    accounts_membership: str
    accounts_authorizeduser: str
    accounts_invitation: str
    accounts_factorreset: str
    accounts_activity: str
    accounts_machinetoken: str
    inventory_site: str
    inventory_vm: str
    inventory_outage: str
    inventory_vpngateway: str
    inventory_vpnclient: str
    inventory_vpnmember: str
    replication_order: str
    replication_replication: str
    replication_servicelevel: str
    failover_ticket: str
    notices_conversation: str
    notices_notice: str


NEVER = Things(
    web="never-there", web_uuid=str(uuid.UUID(int=7)), free_uuid=str(uuid.UUID(int=8)), tested="never-there",
    order="RO-999999", waiting="FO-999999", running="FO-999998", testing="FO-999997", token="0" * 12,
    version="waiting:1.000000", talk="T-999999", outage="N-999999", key=KEY, choice=str(uuid.UUID(int=11)),
    member=str(uuid.UUID(int=9)), invited=str(uuid.UUID(int=10)), link="never-made", role="never-there",
    **{name: "999999999" for name in Things.__annotations__ if "_" in name and not name.endswith("_uuid")},
)  # fmt: skip


def profile_of(cast: Cast, account: Account, who: str) -> dict[str, Any]:
    """Who furnishes an account has the profile of PHX01-Recovery."""
    host = {"host": "phx01-recovery.vpn.example"}
    gateway, _ = VpnGateway.objects.get_or_create(site=cast.sites["PHX01"], recovery=True, defaults=host)
    facts = {"name": "Connect", "version": "4.2", "download_url": "https://downloads.example/connect.zip"}
    client, _ = VpnClient.objects.get_or_create(gateway=gateway, system="windows", defaults=facts)
    mine = Membership.objects.get(account=account, person=getattr(cast, who))
    member = VpnMember.objects.create(membership=mine, gateway=gateway)
    return {"inventory_vpngateway": gateway, "inventory_vpnclient": client, "inventory_vpnmember": member}


def told_alone(account: Account, cast: Cast) -> str:
    """The number of an outage of another site, which is over."""
    facts = {"site": cast.sites["LHR01"], "started_at": NOW, "over_at": NOW}
    outage = Outage.objects.create(number=f"N-{account.number}", title="No power", **facts)
    OutageTold.objects.create(outage=outage, account=account, on_it=1)
    return outage.number


def furnish(cast: Cast, account: Account, who: str) -> Things:
    """The same of everything in each account; only names, numbers and keys differ."""
    names = [f"{account.slug[0]}-{name}" for name in ("free", "web", "held", "run", "tested")]
    free, web, held, run, tested = vms = make_vms(account, cast.sites["DFW01"], names)
    order = protect(cast, vms[1:], f"{KEY}-{who}", who)
    waiting = request(cast, [held], who=who, key=f"waiting-{who}")
    live, test = (request(cast, [vm], kind, who, f"{KEY}-{who}") for vm, kind in ((run, "live"), (tested, "test")))
    for ticket in (live, test):
        say_yes(cast, ticket)
    work.drive()
    reads = [Permission.READ_VMS, Permission.READ_FIM]
    role = Role.objects.create(account=account, name=f"{account.slug} watcher", permissions=reads)
    person = make_person(f"sana@{account.slug}.example", "Sana Iqbal")
    membership = join(person, account)
    membership.roles.set([role])
    invited = invite(cast.actor("mary"), account, f"new@{account.slug}.example", [role])
    talk = open_conversation(cast.actor(who), Opening("other", "A question", "And its text"), f"{KEY}-talk")
    site = cast.sites["DFW01" if who == "priya" else "PHX01"]
    rows: dict[str, Any] = {
        "accounts_account": account, "accounts_person": person, "accounts_role": role,
        "accounts_membership": membership, "accounts_authorizeduser": AuthorizedUser.objects.get(account=account),
        "accounts_invitation": invited, "replication_servicelevel": ServiceLevel.objects.get(),
        "accounts_factorreset": FactorReset.objects.create(person=person, reason="Called back", asked_by=cast.tom),
        "accounts_activity": Activity.objects.filter(account=account).latest("pk"),
        "accounts_machinetoken": issue_machine_token(PORTAL, "matrix", "inventory", account=account)[0],
        **profile_of(cast, account, who), "inventory_site": site, "inventory_vm": web,
        "inventory_outage": declare(cast.actor("mary"), site, "No power", "Hall A.", NOW, str(uuid.uuid4())),
        "replication_order": order, "replication_replication": Replication.objects.get(vm=web),
        "failover_ticket": waiting, "notices_conversation": talk,
        "notices_notice": Notice.objects.filter(email=f"{who}@example.com", channel="portal").latest("pk"),
    }  # fmt: skip
    waiting.refresh_from_db()
    return Things(
        web=web.slug, web_uuid=str(web.uuid), free_uuid=str(free.uuid), tested=tested.slug, order=order.number,
        waiting=waiting.number, running=live.number, testing=test.number, version=version_of(waiting), key=KEY,
        talk=talk.number, outage=rows["inventory_outage"].number if who == "priya" else told_alone(account, cast),
        choice=str(keep(cast.actor(who), VM.objects.filter(account=account, role="primary")).uuid),
        member=str(membership.uuid), invited=str(invited.uuid), link=invitation_path(invited.pk).split("/")[2],
        role=role.slug, token=Token.prefix_of(issue_token(PORTAL, getattr(cast, who), account, "matrix", ["read_vms"])),
        **{name: str(row.pk) for name, row in rows.items()},
    )  # fmt: skip
