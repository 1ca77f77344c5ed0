"""The line of docs/inventory.md, as it stands there, against a real server; and what else the page says."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from accounts.actions import issue_machine_token
from ampdr.lifecycle import PORTAL
from ampdr.run import CHECKOUT
from inventory.api.vms import FIELDS
from inventory.models import VM
from tests.cast import Cast
from tests.curl import curl

PAGE = (CHECKOUT / "docs" / "inventory.md").read_text()


def test_the_documented_line_tells(transactional_db: None, cast: Cast, live_server: Any) -> None:
    _, secret = issue_machine_token(PORTAL, "Collector", "inventory", site="DFW01")
    said = {"PORTAL": live_server.url, "SITE": "DFW01", "TOKEN": secret, "ROUND": str(uuid.uuid4())}
    done = curl(PAGE, **said, VM=str(uuid.uuid4()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"`{done.stdout.strip()}`" in PAGE
    web = VM.objects.get()
    assert (web.name, web.size, web.address, web.account) == ("web-01", "2 disks, 240 GB", "10.30.1.11", cast.northwind)
    assert json.loads(curl(PAGE, **said, VM=str(web.uuid)).stdout)["same"] == 1
    done = curl(PAGE, **said, VM="web-01")
    assert done.returncode and json.loads(done.stdout)["fields"] == {"vms.0.uuid": ["Give a uuid."]}
    assert VM.objects.count() == 1


def test_every_field_is_in_the_page() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M)) | {"disk_gb"}
    assert told == {"uuid", "account", "site", *FIELDS}
