"""The verbs that write VM rows: everything that lists show goes through here, so that the counters stay right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from django.db.models import Count, F, QuerySet
from django.utils.text import slugify

from ampdr.lifecycle import Change
from ampdr.sets import insert_select
from inventory.models import VM, Role

# Rows of one INSERT: while Python puts more of them into one statement, on a busy machine, the database ends the
# transaction in which nothing happens.
AT_ONCE = 250
Numbers = defaultdict[tuple[int, str], Iterator[int]]  # account and slug of a name -> what may follow it


def relist(change: Change, vms: QuerySet[VM], **columns: Any) -> None:
    """Writes the same columns on these VMs, in key order, and changes the counters by the difference."""
    locked = vms.order_by("pk").select_for_update(no_key=True, of=("self",))
    before = list(locked.values_list("pk", "account_id", "group"))
    rows = VM.objects.filter(pk__among=[pk for pk, _, _ in before])
    rows.update(**columns)
    _count(change, Counter((account, group) for _, account, group in before), -1)
    count_new(change, rows)


def make(change: Change, vms: Sequence[VM]) -> list[int]:
    """New primary VMs, each with an address of its own. The caller holds their accounts: slugs are free once."""
    accounts = {vm.account_id for vm in vms}
    there = VM.objects.filter(account__in=accounts, role=Role.PRIMARY)
    taken = set(there.values_list("account_id", "slug"))
    numbers: Numbers = defaultdict(lambda: count(2))
    for vm in vms:
        vm.slug = _free(vm.name, vm.account_id, taken, numbers)
    made = [vm.pk for vm in VM.objects.bulk_create(vms, batch_size=AT_ONCE)]
    rows = VM.objects.filter(pk__among=made)
    change.note(rows, "vm.added", site=F("site__code"))
    count_new(change, rows)
    return made


def _free(name: str, account: int, taken: set[tuple[int, str]], numbers: Numbers) -> str:
    """A slug that no VM of this account has, and that is taken from now on.

    `numbers` goes on where the last name of this slug left off: names in other scripts are all "vm".
    """
    slug = first = slugify(name)[:100] or "vm"
    while (account, slug) in taken:
        slug = f"{first}-{next(numbers[account, first])}"
    taken.add((account, slug))
    return slug


def add(change: Change, columns: Sequence[str], rows: QuerySet[Any, Any], found: QuerySet[VM]) -> None:
    """INSERT ... SELECT of VM rows; `found` finds them afterwards, to be counted."""
    insert_select(VM, columns, rows)
    count_new(change, found)


def count_new(change: Change, vms: QuerySet[VM]) -> None:
    """Adds these VM rows to the counters."""
    groups = vms.order_by().values_list("account_id", "group").annotate(n=Count("pk"))
    _count(change, {(account, group): n for account, group, n in groups}, +1)


def remove(change: Change, stand_ins: QuerySet[VM]) -> None:
    """Takes stand-ins away: a failover that ended leaves no row behind."""
    locked = stand_ins.exclude(role="primary").order_by("pk").select_for_update()
    rows = list(locked.values_list("pk", "account_id", "group"))
    _count(change, Counter((account, group) for _, account, group in rows), -1)
    VM.objects.filter(pk__among=[pk for pk, _, _ in rows]).delete()


def _count(change: Change, groups: Mapping[tuple[int, str], int], sign: int) -> None:
    for (account, group), n in groups.items():
        if group != "hidden":
            change.tally(account, group, sign * n)
