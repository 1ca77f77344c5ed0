"""`make run`, as far as it can be tried without starting all of it; the whole is tried by hand (docs/operate.md)."""

import socket
import stat
from pathlib import Path

import pytest

from ampdr import run
from ampdr.servers import Unusable

PAGE = (run.CHECKOUT / "docs" / "operate.md").read_text()


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind((run.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unusable, match=rf"Port {port} .* make run PORT=\d+"):
            run.refuse_taken_port(port)
    run.refuse_taken_port(port)


def test_the_secret_is_kept_and_nobody_elses(tmp_path: Path) -> None:
    file = tmp_path / "secret_key"
    secret = run.kept_secret(file)
    assert len(secret) >= 50
    assert run.kept_secret(file) == secret
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["worker", "driver"])
def test_it_starts_what_is_documented(name: str) -> None:
    line = " ".join(run.start_lines(8000)[name]).removeprefix("-m ")
    assert f"\n{line}\n" in PAGE.replace("\npython manage.py", "\nmanage.py")


def test_every_demo_sign_in_is_told() -> None:
    told = run.demo_sign_ins(run.DEMO_WORLD)
    assert told.count("\n") >= 3
    assert "@" in told.splitlines()[0]
