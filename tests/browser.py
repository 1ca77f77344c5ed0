"""The browser of the tests: Debian's Chromium, since Playwright's own builds can't be downloaded everywhere."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

expect.set_options(timeout=60_000)  # ms: a busy machine is no fault; what never comes is

CHROMIUM = Path("/usr/bin/chromium")
# Without a sandbox, because root has none; the rest keeps the browser from talking to anybody but us.
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)


def launch_options() -> dict[str, Any]:
    """Keyword arguments for Playwright's `chromium.launch`. A missing browser fails: a skipped test proves nothing."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: install Debian's package `chromium`, then run the tests again.", False)
    return {"executable_path": str(CHROMIUM), "args": ARGUMENTS.split()}


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return launch_options()
