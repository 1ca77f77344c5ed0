"""The ledger: one SQLite file, shared by every process, that outlives them all.

An effect is a row that is inserted once and never deleted. It is also the job that goes on after it: progress is
reckoned from the moments in the row, so nothing has to run for it and a restart loses nothing.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from replication.providers.base import Machine, Unreachable
from replication.providers.simulated.settings import ledger_path

FACTS = ("account", "os", "generation", "disks_gb", "addresses")  # of a machine, beside the columns
SCHEMA = (
    # An effect that a technology without keys would have had, and the job that it began. `until` is when it is done,
    # `ended` when its opposite (stop, release, unprotect) was; times are seconds of the epoch.
    "CREATE TABLE IF NOT EXISTS effects (id INTEGER PRIMARY KEY, vm TEXT NOT NULL, step TEXT NOT NULL,"
    " subject TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, until REAL NOT NULL, ended REAL,"
    " name TEXT NOT NULL, site TEXT NOT NULL, target TEXT NOT NULL, disk_gb INTEGER NOT NULL,"
    " retention_hours INTEGER NOT NULL, point REAL, loss REAL, known INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS effects_key ON effects (key)",
    "CREATE INDEX IF NOT EXISTS effects_vm ON effects (vm, step)",
    "CREATE TABLE IF NOT EXISTS refusals (key TEXT PRIMARY KEY, words TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS strikes (rule TEXT NOT NULL, key TEXT NOT NULL, hit INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS strikes_rule ON strikes (rule, key)",
    "CREATE TABLE IF NOT EXISTS downtimes (site TEXT NOT NULL, since REAL NOT NULL, until REAL, origin TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS machines (uuid TEXT PRIMARY KEY, name TEXT NOT NULL, site TEXT NOT NULL,"
    " power TEXT NOT NULL, disk_gb INTEGER NOT NULL, unsupported TEXT NOT NULL)",
    # What else is known of a machine, as JSON: a table of its own, for ledgers that were made before it.
    "CREATE TABLE IF NOT EXISTS machine_facts (uuid TEXT PRIMARY KEY, facts TEXT NOT NULL)",
)


class Effect(NamedTuple):
    """One effect, as a person or a test compares them. `at` is in seconds of the epoch."""

    id: int
    vm: str
    step: str
    subject: str
    key: str
    at: float


class Ledger:
    """Opens the file anew for each call: no connection is carried into a forked child or another thread."""

    def __init__(self, path: Path, timeout: float) -> None:
        """`timeout` is how many seconds to wait for another process that is writing."""
        self.path = path
        self.timeout = timeout
        path.parent.mkdir(parents=True, exist_ok=True)
        self._use_wal()
        with self.writing() as db:
            for statement in SCHEMA:
                db.execute(statement)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone among writers, committed at the end of the block; Unreachable if it can't be had."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One snapshot for all reads of the block."""
        with self._open() as db:
            db.execute("BEGIN")
            yield db
            db.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = NORMAL")  # it outlives every process; a loss of power it need not
            yield db
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise Unreachable(f"the ledger was busy for {self.timeout} s") from error
            raise
        finally:
            db.close()

    def _use_wal(self) -> None:
        """Readers don't wait for a writer in this mode. Changing to it doesn't wait for other processes by itself."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                with self._open() as db:
                    db.execute("PRAGMA journal_mode = WAL")
                return
            except Unreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def effects(ledger_path: Path | str) -> list[Effect]:
    """Return every effect in the ledger, oldest first; a ledger that isn't there yet has none."""
    if not Path(ledger_path).exists():
        return []
    with Ledger(Path(ledger_path), 10).reading() as db:
        return [Effect(*row) for row in db.execute("SELECT id, vm, step, subject, key, at FROM effects ORDER BY id")]


def doubled(ledger_path: Path | str) -> list[tuple[str, str, str, int]]:
    """Return (vm, step, subject, count) of what was done more than once, under whatever keys.

    A retry after a definite refusal isn't among them: a refusal has no effect.
    """
    if not Path(ledger_path).exists():
        return []
    with Ledger(Path(ledger_path), 10).reading() as db:
        return db.execute(
            "SELECT vm, step, subject, count(*) FROM effects GROUP BY vm, step, subject HAVING count(*) > 1"
        ).fetchall()


def set_site_answers(code: str, answers: bool) -> None:
    """Let the site fail, or answer again, from now on and for every process."""
    with Ledger(ledger_path(), 10).writing() as db:
        if answers:
            end_downtime(db, code, "person", time.time())
        else:
            begin_downtime(db, code, "person", time.time())


def begin_downtime(db: sqlite3.Connection, site: str, origin: str, now: float) -> None:
    """Begin a downtime, unless this origin ("person" or "environment") has one open already."""
    db.execute(
        "INSERT INTO downtimes (site, since, origin) SELECT ?1, ?2, ?3 WHERE NOT EXISTS"
        " (SELECT 1 FROM downtimes WHERE site = ?1 AND origin = ?3 AND until IS NULL)",
        (site, now, origin),
    )


def end_downtime(db: sqlite3.Connection, site: str, origin: str, now: float) -> None:
    db.execute("UPDATE downtimes SET until = ? WHERE site = ? AND origin = ? AND until IS NULL", (now, site, origin))


def set_machines(machines: Iterable[Machine]) -> None:
    """Add these VMs to what the simulated sites show in `inventory`, or change those of the same uuid."""
    known = list(machines)
    rows = [(one.uuid, one.name, one.site, one.power, one.disk_gb, one.unsupported) for one in known]
    facts = [(one.uuid, json.dumps({name: getattr(one, name) for name in FACTS})) for one in known]
    with Ledger(ledger_path(), 10).writing() as db:
        db.executemany("INSERT OR REPLACE INTO machines VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.executemany("INSERT OR REPLACE INTO machine_facts VALUES (?, ?)", facts)


def remove_machines(uuids: Iterable[str]) -> None:
    """Let these VMs vanish from what the simulated sites show in `inventory`."""
    with Ledger(ledger_path(), 10).writing() as db:
        db.executemany("DELETE FROM machines WHERE uuid = ?", [(uuid,) for uuid in uuids])


def machines_of(db: sqlite3.Connection, site: str, after: str, most: int, now: float) -> list[Machine]:
    """A page of a site's VMs, by uuid. What is stopped and barred is off."""
    rows = db.execute(
        "SELECT uuid, name, site, CASE WHEN EXISTS (SELECT 1 FROM effects WHERE vm = uuid AND step = 'fence'"
        " AND until <= :now AND (ended IS NULL OR ended > :now)) THEN 'off' ELSE power END, disk_gb, unsupported, facts"
        " FROM machines LEFT JOIN machine_facts USING (uuid)"
        " WHERE site = :site AND uuid > :after ORDER BY uuid LIMIT :most",
        {"site": site, "after": after, "most": most, "now": now},
    )
    return [Machine(*row, **_facts(json.loads(facts or "{}"))) for *row, facts in rows]


def _facts(said: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
