"""What every response carries, and how pages say no."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings

from ampdr import errors, urls
from ampdr.middleware import CONTENT_SECURITY_POLICY
from tests.cast import Cast, sign_in

handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


def refuse(request: HttpRequest, kind: str) -> HttpResponse:
    refusals: dict[str, Exception] = {
        "absent": Http404("FO-9999 is nowhere"),
        "foreign": errors.Absent(),
        "forbidden": errors.Forbidden(
            "Ask.", permission="Read Server Replication", roles=["Billing"],
            administrators=[{"name": "Alice <b>Moreau</b>", "email": "alice@northwind.example"}],
        ),
        "conflict": errors.Conflict("It was approved.", who="Mary Osei", subject="FO-2231", href="/x/"),
        "invalid": errors.Invalid("Not a cursor.", fields={"after": ["Unknown."]}),
        "broken": RuntimeError("a secret of the code"),
    }  # fmt: skip
    raise refusals[kind]


urlpatterns = [path("pages/<str:kind>/", refuse), path("api/v1/<str:kind>/", refuse), *urls.urlpatterns]
# No page here reads the database, but Django looks after a connection that an earlier test left open.
pytestmark = pytest.mark.django_db

ANSWERS = [
    ("/healthz", 200),
    ("/sign-in/", 200),
    ("/admin/", 302),
    ("/admin/login/", 302),
    ("/theme/", 405),
    ("/no/such/page/", 404),
    ("/static/app.css", 200),
    ("/static/admin/css/base.css", 200),
    ("/static/nothing.css", 404),
    ("/pages/foreign/", 404),
    ("/pages/forbidden/", 403),
    ("/pages/conflict/", 409),
    ("/pages/invalid/", 400),
    ("/pages/broken/", 500),
    ("/static/nothing/", 404),
    ("/static/../ampdr/settings.py", 404),
    ("/me/tokens/", 302),
    ("/northwind/vms/", 302),
    ("/sign-in/?next=%00", 400),
    ("/api/v2/nothing/", 404),
    ("/api/v1/schema", 308),
    ("/api/v1/accounts/northwind/vms/", 401),
    ("/api/v1/sites/DFW01/", 401),
]


@pytest.fixture
def visitor(settings: Settings) -> Client:
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(("address", "status"), ANSWERS)
def test_every_answer_has_the_strict_policy(visitor: Client, address: str, status: int) -> None:
    response = visitor.get(address)
    assert response.status_code == status
    assert response["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response["Permissions-Policy"]
    kept = address.startswith("/static/") and status == 200
    assert ("no-store" in response["Cache-Control"]) is not kept
    response.close()


def test_tenant_pages_are_kept_nowhere(cast: Cast, client: Client) -> None:
    """Not by a browser's back button either, on a machine that somebody else sits at next."""
    sign_in(client, cast.priya)
    for address in ("/northwind/vms/", "/northwind/activity/", "/me/tokens/", "/northwind/failovers/FO-1/"):
        assert client.get(address)["Cache-Control"] == "private, no-store"


def test_the_policy_allows_only_our_own_files() -> None:
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none';")
    assert not re.search("unsafe|data:|nonce|https?:|\\*", CONTENT_SECURITY_POLICY)
    assert set(re.findall(r"'[^']*'", CONTENT_SECURITY_POLICY)) == {"'none'", "'self'"}


@pytest.mark.parametrize(("address", "status"), [one for one in ANSWERS if not re.match("/(static|api)/", one[0])])
def test_no_page_breaks_the_policy(visitor: Client, address: str, status: int) -> None:
    body = visitor.get(address).content.decode()
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:|data:", body)


def test_styles_load_nothing_from_elsewhere() -> None:
    for sheet in (Path(__file__).parent.parent / "static").glob("*.css"):
        assert not re.search(r"data:|https?:|@import|url\((?!inter\.woff2\))", sheet.read_text()), sheet


def test_a_sound_request_number_is_kept(visitor: Client) -> None:
    assert visitor.get("/healthz", headers={"X-Request-ID": "front-7F3A-22C1"})["X-Request-ID"] == "front-7F3A-22C1"
    for hostile in ("short", "x" * 65, "a b c d e f g h", "<script>alert(1)"):
        given = visitor.get("/healthz", headers={"X-Request-ID": hostile})["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{32}", given)


def test_absent_and_foreign_are_alike_to_the_byte(visitor: Client) -> None:
    absent, foreign = visitor.get("/pages/absent/"), visitor.get("/pages/foreign/")
    assert absent.content == foreign.content
    assert dict(absent.headers, **{"X-Request-ID": ""}) == dict(foreign.headers, **{"X-Request-ID": ""})
    body = absent.content.decode()
    assert "FO-9999" not in body
    assert "csrf" not in body
    assert "<time" not in body
    assert absent["X-Request-ID"] not in body


def test_forbidden_says_what_is_missing_and_who_can_give_it(visitor: Client) -> None:
    body = visitor.get("/pages/forbidden/").content.decode()
    assert "<b>Billing</b>, does not include <b>Read Server Replication</b>" in body
    assert "Alice &lt;b&gt;Moreau" in body
    assert 'href="mailto:alice@northwind.example"' in body


def test_conflict_says_who_was_first_and_the_way_on(visitor: Client) -> None:
    body = visitor.get("/pages/conflict/").content.decode()
    assert "Mary Osei was first" in body
    assert 'href="/x/">Open FO-2231</a>' in body


def test_an_error_of_ours_tells_its_reference_and_no_secret(visitor: Client) -> None:
    response = visitor.get("/pages/broken/")
    body = response.content.decode()
    assert response["X-Request-ID"] in body
    assert "+1 555 0100" in body
    assert "a secret" not in body


def test_pages_of_refusals_are_not_for_the_api(visitor: Client) -> None:
    """The API's own handler answers for its views; what gets past it is an error of ours, never a page with 409."""
    assert visitor.get("/api/v1/conflict/").status_code == 500


def test_theme_is_a_cookie_and_leads_back(visitor: Client) -> None:
    back = {"Referer": "http://testserver/sign-in/?next=/x/"}
    response = visitor.post("/theme/", {"theme": "dark"}, headers=back)
    assert response["Location"] == back["Referer"]
    assert response.cookies["theme"]["httponly"]
    assert b'data-theme="dark"' in visitor.get("/sign-in/").content
    visitor.post("/theme/", {"theme": '"><script>'}, headers=back)
    assert b"data-theme" not in visitor.get("/sign-in/").content


@pytest.mark.parametrize("referer", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)", ""])
def test_theme_leads_nowhere_else(visitor: Client, referer: str) -> None:
    extra: dict[str, Any] = {"headers": {"Referer": referer}}
    assert visitor.post("/theme/", {"theme": "dark"}, **extra)["Location"] == "/"


def test_admin_has_no_door_of_its_own(visitor: Client) -> None:
    response = visitor.get("/admin/", follow=True)
    assert response.redirect_chain[-1] == ("/sign-in/?next=/admin/", 302)
    assert b"Sign in" in response.content
