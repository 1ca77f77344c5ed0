"""The API put together: its addresses, the shape of every refusal, and the document that describes it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, include, path, re_path, resolve
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.views import APIView

from accounts.actions import administrators
from accounts.api import AlwaysJson, ByMachine, BySession, ByToken
from accounts.models import Permission
from ampdr.errors import Absent, Forbidden, Invalid, Refusal, TooLarge, is_unfit

log = logging.getLogger("django.request")

PROBLEM = "application/problem+json"
# What of a refusal's facts is told: words, numbers of tickets, names and uuids of VMs, times. Never a primary key.
TOLD = (
    "permission", "administrators", "case", "listed", "reasons", "subject", "state", "since", "who", "ticket",
    "tickets", "sites", "vms",
)  # fmt: skip
FIELDS_AT_MOST = 20
LABELS = dict(Permission.choices)


# ---- Refusals --------------------------------------------------------------------------------------------------------


def problem(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Every way to say no, as application/problem+json. DRF hands every exception of a method here."""
    refusal = translated(error)
    if refusal is None:
        return broken(error, context["request"])
    content = {
        "type": f"urn:ampdr:problem:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.message,
    }
    if isinstance(refusal, Invalid) and refusal.fields:
        content["fields"] = refusal.fields
    if facts := told(refusal, getattr(context.get("view"), "actor", None)):
        content["facts"] = facts
    headers = {"WWW-Authenticate": getattr(error, "auth_header", "")} if refusal.status == 401 else {}
    return answer(content, headers)


