"""What every response carries, and how a page says no."""

import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from ampdr.errors import Refusal
from ampdr.views import refusal_page

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


class Refusals:
    """Turns a refusal that a page's view raised into its page. The API translates its own, in its own shape."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Refusal) and not request.path.startswith("/api/"):
            return refusal_page(request, exception)
        return None


refusals = Refusals
