"""`make run`: the whole portal with its demonstration world on one machine, from nothing to a sign-in page.

It starts PostgreSQL and Valkey (unless DATABASE_URL or BROKER_URL name real ones), brings the database up to date,
loads the demonstration world, and then watches over web, worker and driver. When one dies all stop, because half
a portal looks like a broken product; what it said last is printed. Everything that is kept lies in one folder (`.run`),
so that a second start resumes where the first one stopped.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ampdr.processes import end, last_words, launch
from ampdr.servers import Postgres, Server, Unusable, Valkey, hold, run_folder

CHECKOUT = Path(__file__).resolve().parent.parent
DEMO_WORLD = CHECKOUT / "demo" / "world.json"
HOST = "127.0.0.1"
WEB_OPTIONS = (
    "--worker-class gthread --workers 2 --threads 8 --graceful-timeout 5"
    " --no-control-socket --limit-request-line 8190"  # a choice of 100 VMs stands in an address
)
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, `kill`, a closed terminal
ANSWER_PATIENCE = 60.0  # seconds until the first page must have come
DEMO_FAULTS = json.dumps(
    [
        {"fault": "points", "vm": "queue-01"},
        {"fault": "slow", "kind": "protect", "vm": "files-02"},
        {"fault": "refuse", "kind": "protect", "vm": "mail-03"},
    ]
)
DEMO_ENVIRONMENT = {
    "AMPDR_DEMO": "1",
    "LOG_FORMAT": "text",
    "SUPPORT_PHONE": "+1 555 0100",
    "SUPPORT_EMAIL": "support@ampdr.example",
    "SUPPORT_HOURS": "Day and night",
    "SUPPORT_ANSWERS_LIVE_WITHIN": "15 min",
    "SIMULATION_TIME_SCALE": "2880",  # a day of replication in half a minute
    "SIMULATION_FAILOVER_TIME_SCALE": "60",  # a failover that takes half an hour in half a minute
    # A source without new points, a slow first copy and a refused one: what people meet on ordinary days.
    "SIMULATION_FAULTS": DEMO_FAULTS,
}


HOW_CODES = """\
Those with a code are asked for it when they sign in, and again for a live failover or an approval when the last one is
older than 5 minutes. In another terminal, `make code PERSON=priya` prints it. Each code counts once; a new one comes
every 30 seconds."""


def say(words: str) -> None:
    """Flushed, because under `make` and in CI the output is a pipe and a waiting person reads along."""
    print(words, flush=True)


class Run:
    """One run: its folder, its environment, and every process that it has started."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.lock = take_over(folder / "run.lock")
        self.servers: list[Server] = []
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.env = environment(folder, port)

    @property
    def address(self) -> str:
        return self.env["SITE_ORIGIN"]

    def start(self) -> None:
        """Everything in order, up to a sign-in page that answers."""
        refuse_taken_port(self.port)
        say(f"Data and logs: {self.folder}")
        self.env.setdefault("SECRET_KEY", kept_secret(self.folder / "secret_key"))
        self._serve("DATABASE_URL", Postgres(self.folder, durable=True))
        self._serve("BROKER_URL", Valkey(self.folder))
        say("Preparing the database and the demonstration world ...")
        self._finish("migrate", "--no-input")
        self._finish("load_world", str(DEMO_WORLD))
        for name, arguments in start_lines(self.port).items():
            self._launch(name, arguments)
        self._launch("reports", ["manage.py", "simulate_reports", str(DEMO_WORLD)])
        self._await_sign_in()

    def watch(self) -> None:
        """Return never; raise `Unusable` as soon as one of the processes has died."""
        while True:
            self._check()
            time.sleep(0.5)

    def stop(self) -> None:
        """Those who use a server before the server; a second Ctrl-C meanwhile changes nothing."""
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        for process in self.children.values():
            end(process)
        for server in reversed(self.servers):
            server.stop()

    def _serve(self, variable: str, server: Postgres | Valkey) -> None:
        """Start the server unless the environment names a real one."""
        if not self.env.get(variable):
            say(f"Starting {server.name} ...")
            self.servers.append(server)
            self.env[variable] = server.start().url

    def _launch(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """The child inherits our lock: a next run waits until the last of our processes is gone."""
        command = [sys.executable, *arguments]
        child = launch(command, self._log(name), env=self.env, cwd=CHECKOUT, keep=[self.lock])
        self.children[name] = child
        return child

    def _finish(self, *command: str) -> None:
        """Run a management command to its end."""
        name = command[0]
        if self._launch(name, ["manage.py", *command]).wait():
            raise Unusable(f"`manage.py {name}` failed. Its last words:\n{last_words(self._log(name))}")
        del self.children[name]

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _check(self) -> None:
        running = dict(self.children)
        running |= {server.name: server.process for server in self.servers if server.process is not None}
        for name, process in running.items():
            if process.poll() is not None:
                words = last_words(self._log(name))
                raise Unusable(f"{name} has died (exit code {process.returncode}). Its last words:\n{words}")

    def _await_sign_in(self) -> None:
        deadline = time.monotonic() + ANSWER_PATIENCE
        while not answers(self.address):
            self._check()
            if time.monotonic() > deadline:
                raise Unusable(f"The sign-in page does not answer. From the web's log:\n{last_words(self._log('web'))}")
            time.sleep(0.2)


def environment(folder: Path, port: int) -> dict[str, str]:
    """What every process of a run in this folder finds, but for the servers and the secret key."""
    env = {
        "SIMULATION_LEDGER": str(folder / "ledger.sqlite3"),
        "EMAIL_URL": f"filemail:///{folder / 'mail'}",  # each into a file, nothing goes out
    } | DEMO_ENVIRONMENT | os.environ  # fmt: skip
    return env | {
        "SITE_ORIGIN": f"http://{HOST}:{port}", "ALLOWED_HOSTS": f"{HOST},localhost", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def start_lines(port: int) -> dict[str, list[str]]:
    """The three kinds of process, in the order in which they start and stop (docs/operate.md has the same lines)."""
    lines = {
        "web": f"-m gunicorn ampdr.wsgi {WEB_OPTIONS} --bind {HOST}:{port}",
        "worker": "-m celery -A ampdr worker --concurrency 2",
        "driver": "manage.py drive --loop",
    }
    return {name: line.split() for name, line in lines.items()}


def take_over(lock: Path) -> int:
    """The folder's lock; processes of a run that was just killed get a moment to leave."""
    try:
        return hold(lock, patience=0)
    except Unusable:
        say("Another run uses this folder. Waiting for it to stop ...")
        return hold(lock, patience=10)


def refuse_taken_port(port: int) -> None:
    """Say so before anything is started, instead of letting the web server fail half a minute later."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            advice = f"Choose another one: make run PORT={port + 1 if port < 65535 else 8000}"
            raise Unusable(f"Port {port} cannot be used ({error.strerror}). {advice}") from None


def kept_secret(file: Path) -> str:
    """The installation's SECRET_KEY, made at the first start: sessions and signatures survive a restart."""
    if not file.exists():
        draft = file.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(48))
        draft.rename(file)
    return file.read_text()


def answers(address: str) -> bool:
    """Whether the first page comes (a guest is led to the sign-in page). A proxy of the environment is not asked."""
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with browser.open(address, timeout=10) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def demo_sign_ins(world: Path) -> str:
    """One line for each person whom a visitor may be."""
    told = json.loads(world.read_text())
    people, coded = told["demo_sign_ins"], with_codes(told)
    width = max((len(person["email"]) for person in people), default=0)
    long = max((len(person["password"]) for person in people), default=0)
    lines = []
    for person in people:
        first = person["email"].split(".")[0]
        code = f"make code PERSON={first}" if person["email"] in coded else "no code"
        lines.append(f"  {person['email']:<{width}}  {person['password']:<{long}}  {code:<24}  {person['who']}")
    return "\n".join(lines)


def with_codes(world: dict[str, Any]) -> set[str]:
    """The e-mail addresses of those who have a second factor."""
    people = world["staff"] + [person for account in world["accounts"] for person in account["people"]]
    return {person["email"] for person in people if "totp_secret" in person}


def manage(folder: Path, port: int, command: Sequence[str]) -> int:
    """Runs a management command beside a portal that runs in this folder. Returns its exit code."""
    secret = folder / "secret_key"
    if not secret.exists():
        raise Unusable("Nothing was started here yet: make run")
    servers = {"DATABASE_URL": Postgres(folder, durable=True).url, "BROKER_URL": Valkey(folder).url}
    env = servers | {"SECRET_KEY": secret.read_text()} | environment(folder, port)
    line = [sys.executable, "manage.py", *command]
    ran = subprocess.run(line, env=env, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, check=False)
    if "OperationalError" in ran.stderr:
        raise Unusable("The portal's database doesn't answer. Start it, and leave it running: make run")
    sys.stderr.write(ran.stderr)
    return ran.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after Ctrl-C, 1 when the portal could not be started or has died."""
    parser = argparse.ArgumentParser(prog="python -m ampdr.run", description="Run AMPDR with its demonstration world.")
    parser.add_argument("--port", type=int, default=os.environ.get("PORT") or 8000)
    parser.add_argument(
        "--manage", nargs=argparse.REMAINDER, metavar="COMMAND", help="a management command, beside a running portal"
    )
    asked = parser.parse_args(arguments)
    port = asked.port
    os.umask(0o077)  # logs and ledger are nobody else's business
    for number in ENDINGS:
        signal.signal(number, signal.default_int_handler)
    run: Run | None = None
    try:
        if asked.manage:
            return manage(run_folder(CHECKOUT), port, asked.manage)
        run = Run(run_folder(CHECKOUT), port)
        run.start()
        say(f"\nAMPDR runs at {run.address}\n\n{demo_sign_ins(DEMO_WORLD)}\n\n{HOW_CODES}\nCtrl-C stops it.")
        run.watch()
    except KeyboardInterrupt:
        say("\nStopping ...")
    except Unusable as trouble:
        say(f"\n{trouble}")
        return 1
    finally:
        if run is not None:
            run.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
