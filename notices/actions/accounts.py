"""What is told of accounts, people, roles, lists and tokens. `accounts` lies below and knows nothing of notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.urls import reverse

from accounts.actions.invitations import invitation_path
from accounts.actions.people import reset_path
from accounts.models import AccessRequest, AuthorizedUser, Invitation, Membership, Permission, Person, Token
from ampdr import clock
from notices.tasks.registry import Happened, Kind, Letter, Member, declare, everybody, register, sign_with

SECURITY = Kind(
    "security", "My sign-in", "A new device, my password, my second factor, my API tokens", always="everybody",
    why="Whoever gets hold of your account must not be able to silence this.",
)  # fmt: skip
MEMBERSHIP = Kind("membership", "My rights", "My roles, and whether I may request failovers")
MEMBERS = Kind("members", "Requests for access", "A member asks the administrators for a permission")

# Of the installation's log: what a person is told of his own sign-in, in the words of one template.
MINE = ("new_password", "password_changed", "factor_added", "factor_changed", "factor_removed", "factor_reset",
        "recovery_codes_made", "recovery_code_used", "signed_in")  # fmt: skip


def begin() -> None:
    declare(SECURITY, MEMBERSHIP, MEMBERS)
    sign_with("invitation", invitation_link)
    sign_with("reset", reset_link)
    for event in MINE:
        register(f"person.{event}", told_himself)
    for event in ("changed", "enabled", "disabled"):
        register(f"membership.{event}", membership_changed)
    register("membership.factor_reset", factor_reset)
    register("person.reset_asked", reset_asked)
    register("invitation.sent", invited)
    register("access.asked", access_asked)
    register("account.member_removed", removed)
    register("account.unlisted", unlisted)
    register("authorized.listed", listed)
    register("authorized.changed", listing_changed)
    register("token.issued", token_issued)


# ---- What concerns a person alone ------------------------------------------------------------------------------------


def told_himself(event: Happened) -> Iterator[Letter]:
    """Signing in from a device that is known is nothing to write about."""
    if not event.facts.get("known_device"):
        yield Letter("security", "my_sign_in", to=everybody)


def reset_asked(event: Happened) -> Iterator[Letter]:
    person = Person.objects.filter(pk=event.subject_id, is_active=True).first()
    if person:
        yield Letter("security", "reset", address=person.email, secret="reset", subject_id=person.pk)


def reset_link(person_id: int) -> str:
    person = Person.objects.filter(pk=person_id, is_active=True).first()
    return reset_path(person) if person else ""


def token_issued(event: Happened) -> Iterator[Letter]:
    token = Token.objects.filter(pk=event.subject_id).first()
    if token:
        yield Letter("security", "token_issued", to=_one(token.person_id), words={"token": token})


# ---- Members and lists -----------------------------------------------------------------------------------------------


def invited(event: Happened) -> Iterator[Letter]:
    """To the address alone: nobody is a person there yet."""
    invitation = Invitation.objects.filter(pk=event.subject_id).first()
    if invitation:
        words = {"until": invitation.expires_at, "name": invitation.name}
        yield Letter("security", "invited", address=invitation.email, words=words, secret="invitation",
                     subject_id=invitation.pk)  # fmt: skip


def invitation_link(key: int) -> str:
    still = Invitation.objects.filter(pk=key, accepted_at=None, withdrawn_at=None, expires_at__gt=clock.now())
    return invitation_path(key) if still.exists() else ""


def membership_changed(event: Happened) -> Iterator[Letter]:
    """Who is out gets it by e-mail alone: he sees no page of this account any more."""
    found = Membership.objects.filter(pk=event.subject_id).select_related("person").first()
    if found:
        enabled = bool(event.facts.get("enabled", True))
        words = {"roles": event.facts.get("roles", ()), "enabled": enabled}
        yield Letter("membership", "membership", to=_one(found.person_id), words=words,
                     address="" if enabled else found.person.email)  # fmt: skip


def factor_reset(event: Happened) -> Iterator[Letter]:
    """The person is told of it for himself; here, the administrators of each of his accounts."""
    yield Letter("security", "factor_reset", to=_administrators)


def removed(event: Happened) -> Iterator[Letter]:
    yield Letter("membership", "removed", address=event.facts["email"])


def listed(event: Happened) -> Iterator[Letter]:
    found = AuthorizedUser.objects.filter(pk=event.subject_id).first()
    if found:
        yield Letter("membership", "listed", to=_one(found.person_id))


def listing_changed(event: Happened) -> Iterator[Letter]:
    """The person and the administrators: by the number of the list Support recognises who calls."""
    found = AuthorizedUser.objects.filter(pk=event.subject_id).select_related("person").first()
    if found:
        himself = _one(found.person_id)
        words = {"person": found.person}
        yield Letter("security", "listing_changed", to=lambda one: himself(one) or _administrators(one), words=words)


def unlisted(event: Happened) -> Iterator[Letter]:
    yield Letter("membership", "unlisted", to=lambda member: member.email == event.facts.get("email"))


def access_asked(event: Happened) -> Iterator[Letter]:
    asked = AccessRequest.objects.filter(pk=event.subject_id).select_related("person").first()
    if asked:
        words = {"person": asked.person, "permission": Permission(asked.permission).label}
        path = reverse("users", args=[event.account_slug])
        yield Letter("members", "access_asked", to=_administrators, words=words, path=path)


def _administrators(member: Member) -> bool:
    return member.administrator


def _one(person_id: int) -> Callable[[Member], bool]:
    return lambda member: member.person_id == person_id
