"""Logs: one line of JSON for each event, with what helps to find it again, and without what lets somebody in."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings

from ampdr import logs, urls
from ampdr.processes import end, launch
from ampdr.run import CHECKOUT
from tests.caller import KEY, by_token
from tests.cast import PASSWORD, Cast, sign_in
from tests.portal import free_port

handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500
SECRET = "ampdr_" + "3f" * 20


def breaking(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(f"two\nlines, password='hunter2 hunter2', {SECRET}")


urlpatterns = [path("broken/", breaking), *urls.urlpatterns]


class Written:
    """What was logged meanwhile, as it would stand in the file."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


@pytest.fixture
def written() -> Iterator[Written]:
    found = Written()
    handler = logging.StreamHandler(found.stream)
    handler.setFormatter(logs.formatter())
    logging.getLogger().addHandler(handler)
    yield found
    logging.getLogger().removeHandler(handler)


# ---- Requests --------------------------------------------------------------------------------------------------------


def test_a_request_is_one_line(cast: Cast, client: Client, written: Written) -> None:
    sign_in(client, cast.priya)
    client.get("/northwind/vms/?q=web&after=", headers={"X-Request-ID": "front-7F3A-22C1"})
    (line,) = written.lines
    assert line.pop("time").endswith("Z") and isinstance(line.pop("ms"), int)
    assert line == {
        "level": "info", "logger": "ampdr.request", "event": "request", "request_id": "front-7F3A-22C1",
        "person": cast.priya.pk, "account": "northwind", "method": "GET", "path": "/northwind/vms/", "status": 200,
    }  # fmt: skip


def test_who_calls_the_api_is_told_too(cast: Cast, written: Written) -> None:
    by_token(cast).post("orders/", {"vms": []}, KEY)
    line = written.last
    assert (line["person"], line["account"], line["status"]) == (cast.priya.pk, "northwind", 400)
    assert line["path"] == "/api/v1/accounts/northwind/orders/"


def test_nobody_is_asked_for_the_sake_of_a_line(db: None, written: Written) -> None:
    Client().get("/no/such/page/")
    assert (written.last["person"], written.last["account"], written.last["status"]) == (None, "", 404)


def test_signs_of_life_and_files_are_not_told(db: None, written: Written) -> None:
    for address in ("/healthz", "/static/app.css"):
        Client().get(address).close()
    assert written.lines == []


def test_an_error_of_ours_has_its_trace_and_number(db: None, settings: Settings, written: Written) -> None:
    settings.ROOT_URLCONF = __name__
    Client(raise_request_exception=False).get("/broken/", headers={"X-Request-ID": "front-7F3A-22C1"})
    error, request = written.lines
    assert error["request_id"] == request["request_id"] == "front-7F3A-22C1"
    assert (error["level"], request["status"]) == ("error", 500)
    assert "RuntimeError: two" in error["exception"] and "in breaking" in error["exception"]
    assert SECRET not in str(error) and "hunter2" not in str(error)


# ---- Secrets ---------------------------------------------------------------------------------------------------------

SIGNED = signing.dumps({"invitation": 7}, salt="x")
HIDDEN = [
    (f"Bearer {SECRET} was sent", SECRET), (f"Authorization: Bearer {SECRET}", SECRET), (SECRET, SECRET[6:]),
    ("Authorization: Basic cHJpeWE6eA==", "cHJpeWE6eA"), ("Cookie: session=abcdef; __Host-csrf=ghijkl", "abcdef"),
    ("Cookie: session=abcdef; __Host-csrf=ghijkl", "ghijkl"), ("login=a&password=hunter2&next=/", "hunter2"),
    ("{'password': 'correct horse', 'login': 'a'}", "horse"), ('{"code": "123456"}', "123456"),
    ("csrfmiddlewaretoken=AbCdEf0123", "AbCdEf0123"), (f"/invitation/{SIGNED}/", SIGNED),
    ("Not Found: /invitation/anything-at-all/x", "anything-at-all"), ("/sign-in/new-password/1a/set-abc/", "set-abc"),
    (f"link {SIGNED} sent", SIGNED), ("redis://:hunter2@redis:6379/0", "hunter2"),
    ("postgres://ampdr:hunter2@db/ampdr failed", "hunter2"), ("secret_key = 'abc def'", "abc"),
    ("otp: 98765432", "98765432"),
]  # fmt: skip


