"""What no page of ours sends: too much, unreadable, under another's name. Refused in words, never with 500."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings

from accounts.models import Activity, Person
from ampdr import urls
from ampdr.middleware import HEADERS
from tests.caller import KEY, Answer, by_token, said, three_vms
from tests.cast import Cast, sign_in

handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500
FORM = "application/x-www-form-urlencoded"


def unfit(request: HttpRequest, kind: str) -> HttpResponse:
    """A view that checks nothing: what was sent goes straight into a statement."""
    sent: dict[str, Any] = {
        "nul": {"email": "a\0b"}, "surrogate": {"email": "\ud800"}, "number": {"pk__in": [2**70]}, "slow": {},
    }  # fmt: skip
    if kind == "slow":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '50ms'")
            cursor.execute("SELECT pg_sleep(2)")
    if kind == "number":
        raise DataError("integer out of range")
    return HttpResponse(str(Person.objects.filter(**sent[kind]).count()))


urlpatterns = [path("unfit/<str:kind>/", unfit), *urls.urlpatterns]


@pytest.fixture
def visitor(settings: Settings) -> Client:
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False)


def ours(response: Any) -> bool:
    """Whether the answer has our headers, and is one of our pages."""
    return all(response[name] == value for name, value in HEADERS.items()) and b"AMPDR" in response.content


# ---- Too much --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["/sign-in/", "/northwind/vms/", "/me/tokens/", "/admin/", "/no/such/page/", "/theme/"]
)
def test_a_page_reads_a_megabyte_at_most(cast: Cast, address: str) -> None:
    client = sign_in(Client(), cast.priya)
    answer = client.post(address, "x=" + "y" * 1024 * 1024, content_type=FORM)
    assert answer.status_code == 413 and ours(answer)
    assert "This is too large" in answer.content.decode() and "1.0" in answer.content.decode()


def test_nothing_of_what_is_too_much_is_read(cast: Cast, visitor: Client) -> None:
    """The length that was announced is enough to refuse it."""
    answer = visitor.generic("POST", "/sign-in/", "short", FORM, CONTENT_LENGTH=str(2**40))
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e9", "٣", "9" * 30, ""])
def test_a_length_that_is_none(cast: Cast, visitor: Client, length: str) -> None:
    for address in ("/sign-in/", "/api/v1/accounts/northwind/orders/"):
        assert visitor.generic("POST", address, "", FORM, CONTENT_LENGTH=length).status_code < 500


def test_the_api_reads_a_megabyte_at_most(cast: Cast) -> None:
    much = json.dumps({"vms": ["x" * 1024] * 1024})
    assert said(by_token(cast).post("orders/", much, KEY)) == (413, "too_large")


def test_a_form_has_a_thousand_fields_at_most(cast: Cast, visitor: Client) -> None:
    answer = visitor.post("/sign-in/", "&".join(f"f{n}=1" for n in range(1100)), content_type=FORM)
    assert answer.status_code == 400 and ours(answer)


def test_a_page_of_the_api_has_two_hundred_rows_at_most(cast: Cast) -> None:
    token = by_token(cast)
    assert token.get("vms/?size=200").status == 200
    assert said(token.get("vms/?size=201")) == (400, "invalid")


# ---- Unreadable ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/sign-in/?next=%00", "/sign-%00in/", "/static/%00", "/me/tokens/?account=a%00",
                                     "/northwind/vms/%00/", "/admin/accounts/person/%00/change/"])  # fmt: skip
def test_a_nul_in_an_address_is_a_400(cast: Cast, address: str) -> None:
    client = sign_in(Client(raise_request_exception=False), cast.priya)
    answer = client.get(address)
    assert answer.status_code in ((400, 404) if "/static/" in address else (400,)) and ours(answer)


@pytest.mark.parametrize("kind", ["nul", "surrogate", "number"])
def test_what_no_column_holds_is_a_400(db: None, visitor: Client, kind: str) -> None:
    answer = visitor.get(f"/unfit/{kind}/")
    assert answer.status_code == 400 and ours(answer)
    assert "could not read this request" in answer.content.decode()


JSONS = [
    '{"kind": "test", "vms": ["\\u0000"]}', '{"kind": "test", "vms": ["\\ud800"]}', '{"kind": "t\\u0000", "vms": []}',
    '{"kind": "test", "vms": [], "reason": "\\u0000"}', '{"kind": "test", "vms": [], "reason": "\\udfff"}',
    '{"kind": "test", "vms": [], "point_at": "9999-12-31T23:59:59+00:00"}', '{"kind": "test", "ends_at": 1e400}',
    '{"kind": "test", "vms": [], "point_at": "0001-01-01T00:00:00+14:00"}', "[" * 100_000, "NaN", '"', "\x00", "",
    '{"vms": ' + "9" * 5000 + "}", '{"kind": {"a": 1}, "vms": {"b": []}}', "null", "[]", "true",
]  # fmt: skip


@pytest.mark.parametrize("body", JSONS)
def test_absurd_json_is_a_400(cast: Cast, body: str) -> None:
    before = Activity.objects.count()
    token = by_token(cast)
    for address in ("tickets/", "orders/", "replications/stop/"):
        assert token.post(address, body, KEY).status in (400, 404)
    assert Activity.objects.count() == before + 1  # the token itself


def test_what_a_text_may_hold(cast: Cast) -> None:
    """A NUL or half a sign in a reason that is otherwise right: 400, and nothing is stored."""
    vms = three_vms(cast)
    token = by_token(cast)
    for reason in ("\\u0000", "\\ud800"):
        body = f'{{"kind": "test", "vms": ["{vms[0].uuid}"], "reason": "{reason}"}}'
        answer: Answer = token.post("tickets/", body, KEY)
        assert answer.status == 400, answer.content
    assert not Activity.objects.filter(kind="ticket").exists()


@pytest.mark.parametrize("cookie", ["\0", "x" * 4000, "'; DROP TABLE", "é", '"'])
def test_absurd_cookies_are_nobody(cast: Cast, visitor: Client, cookie: str) -> None:
    answer = visitor.generic("GET", "/northwind/vms/", HTTP_COOKIE=f"session={cookie}; csrf={cookie}; theme={cookie}")
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/?next=/northwind/vms/")


# ---- Time ------------------------------------------------------------------------------------------------------------


def test_every_connection_has_its_time_limits(db: None) -> None:
    """One that the tests don't lift them from (tests/conftest.py)."""
    bare = connection.get_new_connection(connection.get_connection_params())
    with closing(bare), bare.cursor() as cursor:
        found = {}
        for name in LIMITS:
            cursor.execute(f"SHOW {name}")
            found[name] = cursor.fetchone()[0]
    assert found == LIMITS


