"""The races themselves: who is sent off against whom, and what must come of it. `tests.races` starts it alone."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import django

django.setup()

from django.contrib.auth.models import Group  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402

from accounts.actions import SUPPORT, list_authorized  # noqa: E402
from accounts.activity import faults  # noqa: E402
from ampdr import work  # noqa: E402
from ampdr.lifecycle import PORTAL, changes  # noqa: E402
from ampdr.processes import end, launch  # noqa: E402
from ampdr.run import CHECKOUT  # noqa: E402
from failover.actions import tries_of, version_of  # noqa: E402
from failover.models import Failover, Ticket  # noqa: E402
from failover.tasks import Spread, fire  # noqa: E402
from inventory.models import VM  # noqa: E402
from tests.cast import Cast, join, make_cast, make_vms, protect, request, say_yes, sign_in  # noqa: E402
from tests.portal import free_port  # noqa: E402

PATIENCE = 120  # seconds: a busy machine's
SEVERAL = ("--workers", "2", "--threads", "8", "--worker-class", "gthread")
API = "/api/v1/accounts/northwind"
CSRF = "c" * 32
NAMES = {"priya": "Priya Raman", "oscar": "Oscar Lind", "mary": "Mary Osei", "tom": "Tom Ueda"}


@dataclass(frozen=True)
class Shot:
    """What one of them sends."""

    who: str
    path: str
    body: Mapping[str, object]
    form: bool = False  # as a browser's form, at admin


@dataclass(frozen=True)
class Answer:
    shot: Shot
    status: int
    text: str

    @property
    def won(self) -> bool:
        return self.status in (200, 201, 302)


Start = tuple[list[Shot], str]  # the shots, and the number that the others hear; "" where the winner makes it


@dataclass
class Field:
    """The web server, the people at their browsers, and VMs to race for."""

    port: int
    cast: Cast
    cookies: dict[str, str] = field(default_factory=dict)
    vms: list[VM] = field(default_factory=list)

    def sign_in(self) -> None:
        """Everybody anew: a second factor holds for five minutes."""
        for name in NAMES:
            client = sign_in(Client(), getattr(self.cast, name))
            found = {key: morsel.value for key, morsel in client.cookies.items()} | {"csrf": CSRF}
            self.cookies[name] = "; ".join(f"{key}={value}" for key, value in found.items())

    def vm(self) -> VM:
        """One that is protected and that nobody raced for."""
        if not self.vms:
            names = [f"vm-{uuid.uuid4().hex[:10]}" for _ in range(50)]
            self.vms = make_vms(self.cast.northwind, self.cast.sites["DFW01"], names)
            protect(self.cast, self.vms, key=f"order-of-{names[0]}")
        return self.vms.pop()

    def race(self, shots: Sequence[Shot]) -> list[Answer]:
        """All at one instant, each on a connection that stands already."""
        start, answers = threading.Barrier(len(shots)), list[Answer]()

        def run(shot: Shot) -> None:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as wire:
                wire.connect()
                start.wait(PATIENCE)
                answers.append(self.send(wire, shot))

        threads = [threading.Thread(target=run, args=[shot], daemon=True) for shot in shots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(answers) == len(shots), f"{len(shots) - len(answers)} were never answered"
        return answers

    def send(self, wire: http.client.HTTPConnection, shot: Shot) -> Answer:
        kind = "application/x-www-form-urlencoded" if shot.form else "application/json"
        headers = {
            "Cookie": self.cookies[shot.who], "X-CSRFToken": CSRF, "Content-Type": kind,
            "Idempotency-Key": uuid.uuid4().hex,
        }  # fmt: skip
        body = urlencode(shot.body) if shot.form else json.dumps(shot.body)
        wire.request("POST", shot.path, body, headers)
        response = wire.getresponse()
        return Answer(shot, response.status, response.read().decode())


# ---- Who against whom ------------------------------------------------------------------------------------------------


def deciding(*pairs: tuple[str, str]) -> Callable[[Field], Start]:
    """Decisions of these people on a live request that waits."""

    def prepare(one: Field) -> Start:
        ticket = request(one.cast, [one.vm()], "live", key=f"race-{uuid.uuid4()}")
        said = {"reason": "Seen", "version": version_of(ticket)}
        paths = {verb: f"{API}/tickets/{ticket.number}/{verb}/" for verb in ("approve", "reject", "withdraw")}
        bodies = {"withdraw": {"reason": "Not needed"}}
        return [Shot(who, paths[verb], bodies.get(verb, said)) for who, verb in pairs], ticket.number

    return prepare


def requesting(one: Field) -> Start:
    """Two live requests for one VM."""
    body = {"kind": "live", "vms": [str(one.vm().uuid)], "reason": "Down", "site_code": "PHX01"}
    return [Shot(who, f"{API}/tickets/", body) for who in ("priya", "oscar")], ""


def ordering(one: Field) -> Start:
    """A hundred orders of one VM."""
    [vm] = make_vms(one.cast.northwind, one.cast.sites["DFW01"], [f"new-{uuid.uuid4().hex[:10]}"])
    return [Shot(("priya", "oscar")[n % 2], f"{API}/orders/", {"vms": [str(vm.uuid)]}) for n in range(100)], ""


def going(one: Field, kind: str) -> Ticket:
    """Approved, and taken up by the workers."""
    ticket = request(one.cast, [one.vm()], kind, key=f"race-{uuid.uuid4()}")
    say_yes(one.cast, ticket)
    batch = work.claim(next(duty for duty in work._duties if isinstance(duty, Spread)))
    assert batch
    work.perform(batch)
    return ticket


def terminating(one: Field) -> Start:
    ticket = going(one, "live")
    work.drive()
    body = {"reason": "Over", "site_code": "DFW01"}
    return [Shot(who, f"{API}/tickets/{ticket.number}/terminate/", body) for who in ("priya", "oscar")], ""


def ending_at_once(one: Field) -> Start:
    """The approval of a termination and its withdrawal."""
    ticket = going(one, "live")
    work.drive()
    about = Failover.objects.filter(ticket=ticket)
    assert set(about.values_list("state", flat=True)) == {"running"}
    key = uuid.uuid4().hex
    said = one.race([Shot("priya", f"{API}/tickets/{ticket.number}/terminate/", {"reason": key, "site_code": "DFW01"})])
    made = Ticket.objects.get(number=json.loads(said[0].text)["number"])
    version = {"reason": "Seen", "version": version_of(made)}
    path = f"{API}/tickets/{made.number}"
    return [
        Shot("mary", f"{path}/approve/", version),
        Shot("oscar", f"{path}/withdraw/", {"reason": "No"}),
    ], made.number


def lines_of_support(*presses: tuple[str, str], unknown: bool = False) -> Callable[[Field], Start]:
    """Support's buttons beside a VM whose start failed, or whose outcome is unknown."""

    def prepare(one: Field) -> Start:
        ticket = going(one, "live")
        lines = Failover.objects.filter(ticket=ticket)
        halted = {"next_step_at": None, "claim": None, "last_error": "Refused", "waiting_on": "support"}
        if unknown:
            lines.update(**halted, flag="outcome_unknown")
        else:
            with changes(PORTAL, "Refused") as change:
                fire(change, lines, "fail_start", **halted)
        [line] = lines
        path = reverse("admin:failover_ticket_change", args=[ticket.pk])
        seen = {"line": line.pk, "seen": tries_of([line]), "reason": "Seen"}
        return [Shot(who, path, seen | {"decision": what}, form=True) for who, what in presses], ticket.number

    return prepare


