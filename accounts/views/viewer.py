"""The door into an account: who is looking, and into which account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from accounts.actions import enter, explain, support
from accounts.actions.proof import proved
from accounts.models import Account, Head, Person
from ampdr.errors import Forbidden, Refusal
from ampdr.lifecycle import Actor
from ampdr.views import refusal_page


class Visit(HttpRequest):
    """A request below /<account>/, as `Viewer` hands it to the views there."""

    actor: Actor
    head: Head


class Viewer:
    """Middleware: pages below /<account>/ get `request.actor` and `request.head`; views don't see the slug.

    Whoever isn't signed in is led to the sign-in page; another account doesn't exist (404).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(getattr(request.user, "time_zone", "UTC")):
            return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        if request.path.startswith("/admin/") and request.user.is_authenticated:
            return support_door(request)
        if "account" not in kwargs or request.path.startswith("/api/"):
            return None
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        try:
            came_in(request, kwargs.pop("account"))
        except Refusal as refusal:
            return refusal_page(request, refusal)
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Completes a refusal for want of permission; the middleware before this one makes its page."""
        actor = getattr(request, "actor", None)
        if isinstance(exception, Forbidden) and actor:
            explain(exception, actor)


viewer = Viewer
SIGN_OUT = "/admin/logout/"


def support_door(request: HttpRequest) -> HttpResponseBase | None:
    """Into admin go Support's people alone, and only with a second factor that this session has proved."""
    person: Any = request.user
    if not person.is_staff:
        return refusal_page(request, Forbidden("This door is for Support.", title="Only Support gets in here"))
    if request.path != SIGN_OUT and proved(request, support(person)).proved_at is None:
        there = request.get_full_path() if request.method in ("GET", "HEAD") else "/admin/"
        return redirect_to_login(there, reverse("me-factor"))
    return None


def came_in(request: Any, slug: str) -> None:
    """Tells the request who looks and where; who has several accounts is led to this one next time."""
    actor, request.head, request.accounts = enter(request.user, slug)
    request.actor = proved(request, actor)
    looked = not request.headers.get("HX-Request")  # a part that updates itself, in a tab behind, leads nobody anywhere
    if looked and len(request.accounts) > 1 and request.user.last_account_id != actor.account_id:
        Person.objects.filter(pk=request.user.pk).update(last_account=actor.account_id)


def home(request: HttpRequest) -> HttpResponse:
    """`/` leads to the only or last used account; Support's people to admin."""
    if not request.user.is_authenticated:
        return redirect("account_login")
    mine = Account.objects.filter(memberships__person=request.user, memberships__enabled=True).order_by("name")
    accounts = list(mine)
    if request.user.is_staff and not accounts:
        return redirect("admin:index")
    last = next((account for account in accounts if account.pk == request.user.last_account_id), None)
    if last or len(accounts) == 1:
        return redirect("overview", (last or accounts[0]).slug)
    return render(request, "accounts.html", {"accounts": accounts, "layout": "bare.html"})