def answer(content: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse:
    text = json.dumps(content, cls=JSONEncoder, separators=(",", ":"))
    return HttpResponse(text, content_type=PROBLEM, status=content["status"], headers=dict(headers))


def told(refusal: Refusal, actor: Any) -> dict[str, Any]:
    """The facts of a refusal that help its reader; with a missing permission, who can grant it."""
    facts = {name: value for name, value in refusal.facts.items() if name in TOLD and value not in (None, "", [])}
    if "permission" in facts:
        facts["permission"] = LABELS.get(facts["permission"], facts["permission"])
        if "administrators" not in facts and actor is not None:
            facts["administrators"] = administrators(actor.account_id)
    return facts


def refusal_of(status: int, code: str, title: str, message: str) -> Refusal:
    refusal = Refusal(message, code=code, title=title)
    refusal.status = status
    return refusal


def translated(error: Exception) -> Refusal | None:
    """What the error says to a caller; None if it is ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, exceptions.ValidationError):
        return Invalid("Please correct what is named in `fields`.", fields=fields_of(error.detail))
    if isinstance(error, Http404 | exceptions.NotFound):
        return Absent()
    if is_unfit(error):
        error = SuspiciousOperation()
    for kind, status, code, title, words in WORDS:
        if isinstance(error, kind):
            return refusal_of(status, code, title, words)
    if isinstance(error, exceptions.APIException):
        return refusal_of(error.status_code, error.default_code, "This can't be done", "The request was refused.")
    return None


WORDS: tuple[tuple[type[Exception], int, str, str, str], ...] = (
    (exceptions.AuthenticationFailed, 401, "invalid_token", "This token opens nothing",
     "It is wrong, has expired or was revoked. Make a new one."),
    (exceptions.NotAuthenticated, 401, "not_authenticated", "Say who you are",
     "Send Authorization: Bearer with an API token, or the cookie of a signed-in person."),
    (exceptions.PermissionDenied, 403, "csrf_failed", "Not sent by a page of this portal",
     "With a session's cookie, send its CSRF token as X-CSRFToken. With an API token, send no cookie."),
    (PermissionDenied, Forbidden.status, Forbidden.code, Forbidden.title, "You may not do this."),
    (exceptions.ParseError, 400, "malformed", "This is not JSON", "The body can't be read as JSON."),
    (exceptions.MethodNotAllowed, 405, "method_not_allowed", "Not with this method",
     "The header Allow names the methods of this address."),
    (exceptions.UnsupportedMediaType, 415, "unsupported_media_type", "Send JSON",
     "The Content-Type of a body is application/json."),
    (RequestDataTooBig, TooLarge.status, TooLarge.code, TooLarge.title, "Send less at once."),
    (SuspiciousOperation, 400, "malformed", "This can't be read", "The request is malformed."),
)  # fmt: skip


def fields_of(detail: Any) -> dict[str, list[str]]:
    """Field -> what is wrong with it. An item of a list is named by its place: `vms.3`."""
    found: dict[str, list[str]] = {}

    def collect(name: str, part: Any) -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                collect(f"{name}.{key}" if name else str(key), value)
        elif len(found) < FIELDS_AT_MOST:
            found.setdefault(name, []).extend(str(words) for words in part)

    collect("", detail)
    return {("body" if name == "non_field_errors" else name): words for name, words in found.items()}


def broken(error: Exception, request: Request) -> HttpResponse:
    """An error on our side, told and logged as Django does; 503 when the database doesn't answer: try again."""
    http = request._request
    got_request_exception.send(sender=APIView, request=http)
    log.error("%s: %s", http.path, error, exc_info=error, extra={"status_code": 500, "request": http})
    away = isinstance(error, OperationalError | InterfaceError)
    status, code = (503, "unavailable") if away else (500, "internal_error")
    content = {
        "type": f"urn:ampdr:problem:{code}", "title": "Not now" if away else "Something broke on our side",
        "status": status, "code": code, "detail": "Try again, with the same Idempotency-Key." if away else
        "It is logged under this answer's X-Request-ID.",
    }  # fmt: skip
    return answer(content, {"Retry-After": "5"} if away else {})


# ---- Addresses -------------------------------------------------------------------------------------------------------


@csrf_exempt
def nowhere(request: HttpRequest) -> HttpResponse:
    """Whatever is no address. One that only lacks its last slash leads to it, method and body kept."""
    if request.path.endswith("/") or not is_address(f"{request.path}/"):
        return problem(Absent(), {})
    return HttpResponse(status=308, headers={"Location": request.get_full_path(force_append_slash=True)})


def is_address(address: str) -> bool:
    try:
        return resolve(address).url_name != "api-nowhere"
    except Resolver404:
        return False


@cache
def document() -> bytes:
    """The document, made once per process: it depends on the code alone."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return json.dumps(schema, ensure_ascii=False).encode()


class Schema(APIView):
    """This document."""

    authentication_classes = ()
    content_negotiation_class = AlwaysJson
    http_method_names = ("get", "head")

    @extend_schema(
        operation_id="get_schema", responses={200: {"type": "object", "description": "OpenAPI 3.1"}}, auth=[]
    )
    def get(self, request: Request) -> HttpResponseBase:
        """This document, for everybody: it tells nothing of anybody."""
        return HttpResponse(document(), content_type="application/json")


ACCOUNT = "v1/accounts/<str:account>/"
urlpatterns = [
    path("v1/schema/", Schema.as_view(), name="api-schema"),
    path(ACCOUNT, include("replication.api")),
    path(ACCOUNT, include("failover.api")),
    path(ACCOUNT, include("inventory.api.accounts")),
    path("v1/sites/<str:site>/", include("inventory.api")),
    re_path("", nowhere, name="api-nowhere"),
]


# ---- The document ----------------------------------------------------------------------------------------------------


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = ByToken
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        words = "An API token of a person in one account. It may what both the person and the token may."
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ampdr_…", "description": words}


class MachineScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = ByMachine
    name = "machine"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        words = "A machine's token, made by an Operator, for one purpose and one site or account."
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ampdr_…", "description": words}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BySession
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        words = "A signed-in person. What isn't reading also sends the CSRF token as X-CSRFToken."
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": words}


PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A refusal (RFC 9457). `code` is stable; `title` and `detail` are words for people.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "fields": {
            "type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "description": "field -> what is wrong with it",
        },
        "facts": {"type": "object", "description": "what helps: `ticket`, `who`, `since`, `permission`, …"},
    },
}  # fmt: skip
MEANINGS = {
    400: "Not well-formed.",
    401: "Nobody known calls.",
    403: "The caller may not do this; `facts` name the permission and who can grant it. With `second_factor_needed`: "
    "send a code of the authenticator app as `code`.",
    404: "Not in this account, for this caller: the same answer for another account's and for what never was.",
    405: "Not with this method.",
    409: "Not as things stand now; `facts` name who was first.",
    413: "Too large.",
    415: "The body is not application/json.",
    503: "The database doesn't answer: try again, with the same Idempotency-Key.",
}


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Adds to the document what every address below an account or a site may answer."""
    components = result["components"]
    components["schemas"]["Problem"] = PROBLEM_SCHEMA
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {f"Problem{n}": {"description": MEANINGS[n], "content": content} for n in MEANINGS}
    for address, methods in result["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            for status in refusals_of(address, method, operation):
                answers[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
            for made in {"201", "303"} & set(answers):
                answers[made]["headers"] = {"Location": {"schema": {"type": "string", "format": "uri-reference"}}}
            if body := operation.get("requestBody"):
                name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                components["schemas"][name]["additionalProperties"] = False
    return result


def refusals_of(address: str, method: str, operation: Mapping[str, Any]) -> list[int]:
    if not re.search(r"\{(account|site)\}", address):
        return []
    asks = any(parameter["in"] != "path" for parameter in operation.get("parameters", ()))
    unsafe = [409, 413, 415] if method != "get" else []
    return sorted([401, 403, 404, 503, *unsafe, *([400] if asks or unsafe else [])])
