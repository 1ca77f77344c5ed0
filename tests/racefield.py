"""The field of the races: a web server of several processes, the people at their browsers, and VMs to race for."""

from __future__ import annotations

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
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client

from accounts.actions import SUPPORT, list_authorized
from ampdr import work
from ampdr.limits import lift_limits
from ampdr.processes import end, launch
from ampdr.run import CHECKOUT
from failover.models import Failover, Ticket
from inventory.models import VM
from tests.cast import Cast, join, make_vms, protect, sign_in
from tests.portal import free_port

PATIENCE = 120  # seconds: a busy machine's
PROOF_HOLDS = 150  # seconds, half of what a second factor holds
SEVERAL = ("--workers", "2", "--threads", "8", "--worker-class", "gthread")
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


@dataclass(frozen=True)
class Start:
    """One round: who is sent off against whom."""

    shots: list[Shot]
    number: str = ""  # that the others hear; "" where the winner makes it
    about: Ticket | None = None  # whose lines must come to their end
    ready: Callable[[], object] = nullcontext  # called at the last moment


@dataclass(frozen=True)
class Race:
    """How rounds of it are prepared, many at once, and what must come of each.

    `both`: they ask for different things, so both may have theirs; who doesn't hears 409 with a number. `by_name`:
    the winner is named. `driven`: workers go on beside it. `ends`: the states that its lines may come to.
    """

    prepare: Callable[[Field, int], list[Start]]
    by_name: bool = True
    both: bool = False
    driven: bool = False
    ends: tuple[str, ...] = ()


@dataclass
class Field:
    port: int
    cast: Cast
    cookies: dict[str, str] = field(default_factory=dict)
    proved: float = 0
    crowd: int = 100  # of the first crowd; then it is smaller
    stock: int = 50  # so many VMs are ordered together
    kept: list[VM] = field(default_factory=list)

    def sign_in(self) -> None:
        """Everybody anew, when it is time: a second factor holds for five minutes."""
        if self.cookies and time.monotonic() - self.proved < PROOF_HOLDS:
            return
        self.proved = time.monotonic()
        for name in NAMES:
            client = sign_in(Client(), getattr(self.cast, name))
            found = {key: morsel.value for key, morsel in client.cookies.items()} | {"csrf": CSRF}
            self.cookies[name] = "; ".join(f"{key}={value}" for key, value in found.items())

    def vms(self, count: int) -> list[VM]:
        """That nobody raced for."""
        names = [f"vm-{uuid.uuid4().hex[:10]}" for _ in range(count)]
        return make_vms(self.cast.northwind, self.cast.sites["DFW01"], names)

    def protected(self, count: int) -> list[VM]:
        while len(self.kept) < count:
            vms = self.vms(self.stock)
            protect(self.cast, vms, key=f"order-of-{vms[0].name}")
            self.kept += vms
        taken, self.kept = self.kept[:count], self.kept[count:]
        return taken

    def race(self, starts: Sequence[Start]) -> list[list[Answer]]:
        """All at one instant, each on a connection that stands already. The answers of each round."""
        shots = [(start, shot) for start in starts for shot in start.shots]
        for start in starts:
            start.ready()
        barrier, answers = threading.Barrier(len(shots)), [list[Answer]() for _ in starts]

        def run(start: Start, shot: Shot) -> None:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as wire:
                wire.connect()
                barrier.wait(PATIENCE)
                answers[starts.index(start)].append(self.send(wire, shot))

        threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in shots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        missing = len(shots) - sum(map(len, answers))
        assert not missing, f"{missing} were never answered"
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


@contextmanager
def on_the_field(cast: Cast, database: str, folder: Path) -> Iterator[Field]:
    """A web server of two processes on this database, and everybody signed in."""
    cast.tom.groups.add(Group.objects.get(name=SUPPORT))
    cast.oscar.memberships.all().delete()
    join(cast.oscar, cast.northwind, "Admin")
    list_authorized(cast.actor("mary"), cast.northwind, cast.oscar, phone="+1 555 0144")  # requests beside Priya
    port, log = free_port(), folder / "web.log"
    line = [sys.executable, "-m", "gunicorn", "ampdr.wsgi", *SEVERAL, "--bind", f"127.0.0.1:{port}"]
    process = launch(line, log, env=os.environ | {"DATABASE_URL": database}, cwd=CHECKOUT)
    try:
        wait_for(port, log)
        yield Field(port, cast)
    finally:
        end(process, by=signal.SIGINT)


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


@contextmanager
def workers() -> Iterator[None]:
    """One that drives whatever is due, all the while."""
    over, broken = threading.Event(), list[Exception]()

    def run() -> None:
        try:
            lift_limits()
            while not over.wait(0.01):
                work.drive()
        except Exception as error:  # told by the other thread
            broken.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE)
    assert not broken and not thread.is_alive(), broken


# ---- What must come of it --------------------------------------------------------------------------------------------


def run_rounds(one: Field, race: Race, count: int, wide: int = 1) -> tuple[list[str], Counter[str]]:
    """What went wrong in these rounds, `wide` of which are run at once; and how often who had his will."""
    one.sign_in()
    starts, wrong, wins = race.prepare(one, count), list[str](), Counter[str]()
    with workers() if race.driven else nullcontext():
        for first in range(0, count, wide):
            one.sign_in()
            heat = starts[first : first + wide]
            for start, answers in zip(heat, one.race(heat), strict=True):
                wrong += judge(answers, start.number, race)
                wins.update(winners(start, answers))
    wrong += came_to(starts, race)
    set_aside()
    return wrong, wins


def set_aside() -> None:
    """What was judged isn't carried any further: that took longer than the races themselves."""
    for model in (Ticket, Failover):
        model.objects.exclude(next_step_at=None).update(next_step_at=None, claim=None)


def winners(start: Start, answers: Sequence[Answer]) -> list[str]:
    shots = {id(shot): n for n, shot in enumerate(start.shots, 1)}
    won = sorted(shots[id(answer.shot)] for answer in answers if answer.won)
    return ["both"] if len(won) > 1 else [("first", "second")[n - 1] if n < 3 else "another" for n in won]


def judge(answers: Sequence[Answer], number: str, race: Race) -> list[str]:
    """What is wrong: nothing, if one has won and all others hear whose it is; of an order, its number."""
    won = [answer for answer in answers if answer.won]
    losers = [answer for answer in answers if not answer.won]
    if not won or (len(won) > 1 and not race.both) or any(answer.status != 409 for answer in losers):
        said = Counter((one.shot.who, one.status, one.text[:200] if one.status >= 400 else "") for one in answers)
        return [f"{len(won)} have won: {list(said.items())[:4]}"]
    if race.both:
        told = {"FO-"}
    else:
        number = number or json.loads(won[0].text)["number"]
        told = {number, NAMES[won[0].shot.who]} if race.by_name else {number}
    unaware = [answer.text for answer in losers if not all(one in answer.text for one in told)]
    return [f"{len(unaware)} not told of {told}: {unaware[0][:1000]}"] if unaware else []


def came_to(starts: Sequence[Start], race: Race) -> list[str]:
    """Whether all lines come to their end, once the workers did what there was to do."""
    if not race.ends:
        return []
    lines = Failover.objects.filter(ticket__in=[start.about for start in starts])
    for _ in range(10):
        work.drive()
        others = lines.exclude(state__in=race.ends)
        if lines.exists() and not others.exists():
            return []
        others.exclude(verb="").update(next_step_at="2020-01-01T00:00Z")
    return [f"{n} is {state}, never {race.ends}" for n, state in others.values_list("ticket__number", "state")]


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
