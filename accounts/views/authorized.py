"""The list of authorized users, as its account sees it: Support keeps it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import AuthorizedUser, Permission
from accounts.views.users import initials
from accounts.views.viewer import Visit


@require_safe
def authorized_users(request: Visit) -> HttpResponse:
    """Who may request failovers and their termination. Who is no enabled member stands there as suspended."""
    listed = AuthorizedUser.objects.visible_to(request.actor, Permission.READ_IDENTITY).annotate_suspended()
    rows = list(listed.select_related("person", "added_by").order_by("person__name", "pk")[:200])
    standing = sum(not row.suspended for row in rows)  # type: ignore[attr-defined]
    context = {"rows": [(row, initials(row.person.name)) for row in rows], "standing": standing}
    return render(request, "accounts/authorized.html", context)
