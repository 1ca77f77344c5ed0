"""The contract, kept by a ledger and a clock."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from replication.providers.base import (
    Eligibility,
    Existing,
    Health,
    Kind,
    Machine,
    Points,
    Progress,
    Provider,
    Request,
    Unreachable,
)
from replication.providers.simulated.chance import seeded
from replication.providers.simulated.faults import ON_CALL, ON_EFFECT, ON_OBSERVE, Fault, Strikes
from replication.providers.simulated.ledger import Ledger, begin_downtime, end_downtime, machines_of
from replication.providers.simulated.points import History, histories
from replication.providers.simulated.settings import Settings
from replication.providers.simulated.timetable import (
    JOB_COLUMNS,
    LARGEST_DISK_GB,
    Job,
    duration,
    failover_address,
    progress,
    slowed,
)

REFUSALS = {
    Kind.PROTECT: "There is no room for the copy of {name} in {target}.",
    Kind.UNPROTECT: "The copy of {name} in {target} is in use and can't be removed.",
    Kind.START_TEST: "The recovery point of {name} can't be opened, so the test can't start.",
    Kind.START_LIVE: "{target} has no free host on which {name} could start.",
    Kind.FENCE: "{name} doesn't stop: its host in {source} refuses the order.",
    Kind.RELEASE: "{name} can't be released: its host in {source} is in maintenance.",
    Kind.STOP: "The failover VM of {name} in {target} is locked by a running task.",
}
STARTS = frozenset({Kind.START_TEST, Kind.START_LIVE})
MAKES = (Kind.PROTECT, Kind.FENCE, Kind.START_TEST, Kind.START_LIVE)  # whose work stays until it is ended

# How the opposite of a work ends it. A bar is the VM's, everything else its subject's.
ENDS = {
    Kind.UNPROTECT: "subject = :subject AND step = 'protect'",
    Kind.STOP: "subject = :subject AND step IN ('start_test', 'start_live')",
    Kind.RELEASE: "step = 'fence'",
}


class Simulated(Provider):
    """A site that keeps the whole contract and copies nothing. `clock` gives seconds of the epoch; tests set it."""

    clock: Callable[[], float] = staticmethod(time.time)

    def __init__(self, site: str, timeout: float) -> None:
        """Read the environment and open the ledger. Raises ValueError for a setting that can't be used."""
        super().__init__(site, timeout)
        self.settings = Settings.from_environment()
        self.remembers_keys = self.settings.remembers_keys
        self.ledger = Ledger(self.settings.ledger, timeout)
        self._note_downtime()

    def submit(self, requests: Sequence[Request]) -> dict[str, Progress]:
        """See `Provider.submit`. Raises ValueError for a request that is meant for another site."""
        strangers = [request.key for request in requests if request.site != self.site]
        if strangers:
            raise ValueError(f"not for {self.site}: {strangers[:3]}")
        with self.ledger.writing() as db:
            self._expect_answer(db)
            strikes = Strikes(db, self.settings.faults, self.settings.seed)
            struck = strikes.on(requests, ON_CALL)
            if Fault.NO_ANSWER not in struck.values():
                self._accept(db, requests, strikes)
            strikes.save()
        _cut(struck.values())
        heard = [request.key for request in requests if request.key not in struck]
        if not self.remembers_keys:
            self._note_answered(heard)
        return self._look(heard)

    def observe(self, keys: Sequence[str]) -> dict[str, Progress]:
        """See `Provider.observe`. Without keys only what was answered once is still found."""
        if not any(rule.fault in ON_OBSERVE for rule in self.settings.faults):
            return self._look(keys, asking=True)
        with self.ledger.writing() as db:
            strikes = Strikes(db, self.settings.faults, self.settings.seed)
            forgotten = strikes.on(_jobs(db, keys).values(), ON_OBSERVE)
            strikes.save()
        return self._look([key for key in keys if key not in forgotten], asking=True)

    def recovery_points(self, since: Mapping[str, datetime | None]) -> dict[str, Points]:
        """See `Provider.recovery_points`. A site that is down is answered for: it has no new points."""
        now = self._now()
        with self.ledger.reading() as db:
            known = histories(db, dict.fromkeys(since, self.site), self.settings.point_seconds)
            silent = self._silent(db, since)
        times = {vm: newest.timestamp() if newest else None for vm, newest in since.items()}
        told = {vm: known[vm].told(newest, now) for vm, newest in times.items()}
        return {vm: Points((), points.oldest_kept) if vm in silent else points for vm, points in told.items()}

    def eligibility(self, machines: Sequence[Machine]) -> dict[str, Eligibility]:
        """See `Provider.eligibility`."""
        with self.ledger.reading() as db:
            self._expect_answer(db)
        return {one.uuid: Eligibility(_obstacle(one), failover_address(one.uuid)) for one in machines}

    def inventory(self, cursor: str = "") -> tuple[list[Machine], str]:
        """See `Provider.inventory`. The VMs are those of `set_machines`; the cursor is the last uuid told."""
        with self.ledger.reading() as db:
            self._expect_answer(db)
            page = machines_of(db, self.site, cursor, self.batch, self._now())
        return page, page[-1].uuid if len(page) == self.batch else ""

    def existing(self, cursor: str = "") -> tuple[list[Existing], str]:
        """See `Provider.existing`. The cursor is the number of the last effect told."""
        with self.ledger.reading() as db:
            self._expect_answer(db)
            page = db.execute(
                "SELECT id, key, step, vm FROM effects WHERE site = ? AND id > ? AND step IN (?, ?, ?, ?)"
                " AND (ended IS NULL OR ended > ?) ORDER BY id LIMIT ?",
                (self.site, int(cursor or 0), *MAKES, self._now(), self.batch),
            ).fetchall()
        found = [Existing(key if self.remembers_keys else "", Kind(step), vm) for _, key, step, vm in page]
        return found, str(page[-1][0]) if len(page) == self.batch else ""

    def health(self) -> Health:
        """See `Provider.health`."""
        with self.ledger.reading() as db:
            if self._is_down(db):
                return Health(answers=False)
        return Health(answers=True, room_percent=40 + int(seeded("room", self.site) * 40))

    def _now(self) -> float:
        """The clock in whole milliseconds, which a datetime keeps exactly."""
        return round(self.clock(), 3)

    # Downtime

    def _note_downtime(self) -> None:
        """Write down since when the environment says that sites are down, for the gap it makes in their points."""
        with self.ledger.writing() as db:
            open_now = db.execute("SELECT site FROM downtimes WHERE origin = 'environment' AND until IS NULL")
            for (site,) in open_now.fetchall():
                if site not in self.settings.sites_down:
                    end_downtime(db, site, "environment", self._now())
            for site in self.settings.sites_down:
                begin_downtime(db, site, "environment", self._now())

    def _is_down(self, db: sqlite3.Connection) -> bool:
        found = db.execute("SELECT 1 FROM downtimes WHERE site = ? AND until IS NULL LIMIT 1", (self.site,))
        return self.site in self.settings.sites_down or found.fetchone() is not None

    def _expect_answer(self, db: sqlite3.Connection) -> None:
        if self._is_down(db):
            raise Unreachable(f"{self.site} doesn't answer")

    # Effects

    def _accept(self, db: sqlite3.Connection, requests: Sequence[Request], strikes: Strikes) -> None:
        """Write one effect, or one refusal, for each key that is new."""
        new = {request.key: request for request in requests}
        if self.remembers_keys:
            known = _progress(db, list(new), self._now())
            new = {key: request for key, request in new.items() if key not in known}
        faults = strikes.on(new.values(), ON_EFFECT)
        past = self._past(db, new.values())
        refused = {key: words for key, one in new.items() if (words := self._objection(one, faults, past))}
        self._refuse(db, refused)
        self._begin(db, [one for key, one in new.items() if key not in refused], faults, past)

    def _past(self, db: sqlite3.Connection, requests: Iterable[Request]) -> dict[str, History]:
        sources = {request.vm: request.source for request in requests if request.kind in STARTS}
        return histories(db, sources, self.settings.point_seconds) if sources else {}

    def _objection(self, request: Request, faults: Mapping[str, Fault], past: Mapping[str, History]) -> str:
        """Why the request is refused, in words; empty if it isn't."""
        if faults.get(request.key) == Fault.REFUSE:
            return REFUSALS[request.kind].format(name=request.name, source=request.source, target=request.target)
        if request.kind not in STARTS:
            return ""
        kept = past[request.vm].oldest_kept(self._now())
        if kept is None:
            return f"There is no recovery point of {request.name} yet."
        if request.point and request.point.timestamp() < kept:
            return f"The recovery point of {request.point:%Y-%m-%d %H:%M:%S} UTC is not kept any more."
        return ""

    def _refuse(self, db: sqlite3.Connection, refused: Mapping[str, str]) -> None:
        rows = [(key, words, self._now()) for key, words in refused.items()]
        db.executemany("INSERT OR REPLACE INTO refusals VALUES (?, ?, ?)", rows)

    def _begin(
        self,
        db: sqlite3.Connection,
        requests: Sequence[Request],
        faults: Mapping[str, Fault],
        past: Mapping[str, History],
    ) -> None:
        now = self._now()
        rows = [
            self._row(request, now, faults.get(request.key) == Fault.SLOW, past.get(request.vm)) for request in requests
        ]
        db.executemany(
            "INSERT INTO effects (vm, step, subject, key, at, until, name, site, target, disk_gb, retention_hours,"
            " point, loss, known) VALUES (:vm, :step, :subject, :key, :at, :until, :name, :site, :target, :disk_gb,"
            " :retention_hours, :point, :loss, :known)",
            rows,
        )
        for kind, ended in ENDS.items():
            ending = [row for row in rows if row["step"] == kind]
            db.executemany(f"UPDATE effects SET ended = :until WHERE ended IS NULL AND vm = :vm AND {ended}", ending)

    def _row(self, request: Request, now: float, slow: bool, past: History | None) -> dict[str, object]:
        """The effect of a request as a row; `past` is what a start takes its recovery point from."""
        seconds = duration(request, self.settings)
        point, loss = _choice(request, past, now) if past else (None, None)
        return {
            "vm": request.vm,
            "step": str(request.kind),
            "subject": request.subject,
            "key": request.key,
            "at": now,
            "until": round(now + (slowed(seconds) if slow else seconds), 3),
            "name": request.name,
            "site": request.site,
            "target": request.target,
            "disk_gb": request.disk_gb,
            "retention_hours": request.retention_hours,
            "point": point,
            "loss": loss,
            "known": self.remembers_keys,
        }

    # Answers

    def _note_answered(self, keys: Sequence[str]) -> None:
        """Without keys of its own, a technology's work is found again only by the handle that its answer carried."""
        with self.ledger.writing() as db:
            db.executemany("UPDATE effects SET known = 1 WHERE key = ?", [(key,) for key in keys])

    def _look(self, keys: Sequence[str], asking: bool = False) -> dict[str, Progress]:
        with self.ledger.reading() as db:
            if asking:
                self._expect_answer(db)
            return _progress(db, keys, self._now())

    def _silent(self, db: sqlite3.Connection, vms: Iterable[str]) -> set[str]:
        """The VMs of which a "points" fault lets no point be told, by uuid or by the last name that is known."""
        named = {rule.vm for rule in self.settings.faults if rule.fault == Fault.POINTS}
        if not named:
            return set()
        names = dict(db.execute("SELECT uuid, name FROM machines").fetchall())
        names |= dict(db.execute("SELECT vm, name FROM effects ORDER BY id").fetchall())
        return {vm for vm in vms if named & {"*", vm, names.get(vm, vm)}}


