"""What web, worker and driver write down while they run: one line of JSON for each event, without secrets.

Every line has `time`, `level`, `logger`, `event`; those of a request also `request_id`; and each request ends with one
line that has `person` (a number), `account` (a slug), `method`, `path` (without its query), `status` and `ms`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject, empty
from structlog.contextvars import bound_contextvars

log = logging.getLogger("ampdr.request")

GONE = "[…]"
# What is secret by its name, wherever it stands with a value: a field of an event, a header, a part of a query or form.
NAMES = r"[\w-]*(?:authorization|cookie|passw|secret|token|csrf|session|otp|digest)[\w-]*|code|key"
VALUE = r"\"[^\"]*\"|'[^']*'|[^\s&,;})]+"
SECRET_NAME = re.compile(NAMES, re.I)
SECRETS = [
    (re.compile(r"ampdr_[0-9A-Za-z]+"), f"ampdr_{GONE}"),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"']+", re.I), rf"\1 {GONE}"),
    (re.compile(r"(/(?:invitation|new-password)/)[^\s?\"']+"), rf"\1{GONE}"),  # links that let in whoever has them
    (re.compile(r"[\w-]{8,}:[\w-]{4,}:[\w-]{20,}"), GONE),  # whatever Django has signed
    (re.compile(r"://[^\s/@\"']*@"), f"://{GONE}@"),  # a URL's user and password
    (re.compile(rf"([\"']?\b(?:{NAMES})[\"']?\s*[=:]\s*)(?!{re.escape(GONE)})(?:{VALUE})", re.I), rf"\1{GONE}"),
]  # fmt: skip
UNSEEN = {ord(sign): repr(sign)[1:-1] for sign in map(chr, range(32))}  # no line is two, whatever is logged

Event = MutableMapping[str, Any]


# ---- How a line is made ----------------------------------------------------------------------------------------------


def redact(_: Any, __: str, event: Event) -> Event:
    """The event without anything that lets somebody in, and each text on one line (an exception's stays as it is)."""
    for name, value in event.items():
        if SECRET_NAME.fullmatch(name):
            event[name] = GONE
        elif not isinstance(value, int | float | None):
            text = without_secrets(str(value))
            event[name] = text if name == "exception" else text.translate(UNSEEN)
    return event


def without_secrets(text: str) -> str:
    for secret, instead in SECRETS:
        text = secret.sub(instead, text)
    return text


def formatter(plain: bool = False) -> structlog.stdlib.ProcessorFormatter:
    """JSON, or plain text for a person at a terminal. Both are redacted."""
    writer: Any = structlog.dev.ConsoleRenderer(colors=False) if plain else structlog.processors.JSONRenderer()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp" if plain else "time"),
            structlog.stdlib.ExtraAdder(allow=("person", "account", "method", "path", "status", "ms")),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            writer,
        ],
    )


def config(plain: bool = False) -> dict[str, Any]:
    """What the settings, and gunicorn's own (gunicorn.conf.py), say of logs. Everything goes to standard error."""
    quiet = dict.fromkeys(("celery", "kombu", "amqp", "django"), "WARNING")
    quiet |= {"django.request": "ERROR", "django.security.csrf": "ERROR"}  # each request has a line of its own
    through = {name: {"level": level, "handlers": [], "propagate": True} for name, level in quiet.items()}
    gunicorn = {"gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True}}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "ampdr.logs.formatter", "plain": plain}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": through | gunicorn,
    }


# ---- Requests --------------------------------------------------------------------------------------------------------


def requests(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware, right behind the one that gives a request its number: one line for each request, at its end."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        with bound_contextvars(request_id=request.META["REQUEST_ID"]):
            response = get_response(request)
            if is_told(request, response):
                log.info("request", extra=told(request, response, time.perf_counter() - began))
        return response

    return answer


def is_told(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Files and signs of life that went well are not."""
    dull = request.path.startswith(settings.STATIC_URL) or request.path in ("/healthz", "/readyz")
    return not dull or response.status_code >= 400


def told(request: HttpRequest, response: HttpResponseBase, seconds: float) -> dict[str, Any]:
    actor: Any = getattr(request, "actor", None)
    user = request.__dict__.get("user")
    known = None if isinstance(user, SimpleLazyObject) and user._wrapped is empty else user
    match = request.resolver_match
    return {
        "person": getattr(known, "person_id", None) or getattr(known, "pk", None),
        "account": actor.account_slug if actor else str(match.kwargs.get("account", "")) if match else "",
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "ms": round(seconds * 1000),
    }
