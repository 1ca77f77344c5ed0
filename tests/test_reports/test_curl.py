"""The line of docs/security-reports.md, as it stands there, against a real server."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from accounts.actions import issue_machine_token
from ampdr import clock
from ampdr.lifecycle import PORTAL
from ampdr.run import CHECKOUT
from inventory.models import VM
from tests.cast import Cast, make_vms
from tests.curl import curl

PAGE = (CHECKOUT / "docs" / "security-reports.md").read_text()


def test_the_documented_line_reports(transactional_db: None, cast: Cast, live_server: Any) -> None:
    web = make_vms(cast.northwind, cast.sites["DFW01"], ["web-01"])[0]
    _, secret = issue_machine_token(PORTAL, "Collector", "security_reports", site="DFW01")
    said = {"PORTAL": live_server.url, "SITE": "DFW01", "TOKEN": secret, "VM": str(web.uuid)}
    done = curl(PAGE, **said, CHANGES="7")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"taken": 1, "stale": 0}), done.stderr
    web.refresh_from_db()
    assert web.fim_changes == 7 and web.fim_report_at
    assert clock.now() - web.fim_report_at < timedelta(minutes=10)
    done = curl(PAGE, **said, CHANGES="-7")
    assert done.returncode and "Give a whole number" in done.stdout
    assert VM.objects.get().fim_changes == 7
