"""Child processes that neither outlive us nor hear the terminal: for `make run`, the embedded servers and the tests."""

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

STOP_PATIENCE = 20.0  # seconds, then the process is killed
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)  # loaded now: between fork and exec nothing may be loaded


def launch(
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_our_death: signal.Signals = signal.SIGTERM,
    keep: Sequence[int] = (),
    **identity: Any,
) -> subprocess.Popen[bytes]:
    """Start a child that cannot outlive us, with its output appended to `log`.

    It gets a process group of its own, so that a terminal's Ctrl-C reaches only us and we stop our children in order.
    `keep` are descriptors that it inherits; `identity` is `user`, `group` and `extra_groups` of `subprocess`.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            process_group=0,
            pass_fds=keep,
            preexec_fn=_leash(on_our_death),  # noqa: PLW1509  (it only makes two calls that are safe after a fork)
            **identity,
        )


def _leash(on_our_death: signal.Signals) -> Callable[[], None]:
    """What the child does between fork and exec: ask the kernel for a signal at our death.

    We may have died before it asked: then its parent is another by now, and it leaves by itself. Elsewhere than on
    Linux there is no such call, and an orphan must be stopped by hand.
    """
    parent = os.getpid()

    def ask() -> None:
        if sys.platform == "linux":
            LIBC.prctl(PR_SET_PDEATHSIG, int(on_our_death), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return ask


def end(process: subprocess.Popen[bytes], by: signal.Signals = signal.SIGTERM, patience: float = STOP_PATIENCE) -> None:
    """Ask a child of `launch` to stop, and kill what is left of its group after `patience` seconds.

    A frozen process is thawed, or it would never hear the request.
    """
    if process.poll() is None:
        process.send_signal(by)
        process.send_signal(signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_words(log: Path, lines: int = 20) -> str:
    """The end of a log file, for the person who must know why a process died."""
    with log.open(encoding="utf-8", errors="replace") as text:
        return "".join(deque(text, lines)).rstrip()