RACES: dict[str, Callable[[Field], Start]] = {
    "approve, approve": deciding(("mary", "approve"), ("tom", "approve")),
    "approve, reject": deciding(("mary", "approve"), ("tom", "reject")),
    "approve, withdraw": deciding(("mary", "approve"), ("priya", "withdraw")),
    "reject, withdraw": deciding(("tom", "reject"), ("priya", "withdraw")),
    "withdraw, withdraw": deciding(("priya", "withdraw"), ("oscar", "withdraw")),
    "request, request": requesting,
    "terminate, terminate": terminating,
    "approve a termination, withdraw it": ending_at_once,
    "retry, give up": lines_of_support(("mary", "retry"), ("tom", "give_up")),
    "retry, retry": lines_of_support(("mary", "retry"), ("tom", "retry")),
    "give up, give up": lines_of_support(("mary", "give_up"), ("tom", "give_up")),
    "settle, settle": lines_of_support(("mary", "settle_done"), ("tom", "settle_not"), unknown=True),
    "a hundred orders": ordering,
}


# ---- What must come of it --------------------------------------------------------------------------------------------


def judge(answers: Sequence[Answer], number: str) -> list[str]:
    """What is wrong: nothing, if one has won and all others hear whose it is; of an order, its number."""
    won = [answer for answer in answers if answer.won]
    losers = [answer for answer in answers if not answer.won]
    if len(won) != 1 or any(answer.status != 409 for answer in losers):
        said = Counter((one.shot.who, one.status, one.text[:200] if one.status >= 400 else "") for one in answers)
        return [f"{len(won)} have won: {list(said.items())[:4]}"]
    number = number or json.loads(won[0].text)["number"]
    told = {number} if number.startswith("RO-") else {number, NAMES[won[0].shot.who]}
    unaware = [answer.text for answer in losers if not all(one in answer.text for one in told)]
    return [f"{len(unaware)} not told of {told}: {unaware[0][:1000]}"] if unaware else []


