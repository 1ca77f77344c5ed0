"""What previews, ticket pages and approvals tell of a recovery: point, loss, time to running, who gets in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Aggregate,
    Count,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    Max,
    Min,
    OuterRef,
    QuerySet,
    Subquery,
)

from ampdr import clock
from ampdr.lifecycle import Actor
from ampdr.templatetags.ampdr import about
from failover.models import Launch
from inventory.actions import profile_count
from inventory.models import VM, VpnMember
from replication.models import RecoveryPoint, Replication


class Median(Aggregate):
    """The middle one; PostgreSQL takes it between two where their number is even."""

    function = "percentile_cont"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = DurationField()


@dataclass(frozen=True)
class Expected:
    """How long it takes from the approval until all run; `tested` of the VMs have ever been started."""

    length: timedelta | None
    tested: int
    of: int

    @property
    def words(self) -> str:
        return "No test yet" if self.length is None else about(self.length)

    @property
    def detail(self) -> str:
        part = self.length is not None and self.tested < self.of
        return f"after approval, {self.tested:,} of {self.of:,} VMs tested" if part else "after approval"


def expected(vms: Any, of: int) -> Expected:
    """The slowest VM's median over its earlier starts, in one statement. `vms`: `of` keys, or a query of them."""
    took = ExpressionWrapper(F("failover__running_at") - F("failover__ticket__decided_at"), DurationField())
    starts = Launch.objects.filter(failover__vm__in=vms, failover__running_at__isnull=False)
    by_vm = starts.order_by().values("failover__vm").annotate(median=Median(took))
    found = by_vm.aggregate(slowest=Max("median"), tested=Count("median"))
    return Expected(found["slowest"], found["tested"], of)


@dataclass(frozen=True)
class Loss:
    """From which point a recovery starts and what is lost since: `oldest` is the worst of the VMs, None if unknown."""

    oldest: datetime | None
    chosen: datetime | None
    behind: bool  # older than the VM's target, for one of them at least
    missing: int = 0  # VMs that have no point at or before the chosen moment

    @property
    def age(self) -> timedelta | None:
        return clock.now() - self.oldest if self.oldest else None


def loss(vms: list[VM], chosen: datetime | None) -> Loss:
    """What these VMs would lose if they started now: from the newest point of each, or its last before a moment."""
    now = clock.now()
    if chosen:
        return _loss_since(Replication.objects.filter(vm_id__among=[vm.pk for vm in vms], state="protected"), chosen)
    known = [vm.newest_point_at for vm in vms if vm.newest_point_at]
    return Loss(min(known, default=None), None, any(rpo_behind(vm, now) for vm in vms))


def rpo_behind(vm: VM, now: datetime) -> bool:
    return vm.newest_point_at is None or now > vm.newest_point_at + vm.rpo_target


def _loss_since(replications: QuerySet[Replication], chosen: datetime) -> Loss:
    points = RecoveryPoint.objects.filter(replication=OuterRef("pk"), at__lte=chosen).order_by("-at").values("at")
    used = replications.annotate(used=Subquery(points[:1], DateTimeField()))
    found = used.aggregate(oldest=Min("used"), n=Count("pk"), with_point=Count("used"), target=Min("rpo_target"))
    behind = bool(found["oldest"] and clock.now() - found["oldest"] > found["target"])
    return Loss(found["oldest"], chosen, behind, found["n"] - found["with_point"])


@dataclass(frozen=True)
class Standing:
    """How what is to be started stands now. `behind`, `untested`: VMs; `with_it` of SSL/VPN users have the profile."""

    lost: Loss
    behind: int
    untested: int
    with_it: int
    of: int


@dataclass(frozen=True)
class Access:
    """How many of the account's SSL/VPN users have the profile of a recovery environment, and whether oneself has."""

    with_it: int
    of: int
    mine: bool
    whose: str = "your account"

    @property
    def words(self) -> str:
        return profile_words(self.with_it, self.of)


def profile_words(with_it: int, of: int) -> str:
    if not of:
        return "no SSL/VPN user has it"
    return f"{with_it:,} of {of:,} SSL/VPN user{' has' if of == 1 else 's have'} it"


def access(actor: Actor, site_code: str) -> Access:
    found = profile_count(actor.account_id or 0, site_code)
    here = VpnMember.objects.standing().filter(gateway__recovery=True, gateway__site__code=site_code)
    me = here.filter(membership__account=actor.account_id, membership__person=actor.person_id)
    return Access(found.with_it, found.of, found.with_it > 0 and me.exists())