# By number: a signature holds the second it was made in, and every worker has to collect the same names.
@pytest.mark.parametrize(("text", "secret"), HIDDEN, ids=range(len(HIDDEN)))
def test_what_lets_somebody_in_is_not_logged(written: Written, text: str, secret: str) -> None:
    logging.getLogger("ampdr.anything").warning("about %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("ampdr.anything").exception("broken")
    assert secret not in written.stream.getvalue()
    assert logs.GONE in written.last["exception"]


@pytest.mark.parametrize(
    "name", ["password", "Authorization", "token", "csrftoken", "set_cookie", "code", "SECRET_KEY"]
)
def test_a_field_with_such_a_name_is_not_logged(name: str) -> None:
    assert logs.redact(None, "", {name: "x"}) == {name: logs.GONE}


@pytest.mark.parametrize(
    "text", ["FO-2231 is Running", "web-01 at DFW01: no answer: timed out", "/northwind/failovers/FO-2231/terminate/",
             "KeyError: 'vms'", "2026-11-22T03:09:00+00:00", "/me/tokens/", "fe80::1"],
)  # fmt: skip
def test_what_helps_is_logged(text: str) -> None:
    assert logs.without_secrets(text) == text


def test_a_sign_in_leaves_no_password(cast: Cast, written: Written) -> None:
    Client().post("/sign-in/?next=/x/", {"login": "priya@example.com", "password": PASSWORD})
    Client().post("/sign-in/", {"login": "priya@example.com", "password": "wrong-hunter2"})
    assert len([line for line in written.lines if line["path"] == "/sign-in/"]) == 2
    assert PASSWORD not in written.stream.getvalue() and "hunter2" not in written.stream.getvalue()


def test_nobody_writes_a_second_line(written: Written) -> None:
    logging.getLogger("ampdr.anything").warning('one\n{"level": "info"}\r\x1b[31m')
    assert len(written.lines) == 1
    logs_plain = logs.formatter(plain=True).format(logging.LogRecord("x", 30, "", 1, "one\ntwo\x1b[31m", None, None))
    assert "one\\ntwo\\x1b[31m" in logs_plain and "\n" not in logs_plain


# ---- Whole processes -------------------------------------------------------------------------------------------------


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def started(log: Path, line: str, **env: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONWARNINGS": "ignore", "C_FORCE_ROOT": "1", "SWEEP_SECONDS": "0.2", **env}
    return launch([sys.executable, *line.split()], log, env=env, cwd=CHECKOUT)


def test_every_word_of_web_is_a_line(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "web.log"
    web = started(log, f"-m gunicorn ampdr.wsgi --workers 1 --no-control-socket --bind 127.0.0.1:{port}")
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/no/such/?password=x", headers={"Host": "testserver"})
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and '"path"' not in log.read_text():
            try:
                urllib.request.urlopen(request, timeout=5)
            except urllib.error.HTTPError as answer:
                answer.close()
            except OSError:
                time.sleep(0.1)
    finally:
        end(web)
    lines = lines_of(log)
    assert any("Listening at" in line["event"] for line in lines)
    assert [line["status"] for line in lines if line.get("path") == "/no/such/"]
    assert "password" not in log.read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [("-m celery -A ampdr worker --concurrency 1", "Cannot connect to redis"),
     ("manage.py drive --loop", "the database is away")],
)  # fmt: skip
def test_every_word_of_worker_and_driver_is_a_line(tmp_path: Path, line: str, words: str) -> None:
    """With neither a broker nor a database, so that each has something to say. (What Celery calls out to a terminal
    when it is told to stop goes to standard output, and is no line of the log.)
    """
    log, deadline = tmp_path / "x.log", time.monotonic() + 60
    away = {"BROKER_URL": "redis://:hunter2@127.0.0.1:1/0", "DATABASE_URL": "postgres://x:hunter2@127.0.0.1:1/x"}
    process = started(log, line, **away)
    try:
        while words not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        lines = lines_of(log)
    finally:
        end(process)
    assert any(words in one["event"] and one["level"] in ("warning", "error") for one in lines)
    assert "hunter2" not in log.read_text()
