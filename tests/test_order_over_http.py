"""A hundred people order one VM at one instant, over HTTP, at a real web server of several processes and threads."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection, transaction

from accounts.actions import furnish, issue_token
from ampdr.lifecycle import PORTAL
from ampdr.processes import end, last_words, launch
from ampdr.run import CHECKOUT
from inventory.models import VM
from replication.models import Order, Replication
from tests.cast import Cast, make_cast
from tests.portal import free_port
from tests.test_orders.asking import servers

PATIENCE = 60  # seconds: a busy machine's
SEVERAL = ("--workers", "2", "--threads", "8", "--worker-class", "gthread")


@pytest.fixture
def committed(transactional_db: None) -> Cast:
    """The cast in a database that other processes see."""
    furnish()
    return make_cast()


@pytest.fixture
def web(committed: Cast, tmp_path: Path) -> Iterator[str]:
    """The address of a web server on the database of this test."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    port, log = free_port(), tmp_path / "web.log"
    line = [sys.executable, "-m", "gunicorn", "ampdr.wsgi", *SEVERAL, "--bind", f"127.0.0.1:{port}"]
    process = launch(line, log, env=os.environ | {"DATABASE_URL": database}, cwd=CHECKOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process, by=signal.SIGINT)  # at once: nobody is in the middle of anything


def wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"No answer:\n{last_words(log)}")


class Racers:
    """People who each send an order of their own for one VM, all at one instant."""

    def __init__(self, web: str, cast: Cast, vm: VM, many: int) -> None:
        self.address, self.body = f"{web}/api/v1/accounts/northwind/orders/", json.dumps({"vms": [str(vm.uuid)]})
        people = (cast.priya, cast.oscar)
        self.secrets = [issue_token(PORTAL, one, cast.northwind, "race", ["read_vms", *WRITE]) for one in people]
        self.start, self.answers = threading.Barrier(many), list[tuple[int, str]]()
        self.threads = [threading.Thread(target=self.order, args=[n], daemon=True) for n in range(many)]

    def go(self) -> None:
        for thread in self.threads:
            thread.start()

    def order(self, n: int) -> None:
        """Whoever hears 503, since he waited long for a lock, sends the same once more, as the API's page says."""
        headers = {
            "Authorization": f"Bearer {self.secrets[n % 2]}", "Content-Type": "application/json",
            "Idempotency-Key": f"race-key-{n:04}",
        }  # fmt: skip
        request = urllib.request.Request(self.address, self.body.encode(), headers)
        self.start.wait(PATIENCE)
        answer = self.send(request)
        while answer[0] == 503:
            answer = self.send(request)
        self.answers.append(answer)

    def send(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def end(self) -> Counter[int]:
        for thread in self.threads:
            thread.join(PATIENCE)
        return Counter(status for status, _ in self.answers)


WRITE = ("read_replication", "write_replication")


def test_of_a_hundred_one_orders_and_ninety_nine_hear_its_number(committed: Cast, web: str) -> None:
    (vm,) = servers(committed, "web-01")
    racers = Racers(web, committed, vm, 100)
    racers.go()
    assert racers.end() == {201: 1, 409: 99}
    (number,) = Order.objects.values_list("number", flat=True)
    assert all(number in said for _, said in racers.answers)
    assert Replication.objects.exclude(state="stopped").filter(vm=vm).count() == 1


def test_without_the_guard_there_are_more(committed: Cast, web: str) -> None:
    """The twin: the constraint is gone, and the VM's row is held until two of them are past the check."""
    (vm,) = servers(committed, "web-01")
    racers, constraint = Racers(web, committed, vm, 12), Replication._meta.constraints[0]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Replication, constraint)
    try:
        with transaction.atomic():
            VM.objects.select_for_update(no_key=True).get(pk=vm.pk)
            racers.go()
            wait_until_two_wait()
        assert racers.end()[201] > 1
        assert Replication.objects.exclude(state="stopped").filter(vm=vm).count() > 1
    finally:
        Replication.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Replication, constraint)


def wait_until_two_wait() -> None:
    """Two who wait for a lock have inserted their line already: nothing before it waits for anybody."""
    deadline = time.monotonic() + PATIENCE
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if cursor.fetchone()[0] > 1:
                return
            time.sleep(0.02)
    raise AssertionError("Nobody comes that far.")
