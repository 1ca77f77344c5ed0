"""Last test: what a test still tells of a VM, in one word, wherever the VM is listed."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.test import Client

from ampdr import clock
from ampdr.lifecycle import PORTAL
from failover.screens.row import readiness
from inventory.actions import Feed, upsert
from inventory.models import VM
from tests.cast import Cast, join, make_person, sign_in
from tests.test_ticket_page.seen import run, words

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("tested", "resized", "result", "word"),
    [
        (None, None, "", "never"), (None, 1, "", "never"), (5, None, "", "tested"), (5, None, "passed", "passed"),
        (5, None, "remarks", "remarks"), (5, None, "failed", "failed"), (5, 6, "passed", "passed"),
        (5, 4, "passed", "changed since test"), (100, 4, "passed", "changed since test"),
        (5, 4, "failed", "failed"), (90, None, "passed", "passed"), (91, None, "passed", "overdue"),
        (91, None, "remarks", "overdue"), (91, None, "", "overdue"), (91, None, "failed", "failed"),
    ],
)  # fmt: skip
def test_readiness_is_one_word(tested: int | None, resized: int | None, result: str, word: str) -> None:
    """Numbers are days ago. A failure is told however old it is; disks that are others count before age."""
    now = clock.now()
    at = {days: now - days * DAY for days in (tested, resized) if days is not None}
    facts = {"last_test_at": at.get(tested or 0), "resized_at": at.get(resized or 0), "last_test_result": result}
    assert readiness(VM(role="primary", **facts), now).word == word
    stand_in = VM(role="live", original=VM(role="primary", **facts))
    assert readiness(stand_in, now).word == word


def test_the_list_and_the_page_say_the_same(cast: Cast, priya: Client, vms: list[VM]) -> None:
    long_ago = clock.now() - 100 * DAY
    VM.objects.filter(name="web-01").update(last_test_at=long_ago, last_test_result="passed")
    run(cast, [vms[1]])  # a live failover: the row is its stand-in's
    VM.objects.filter(name="web-02", role="primary").update(last_test_at=clock.now(), last_test_result="remarks")
    shown = words(priya.get("/northwind/vms/").content.decode())
    assert "· overdue" in shown and "· remarks" in shown and "never" in shown
    assert "overdue: test it again" in words(priya.get("/northwind/vms/web-01/").content.decode())


def test_only_whoever_may_read_replication_is_told(cast: Cast, client: Client, vms: list[VM]) -> None:
    VM.objects.update(last_test_at=clock.now(), last_test_result="remarks")
    sana = make_person("sana@example.com", "Sana Iqbal")
    join(sana, cast.northwind, "Billing")
    sign_in(client, sana)
    for address in ("/northwind/vms/", "/northwind/vms/web-01/"):
        shown = words(client.get(address).content.decode())
        assert "web-01" in shown and "remarks" not in shown and "Last test" not in shown


def test_other_disks_than_were_tested_are_noticed(cast: Cast, priya: Client, vms: list[VM]) -> None:
    VM.objects.update(last_test_at=clock.now(), last_test_result="passed")
    feed = Feed(site=cast.sites["DFW01"])
    rows = [{"uuid": str(vm.uuid), "disk_gb": 40 + n, "power": "off"} for n, vm in enumerate(vms)]
    upsert(PORTAL, feed, rows, uuid.uuid4())
    assert [vm.resized_at is None for vm in VM.objects.order_by("name")] == [True, False, False]
    assert words(priya.get("/northwind/vms/").content.decode()).count("changed since test") == 2
    assert "its disks are others now" in words(priya.get("/northwind/vms/web-02/").content.decode())
