"""What becomes of each line of an import, held against what is there: accounts, sites, service levels and VMs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.db.models import Q

from accounts.models import Account
from inventory.models import VM, Role, Site
from replication.actions.entries import Entry, Fault, readable
from replication.actions.levels import why_not_target
from replication.models import Replication, ServiceLevel

GENERATION = 3
PROTECTED, ORDERABLE, THERE, BAD = "protected", "orderable", "already there", "bad"


class Machine(NamedTuple):
    """A VM that is there."""

    pk: int
    account: int
    name: str
    uuid: UUID
    generation: int
    site: str
    role: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A line and what becomes of it. `vm` is there already and gets the service; without one it is made."""

    entry: Entry
    outcome: str
    faults: tuple[Fault, ...] = ()
    note: str = ""
    account: Account | None = None
    site: Site | None = None
    level: ServiceLevel | None = None
    vm: int | None = None

    @property
    def rpo_target(self) -> timedelta:
        minutes = self.entry.said.get("rpo_target_minutes")
        return timedelta(minutes=minutes) if minutes else self.level.rpo_target if self.level else timedelta()

    @property
    def retention_hours(self) -> int:
        return self.entry.said.get("retention_hours") or (self.level.retention_hours if self.level else 0)


@dataclass(frozen=True)
class Known:
    """What is there, as far as an import names it: read in a handful of statements, whatever the number of lines."""

    accounts: Mapping[str, Account]  # by slug and by number
    sites: Mapping[str, Site]
    levels: Mapping[str, ServiceLevel]
    named: Mapping[tuple[int, str], Sequence[Machine]]  # account and small letters of the name -> VMs
    with_uuid: Mapping[UUID, Machine]
    served: frozenset[int]  # VMs that have the service, or had it here

    @classmethod
    def now(cls, entries: Sequence[Entry], *, hold: bool) -> Self:
        """With `hold`, no other import goes on with these accounts until this transaction is over."""
        accounts = _accounts({str(entry.said.get("account", "")) for entry in entries}, hold)
        uuids = [entry.said["uuid"] for entry in entries if entry.said.get("uuid")]
        keys = {account.pk for account in accounts.values()}
        mine = VM.objects.filter(Q(account__in=keys, role=Role.PRIMARY) | Q(uuid__among=uuids)).order_by("pk")
        columns = ("pk", "account_id", "name", "uuid", "generation", "site__code", "role")
        machines = [Machine(*row) for row in mine.values_list(*columns)]
        named: dict[tuple[int, str], list[Machine]] = defaultdict(list)
        for one in machines:
            if one.role == Role.PRIMARY:
                named[one.account, one.name.lower()].append(one)
        return cls(
            accounts, {site.code: site for site in Site.objects.select_related("failover_site")},
            {level.name: level for level in ServiceLevel.objects.all()}, named, {one.uuid: one for one in machines},
            frozenset(Replication.objects.filter(vm__account__in=keys).values_list("vm_id", flat=True)),
        )  # fmt: skip


def _accounts(named: set[str], hold: bool) -> dict[str, Account]:
    numbers = [int(name) for name in named if name.isascii() and name.isdigit() and len(name) < 10]
    found = Account.objects.filter(Q(slug__in=named) | Q(number__in=numbers)).order_by("pk")
    accounts = list(found.select_for_update(no_key=True) if hold else found)
    return {key: account for account in accounts for key in (account.slug, str(account.number))}


