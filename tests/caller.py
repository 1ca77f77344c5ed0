"""Somebody who calls the API, in tests. Every answer is held against the document of the API itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.test import Client
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from accounts.actions import issue_token
from accounts.models import Permission, Person
from ampdr.api import PROBLEM, document
from ampdr.lifecycle import PORTAL
from inventory.models import VM
from tests.cast import Cast, make_vms, protect, sign_in

NOBODY = "00000000-0000-4000-8000-000000000000"
KEY = "a-key-of-its-own"


@cache
def the_document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document())
    return found


@dataclass
class Answer:
    status: int
    content: Any
    headers: dict[str, str]
    raw: bytes

    @property
    def code(self) -> str:
        return str(self.content["code"])


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


def alike(one: Answer, other: Answer) -> bool:
    """To the byte; only X-Request-ID may differ."""
    return (one.status, one.raw, one.headers) == (other.status, other.raw, other.headers)


def three_vms(cast: Cast) -> list[VM]:
    """Two protected VMs in Dallas, and one in London that can't be."""
    here = make_vms(cast.northwind, cast.sites["DFW01"], ["db-01", "web-01"])
    protect(cast, here)
    return [*here, *make_vms(cast.northwind, cast.sites["LHR01"], ["file-01"])]


@dataclass
class Caller:
    """Calls below one account, by token or as a signed-in person (with a CSRF token)."""

    slug: str = "northwind"
    headers: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))

    def call(self, method: str, path: str, body: Any = None, key: str = "", **headers: str) -> Answer:
        address = path if path.startswith("/api/") else f"/api/v1/accounts/{self.slug}/{path}"
        sent = self.headers | ({"Idempotency-Key": key} if key else {}) | headers
        data = body if isinstance(body, bytes | str) else json.dumps(body) if body is not None else ""
        kind = sent.pop("Content-Type", "application/json")
        response = self.client.generic(method, address, data, kind, headers=sent)
        found = {name: value for name, value in response.items() if name != "X-Request-ID"}
        content = json.loads(response.content) if response.content else None
        answer = Answer(response.status_code, content, found, response.content)
        check(method, address.partition("?")[0], answer)
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, key: str = "", **headers: str) -> Answer:
        return self.call("POST", path, body, key, **headers)

    def delete(self, path: str, key: str = "") -> Answer:
        return self.call("DELETE", path, key=key)


def by_token(cast: Cast, name: str = "priya", scopes: list[str] | None = None, slug: str = "") -> Caller:
    person: Person = getattr(cast, name)
    account = cast.contoso if name == "olga" else cast.northwind
    secret = issue_token(PORTAL, person, account, "tests", Permission.values if scopes is None else scopes)
    return Caller(slug or account.slug, {"Authorization": f"Bearer {secret}"})


def signed_in(cast: Cast, name: str = "priya", slug: str = "northwind") -> Caller:
    caller = Caller(slug)
    sign_in(caller.client, getattr(cast, name))
    caller.client.cookies["csrf"] = secret = "c" * 32
    caller.headers["X-CSRFToken"] = secret
    return caller


def check(method: str, address: str, answer: Answer) -> None:
    """The status is documented, and the content has the documented shape; a refusal is a problem, whatever the way."""
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == PROBLEM, (answer.status, answer.raw[:300])
        matches(answer.content, {"$ref": "#/components/schemas/Problem"})
        assert answer.content["status"] == answer.status
    operation = operation_of(method, address)
    if operation is None:
        assert method == "HEAD" or answer.status in (404, 405, 308), (method, address, answer.status)
        return
    documented = operation["responses"].get(str(answer.status))
    assert documented, f"{method} {address} answered {answer.status}, which is not documented: {answer.raw[:500]!r}"
    if schema := documented.get("content", {}).get("application/json", {}).get("schema"):
        matches(answer.content, schema)
    for name in documented.get("headers", {}):
        assert answer.headers[name]


def matches(content: Any, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": the_document()["components"]}
    errors = list(OAS31Validator(whole, format_checker=oas31_format_checker).iter_errors(content))
    assert not errors, [(list(error.path), error.message) for error in errors[:5]]


def operation_of(method: str, address: str) -> Any:
    for template, methods in sorted(the_document()["paths"].items(), key=lambda item: item[0].count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), address):
            return methods.get(method.lower())
    return None
