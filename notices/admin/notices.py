"""Support's door to notices: what was sent to whom, and which mails wait."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator

from accounts.admin import Choice, OfAccount, Shelf, staff
from ampdr.templatetags.ampdr import when
from ampdr.work import WaitingOn
from notices.actions.notices import send_again
from notices.models import Channel, Notice


class Standing(Choice):
    title = "state"
    parameter_name = "standing"
    words = [("waiting", "Waiting for Support"), ("due", "Not sent yet"), ("sent", "Sent"), ("portal", "In the portal")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = {
            "waiting": queryset.filter(waiting_on=WaitingOn.SUPPORT),
            "due": queryset.filter(next_step_at__isnull=False),
            "sent": queryset.filter(sent_at__isnull=False),
            "portal": queryset.filter(channel=Channel.PORTAL),
        }
        return found.get(self.chosen(), queryset)


@admin.register(Notice)
class NoticeAdmin(Shelf):
    list_display = ("title", "email", "account", "made", "standing", "said")
    list_filter = (Standing, OfAccount)
    list_select_related = ("account",)
    search_fields = ("=email",)
    search_help_text = "The whole e-mail address"
    ordering = ("-pk",)
    fields = ("title", "text", "email", "person", "account", "kind", "channel", "event", "about", "message_id",
              "made_at", "sent_at", "read_at", "attempts", "last_error", "next_step_at")  # fmt: skip
    actions = ("again",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields

    def has_again_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    @admin.action(description="Send again what waits for Support", permissions=["again"])
    def again(self, request: HttpRequest, queryset: QuerySet[Notice]) -> None:
        n = send_again(staff(request), queryset)
        messages.success(request, f"{n} mail{'' if n == 1 else 's'} will be sent again.")

    @admin.display(description="Made")
    def made(self, notice: Notice) -> str:
        return when(notice.made_at)

    @admin.display(description="State")
    def standing(self, notice: Notice) -> str:
        if notice.channel == Channel.PORTAL:
            return "Portal: read" if notice.read_at else "Portal: unread"
        if notice.sent_at:
            return "Mail: sent"
        if notice.next_step_at:
            return f"Mail: tried {notice.attempts} times" if notice.attempts else "Mail: due"
        return "Mail: waiting for Support" if notice.waiting_on else "Mail: not sent"

    @admin.display(description="Last error")
    def said(self, notice: Notice) -> str:
        return Truncator(notice.last_error).chars(60)