@dataclass
class Judge:
    """Line after line: what an earlier one said of the same VM makes the later one bad."""

    known: Known
    names: dict[tuple[int, str], Entry] = field(default_factory=dict)
    uuids: dict[UUID, Entry] = field(default_factory=dict)

    def judge(self, entry: Entry) -> Arrival:
        said = entry.said
        account = self.known.accounts.get(said.get("account", ""))
        site = self.known.sites.get(said.get("site", ""))
        level = self.known.levels.get(said.get("service_level") or "")
        there = self.there(account, said)
        faults = [*entry.faults, *self.of_place(said, account, site), *self.of_level(said, level)]
        faults += [*self.of_lines(entry, account), *_of_machine(said, there, account, site)]
        if faults or account is None or site is None:
            return Arrival(entry, BAD, tuple(faults))
        return self.outcome(Arrival(entry, ORDERABLE, (), "", account, site, level), there)

    def outcome(self, arrival: Arrival, there: list[Machine]) -> Arrival:
        """Of a line in which nothing is wrong. What was ordered or stopped here since stays as it is."""
        serve = arrival.entry.said["service"] == "yes"
        if there and (not serve or there[0].pk in self.known.served):
            return replace(arrival, outcome=THERE)
        if serve:
            return replace(arrival, outcome=PROTECTED, vm=there[0].pk if there else None)
        assert arrival.site
        pair = arrival.site.failover_site
        return arrival if pair else replace(arrival, note=f"Not before {arrival.site.code} has a failover site.")

    def there(self, account: Account | None, said: Mapping[str, Any]) -> list[Machine]:
        """The VMs that the line may mean: the one with its uuid, else those of its name."""
        if one := self.known.with_uuid.get(said.get("uuid") or NOBODY):
            return [one]
        return list(self.known.named.get((account.pk, said.get("name", "").lower()), ())) if account else []

    def of_place(self, said: Mapping[str, Any], account: Account | None, site: Site | None) -> Iterator[Fault]:
        if "account" in said and account is None:
            yield Fault("account", f"There is no account “{readable(said['account'])}”. Make it first, or correct it.")
        if "site" in said and site is None:
            known = ", ".join(sorted(self.known.sites))
            yield Fault("site", f"There is no site “{readable(said['site'])}”. There are: {known}.")
        if site and site.failover_site is None and said.get("service") == "yes":
            yield Fault("site", f"{site.code} has no failover site. Give it one first, or write “no” under service.")

    def of_level(self, said: Mapping[str, Any], level: ServiceLevel | None) -> Iterator[Fault]:
        name, minutes = said.get("service_level"), said.get("rpo_target_minutes")
        if name and level is None:
            known = ", ".join(sorted(self.known.levels))
            yield Fault("service_level", f"There is no service level “{readable(name)}”. There are: {known}.")
        if level and minutes and (wrong := why_not_target(timedelta(minutes=minutes), level)):
            yield Fault("rpo_target_minutes", wrong)

    def of_lines(self, entry: Entry, account: Account | None) -> Iterator[Fault]:
        """A VM stands in one line. Names that differ in large and small letters alone are one name."""
        if account and (name := entry.said.get("name")):
            first = self.names.setdefault((account.pk, name.lower()), entry)
            if first is not entry:
                but = "" if first.name == entry.name else f" as “{first.name}”"
                yield Fault("name", f"This VM stands in line {first.line} too{but}. Leave one of them.")
        if one := entry.said.get("uuid"):
            first = self.uuids.setdefault(one, entry)
            if first is not entry:
                yield Fault("uuid", f"It stands in line {first.line} too. Correct one of them.")


NOBODY = UUID(int=0)


def _of_machine(
    said: Mapping[str, Any], there: list[Machine], account: Account | None, site: Site | None
) -> Iterator[Fault]:
    """What is there under this uuid or name must be the very VM."""
    if not there or account is None or "name" not in said:
        return
    one = there[0]
    known_as = (one.account, one.name, one.role)
    if said.get("uuid") == one.uuid and known_as != (account.pk, said["name"], Role.PRIMARY):
        yield Fault("uuid", "Another VM has it. Correct it, or leave it empty.")
    elif said.get("uuid") not in (None, one.uuid):
        yield Fault("uuid", f"The VM of this name has another: {one.uuid}. Write that, or leave it empty.")
    elif len(there) > 1:
        yield Fault("name", f"{len(there)} VMs bear this name. Give the uuid of the one that is meant.")
    elif one.generation != GENERATION:
        yield Fault(
            "name", f"A VM of Generation {one.generation} bears this name. Leave the line out, or name it anew."
        )
    elif one.name != said["name"]:
        yield Fault("name", f"It is “{readable(one.name)}” here. Write it so.")
    elif site and one.site != site.code:
        yield Fault("site", f"The VM is in {one.site} here. Correct it in one of the two places.")
