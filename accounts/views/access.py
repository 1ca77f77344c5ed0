"""Asking for access, from the page that says no."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from accounts.actions import ask_for_access
from accounts.views.viewer import Visit


@require_POST
def ask(request: Visit) -> HttpResponse:
    """One message to the administrators; then back to the page, which says when he asked and who was told."""
    ask_for_access(request.actor, request.POST.get("permission", ""))
    back = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        back = f"/{request.actor.account_slug}/"
    return redirect(back)
