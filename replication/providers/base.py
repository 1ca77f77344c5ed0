"""The contract between the portal and a replication technology.

A provider takes requests in batches (`submit`), tells how they go (`observe`) and answers a few reads. It never
touches the portal's tables, and this module imports neither Django nor an application of ours, so that a provider
can be written and tested on its own. `docs/providers.md` is the guide for authors.

Every time is an aware `datetime` in UTC, every duration is in seconds, every size of a disk in GB of 2**30 bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from importlib.metadata import entry_points

ENTRY_POINTS = "ampdr.providers"


class Kind(StrEnum):
    """What can be asked of a provider."""

    PROTECT = "protect"
    UNPROTECT = "unprotect"
    START_TEST = "start_test"
    START_LIVE = "start_live"
    FENCE = "fence"
    RELEASE = "release"
    STOP = "stop"


AT_RECOVERY_SITE = frozenset({Kind.START_TEST, Kind.START_LIVE, Kind.STOP})


@dataclass(frozen=True, slots=True)
class Request:
    """One operation on one VM. The same key always means the same wish, however often it is sent."""

    key: str  # "<subject uuid>:<kind>:<generation>"; the generation grows after a definite refusal only
    kind: Kind
    subject: str  # uuid of the replication (protect, unprotect) or of the failover (all others)
    vm: str  # uuid of the original VM
    name: str  # the VM's name now
    source: str  # code of the site where the original is
    target: str  # code of the recovery site
    point: datetime | None = None  # start_*: the recovery point chosen; None = the newest one at start
    disk_gb: int = 0
    retention_hours: int = 24  # protect: points are kept this long
    rpo_target_seconds: int = 900  # protect: the newest point should not be older

    @property
    def site(self) -> str:
        """Code of the site whose provider this request is for."""
        return self.target if self.kind in AT_RECOVERY_SITE else self.source


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a start_test or start_live."""

    address: str = ""  # of the failover VM
    point: datetime | None = None  # the recovery point that was used
    loss_seconds: float | None = None  # from that point to the moment the original stopped, or else to the start
    running_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How one request goes: still under way, done, or definitely refused."""

    done: bool = False
    percent: int = 0  # 0..100
    step: str = ""  # words for people, e.g. "First sync"
    bytes_done: int | None = None
    bytes_total: int | None = None
    look_in: float = 1.0  # seconds until it is worth observing again
    refused: str = ""  # a definite refusal, in words that say what is wrong
    result: Result | None = None  # of start_*, when done

    def __post_init__(self) -> None:
        if self.done and self.refused:
            raise ValueError("a request is either done or refused, never both")


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM as its site shows it: what `inventory` returns and `eligibility` judges."""

    uuid: str
    name: str
    site: str
    power: str  # "on" or "off"
    disk_gb: int  # all its disks together
    unsupported: str = ""  # what about it can't be replicated, in words; empty = nothing known
    # What a technology needn't know. The portal keeps what it was told otherwise of what is empty here.
    account: str = ""  # slug of the customer's account
    os: str = ""
    generation: int | None = None  # 3 or 4
    disks_gb: tuple[int, ...] = ()  # each disk; their sum is disk_gb
    addresses: tuple[str, ...] = ()  # the one to be shown first


@dataclass(frozen=True, slots=True)
class Eligibility:
    reason: str = ""  # why it can't be replicated, in words that say what to do; empty = it can
    address: str = ""  # that the failover VM would get; empty = not known beforehand


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    consistent: str = "crash"  # "crash" or "application"


@dataclass(frozen=True, slots=True)
class Points:
    new: tuple[Point, ...]  # in order of time
    oldest_kept: datetime | None  # points before it are gone; None = no point is known


@dataclass(frozen=True, slots=True)
class Existing:
    """Something of ours that is there: a replica, a failover VM, a bar on an original."""

    key: str  # of the request that made it; empty with a technology that keeps no keys
    kind: Kind  # protect, start_test, start_live or fence
    vm: str  # uuid of the original VM


@dataclass(frozen=True, slots=True)
class Health:
    answers: bool
    room_percent: int | None = None  # free room for replicas, 0..100; None = not known


class Unreachable(Exception):
    """No answer (time-out, cut connection): the outcome of the whole call is unknown, not failed."""


class Provider(ABC):
    """One replication technology at one site, as one process of the portal uses it.

    protect, unprotect, fence and release go to the provider of the source site, as do `recovery_points` and
    `eligibility`; start_test, start_live and stop go to that of the recovery site (`Request.site`).

    Every method may raise `Unreachable`, and answers or raises within `timeout` seconds. It may be called by several
    threads and processes at once, and is never called inside a transaction of the portal.
    """

    batch: int = 1000  # the most requests, keys, machines or VMs of one call
    remembers_keys: bool = True  # False: an unknown outcome halts and asks a person, nothing is sent again

    def __init__(self, site: str, timeout: float) -> None:
        """`site` is a site's code, `timeout` the seconds that one call may take."""
        self.site = site
        self.timeout = timeout

    @abstractmethod
    def submit(self, requests: Sequence[Request]) -> dict[str, Progress]:
        """Accept the requests and return {key: progress}; slow work goes on after the answer.

        Idempotent: a key accepted before has no second effect and answers its present progress; a key refused before
        stays refused. A key that is absent from the answer is unknown, as all of them are after `Unreachable`.
        """

    @abstractmethod
    def observe(self, keys: Sequence[str]) -> dict[str, Progress]:
        """Return {key: progress} without any effect; a key never seen is absent."""

    @abstractmethod
    def recovery_points(self, since: Mapping[str, datetime | None]) -> dict[str, Points]:
        """Return {vm: its points after the given time}, for {vm: the newest point that the portal knows, or None}.

        With None the newest point alone is told. A provider may tell the oldest few of many new points and the others
        in the next call. A VM it can't tell anything of is absent.
        """

    @abstractmethod
    def eligibility(self, machines: Sequence[Machine]) -> dict[str, Eligibility]:
        """Return {vm: whether it can be replicated}; a VM that can't be judged now is absent."""

    @abstractmethod
    def inventory(self, cursor: str = "") -> tuple[list[Machine], str]:
        """Return a page of the site's VMs and the cursor of the next page; an empty cursor ends the list.

        VMs that failovers made are not among them. A VM that no page names has vanished, for the portal.
        """

    @abstractmethod
    def existing(self, cursor: str = "") -> tuple[list[Existing], str]:
        """Return a page of what of ours is at this site, and the next cursor, as in `inventory`."""

    @abstractmethod
    def health(self) -> Health:
        """Tell whether the site answers. A site that is down is an answer (`answers=False`), not an error."""


def provider_class(dotted: str) -> type[Provider]:
    """Return the class named by an entry point of group "ampdr.providers" or by "package.module.Class".

    Raises LookupError, which says what was tried, and TypeError if what was found is no Provider.
    """
    entries = entry_points(group=ENTRY_POINTS, name=dotted)
    found = next(iter(entries)).load() if entries else _imported(dotted)
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise TypeError(f"{dotted!r} is {found!r}, which is no subclass of {Provider.__module__}.Provider")
    return found


def _imported(dotted: str) -> object:
    module, _, name = dotted.rpartition(".")
    tried = f"No provider {dotted!r}: no entry point of that name in group {ENTRY_POINTS!r}"
    if not module:
        raise LookupError(f"{tried}, and it is no dotted path package.module.Class")
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise LookupError(f"{tried}, and importing {module!r} failed: {error}") from error
    except AttributeError as error:
        raise LookupError(f"{tried}, and module {module!r} has no {name!r}") from error
