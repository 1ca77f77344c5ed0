"""The page that an invitation's link leads to. Whoever has the link was sent it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.actions import accept_as_newcomer, accept_invitation, read_invitation
from accounts.forms import Newcomer
from accounts.models import Invitation
from ampdr.errors import Conflict, Invalid


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Who is new sets a password; who exists signs in, as exactly the invited one, and accepts with one button."""
    try:
        found = read_invitation(token)
        if request.user.is_authenticated:
            return _signed_in(request, token, found)
        return _somebody(request, token, found) if found.known else _newcomer(request, token, found)
    except Conflict as refusal:
        return render(request, "accounts/invitation_closed.html", {"refusal": refusal}, status=410)


def _signed_in(request: HttpRequest, token: str, found: Invitation) -> HttpResponse:
    if request.user.email != found.email:  # type: ignore[union-attr]
        return _page(request, found, status=403, case="wrong")
    if request.method == "POST":
        accept_invitation(request.user, token)  # type: ignore[arg-type]
        return redirect(f"/{found.account.slug}/")
    return _page(request, found, case="accept")


def _somebody(request: HttpRequest, token: str, found: Invitation) -> HttpResponse:
    if request.method == "POST":
        return redirect_to_login(request.path)
    return _page(request, found, case="sign_in")


def _newcomer(request: HttpRequest, token: str, found: Invitation) -> HttpResponse:
    form = Newcomer(request.POST if request.method == "POST" else None, initial={"name": found.name})
    if form.is_valid():
        said = form.cleaned_data
        try:
            accept_as_newcomer(token, said["name"], said["password"], said["time_zone"])
        except Invalid as wrong:
            form.refuse(wrong)
        else:
            messages.success(request, f"You are a member of {found.account} now. Sign in with your new password.")
            return redirect_to_login(f"/{found.account.slug}/")
    return _page(request, found, status=400 if form.errors else 200, case="new", form=form)


def _page(request: HttpRequest, found: Invitation, status: int = 200, **context: object) -> HttpResponse:
    roles = sorted(role.name for role in found.roles.all())
    said = {"invitation": found, "roles": roles, "here": request.path, **context}
    return render(request, "accounts/invitation.html", said, status=status)
