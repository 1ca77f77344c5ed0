"""The people of an account: who belongs to it, who is invited, and what one member may do there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Greatest, Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.actions import administrators, change_member, invite, remove_member, resend, withdraw_invitation
from accounts.actions.rights import is_administrator
from accounts.forms import Invited
from accounts.models import Account, AuthorizedUser, Invitation, Membership, Permission, Role
from accounts.views.viewer import Visit
from ampdr import clock
from ampdr.errors import Absent, Invalid
from ampdr.lifecycle import Actor, State
from ampdr.pages import cut

FILTERS = ("q", "role", "state")
COLUMNS = (
    "uuid", "name", "email", "enabled", "name_key", "role_names", "listed_since", "factor", "seen", "person_id",
)  # fmt: skip
ACTIVE = State("active", "Active", "ok", "circle-check")
DISABLED = State("disabled", "Disabled", "off", "ban")
INVITED = State("invited", "Invited", "info", "mail")
OVER = State("over", "Invitation ran out", "warn", "triangle-alert")
STATES = {state.name: state.word for state in (ACTIVE, INVITED, DISABLED)}
FEW = 50


# ---- The list --------------------------------------------------------------------------------------------------------


@require_safe
def users(request: Visit) -> HttpResponse:
    """The members, and above them who is invited and didn't come yet."""
    actor = request.actor
    asked = _asked(request.GET)
    page = cut(_found(_members(actor), asked), ("name_key", "uuid"), request.GET)
    roles = list(roles_of(actor).values_list("slug", "name"))
    context = {
        "rows": [(row, ACTIVE if row.enabled else DISABLED, initials(row.name)) for row in page.rows],
        "invited": [] if page.previous else _invited(actor, asked), "asked": asked, "roles": roles,
        "states": STATES.items(),
        "chips": _chips(asked, dict(roles)), "clear": request.path, "may_write": actor.can(Permission.WRITE_IDENTITY),
        "previous": _link(asked, before=page.previous) if page.previous else "",
        "next": _link(asked, after=page.next) if page.next else "",
    }  # fmt: skip
    return render(request, "accounts/users.html", context)


def _members(actor: Actor) -> QuerySet[Membership]:
    """With what the list and the page say of each, in the same statement."""
    listed = AuthorizedUser.objects.filter(account=OuterRef("account"), person=OuterRef("person"))
    sessions = UserSession.objects.filter(user=OuterRef("person")).order_by().values("user")
    factor = Authenticator.objects.filter(user=OuterRef("person"), type=Authenticator.Type.TOTP)
    roles = Role.objects.filter(memberships=OuterRef("pk")).order_by("name").values("name")
    return Membership.objects.visible_to(actor, Permission.READ_IDENTITY).annotate(
        name=F("person__name"), email=F("person__email"), name_key=Lower("person__name"),
        role_names=ArraySubquery(roles), listed_since=Subquery(listed.values("added_at")[:1]), factor=Exists(factor),
        seen=Greatest("person__last_login", Subquery(sessions.annotate(last=Max("last_seen_at")).values("last"))),
    )  # fmt: skip


def _found(members: QuerySet[Membership], asked: Mapping[str, str]) -> Any:
    if text := asked.get("q"):
        members = members.filter(Q(person__name__icontains=text) | Q(person__email__istartswith=text))
    if slug := asked.get("role"):
        members = members.filter(Exists(Role.objects.filter(memberships=OuterRef("pk"), slug=slug)))
    if state := asked.get("state"):
        members = members.filter(enabled=state == ACTIVE.name) if state != INVITED.name else members.none()
    return members.values_list(*COLUMNS, named=True)


def _invited(actor: Actor, asked: Mapping[str, str]) -> list[Any]:
    if asked.get("state", INVITED.name) != INVITED.name:
        return []
    roles = Role.objects.filter(pk__in=Invitation.roles.through.objects.filter(
        invitation=OuterRef(OuterRef("pk"))).values("role")).order_by("name")  # fmt: skip
    found = Invitation.objects.visible_to(actor, Permission.READ_IDENTITY).annotate(
        role_names=ArraySubquery(roles.values("name"))
    )
    found = found.filter(accepted_at=None, withdrawn_at=None)
    if text := asked.get("q"):
        found = found.filter(Q(name__icontains=text) | Q(email__istartswith=text))
    if slug := asked.get("role"):
        found = found.filter(roles__slug=slug)
    return [(row, _left(row), OVER if row.over else INVITED) for row in found.order_by("email")[:FEW]]


def _left(invitation: Invitation) -> timedelta:
    """In days, and on the last of them in hours."""
    left = invitation.expires_at - clock.now()
    return timedelta(days=left.days) if left.days > 0 else left


def _asked(query: Mapping[str, str]) -> dict[str, str]:
    """The filters. A value that means nothing is as if not sent."""
    found = {name: query.get(name, "").replace("\0", "").strip()[:120] for name in FILTERS}
    return {name: value for name, value in found.items() if value and (name != "state" or value in STATES)}


def _link(asked: Mapping[str, str], **other: str) -> str:
    return "?" + urlencode({**asked, **other})


