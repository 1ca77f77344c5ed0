"""The verb by which machines tell the inventory: new VMs, what changed of known ones, and what isn't there any more."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.db import IntegrityError
from django.db.models import F, Func, JSONField, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast

from accounts.models import Account
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor, Change, changes
from inventory.actions import listing
from inventory.actions.told import COLUMNS, FIELDS, Fault, Told, differences, read, refuse
from inventory.models import VM, Role, Round, Site, size

AT_ONCE = 1_000  # rows of one call
FEW = 10  # so many may vanish from a site in one round, however few it has
SWEPT = 100  # old rounds that a call puts away, at most; it begins one
READ = (*COLUMNS, "uuid", "account", "site", "role", "slug", "protection", "held_by", "vanished_at")
ANOTHERS = "This uuid is taken and can't be used here."
FREE = ("none", "stopped")  # of protection: it may move to another site
NO_ACCOUNT = "It is assigned to no account."


@dataclass(frozen=True)
class Feed:
    """Who tells: the machine of a site, of all accounts' VMs there; or of an account, of its VMs at any site."""

    site: Site | None = None
    account: Account | None = None

    @property
    def fixed(self) -> dict[str, str]:
        return {"site": self.site.code} if self.site else {"account": self.account.slug if self.account else ""}

    def tells_of(self, sites: Collection[str]) -> QuerySet[VM]:
        """The VMs that a complete round of these sites must tell."""
        found = VM.objects.filter(role=Role.PRIMARY, site__code__in=sites)
        return found.filter(account=self.account) if self.account else found


class Outcome(NamedTuple):
    """made + changed + same: the rows of the call. `found` are among the changed: they had vanished."""

    made: int = 0
    changed: int = 0
    same: int = 0
    vanished: int = 0
    found: int = 0


def upsert(
    actor: Actor,
    feed: Feed,
    rows: Sequence[Any],
    round_id: uuid.UUID,
    *,
    complete: Collection[str] = (),
    allow_many: bool = False,
    known: Sequence[str] = tuple(FIELDS),
    began: datetime | None = None,
) -> Outcome:
    """Writes what is told of up to 1,000 VMs, by uuid: all rows or none, in a few statements however many there are.

    What a row doesn't tell stays as it is; a row of a uuid alone says that the VM is there. `complete`: codes of the
    sites of which this round has now told every VM; their VMs that it didn't tell are marked, never deleted, and go on
    as they are. A repeated call changes nothing. `began`: when the caller began to look, if that was before its first
    call. Raises Forbidden to people, Invalid and Conflict (`rows_refused`) naming every bad row, and Conflict
    (`too_many_vanished`; `round_over`).

    Locks, in this order: the round, accounts that get new VMs, VMs, heads; each kind in key order. Old rounds that are
    locked are passed over, so nobody waits for a round while holding anything.
    """
    if actor.person_id is not None:
        raise Forbidden("Machines tell the inventory, with a token for it.")
    if len(rows) > AT_ONCE:
        raise Invalid(f"Send at most {AT_ONCE:,} VMs at once.", fields={"vms": [f"{len(rows):,} were sent."]})
    if unknown := set(complete) - set(Site.objects.values_list("code", flat=True)):
        words = f"There is no site {sorted(unknown)[0]}."
        raise Invalid(words, fields={"sites": [words]})
    told = read(rows, feed.fixed, known)
    try:
        with changes(actor) as change:
            call = _Call(change, feed, told, _opened(feed, round_id, began or change.at))
            _sweep(change.at)
            return call.take(complete, allow_many)
    except IntegrityError as race:
        raise Conflict("Somebody added VMs of these names at this moment. Send the same call again.") from race


def preview(feed: Feed, rows: Sequence[Any]) -> Outcome:
    """What `upsert` would do with these rows; nothing is written or locked."""
    told = read(rows, feed.fixed)
    around = _Around.of(told, feed)
    around.refuse(told)
    known = [around.becomes(one) for one in told if one.uuid in around.known]
    changed = [becomes for becomes in known if becomes]
    found = sum("vanished_at" in becomes for becomes in changed)
    return Outcome(len(told) - len(known), len(changed), len(known) - len(changed), found=found)


def missing(feed: Feed, sites: Collection[str], told: Collection[uuid.UUID | str], began: datetime) -> int:
    """How many VMs a complete round of these sites would mark, had it begun then and told these alone."""
    there = feed.tells_of(sites).filter(vanished_at=None, made_at__lt=began)
    return there.exclude(uuid__among=list(told)).count()