def round_of(one: Field, name: str) -> list[str]:
    shots, number = RACES[name](one)
    return [f"{name}: {wrong}" for wrong in judge(one.race(shots), number)]


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


@contextmanager
def on_the_field(cast: Cast, database: str, folder: Path) -> Iterator[Field]:
    """A web server of two processes on this database, and everybody signed in."""
    cast.tom.groups.add(Group.objects.get(name=SUPPORT))
    join_oscar(cast)
    port, log = free_port(), folder / "web.log"
    line = [sys.executable, "-m", "gunicorn", "ampdr.wsgi", *SEVERAL, "--bind", f"127.0.0.1:{port}"]
    process = launch(line, log, env=os.environ | {"DATABASE_URL": database}, cwd=CHECKOUT)
    try:
        wait_for(port, log)
        one = Field(port, cast)
        one.sign_in()
        yield one
    finally:
        end(process, by=signal.SIGINT)


def join_oscar(cast: Cast) -> None:
    """Who may request beside Priya."""
    cast.oscar.memberships.all().delete()
    join(cast.oscar, cast.northwind, "Admin")
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar, phone="+1 555 0144")


def wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as wire:
                wire.request("GET", "/healthz")
                wire.getresponse().read()
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, required=True)
    arguments.add_argument("--only", default="")
    asked = arguments.parse_args()
    call_command("migrate", verbosity=0)
    wrong, begun = Counter[str](), time.monotonic()
    with on_the_field(make_cast(), os.environ["DATABASE_URL"], Path(os.environ["RACES_FOLDER"])) as one:
        for name in [name for name in RACES if name.startswith(asked.only)]:
            since = time.monotonic()
            for n in range(asked.rounds):
                if n % 20 == 0:
                    one.sign_in()
                for words in round_of(one, name):
                    wrong[name] += 1
                    sys.stdout.write(f"  {words}\n")
            told = f"{asked.rounds - wrong[name]} of {asked.rounds} rounds with one winner"
            sys.stdout.write(f"{name}: {told}, {time.monotonic() - since:.0f} s\n")
            sys.stdout.flush()
        work.drive()
    broken = [*faults()]
    sys.stdout.write(
        f"{wrong.total()} rounds went wrong, {deadlocks()} deadlocks, {len(broken)} faults of the record, "
        f"{time.monotonic() - begun:.0f} s\n"
    )
    return int(bool(wrong or deadlocks() or broken))


if __name__ == "__main__":
    sys.exit(main())
