"""How long simulated work takes, and what a person reads meanwhile. All moments are seconds of the epoch."""

from datetime import UTC, datetime
from typing import NamedTuple

from replication.providers.base import Kind, Progress, Request, Result
from replication.providers.simulated.chance import address, seeded
from replication.providers.simulated.settings import Settings

GB = 2**30
LARGEST_DISK_GB = 16 * 1024
LOOK_IN = (0.2, 15.0)  # the shortest and the longest pause between two observations
SLOW_FACTOR, SLOW_LEAST = 10, 10.0

# The least and the most minutes of each kind of failover work.
MINUTES = {
    Kind.UNPROTECT: (4.5, 5.5),
    Kind.START_TEST: (8, 13),
    Kind.START_LIVE: (8, 13),
    Kind.FENCE: (1.8, 2.2),
    Kind.RELEASE: (1.3, 1.7),
    Kind.STOP: (1.8, 2.2),
}

SYNC_FROM, SYNC_TO = 6, 98  # percent of a protect during which bytes are copied
START = ((45, "Preparing disks from the recovery point"), (75, "Booting"), (100, "Checking that it answers"))

# The steps of each kind of work, each with the percent at which it ends, and last the words when all is done.
STEPS: dict[Kind, tuple[tuple[int, str], ...]] = {
    Kind.PROTECT: (
        (2, "Reserving capacity"),
        (SYNC_FROM, "Preparing the copy in {target}"),
        (SYNC_TO, "First sync"),
        (100, "Checking the first recovery point"),
        (101, "Protected"),
    ),
    Kind.UNPROTECT: ((40, "Stopping the copying"), (100, "Removing the copy in {target}"), (101, "Removed")),
    Kind.START_TEST: (*START, (101, "Running as a test")),
    Kind.START_LIVE: (*START, (101, "Running")),
    Kind.FENCE: ((50, "Last sync"), (80, "Stopping it"), (100, "Barring it from starting"), (101, "Barred")),
    Kind.RELEASE: ((30, "Lifting the bar"), (100, "Starting the original"), (101, "Released")),
    Kind.STOP: ((50, "Stopping the failover VM"), (100, "Removing its disks"), (101, "Removed")),
}


JOB_COLUMNS = "key, step, vm, name, target, at, until, disk_gb, point, loss"


class Job(NamedTuple):
    """An effect as work that goes on: the `JOB_COLUMNS` of its row."""

    key: str
    kind: Kind
    vm: str
    name: str
    target: str
    at: float
    until: float
    disk_gb: int
    point: float | None
    loss: float | None


def duration(request: Request, settings: Settings) -> float:
    """Return the seconds that the work takes, the scale applied: the same for the same VM and disk."""
    if request.kind == Kind.PROTECT:
        size = min(1.0, request.disk_gb / LARGEST_DISK_GB)
        hours = 20 + 12 * seeded("protect", request.vm) + 12 * size
        return _scaled(hours * 3600, settings.time_scale)
    least, most = MINUTES[request.kind]
    minutes = least + (most - least) * seeded(request.kind, request.vm)
    return _scaled(minutes * 60, settings.failover_time_scale)


def _scaled(seconds: float, scale: float) -> float:
    return seconds / scale if scale else 0.0


def slowed(seconds: float) -> float:
    return max(seconds * SLOW_FACTOR, SLOW_LEAST)


def progress(job: Job, now: float) -> Progress:
    """Return how far the job is at `now`, an hour or a year after it was begun."""
    if now >= job.until:
        words, copied = _words(job, 100), _bytes(job, 1)
        return Progress(True, 100, words, *copied, look_in=LOOK_IN[0], result=_result(job))
    share = max(0.0, (now - job.at) / (job.until - job.at))
    percent = int(share * 100)
    next_change = job.at + (percent + 1) / 100 * (job.until - job.at)
    look_in = min(max(next_change - now, LOOK_IN[0]), LOOK_IN[1])
    return Progress(False, percent, _words(job, percent), *_bytes(job, share), look_in=look_in)


def _words(job: Job, percent: int) -> str:
    return next(words for end, words in STEPS[job.kind] if percent < end).format(target=job.target)


def _bytes(job: Job, share: float) -> tuple[int | None, int | None]:
    """What is copied and what there is to copy, of a first sync alone."""
    if job.kind != Kind.PROTECT or not job.disk_gb:
        return None, None
    total = job.disk_gb * GB
    copied = (share * 100 - SYNC_FROM) / (SYNC_TO - SYNC_FROM)
    return int(total * min(1.0, max(0.0, copied))), total


def _result(job: Job) -> Result | None:
    if job.kind not in (Kind.START_TEST, Kind.START_LIVE):
        return None
    return Result(failover_address(job.vm, job.kind), moment(job.point), job.loss, moment(job.until))


def failover_address(vm: str, kind: Kind = Kind.START_LIVE) -> str:
    return address("10.90" if kind == Kind.START_TEST else "10.40", vm)


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