# ---- Rounds ----------------------------------------------------------------------------------------------------------


def _opened(feed: Feed, round_id: uuid.UUID, began: datetime) -> Round:
    """The round, locked: calls of one round wait for each other. Raises Invalid if it is another feed's, and Conflict
    if it is over: what it told is forgotten, so its end would mark what its beginning told.
    """
    site, account = (feed.site.code if feed.site else ""), (feed.account.pk if feed.account else None)
    new = Round(uuid=round_id, site=site, account_id=account, begun_at=began)
    Round.objects.bulk_create([new], ignore_conflicts=True)
    found = Round.objects.select_for_update(no_key=True).get(uuid=round_id)
    if (found.site, found.account_id) != (site, account):
        words = "This round is another feed's. Make a new uuid for each round."
        raise Invalid(words, fields={"round": [words]})
    if found.begun_at < clock.now() - Round.OPEN:
        raise Conflict(
            f"This round began on {found.begun_at:%Y-%m-%d at %H:%M} UTC, more than a day ago, and is over: nothing of "
            "this call was taken. Begin a new round, with a new uuid, and tell every VM again.",
            code="round_over", title="This round is over",
        )  # fmt: skip
    return found


def _sweep(now: datetime) -> None:
    """Forgets what rounds told that are over, and a week later that they were. Those in use now are for the next call.

    After the call's own round is locked and before anything else is, see `upsert`.
    """
    old = Round.objects.select_for_update(skip_locked=True).order_by("begun_at")
    over = old.filter(begun_at__lt=now - Round.OPEN).exclude(told=[]).values_list("pk", flat=True)
    if keys := list(over[:SWEPT]):
        Round.objects.filter(pk__in=keys).update(told=[])
    if keys := list(old.filter(begun_at__lt=now - Round.KEPT).values_list("pk", flat=True)[:SWEPT]):
        Round.objects.filter(pk__in=keys).delete()


def _told_since(since: Round) -> set[int]:
    """Keys of the VMs that this round told, or one that began later: none of these has vanished."""
    later = Round.objects.filter(begun_at__gt=since.begun_at).values_list("told", flat=True)
    return set(since.told).union(*later)


# ---- What the rows meet ----------------------------------------------------------------------------------------------


@dataclass
class _Around:
    """What is there already of what a call tells."""

    feed: Feed
    sites: dict[str, Site]
    accounts: dict[str, int]
    known: dict[uuid.UUID, VM]

    @classmethod
    def of(cls, told: Sequence[Told], feed: Feed) -> Self:
        sites = Site.objects.filter(code__in={one.site for one in told})
        accounts = Account.objects.filter(slug__in={one.account for one in told}).values_list("slug", "pk")
        around = cls(feed, {site.code: site for site in sites}, dict(accounts), {})
        around.look(told)
        return around

    def look(self, told: Sequence[Told]) -> None:
        found = VM.objects.filter(uuid__among=[one.uuid for one in told]).only(*READ)
        self.known = {vm.uuid: vm for vm in found}

    def becomes(self, one: Told) -> dict[str, Any]:
        site = self.sites.get(one.site)
        return differences(one, self.known[one.uuid], site.pk if site else None)

    def refuse(self, told: Sequence[Told]) -> None:
        """Names every row that can't be taken: first those that can't be understood, then those that clash."""
        refuse([fault for one in told for fault in self._unclear(one)])
        refuse([fault for one in told if one.uuid in self.known for fault in self._clashes(one)], standing=True)

    def _new(self, one: Told) -> bool:
        """Whether this feed would add it. Of another account's VM its token hears no more than of one that isn't there,
        as long as its row couldn't be taken either way.
        """
        vm = self.known.get(one.uuid)
        return vm is None or bool(self.feed.account and self.feed.account.pk != vm.account_id)

    def _unclear(self, one: Told) -> Iterator[Fault]:
        new = self._new(one)
        vm = str(one.uuid)
        if one.account not in self.accounts and (one.account or new):
            yield Fault(one.row, vm, "account", "There is no such account." if one.account else NO_ACCOUNT)
        if one.site not in self.sites and (one.site or new):
            yield Fault(one.row, vm, "site", "There is no such site." if one.site else "A new VM needs its site.")
        if new and "name" not in one.columns:
            yield Fault(one.row, vm, "name", "A new VM needs a name.")

    def _clashes(self, one: Told) -> Iterator[Fault]:
        vm = self.known[one.uuid]
        mine = self.accounts.get(one.account, vm.account_id) == vm.account_id
        if self.feed.account and not mine:
            yield Fault(one.row, str(vm.uuid), "uuid", ANOTHERS)
        elif vm.role != Role.PRIMARY:
            yield Fault(one.row, str(vm.uuid), "uuid", "It is a failover VM: tell of its original.")
        elif not mine:
            yield Fault(one.row, str(vm.uuid), "account", "It is another account's. A VM can't change its account.")
        elif one.site and self.sites[one.site].pk != vm.site_id and (vm.protection not in FREE or vm.held_by):
            words = f"It is replicated from another site: stop that before it moves to {one.site}."
            yield Fault(one.row, str(vm.uuid), "site", words)