LIMITS = {
    "statement_timeout": "15s", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "3s",
    "client_connection_check_interval": "1s",
}  # fmt: skip
STANDS_STILL = """
import json, sys, psycopg2
cursor = psycopg2.connect(**json.loads(sys.argv[1])).cursor()
cursor.execute("SET statement_timeout = 0")
cursor.execute("SELECT pg_advisory_xact_lock(4711), pg_sleep(600)")
"""


def test_who_is_killed_in_mid_statement_holds_no_lock(db: None) -> None:
    """Without the check it would be held until the statement is done: the tests wait for a lock for a minute."""
    known = connection.get_connection_params()
    how = {name: known[name] for name in ("dbname", "user", "host", "port", "password", "options") if name in known}
    holder = subprocess.Popen([sys.executable, "-c", STANDS_STILL, json.dumps(how)])
    try:
        with connection.cursor() as cursor:
            deadline, held = time.monotonic() + 60, None
            while not held and time.monotonic() < deadline:
                cursor.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND granted")
                held = cursor.fetchone()
            assert held
            holder.kill()
            cursor.execute("SELECT pg_advisory_xact_lock(4711)")
    finally:
        holder.kill()
        holder.wait()


def test_a_statement_that_takes_too_long_is_cut_off(db: None, visitor: Client) -> None:
    """503: come again; and the page says so."""
    answer = visitor.get("/unfit/slow/")
    assert answer.status_code == 503 and ours(answer)
    with pytest.raises(OperationalError, match="statement timeout"):
        unfit(HttpRequest(), "slow")


# ---- Under another's name --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", "testserver@evil.example", "a b", "", "*"])
def test_a_forged_host_is_refused(db: None, visitor: Client, host: str) -> None:
    for address in (
        "/sign-in/",
        "/northwind/vms/",
        "/api/v1/accounts/northwind/vms/",
        "/admin/",
        "/static/nothing.css",
    ):
        answer = visitor.get(address, HTTP_HOST=host)
        assert answer.status_code in (400, 404), address
        assert all(answer[name] == value for name, value in HEADERS.items())
        assert b"evil.example" not in answer.content and "evil.example" not in str(answer.headers)


def test_a_forwarded_host_changes_nothing(cast: Cast) -> None:
    client = sign_in(Client(), cast.priya)
    plain = client.get("/failovers/FO-1/")
    forged = client.get("/failovers/FO-1/", headers={"X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "1"})
    assert plain.content == forged.content
    page = by_token(cast).get("vms/?size=1", **{"X-Forwarded-Host": "evil.example"})
    assert b"evil" not in page.raw