def _cut(faults: Iterable[Fault]) -> None:
    """Let the call end as the faults say: by death, without an answer, or well."""
    struck = set(faults)
    if Fault.CRASH in struck:
        os._exit(137)
    if struck & {Fault.NO_ANSWER, Fault.LOST_ANSWER}:
        raise Unreachable("the connection was cut")


def _choice(request: Request, past: History, now: float) -> tuple[float | None, float | None]:
    """The recovery point of a start, and the seconds from it to the moment the original stopped, or to now."""
    point = request.point.timestamp() if request.point else past.newest(now)
    stopped = now if past.barred_since is None else min(past.barred_since, now)
    return point, None if point is None else round(max(0.0, stopped - point), 3)


def _obstacle(machine: Machine) -> str:
    if machine.unsupported:
        return machine.unsupported
    if machine.power != "on":
        return "It is switched off. Start it, then order."
    if machine.disk_gb > LARGEST_DISK_GB:
        return "Its disks are larger than 16 TB in all. Make them smaller, then order."
    return ""


def _jobs(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Job]:
    """The work that these keys began; of several with one key the last."""
    rows = db.execute(
        f"SELECT {JOB_COLUMNS} FROM effects WHERE known AND key IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json.dumps(list(keys)),),
    )
    jobs = (Job(key, Kind(step), *rest) for key, step, *rest in rows)
    return {job.key: job for job in jobs}


def _progress(db: sqlite3.Connection, keys: Sequence[str], now: float) -> dict[str, Progress]:
    """What is known of these keys: their work, or their refusal."""
    refusals = db.execute(
        "SELECT key, words FROM refusals WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(list(keys)),)
    )
    found = {key: Progress(refused=words, step="Refused") for key, words in refusals}
    return found | {key: progress(job, now) for key, job in _jobs(db, keys).items()}
