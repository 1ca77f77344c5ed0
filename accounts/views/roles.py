"""Roles + Permissions: what each role allows, by screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.actions import change_role, clone_role, create_role, delete_role
from accounts.actions.rights import is_administrator
from accounts.forms import NamedRole
from accounts.models import SCREENS, Invitation, Membership, Permission, Role
from accounts.views.users import initials, known, roles_of
from accounts.views.viewer import Visit
from ampdr.errors import Absent, Invalid
from ampdr.lifecycle import Actor, State

DEFAULT = State("default", "Default, fixed", "off", "lock")
CUSTOM = State("custom", "Custom", "info", "pencil")
DEFAULT_WORDS = {
    "admin": "Every permission, also ones added later",
    "technical": "All but users, roles and tokens",
    "billing": "Reads only, no replication",
}
FEW = 50


@require_safe
def roles(request: Visit) -> HttpResponse:
    here = Count("memberships", filter=Q(memberships__account=request.actor.account_id))
    rows = _visible(request.actor).annotate(people=here)
    context = {
        "rows": [(role, DEFAULT if role.account_id is None else CUSTOM, words(role)) for role in rows],
        "may_write": request.actor.can(Permission.WRITE_IDENTITY),
    }
    return render(request, "accounts/roles.html", context)


def _visible(actor: Actor) -> QuerySet[Role]:
    """The default roles and the account's own."""
    actor.need(Permission.READ_IDENTITY)
    return roles_of(actor)


def words(role: Role) -> str:
    """What a role allows, in one line."""
    if role.account_id is None and role.slug in DEFAULT_WORDS:
        return DEFAULT_WORDS[role.slug]
    labels = [label for value, label in Permission.choices if value in role.grants()]
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return ", ".join(labels[:3]) + more


# ---- One role --------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: Visit) -> HttpResponse:
    """A role of one's own, from nothing or (`?from=`) from another one's ticks."""
    actor = request.actor
    visible = _visible(actor)
    wanted = request.GET.get("from", "").replace("\0", "")
    source = visible.filter(slug=wanted).first() if wanted else None
    if wanted and source is None:
        raise Absent
    actor.need(Permission.WRITE_IDENTITY)
    first = {"name": f"Copy of {source.name}"[:60], "permissions": sorted(source.grants())} if source else {}
    form = NamedRole(request.POST) if request.method == "POST" else NamedRole(initial=first)
    if form.is_valid():
        name, ticks = form.cleaned_data["name"], form.cleaned_data["permissions"]
        try:
            same = source is not None and set(ticks) == source.grants()
            made = (
                clone_role(actor, source, name)
                if same and source
                else create_role(actor, actor.account_id, name, ticks)
            )
        except Invalid as wrong:
            form.refuse(wrong)
        else:
            messages.success(request, f"The role {made.name} is made. Give it to people on the page of each.")
            return redirect("role", actor.account_slug, made.slug)
    ticked = form["permissions"].value() or ()
    context = {"form": form, "screens": screens(ticked, _offered(actor, ticked)), "source": source, "editable": True}
    return render(request, "accounts/role.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def role(request: Visit, slug: str) -> HttpResponse:
    """What it allows and who has it. Default roles are fixed; others are changed, or deleted when nobody has them."""
    actor = request.actor
    found = _visible(actor).filter(slug=slug).first()
    if found is None:
        raise Absent
    if request.method != "POST":
        return _page(request, found, NamedRole(initial={"name": found.name, "permissions": sorted(found.grants())}))
    actor.need(Permission.WRITE_IDENTITY)
    if known({"save": False, "delete": True}, request.POST.get("do", "")):
        delete_role(actor, found)
        messages.success(request, f"The role {found.name} is deleted.")
        return redirect("roles", actor.account_slug)
    return _save(request, found, NamedRole(request.POST))


def _save(request: Visit, found: Role, form: NamedRole) -> HttpResponse:
    if form.is_valid():
        try:
            change_role(request.actor, found, form.cleaned_data["name"], form.cleaned_data["permissions"])
        except Invalid as wrong:
            form.refuse(wrong)
        else:
            messages.success(request, "The role is kept. It acts from the next page of each member on.")
            return redirect("role", request.actor.account_slug, found.slug)
    return _page(request, found, form)


def _page(request: Visit, found: Role, form: NamedRole) -> HttpResponse:
    actor = request.actor
    editable = found.account_id is not None and actor.can(Permission.WRITE_IDENTITY)
    here = Membership.objects.visible_to(actor, Permission.READ_IDENTITY).filter(roles=found).select_related("person")
    members = [(one, initials(one.person.name)) for one in here.order_by("person__name", "pk")[: FEW + 1]]
    waiting = Invitation.objects.visible_to(actor, Permission.READ_IDENTITY).filter(
        roles=found, accepted_at=None, withdrawn_at=None
    )
    ticked = form["permissions"].value() or ()
    context = {
        "role": found, "kind": DEFAULT if found.account_id is None else CUSTOM, "form": form, "editable": editable,
        "screens": screens(ticked, _offered(actor, ticked) if editable else frozenset()), "words": words(found),
        "members": members[:FEW], "more": len(members) > FEW, "invited": list(waiting.order_by("email")[:FEW]),
        "may_write": actor.can(Permission.WRITE_IDENTITY), "ticked": len(set(ticked)), "all": len(Permission.values),
    }  # fmt: skip
    return render(request, "accounts/role.html", context, status=400 if form.errors else 200)


def _offered(actor: Actor, ticked: Iterable[str]) -> frozenset[str]:
    """What may be ticked: all for an administrator, else what the actor has himself; what is ticked may be left so."""
    return frozenset(Permission.values) if is_administrator(actor) else actor.permissions | frozenset(ticked)


def screens(ticked: Iterable[str], offered: frozenset[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Each screen with its two boxes. One that doesn't exist has no code."""
    chosen = set(ticked)
    return [
        (screen, [{"code": str(code), "label": Permission(code).label if code else "", "on": code in chosen,
                   "free": code in offered} for code in (read, write)])
        for screen, read, write in SCREENS
    ]  # fmt: skip
