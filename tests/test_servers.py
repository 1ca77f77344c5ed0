"""The embedded servers: what a failure test and a killed `make run` rely on. Each test has servers of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from environ import Env
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from ampdr import servers
from ampdr.servers import Postgres, Unusable, Valkey

CHECKOUT = Path(__file__).resolve().parent.parent
START_AND_WAIT = """
import sys, time
from pathlib import Path
from ampdr.servers import Postgres, Valkey
postgres, valkey = Postgres(Path(sys.argv[1]), durable=False).start(), Valkey(Path(sys.argv[1])).start()
print(postgres.process.pid, valkey.process.pid, flush=True)
time.sleep(60)
"""


def ask(server: Postgres, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(host=str(server.home), user="ampdr", dbname="ampdr")
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


def lives(process: int) -> bool:
    """Not gone and not a zombie that nobody has asked after."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_names_sort_by_code_point_and_clocks_say_utc(own_postgres: Postgres) -> None:
    names = "SELECT string_agg(name, ' ' ORDER BY name) FROM unnest(ARRAY['b', 'é', 'A', '_', 'a', 'B']) AS name"
    assert ask(own_postgres, names) == [("A B _ a b é",)]
    assert ask(own_postgres, "SELECT upper('é'), current_setting('timezone')") == [("É", "UTC")]


def test_the_tests_are_careless_and_make_run_is_not(server_folder: Path) -> None:
    settings = set(Postgres.careless)
    assert settings <= Postgres(server_folder, durable=False).options.keys()
    assert not settings & Postgres(server_folder, durable=True).options.keys()


def test_the_url_says_the_same_to_django_and_to_libpq(own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANY_URL", own_postgres.url)
    settings = Env().db_url("ANY_URL")
    assert (settings["NAME"], settings["USER"]) == ("ampdr", "ampdr")
    assert settings["OPTIONS"] == {"host": str(own_postgres.home)}
    psycopg2.connect(own_postgres.url).close()


@pytest.mark.parametrize("way", ["stop", "stop_at_once", "kill"])
def test_what_was_committed_is_there_after_every_end(own_postgres: Postgres, way: str) -> None:
    ask(own_postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    getattr(own_postgres, way)()
    assert not own_postgres.answers()
    own_postgres.start()
    assert ask(own_postgres, "SELECT answer FROM kept") == [(42,)]


def test_a_frozen_valkey_is_there_and_does_not_answer(own_valkey: Valkey) -> None:
    own_valkey.freeze()
    with (
        Redis.from_url(own_valkey.client_url, socket_timeout=0.2, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(RedisError),
    ):
        client.ping()
    own_valkey.thaw()
    assert own_valkey.answers()


def test_a_frozen_valkey_can_be_stopped_and_started(own_valkey: Valkey) -> None:
    own_valkey.freeze()
    own_valkey.stop()
    assert not own_valkey.answers()
    assert own_valkey.start().answers()


def test_two_cannot_run_in_one_folder(own_valkey: Valkey) -> None:
    lock = own_valkey.run / "valkey.lock"
    with pytest.raises(Unusable, match="another run"):
        servers.hold(lock, patience=0)
    own_valkey.stop()
    os.close(servers.hold(lock, patience=0))


def test_servers_die_with_whoever_started_them_and_the_folder_is_free_again(server_folder: Path) -> None:
    command = [sys.executable, "-c", START_AND_WAIT, str(server_folder)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        processes = [int(word) for word in starter.stdout.readline().split()]
        assert len(processes) == 2
        assert all(lives(process) for process in processes)
        starter.send_signal(signal.SIGKILL)
    assert eventually(lambda: not any(lives(process) for process in processes))
    Postgres(server_folder, durable=False).start().stop()


def test_a_server_that_cannot_start_says_why(server_folder: Path) -> None:
    server = Postgres(server_folder, durable=False)
    server.options = {**server.options, "shared_buffers": "nonsense"}
    with pytest.raises(Unusable, match="shared_buffers"):
        server.start()


def test_copies_are_used_where_the_environment_is_out_of_reach(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_runs", lambda binary: False)
    server = Postgres(server_folder, durable=False).start()
    assert server.tools[0].is_relative_to(server_folder)
    server.stop()


def test_a_long_path_gets_its_run_folder_elsewhere(tmp_path: Path) -> None:
    checkout = tmp_path / ("long" * 25)
    checkout.mkdir()
    folder = servers.run_folder(checkout)
    assert (checkout / ".run").is_symlink()
    assert len(os.fsencode(folder)) <= servers.LONGEST_FOLDER
    assert servers.run_folder(checkout) == folder
    folder.rmdir()
    assert servers.run_folder(checkout).is_dir()
    folder.rmdir()