# ---- One call --------------------------------------------------------------------------------------------------------


@dataclass
class _Call:
    """One call within its transaction."""

    change: Change
    feed: Feed
    told: list[Told]
    round: Round

    def take(self, complete: Collection[str], allow_many: bool) -> Outcome:
        around = _Around.of(self.told, self.feed)
        if len(around.known) < len(self.told):  # somebody may make the same while we wait for their accounts
            self._hold(around.accounts.values())
            around.look(self.told)
        gone = self._gone(around, complete, allow_many) if complete else []
        locked = self._lock(around, gone)
        around.known |= {vm.uuid: vm for vm in locked.values() if vm.uuid in around.known}
        around.refuse(self.told)
        known = [one for one in self.told if one.uuid in around.known]
        became = {vm.pk: around.becomes(one) for one in known if (vm := around.known[one.uuid]).pk in locked}
        changed = {key: becomes for key, becomes in became.items() if becomes}
        self._write(locked, changed)
        made = self._make([one for one in self.told if one.uuid not in around.known], around)
        vanished = self._mark([locked[key] for key in gone if key in locked], complete)
        self._remember({vm.pk for vm in around.known.values()} | set(made))
        found = sum("vanished_at" in becomes for becomes in changed.values())
        return Outcome(len(made), len(changed), len(known) - len(changed), vanished, found)

    def _hold(self, accounts: Iterable[int]) -> None:
        """Who adds VMs to an account is alone with it: slugs are free once."""
        held = Account.objects.filter(pk__among=sorted(accounts)).order_by("pk").select_for_update(no_key=True)
        list(held.values_list("pk"))

    def _lock(self, around: _Around, gone: Collection[int]) -> dict[int, VM]:
        """What is about to be written, in one order: known VMs, stand-ins of those that get another name, vanished."""
        known = [one for one in self.told if one.uuid in around.known]
        found = {around.known[one.uuid].pk: around.becomes(one) for one in known}
        keys = [key for key, becomes in found.items() if becomes]
        renamed = [key for key, becomes in found.items() if "name" in becomes]
        if not (keys or gone):
            return {}
        wanted = VM.objects.filter(Q(pk__among=[*keys, *gone]) | Q(original__in=renamed))
        return {vm.pk: vm for vm in wanted.order_by("pk").select_for_update(no_key=True, of=("self",))}

    def _write(self, vms: Mapping[int, VM], changed: Mapping[int, dict[str, Any]]) -> None:
        """What differs, on the rows on which it does. Power and addresses alone are no news for Activity.

        Every row is there, so the INSERT meets each and only updates: a third of what `bulk_update` costs.
        """
        if not changed:
            return
        news = _news([(vms[key], becomes) for key, becomes in changed.items()])
        for key, becomes in changed.items():
            sized = {"resized_at": self.change.at} if key in news.get("vm.resized", ()) else {}
            for name, value in (becomes | sized).items():
                setattr(vms[key], name, value)
        written = [vms[key] for key in sorted(changed)]
        columns = sorted({"resized_at"}.union(*changed.values()))
        VM.objects.bulk_create(
            written, batch_size=listing.AT_ONCE, update_conflicts=True, unique_fields=["uuid"], update_fields=columns
        )
        if renamed := news.get("vm.renamed"):
            names = VM.objects.filter(pk=OuterRef("original")).values("name")
            VM.objects.filter(original__in=renamed).update(name=Subquery(names))
        for event, told in news.items():
            was, now = each({key: said[0] for key, said in told.items()}), each({k: v[1] for k, v in told.items()})
            self.change.note(VM.objects.filter(pk__among=list(told)), event, was=was, now=now)
        if found := [key for key, becomes in changed.items() if "vanished_at" in becomes]:
            self.change.note(VM.objects.filter(pk__among=found), "vm.found", site=F("site__code"))
        self.change.touch(vm.account_id for vm in written)

    def _make(self, new: Sequence[Told], around: _Around) -> list[int]:
        """New VMs, in the order of their uuids, so that of two who add the same one waits for the other."""
        if not new:
            return []
        vms = [
            VM(uuid=one.uuid, account_id=around.accounts[one.account], site=around.sites[one.site], **one.columns)
            for one in sorted(new, key=lambda one: one.uuid)
        ]
        return listing.make(self.change, vms)

    def _gone(self, around: _Around, complete: Collection[str], allow_many: bool) -> list[int]:
        """Keys of the VMs of these sites that nobody told since this round began.

        Those that came to be known since then, by whatever door, may be newer than what the caller saw: `made_at`, the
        moment at which a feed, an import or a person's hand wrote the row, is before that of all others.
        """
        told = _told_since(self.round) | {vm.pk for vm in around.known.values()}
        owed = Q(made_at__lt=self.round.begun_at) | Q(pk__among=list(told))
        there = list(self.feed.tells_of(complete).filter(owed, vanished_at=None).values_list("pk", "site__code"))
        gone = [(key, code) for key, code in there if key not in told]
        if not allow_many:
            new = [one.site for one in self.told if one.uuid not in around.known]
            _refuse_many(Counter(code for _, code in gone), Counter([*(code for _, code in there), *new]))
        return [key for key, _ in gone]

    def _mark(self, vms: Sequence[VM], complete: Collection[str]) -> int:
        """Marks what is gone, as it is now that it is locked."""
        keys = [vm.pk for vm in vms if vm.vanished_at is None]
        rows = self.feed.tells_of(complete).filter(pk__among=keys)
        if keys := list(rows.values_list("pk", flat=True)) if keys else []:
            VM.objects.filter(pk__among=keys).update(vanished_at=self.change.at)
            self.change.note(VM.objects.filter(pk__among=keys), "vm.vanished", site=F("site__code"))
        return len(keys)

    def _remember(self, told: set[int]) -> None:
        self.round.told = sorted(told | set(self.round.told))
        self.round.save(update_fields=["told"])


