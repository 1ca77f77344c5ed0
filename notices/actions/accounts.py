"""What is told of accounts, people, roles, lists and tokens. `accounts` lies below and knows nothing of notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.urls import reverse

from accounts.models import AccessRequest, AuthorizedUser, Membership, Permission, Person, Token
from notices.tasks.registry import Happened, Kind, Letter, Member, declare, everybody, register


def begin() -> None:
    declare(SECURITY, MEMBERSHIP, MEMBERS)
    for event, template in ABOUT_ME.items():
        register(event, _told_himself(template))
    register("access.asked", access_asked)
    register("membership.changed", membership_changed)
    register("authorized.listed", listed)
    register("token.issued", token_issued)


SECURITY = Kind(
    "security", "My sign-in", "A new device, my password, my second factor, my API tokens", always="everybody",
    why="Whoever gets hold of your account must not be able to silence this.",
)  # fmt: skip
MEMBERSHIP = Kind("membership", "My rights", "My roles, and whether I may request failovers")
MEMBERS = Kind("members", "Members who need something", "A member asks the administrators for a permission")

ABOUT_ME: dict[str, str] = {"person.new_password": "new_password"}


def _told_himself(template: str) -> Callable[[Happened], Iterator[Letter]]:
    """Of what stands in the installation's log about a person, he is told."""

    def tell(event: Happened) -> Iterator[Letter]:
        yield Letter("security", template, to=everybody, words=event.facts)

    return tell


def access_asked(event: Happened) -> Iterator[Letter]:
    asked = AccessRequest.objects.filter(pk=event.subject_id).select_related("person").first()
    if asked:
        words = {"person": asked.person, "permission": Permission(asked.permission).label}
        yield Letter("members", "access_asked", to=_administrators, words=words, path=_page("users", event))


def membership_changed(event: Happened) -> Iterator[Letter]:
    """Who is out gets it by e-mail alone: he sees no page of this account any more."""
    found = Membership.objects.filter(pk=event.subject_id).select_related("person").first()
    if found is None:
        return
    words = {"roles": event.facts.get("roles", ()), "enabled": event.facts.get("enabled", True)}
    yield Letter("membership", "membership_changed", to=_one(found.person_id), words=words,
                 address="" if words["enabled"] else found.person.email)  # fmt: skip


def listed(event: Happened) -> Iterator[Letter]:
    found = AuthorizedUser.objects.filter(pk=event.subject_id).first()
    if found:
        yield Letter("membership", "listed", to=_one(found.person_id))


def token_issued(event: Happened) -> Iterator[Letter]:
    token = Token.objects.filter(pk=event.subject_id).first()
    if token:
        yield Letter("security", "token_issued", to=_one(token.person_id), words={"token": token})


def _administrators(member: Member) -> bool:
    return member.administrator


def _one(person_id: int) -> Callable[[Member], bool]:
    return lambda member: member.person_id == person_id


def _page(name: str, event: Happened) -> str:
    return reverse(name, args=[event.account_slug]) if name else ""
