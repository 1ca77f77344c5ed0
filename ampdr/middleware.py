"""What every response carries, and how a page says no."""

import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.defaultfilters import filesizeformat

from ampdr.errors import Refusal, TooLarge, is_unfit
from ampdr.views import bad_request, refusal_page

Handler = Callable[[HttpRequest], HttpResponseBase]

# Everything comes from here, nothing is written into a page: no inline style or script, no data: addresses, no nonces.
CONTENT_SECURITY_POLICY = "; ".join(
    ["default-src 'none'"]
    + [f"{kind}-src 'self'" for kind in ("script", "style", "img", "font", "connect")]
    + ["form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
STATIC_ANSWERS = (200, 206, 304)


def headers(get_response: Handler) -> Handler:
    """Puts the house's headers on every response, also on errors, admin's pages and static files.

    The request's number is a front server's if it sent a sound one; it stands in META["REQUEST_ID"] and goes back out.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        number = request.headers.get("X-Request-ID", "")
        number = number if REQUEST_ID.fullmatch(number) else uuid.uuid4().hex
        request.META["REQUEST_ID"] = number
        response = get_response(request)
        for name, value in HEADERS.items():
            response[name] = value
        response["X-Request-ID"] = number
        if not (request.path.startswith(settings.STATIC_URL) and response.status_code in STATIC_ANSWERS):
            response["Cache-Control"] = "private, no-store"
        return response

    return answer


def length_of(request: HttpRequest) -> int:
    """How much was announced; what is no number announces nothing, and Django reads nothing then."""
    said = request.META.get("CONTENT_LENGTH") or ""
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else 0


def limits(get_response: Handler) -> Handler:
    """Refuses what no page of ours sends, before anything reads it: more than is read, or a NUL in the address.

    The API says so itself, in its own shape, once it knows who calls. What comes in pieces, without a length, is not
    read at all.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith("/api/"):
            return get_response(request)
        if length_of(request) > (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0):
            most = filesizeformat(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
            return refusal_page(request, TooLarge(f"A page reads {most} at most. Send less at once."))
        if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return bad_request(request, ValueError("NUL"))
        return get_response(request)

    return answer


class Refusals:
    """Turns a refusal that a page's view raised into its page, and what the database can't hold into a 400.

    The API translates its own, in its own shape.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if request.path.startswith("/api/"):
            return None
        if isinstance(exception, Refusal):
            return refusal_page(request, exception)
        return bad_request(request, exception) if is_unfit(exception) else None


refusals = Refusals
