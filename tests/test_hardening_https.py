"""Cookies, HSTS and redirects of a real installation, whose settings are read anew in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from ampdr.run import CHECKOUT
from tests.test_hardening_start import REAL

ASK = """
import json, django
django.setup()
from django.test import Client
client = Client(SERVER_NAME="portal.example", raise_request_exception=False)
said = []
for method, path, headers in json.loads(input()):
    answer = client.generic(method, path, "theme=dark", "application/x-www-form-urlencoded", **headers)
    cookies = {name: dict(cookie) for name, cookie in answer.cookies.items()}
    said.append({"status": answer.status_code, "headers": dict(answer.headers), "cookies": cookies})
    client.cookies.clear()
print(json.dumps(said))
"""
BY_TLS = {"HTTP_X_FORWARDED_PROTO": "https"}


@cache
def asked(method: str, path: str, behind_proxy: bool = True, **headers: str) -> dict[str, Any]:
    """What a portal at https://portal.example answers to a request that its proxy hands on."""
    env = os.environ | REAL | {"DATABASE_URL": os.environ["DATABASE_URL"], "BEHIND_TLS_PROXY": str(int(behind_proxy))}
    env |= {"DJANGO_SETTINGS_MODULE": "ampdr.settings"}
    command, line = [sys.executable, "-c", ASK], json.dumps([(method, path, headers)])
    ran = subprocess.run(command, cwd=CHECKOUT, env=env, input=line, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])[0]
    return found


def test_plain_requests_are_led_to_https() -> None:
    answer = asked("GET", "/healthz")
    assert (answer["status"], answer["headers"]["Location"]) == (301, "https://portal.example/healthz")


def test_browsers_are_told_to_come_by_https_for_a_year() -> None:
    answer = asked("GET", "/healthz", **BY_TLS)
    assert answer["status"] == 200
    assert answer["headers"]["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL", "HTTP_FRONT_END_HTTPS"])
def test_without_a_proxy_nobody_says_that_he_came_by_https(header: str) -> None:
    answer = asked("GET", "/healthz", behind_proxy=False, **{header: "https"})
    assert answer["status"] == 301


def test_cookies_are_bound_to_the_host_and_to_tls() -> None:
    """`__Host-`: browsers take them only by TLS, for this host alone, with the path /."""
    answer = asked("GET", "/sign-in/", **BY_TLS)
    assert answer["status"] == 200
    cookie = answer["cookies"]["__Host-csrf"]
    assert (cookie["secure"], cookie["path"], cookie["domain"], cookie["samesite"]) == (True, "/", "", "Lax")
    theme = asked("POST", "/theme/", **BY_TLS)["cookies"]["theme"]
    assert theme["secure"] and theme["httponly"]


def test_the_session_is_bound_alike() -> None:
    code = "from django.conf import settings as s; print(s.SESSION_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, s.SESSION_COOKIE_SAMESITE, s.SESSION_COOKIE_DOMAIN, s.SESSION_COOKIE_PATH)"  # noqa: E501
    env = os.environ | REAL | {"DJANGO_SETTINGS_MODULE": "ampdr.settings"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, env=env, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["__Host-session", "True", "True", "Lax", "None", "/"]


def test_a_forged_host_is_refused_before_any_redirect() -> None:
    answer = asked("GET", "/healthz", HTTP_HOST="evil.example")
    assert answer["status"] == 400 and "Location" not in answer["headers"]
    assert "default-src 'none'" in answer["headers"]["Content-Security-Policy"]