def _chips(asked: Mapping[str, str], roles: Mapping[str, str]) -> list[dict[str, str]]:
    words = {"state": STATES, "role": roles}
    labels = {name: words.get(name, {}).get(value, f"“{value}”") for name, value in asked.items()}
    return [{"label": labels[one], "href": _link({n: v for n, v in asked.items() if n != one})} for one in asked]


def roles_of(actor: Actor) -> QuerySet[Role]:
    """The default roles, then the account's own."""
    found = Role.objects.filter(Q(account=None) | Q(account=actor.account_id))
    return found.order_by(F("account_id").asc(nulls_first=True), "name")


def initials(name: str) -> str:
    return "".join(part[0] for part in name.split()[:2]).upper()


# ---- Inviting --------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def invite_user(request: Visit) -> HttpResponse:
    actor = request.actor
    actor.need(Permission.READ_IDENTITY)
    actor.need(Permission.WRITE_IDENTITY)
    offered = {role.slug: role for role in givable(actor)}
    choices = [(slug, role.name) for slug, role in offered.items()]
    form = Invited(request.POST if request.method == "POST" else None, offered=choices)
    if form.is_valid():
        said = form.cleaned_data
        try:
            invite(actor, _account(actor), said["email"], [offered[slug] for slug in said["roles"]], said["name"])
        except Invalid as wrong:
            form.refuse(wrong)
        else:
            messages.success(request, f"{said['email']} is invited. The link in the mail is good for four days.")
            return redirect("users", actor.account_slug)
    return render(request, "accounts/invite.html", {"form": form}, status=400 if form.errors else 200)


@require_POST
def invitation(request: Visit, invitation: uuid.UUID) -> HttpResponse:
    """Sends an open invitation again, or withdraws it."""
    found = Invitation.objects.visible_to(request.actor, Permission.READ_IDENTITY).filter(uuid=invitation).first()
    if found is None:
        raise Absent
    ways = {"resend": (resend, "sent again"), "withdraw": (withdraw_invitation, "withdrawn")}
    verb, done = known(ways, request.POST.get("do", ""))
    verb(request.actor, found)
    messages.success(request, f"The invitation of {found.email} is {done}. An older link opens nothing any more.")
    return redirect("users", request.actor.account_slug)


def givable(actor: Actor) -> list[Role]:
    """The roles that this actor may give: none that grants what he lacks, unless he is an administrator."""
    every = is_administrator(actor)
    roles = roles_of(actor)
    return [role for role in roles if every or (not role.all_permissions and role.grants() <= actor.permissions)]


def known(ways: Mapping[str, Any], way: str) -> Any:
    if way not in ways:
        raise Invalid("There is no such button on this page.")
    return ways[way]


def _account(actor: Actor) -> Account:
    return Account.objects.get(pk=actor.account_id)


# ---- One member ------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def user(request: Visit, member: uuid.UUID) -> HttpResponse:
    """What he may do here, with ticks; and the buttons that disable, enable and remove him."""
    actor = request.actor
    found = _members(actor).filter(uuid=member).select_related("person").prefetch_related("roles").first()
    if found is None:
        raise Absent
    if request.method != "POST":
        return _page(request, found)
    actor.need(Permission.WRITE_IDENTITY)
    try:
        _change(request, found, request.POST.get("do", ""))
    except Invalid as wrong:
        return _page(request, found, wrong.fields.get("roles", [wrong.message]))
    if request.POST["do"] == "remove":
        return redirect("users", actor.account_slug)
    return redirect("user", actor.account_slug, found.uuid)


def _change(request: HttpRequest, member: Membership, way: str) -> None:
    actor, name = request.actor, member.person.name  # type: ignore[attr-defined]
    if way == "roles":
        change_member(actor, member, _chosen(actor, request.POST.getlist("role")))
        done = f"The roles of {name} are kept. They act from the next page on."
    elif way == "remove":
        remove_member(actor, member)
        done = f"{name} is no member any more, and the API tokens have ended."
    else:
        enabled = known({"enable": True, "disable": False}, way)
        change_member(actor, member, enabled=enabled)
        done = f"{name} is {'enabled' if enabled else 'disabled'}."
    messages.success(request, done)


def _chosen(actor: Actor, slugs: Sequence[str]) -> list[Role]:
    found = list(roles_of(actor).filter(slug__in=[slug for slug in slugs if "\0" not in slug]))
    if len(found) < len(set(slugs)):
        raise Invalid("There is no such role.", fields={"roles": ["There is no such role in this account any more."]})
    return found


def _page(request: HttpRequest, member: Any, wrong: Sequence[str] = ()) -> HttpResponse:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    held, free = set(member.roles.all()), set(givable(actor))
    admins = administrators(actor.account_id)
    alone = [one["email"] for one in admins] == [member.person.email] and member.enabled
    rows = [(role, role in held, role in held or role in free) for role in roles_of(actor)]
    context = {
        "member": member, "state": ACTIVE if member.enabled else DISABLED, "initials": initials(member.name),
        "roles": rows, "wrong": wrong, "self": member.person_id == actor.person_id, "alone": alone,
        "may_write": actor.can(Permission.WRITE_IDENTITY),
    }  # fmt: skip
    return render(request, "accounts/user.html", context, status=400 if wrong else 200)
