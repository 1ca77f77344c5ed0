"""Pages that belong to no app: alive or not, the theme, and every way to say no."""

import re
import sys
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from ampdr import clock, work
from ampdr.errors import Absent, Forbidden, Refusal

THEMES = ("light", "dark")
A_YEAR = 365 * 24 * 3600
LONG_SILENCE = 60  # seconds


def healthz(request: HttpRequest) -> HttpResponse:
    """Alive: this process answers. Touches nothing."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """Ready: the database answers (else 503). What only slows work down, or stops it, is `degraded`, still with 200."""
    try:
        found = {"oldest_due": work.oldest_due(), **{kind: work.last_sign(kind) for kind in ("driver", "worker")}}
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "trouble": ["The database does not answer."]}, status=503)
    broker = work.broker_answers()
    since = clock.now() - timedelta(seconds=LONG_SILENCE)
    troubles = {
        "The broker does not answer: work goes on with the drivers' sweeps.": not broker,
        "No driver has been here for a minute.": not found["driver"] or found["driver"] < since,
        "Work has been due for a minute.": bool(found["oldest_due"] and found["oldest_due"] < since),
    }
    trouble = [words for words, there in troubles.items() if there]
    return JsonResponse({"status": "degraded" if trouble else "ok", "trouble": trouble, "broker": broker, **found})


def chosen_theme(request: HttpRequest) -> str:
    """The reader's choice; empty when the page follows the system."""
    choice = request.COOKIES.get("theme", "")
    return choice if choice in THEMES else ""


@csrf_exempt  # It sets how pages look, nothing else: so the 404 page, alike to the byte for all, needs no token for it.
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keeps the choice in a cookie, so that the server renders it, nothing flashes and it survives signing out."""
    back = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        back = "/"
    response = redirect(back)
    choice = request.POST.get("theme", "")
    if choice in THEMES:
        response.set_cookie("theme", choice, A_YEAR, secure=settings.SECURE, httponly=True, samesite="Lax")
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


def admin_door(request: HttpRequest) -> HttpResponse:
    """Admin's own sign-in page is not used: there is one door. Who is in already and no staff gets no second try."""
    if request.user.is_authenticated and request.user.is_staff:
        return redirect("admin:index")
    if request.user.is_authenticated:
        raise Forbidden("This door is for Support.", title="Only Support gets in here")
    return redirect_to_login(request.GET.get("next", "/admin/"))


def support() -> dict[str, str]:
    """How to reach Support, as far as this installation says so. `tel` is the phone number as a link wants it."""
    return {
        "phone": settings.SUPPORT_PHONE,
        "tel": re.sub(r"[^+\d]", "", settings.SUPPORT_PHONE),
        "email": settings.SUPPORT_EMAIL,
        "hours": settings.SUPPORT_HOURS,
        "answers": settings.SUPPORT_ANSWERS_LIVE_WITHIN,
    }


# ---- Pages with a part that updates itself ------------------------------------------------------


def unchanged(request: HttpRequest) -> bool:
    """Whether the reader's open page is the newest already. Asked first: the answer is then 204 and costs no statement.

    The part sends the version that it shows; every change of what an account's pages show raises that.
    """
    version = str(request.head.version)  # type: ignore[attr-defined]
    return bool(request.headers.get("HX-Request")) and request.GET.get("version") == version


def page_or_part(request: HttpRequest, page: str, part: str, context: Mapping[str, Any]) -> HttpResponse:
    """The page, or, for a page that is open already, only the part of it that updates itself."""
    response = render(request, part if request.headers.get("HX-Request") else page, {**context})
    patch_vary_headers(response, ["HX-Request"])
    return response


# ---- Refusals and errors ------------------------------------------------------------------------


def refusal_page(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """The page of a refusal, in the account's frame for who stands in one."""
    layout = "base.html" if getattr(request, "actor", None) else "bare.html"
    page = f"errors/{refusal.status}.html"
    return render(request, [page, "errors/400.html"], {"refusal": refusal, "layout": layout}, status=refusal.status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """One page, whether the thing is absent or another account's: nothing of the exception is shown."""
    return refusal_page(request, Absent())


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refusal_page(request, Forbidden("You may not do this."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain(request, "400.html", 400)


def failed(request: HttpRequest) -> HttpResponse:
    """An error on our side, or a database that doesn't answer: then 503, which front servers and clients try again."""
    away = isinstance(sys.exc_info()[1], OperationalError | InterfaceError)
    return plain(request, "500.html", 503 if away else 500, away=away, now=clock.now())


def plain(request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
    """A page made without the request's person, account or database, because any of them may be what failed."""
    reference = request.META.get("REQUEST_ID", "")
    frame = {"support": support(), "theme": chosen_theme(request), "layout": "bare.html", "reference": reference}
    with timezone.override(UTC):  # nobody's zone is known here
        return HttpResponse(render_to_string(template, frame | context), status=status)
