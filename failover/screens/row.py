"""What a row says: its pills, where it is, and the one thing that this person can do with it next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.db.models import Case, CharField, F, Value, When
from django.urls import reverse

from accounts.models import Permission
from ampdr.lifecycle import Actor, State
from failover.lifecycle import FAILOVER
from failover.models import TestResult
from inventory.models import PROTECTIONS, VM, Role

LIVE = State("live", "Live failover", "live", "arrow-right-left")
TEST = State("test", "Test failover", "test", "flask-conical")
# Which states of a failover stand beside the pill of which row (rule 11).
TOLD_ON_ORIGINAL = ("requested", "starting", "start_failed", "undoing")
TOLD_ON_STAND_IN = ("terminating", "termination_failed")
REPLICATED = ("protected", "rpo_behind", "source_unreachable", "resynchronising")
LAST = "the-last-part"
BEING_ORDERED = ("ordered", "provisioning", "needs_input", "outcome_unknown", "late", "failed")

BACK_FOR = timedelta(hours=24)  # so long a row says that it is back from a live failover
TEST_TELLS_FOR = timedelta(days=90)  # after which a VM is to be tested again
NEVER = State("never", "never", "off", "circle-dashed")
OVERDUE = State("overdue", "overdue", "warn", "calendar-clock")
CHANGED = State("changed", "changed since test", "warn", "triangle-alert")
RESULTS: dict[str, State] = {
    TestResult.PASSED: State("passed", "passed", "ok", "circle-check"),
    TestResult.REMARKS: State("remarks", "remarks", "info", "info"),
    TestResult.FAILED: State("failed", "failed", "bad", "octagon-alert"),
    "": State("tested", "tested", "off", "flask-conical"),  # nobody said how it went
}


@dataclass(frozen=True)
class Way:
    """One quiet action of a row."""

    label: str
    href: str


def pills(vm: VM) -> list[State]:
    """Protection of an original, kind of a stand-in; then the state of its failover while that moves or failed."""
    kind = {Role.LIVE.value: LIVE, Role.TEST.value: TEST}.get(vm.role) or PROTECTIONS[vm.protection]
    told = TOLD_ON_ORIGINAL if vm.role == Role.PRIMARY else TOLD_ON_STAND_IN
    return [kind, FAILOVER.states[vm.failover_state]] if vm.failover_state in told else [kind]


def readiness(vm: VM, now: datetime) -> State:
    """What the last test says of this VM now: whoever shows it asks for Read Server Replication first. A stand-in's is
    its original's."""
    one = vm.original or vm
    if one.last_test_at is None:
        return NEVER
    if one.last_test_result == TestResult.FAILED:
        return RESULTS[TestResult.FAILED]
    if one.resized_at and one.resized_at > one.last_test_at:
        return CHANGED
    if now - one.last_test_at > TEST_TELLS_FOR:
        return OVERDUE
    return RESULTS[one.last_test_result]


def readiness_name(now: datetime) -> Case:
    """The name of `readiness` as an expression, for ten thousand originals at once. A test holds both to the same."""
    return Case(
        When(last_test_at=None, then=Value(NEVER.name)),
        When(last_test_result=TestResult.FAILED, then=Value(TestResult.FAILED.value)),
        When(resized_at__gt=F("last_test_at"), then=Value(CHANGED.name)),
        When(last_test_at__lt=now - TEST_TELLS_FOR, then=Value(OVERDUE.name)),
        When(last_test_result="", then=Value(RESULTS[""].name)),
        default=F("last_test_result"),
        output_field=CharField(),
    )


def location(vm: VM) -> str:
    """Where it runs: a site, or a site's recovery environment."""
    return vm.site.code if vm.role == Role.PRIMARY else vm.site.recovery_environment


def course(vm: VM) -> tuple[str, str]:
    """From which site it goes where; without protection there is no second one."""
    if vm.original:
        return vm.original.site.code, location(vm)
    return vm.site.code, vm.protected_to


@lru_cache(maxsize=1024)
def _around(name: str, account: str) -> tuple[str, str]:
    """What stands before and behind the last part of a page's address: it is resolved once, not for each row."""
    before, _, behind = reverse(name, args=[account, LAST]).rpartition(LAST)
    return before, behind


def page(name: str, actor: Actor, last: str) -> str:
    """The address of a page that is named by its account and a slug or number."""
    before, behind = _around(name, actor.account_slug)
    return f"{before}{last}{behind}"


@lru_cache(maxsize=1024)
def _form(name: str, account: str) -> str:
    return reverse(name, args=[account])


def address(actor: Actor, vm: VM) -> str:
    """Of a VM's page. The running live failover VM answers under its original's."""
    return page("vm-test" if vm.role == Role.TEST else "vm", actor, vm.slug)


def can_order(actor: Actor, vm: VM) -> bool:
    return actor.can(Permission.WRITE_REPLICATION) and not vm.why_not_orderable


def can_request(actor: Actor, vm: VM) -> bool:
    """A live failover; beside a test it may be requested while that runs, not while it ends (rule 8)."""
    fit = vm.role == Role.PRIMARY and vm.protection in REPLICATED and not vm.failover_state
    fit = fit and getattr(vm, "beside", None) in (None, "running")
    return fit and actor.listed and actor.can(Permission.READ_REPLICATION)


def can_request_test(actor: Actor, vm: VM) -> bool:
    return can_request(actor, vm) and not vm.held_by


def failover_page(actor: Actor, vm: VM) -> str:
    return page("failover", actor, vm.held_by) if vm.held_by else ""


def order_page(actor: Actor, vm: VM) -> str:
    return page("order", actor, vm.order_number) if vm.order_number else ""


def way(actor: Actor, vm: VM) -> Way | None:
    """What a row offers this person, if anything: the verbs behind it don't refuse it. Nothing without Read."""
    if not actor.can(Permission.READ_REPLICATION):
        return None
    if vm.held_by and (vm.failover_state or vm.role != Role.PRIMARY):
        return Way("Open failover", failover_page(actor, vm))
    if can_order(actor, vm):
        return Way("Order replication", f"{_form('order-new', actor.account_slug)}?vm={vm.uuid}")
    if vm.protection in BEING_ORDERED and vm.order_number:
        return Way("Open order", order_page(actor, vm))
    if can_request(actor, vm):
        return Way("Request failover", f"{_form('failover-new', actor.account_slug)}?vm={vm.uuid}")
    return Way("Open failover", failover_page(actor, vm)) if vm.held_by else None
