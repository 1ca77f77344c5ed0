"""What can be held against the Compose file, the image and their page without a container engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PAGE = (ROOT / "docs" / "operate.md").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {"migrate", "web", "worker", "driver"}
KNOWN_KEYS = {
    "build", "command", "depends_on", "environment", "healthcheck", "image", "init", "ports", "restart", "shm_size",
    "stop_grace_period", "volumes",
}  # fmt: skip
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")
DEMANDED = re.compile(r"\$\{\w+:\?set it in \.env\}")


def start_lines() -> set[str]:
    section = PAGE.split("## Start lines")[1].split("```")[1]
    return {line for line in section.splitlines() if " " in line}


def variables_of_the_code() -> set[str]:
    settings = re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', (ROOT / "ampdr" / "settings.py").read_text())
    simulation = (ROOT / "replication" / "providers" / "simulated" / "settings.py").read_text()
    return {*settings, *re.findall(r'"(SIMULATION_[A-Z_]+)"', simulation)}


def documented_variables() -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, flags=re.MULTILINE))


def test_there_are_two_servers_and_our_four() -> None:
    assert set(SERVICES) == {"postgres", "redis"} | OURS


@pytest.mark.parametrize("name", SERVICES)
def test_structure(name: str) -> None:
    """Unknown keys are what Compose refuses, and what a slip of indentation makes."""
    service, whole = SERVICES[name], yaml.safe_load(COMPOSE)
    assert set(service) <= KNOWN_KEYS
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert all(isinstance(value, str) for value in service.get("environment", {}).values())
    assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(whole["volumes"])
    for other, wanted in service.get("depends_on", {}).items():
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
    assert whole.keys() == {"name", "x-app", "services", "volumes"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_whatever_runs_on_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert {"test", "interval", "timeout", "retries"} <= set(check) <= HEALTH_KEYS
    assert check["test"][0] in {"CMD", "CMD-SHELL"}


def test_web_is_asked_whether_it_lives() -> None:
    program = SERVICES["web"]["healthcheck"]["test"][-1]
    compile(program, "healthcheck", "exec")
    assert "/healthz" in program


@pytest.mark.parametrize("name", sorted(OURS))
def test_ours_share_an_image_and_start_as_documented(name: str) -> None:
    assert SERVICES[name]["image"] == SERVICES["web"]["image"]
    assert SERVICES[name]["environment"] == SERVICES["web"]["environment"]
    assert SERVICES[name]["command"] in start_lines()


def test_the_image_starts_web_as_documented_and_not_as_root() -> None:
    command = DOCKERFILE.split("\nCMD ")[1].strip().strip("[]").replace('"', "").replace(",", "")
    assert command in start_lines()
    assert DOCKERFILE.rindex("\nUSER ampdr") > DOCKERFILE.rindex("\nRUN ")
    assert not re.search(r"^(ENV|ARG) .*(PASSWORD|SECRET|KEY)", DOCKERFILE, flags=re.MULTILINE)


def test_no_secret_has_a_default() -> None:
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable):
                assert DEMANDED.fullmatch(value), variable
    for password in re.findall(r"://[^:/@\s]*:([^@\s]*|\$\{[^}]*\})@", COMPOSE):
        assert DEMANDED.fullmatch(password), password


def test_every_variable_is_on_the_page() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE))
    assert all(f"`{variable}`" in PAGE or f"\n{variable}=" in PAGE for variable in asked)
    passed_on = {variable for name in OURS for variable in SERVICES[name]["environment"]}
    assert passed_on <= documented_variables()


def test_the_page_and_the_code_know_the_same_variables() -> None:
    assert documented_variables() == variables_of_the_code()
