"""The line of docs/security-reports.md, as it stands there, against a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import timedelta
from typing import Any

import pytest

from accounts.actions import issue_machine_token
from ampdr import clock
from ampdr.lifecycle import PORTAL
from ampdr.run import CHECKOUT
from inventory.models import VM
from tests.cast import Cast, make_vms

PAGE = (CHECKOUT / "docs" / "security-reports.md").read_text()


def ran(**environment: str) -> subprocess.CompletedProcess[str]:
    (line,) = re.findall(r"^curl .*$", PAGE, re.M)
    env = os.environ | environment | {"no_proxy": "localhost,127.0.0.1"}
    return subprocess.run(["/bin/sh", "-c", line], env=env, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not shutil.which("curl"), reason="This machine has no curl.")
def test_the_documented_line_reports(transactional_db: None, cast: Cast, live_server: Any) -> None:
    web = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])[0]
    _, secret = issue_machine_token(PORTAL, "Collector", "security_reports", site="DFW01")
    said = {"PORTAL": live_server.url, "SITE": "DFW01", "TOKEN": secret, "VM": str(web.uuid)}
    done = ran(**said, CHANGES="7")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"taken": 1, "stale": 0}), done.stderr
    web.refresh_from_db()
    assert web.fim_changes == 7 and web.fim_report_at
    assert clock.now() - web.fim_report_at < timedelta(minutes=10)
    done = ran(**said, CHANGES="-7")
    assert done.returncode and "Give a whole number" in done.stdout
    assert VM.objects.get().fim_changes == 7
