"""A person's notices, and which of them he wants."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.views import Visit
from ampdr.pages import cut
from ampdr.views import page_or_part, unchanged
from notices.actions.notices import choices, choose, mark_read, mine


def index(request: Visit) -> HttpResponse:
    if unchanged(request):
        return HttpResponse(status=204)
    page = cut(mine(request.actor), ("pk",), request.GET, down=True)
    place = {name: request.GET[name] for name in ("after", "before") if request.GET.get(name)}
    context = {
        "notices": page.rows, "unread": request.actor.unread,
        "previous": f"?{urlencode({'before': page.previous})}" if page.previous else "",
        "next": f"?{urlencode({'after': page.next})}" if page.next else "",
        "poll": f"{request.path}?{urlencode(place | {'version': str(request.head.version)})}",
    }  # fmt: skip
    return page_or_part(request, "notices/notifications.html", "notices/parts/notifications.html", context)


@require_POST
def read(request: Visit) -> HttpResponse:
    """Marks one as read, or, without a `notice`, all; then the page that it was on."""
    mark_read(request.actor, request.POST.get("notice", ""))
    return redirect("notifications", request.actor.account_slug)


def settings(request: Visit) -> HttpResponse:
    if request.method == "POST":
        choose(request.actor, request.POST.getlist("on"))
        messages.success(request, "Your choices are kept. They hold in every account of yours.")
        return redirect("notification-settings", request.actor.account_slug)
    return render(request, "notices/settings.html", {"choices": choices(request.actor)})
