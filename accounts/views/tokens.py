"""A person's own API tokens, account by account, outside of an account's frame."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts.actions import enter, explain, make_token, revoke_token
from accounts.forms import NewToken
from accounts.models import Account, Permission, Token
from ampdr import clock
from ampdr.errors import Absent, Forbidden, Invalid
from ampdr.lifecycle import Actor


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """My tokens in one of my accounts (`account`, or the last used), and a form for a new one."""
    mine = Account.objects.filter(memberships__person=request.user.pk, memberships__enabled=True)
    accounts = list(mine.order_by("name"))
    slug = request.POST.get("account") or request.GET.get("account") or _usual(request, accounts)
    if not slug:
        return render(request, "me/tokens.html", {"accounts_of_mine": []})
    who = _standing(request, slug)
    page = {"accounts_of_mine": accounts, "who": who}
    try:
        who.need(Permission.READ_TOKENS)
        return _make(request, who, page) if request.method == "POST" else _page(request, who, page)
    except Forbidden as refusal:
        explain(refusal, who)
        return render(request, "me/tokens.html", {**page, "refusal": refusal}, status=403)


@login_required
@require_POST
def revoke(request: HttpRequest, prefix: str) -> HttpResponse:
    """Ends one of my tokens. Whose it isn't learns nothing of it."""
    token = Token.objects.filter(person=request.user.pk, prefix=prefix.replace("\0", "")).select_related("account")
    if (found := token.first()) is None:
        raise Absent
    revoke_token(_standing(request, found.account.slug), found.prefix)
    return redirect(f"{reverse('tokens')}?account={found.account.slug}")


def _usual(request: HttpRequest, accounts: list[Account]) -> str:
    last: Any = request.user.last_account  # type: ignore[union-attr]
    return (last if last in accounts else accounts[0]).slug if accounts else ""


def _standing(request: HttpRequest, slug: str) -> Actor:
    """Me as an actor in that account; a refusal then shows its frame. Absent if I am no member."""
    actor = enter(request.user, slug.replace("\0", ""))[0]  # type: ignore[arg-type]
    request.actor = actor  # type: ignore[attr-defined]
    return actor


def _make(request: HttpRequest, who: Actor, page: dict[str, Any]) -> HttpResponse:
    """The secret stands on this one answer and nowhere else: no redirect, no session, nothing to store."""
    who.need(Permission.WRITE_TOKENS)
    form = NewToken(request.POST, permissions=who.permissions)
    if form.is_valid():
        said = form.cleaned_data
        try:
            secret = make_token(who, said["name"], said["scopes"], said["days"])
        except Invalid as wrong:
            form.refuse(wrong)
        else:
            return _page(request, who, page, made=said["name"], secret=secret)
    return _page(request, who, page, form=form)


def _page(request: HttpRequest, who: Actor, page: dict[str, Any], **more: Any) -> HttpResponse:
    mine = Token.objects.visible_to(who, Permission.READ_TOKENS).filter(person=who.person_id, revoked_at=None)
    may_write = who.can(Permission.WRITE_TOKENS)
    form = more.pop("form", None) or (NewToken(permissions=who.permissions) if may_write else None)
    rows = [{"token": token, "words": _words(token), "ended": _ended(token)} for token in mine.order_by("-pk")]
    context = {**page, "rows": rows, "form": form, "may_write": may_write, **more}
    return render(request, "me/tokens.html", context, status=400 if form and form.errors else 200)


def _words(token: Token) -> str:
    return ", ".join(Permission(scope).label for scope in token.scopes if scope in Permission.values)


def _ended(token: Token) -> bool:
    return token.expires_at is not None and token.expires_at <= clock.now()
