"""The line of a page of the documentation that calls the portal, run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess


def curl(page: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (line,) = re.findall(r"^curl .*$", page, re.M)
    env = os.environ | environment | {"no_proxy": "localhost,127.0.0.1"}
    return subprocess.run(["/bin/sh", "-c", line], env=env, capture_output=True, text=True, check=False)