def _refuse_many(gone: Counter[str], there: Counter[str]) -> None:
    """A feed that is broken must not mark everything."""
    for code, n in sorted(gone.items()):
        if n == there[code] or (n > FEW and 2 * n > there[code]):
            raise Conflict(
                f"This round didn't tell {n:,} of the {there[code]:,} VMs of {code}. That looks like a broken feed, so "
                "nothing of this call was taken. If it is right, send it again with allow_many.",
                code="too_many_vanished", title="Too many VMs would vanish",
            )  # fmt: skip


def _news(changed: Sequence[tuple[VM, dict[str, Any]]]) -> dict[str, dict[int, tuple[str, str]]]:
    """Event -> VM -> what it was and what it is now, in words; before anything is written."""
    news: dict[str, dict[int, tuple[str, str]]] = {"vm.renamed": {}, "vm.resized": {}, "vm.moved": {}}
    moving = [becomes["site_id"] for _, becomes in changed if "site_id" in becomes]
    codes = dict(Site.objects.values_list("pk", "code")) if moving else {}
    for vm, becomes in changed:
        if "name" in becomes:
            news["vm.renamed"][vm.pk] = vm.name, becomes["name"]
        if "site_id" in becomes:
            news["vm.moved"][vm.pk] = codes[vm.site_id], codes[becomes["site_id"]]
        disks, total = becomes.get("disks_gb", vm.disks_gb), becomes.get("disk_gb", vm.disk_gb)
        if vm.disk_gb and (total != vm.disk_gb or (disks and vm.disks_gb and disks != vm.disks_gb)):
            news["vm.resized"][vm.pk] = vm.size, size(disks, total)
    return {event: told for event, told in news.items() if told}


def each(texts: Mapping[int, str]) -> Func:
    """An expression: the text of each row, by its key."""
    by_key = Cast(Value({str(key): text for key, text in texts.items()}, JSONField()), JSONField())
    key = Cast("pk", TextField())
    return Func(by_key, key, template="(%(expressions)s)", arg_joiner=" ->> ", output_field=TextField())
