"""The reports of a world's file, once when it is loaded and again while the demonstration runs."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ampdr import clock
from inventory.models import VM
from tests.test_world import SMALL

TOLD = {
    "fim_hours_ago": 5, "fim_changes": 2, "malware_hours_ago": 30, "malware_agent": "12.4.1", "scan_days_ago": 9,
    "findings": 1, "patch_hours_ago": 3, "patches_missing": 8, "patches_critical": 2,
}  # fmt: skip


@pytest.fixture
def file(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A loaded world in which web-01 reports everything and a test of it runs; web-02 never reported."""
    world: dict[str, Any] = json.loads(json.dumps(SMALL))
    world["accounts"][0]["vms"][0] |= TOLD
    path = tmp_path / "world.json"
    path.write_text(json.dumps(world))
    call_command("load_world", str(path), verbosity=0)
    monkeypatch.setenv("AMPDR_DEMO", "1")
    return path


def ages(vm: VM) -> list[int]:
    """Of its reports and its scan, in whole hours."""
    times = (vm.fim_report_at, vm.malware_report_at, vm.malware_scan_at, vm.patch_report_at)
    return [round((clock.now() - at) / timedelta(hours=1)) for at in times if at]


def test_a_loaded_world_has_reported(file: Path) -> None:
    web = VM.objects.get(name="web-01", role="primary")
    assert ages(web) == [5, 30, 216, 3]
    assert (web.fim_changes, web.malware_agent, web.malware_findings) == (2, "12.4.1", 1)
    assert (web.patches_missing, web.patches_critical) == (8, 2)
    assert ages(VM.objects.get(name="web-02")) == ages(VM.objects.get(role="test")) == []


def test_reports_stay_as_old_as_the_file_says(file: Path) -> None:
    with clock.ahead(timedelta(days=3)):
        call_command("simulate_reports", str(file), "--once")
        assert ages(VM.objects.get(name="web-01", role="primary")) == [5, 30, 216, 3]
        assert ages(VM.objects.get(role="test")) == [0, 0, 0, 0]
        assert ages(VM.objects.get(name="web-02")) == []


def test_what_is_off_reports_nothing(file: Path) -> None:
    VM.objects.update(power="off")
    with clock.ahead(timedelta(days=3)):
        call_command("simulate_reports", str(file), "--once")
        assert ages(VM.objects.get(name="web-01", role="primary"))[0] == 77


def test_only_in_the_demonstration(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMPDR_DEMO")
    with pytest.raises(CommandError, match="make run"):
        call_command("simulate_reports", str(file), "--once")
