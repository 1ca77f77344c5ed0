"""World files: checked whole before anything is written, and loaded idempotently."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db.models import F, Q

from accounts import activity
from accounts.actions import support
from accounts.actions.second_factor import prove
from accounts.models import Account, Activity, Person
from ampdr import clock
from ampdr.run import DEMO_FAULTS, DEMO_WORLD
from failover.models import Failover, Launch, Ticket
from inventory.models import VM, Outage, OutageUpdate, Site
from notices.models import Notice
from replication.models import Replication
from replication.providers.sites import provider_of
from tests.codes import SECRET, code_of

SMALL: dict[str, Any] = {
    "sites": [{"code": "DFW01", "city": "Dallas", "failover_site": "PHX01"}, {"code": "PHX01", "city": "Phoenix"}],
    "staff": [{"email": "mary@support.example", "name": "Mary Osei"}],
    "accounts": [
        {
            "slug": "northwind", "name": "Northwind Health", "number": 7,
            "people": [{"email": "priya@northwind.example", "name": "Priya Raman", "roles": ["Admin"]}],
            "authorized_users": [{"email": "priya@northwind.example"}],
            "vms": [{"name": "web-01", "site": "DFW01"}, {"name": "web-02", "site": "DFW01"}],
            "history": [
                {"hours_ago": 48, "order": ["web-01", "web-02"], "by": "priya@northwind.example"},
                {"hours_ago": 2, "test": ["web-01"], "by": "priya@northwind.example",
                 "approved_by": "mary@support.example"},
            ],
        }
    ],
    "outages": [
        {"site": "DFW01", "title": "No power", "text": "Hall A.", "by": "mary@support.example", "hours_ago": 145,
         "over_after_hours": 1.5},
    ],
}  # fmt: skip


def load(folder: Path, world: Any) -> None:
    file = folder / "world.json"
    file.write_text(world if isinstance(world, str) else json.dumps(world))
    call_command("load_world", str(file), verbosity=0)


KEPT = (Site, Person, Account, VM, Replication, Failover, Activity, OutageUpdate)


def counts() -> list[int]:
    return [model.objects.count() for model in KEPT]


@pytest.mark.django_db
def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    load(tmp_path, SMALL)
    before = counts()
    assert list(VM.objects.order_by("pk").values_list("role", "protection")) == [
        ("primary", "protected"), ("primary", "protected"), ("test", "none"),
    ]  # fmt: skip
    load(tmp_path, SMALL)
    assert counts() == before
    assert not list(activity.faults())
    outage = Outage.objects.get()
    assert outage.over_at and timedelta(hours=1) < outage.over_at - outage.started_at < timedelta(hours=2)
    assert abs(clock.now() - outage.started_at - timedelta(hours=145)) < timedelta(hours=1)
    assert Activity.objects.filter(kind="outage", account__slug="northwind").count() == 2


@pytest.mark.django_db
def test_a_second_factor_and_a_demonstrations_people(tmp_path: Path) -> None:
    secret = change(SMALL, "staff", 0, "totp_secret", to=SECRET)
    load(tmp_path, secret)
    mary = Person.objects.get(name="Mary Osei")
    kinds = Authenticator.objects.filter(user=mary).order_by("type").values_list("type", flat=True)
    assert list(kinds) == ["recovery_codes", "totp"] and Authenticator.objects.count() == 2
    assert not Person.objects.filter(demo=True).exists()
    load(tmp_path, secret | {"demo": True})
    assert Authenticator.objects.count() == 2 and not Person.objects.filter(demo=True).exists(), "left alone"
    assert prove(support(mary), code_of()).fresh


@pytest.mark.django_db
def test_the_demonstration_has_a_believable_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATION_FAULTS", DEMO_FAULTS)
    provider_of.cache_clear()
    call_command("load_world", str(DEMO_WORLD), verbosity=0)
    assert Site.objects.count() == 5 and Account.objects.count() == 2
    assert VM.objects.filter(role="primary").count() == 133
    waiting = Replication.objects.filter(state="ordered").count()
    assert waiting == 7, "an order is left for the running workers"
    stuck = Replication.objects.exclude(waiting_on="").order_by("vm__name")
    assert list(stuck.values_list("vm__name", "state", "waiting_on", "vm__protection")) == [
        ("archive-01", "provisioning", "customer", "needs_input"), ("archive-03", "failed", "support", "failed"),
    ]  # fmt: skip
    behind = Replication.objects.filter(state="protected", newest_point_at__lte=clock.now() - F("rpo_target"))
    assert set(behind.values_list("vm__name", "vm__protection", "flag")) == {("queue-01", "rpo_behind", "rpo_behind")}
    assert Failover.objects.filter(state="running", kind="test").count() == 1
    assert Failover.objects.filter(state="terminated").count() > 10
    assert not Ticket.objects.filter(Q(decided_at__lte=F("requested_at")) | Q(decision_reason=F("reason"))).exists()
    assert Ticket.objects.filter(kind="test", result="passed").count() == 2
    told = Notice.objects.filter(made_at__lte=clock.now() - timedelta(days=1))
    assert told.filter(kind="outage").exists() and not told.filter(channel="portal", read_at=None).exists()
    late = Activity.objects.filter(kind="replication", event="rpo_behind")
    assert {row.vm_name for row in late} == {"queue-01"}, "in the past no point was late"
    for account in Account.objects.all():
        rows = Activity.objects.filter(account=account, kind__in=("ticket", "outage")).order_by("pk")
        assert all(one <= other for one, other in pairwise(rows.values_list("at", flat=True))), "in order of time"
    assert not Launch.objects.exclude(point_at__lt=F("failover__running_at")).exists()
    assert not list(activity.faults())
    assert not Person.objects.filter(demo=False).exists()
    coded = Authenticator.objects.filter(type="totp").values_list("user__email", flat=True)
    assert {email.split(".")[0] for email in coded} == {"priya", "jonas", "olga", "mary", "tom"}


def change(world: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    changed = copy.deepcopy(world)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return changed


VMS = ("accounts", 0, "vms")
BAD: list[tuple[Any, str]] = [
    (change(SMALL, *VMS, 0, "site", to="LHR01"), "Account northwind, VM web-01: there is no site LHR01 in the file."),
    (change(SMALL, *VMS, 1, "name", to="web-01"), "Account northwind, VM web-01 stands in the file 2 times."),
    (change(SMALL, "sites", 1, "code", to="DFW01"), "Site DFW01 stands in the file 2 times."),
    (change(SMALL, "sites", 0, "failover_site", to="AMS01"), "its failover site AMS01 is not in the file."),
    (change(SMALL, *VMS, 0, "colour", to="red"), "“colour” is not known."),
    (change(SMALL, *VMS, 0, to={"site": "DFW01"}), "“name” is missing."),
    (change(SMALL, "accounts", 0, "history", 0, "order", to=["db-01"]), "there is no VM db-01."),
    (change(SMALL, "accounts", 0, "history", 0, "refused", to=["db-01"]), "db-01 is not in this order."),
    (
        change(SMALL, "accounts", 0, "history", 0, "asked", to={"vm": "web-01", "by": "priya@northwind.example"}),
        "history, asked: “text” is missing.",
    ),
    (
        change(SMALL, "accounts", 0, "history", 0, "asked", to={"vm": "web-01", "text": "?", "by": "x@example.com"}),
        "x@example.com is not one of the staff.",
    ),
    (change(SMALL, "accounts", 0, "history", 1, "approved_by", to="x@example.com"), "x@example.com is not one of the"),
    (change(SMALL, "accounts", 0, "authorized_users", 0, "email", to="x@example.com"), "is not one of its people."),
    (
        change(SMALL, "staff", 0, "totp_secret", to="guess me"),
        "“totp_secret” must be 32 letters A to Z and digits 2 to 7",
    ),
    (
        change(SMALL, "staff", 0, "groups", to=["Boss"]),
        "there is no group “Boss”. There are Support, Support lead, Oper",
    ),
    (change(SMALL, "outages", 0, "site", to="LHR01"), "The outages: there is no site LHR01."),
    (change(SMALL, "outages", 0, "by", to="priya@northwind.example"), "is not one of the staff."),
    (change(SMALL, "outages", 0, "over", to=3), "“over” is not known."),
    ([], "The file must hold one JSON object."),
    ("{", "world.json"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("world", "words"), BAD)
def test_a_bad_file_is_named_and_nothing_is_written(tmp_path: Path, world: Any, words: str) -> None:
    before = counts()
    with pytest.raises(CommandError) as refused:
        load(tmp_path, world)
    assert words in str(refused.value)
    assert counts() == before
