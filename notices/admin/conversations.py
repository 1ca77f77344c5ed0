"""Support's door to conversations: the queue of those that wait, and one page for each, with reply and close."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from accounts.admin import Choice, OfAccount, Shelf, staff
from ampdr import clock
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from ampdr.lifecycle import State
from ampdr.templatetags.ampdr import duration, pill
from ampdr.views import refusal_page
from notices.actions import Opening, close, open_conversation, write
from notices.forms import NewConversation
from notices.models import Conversation, Message, Turn

ORANGE, RED = timedelta(hours=1), timedelta(hours=4)
FEW = 100  # messages on a page


class WhoseTurn(Choice):
    """Those that wait for Support, unless something else is asked for; a search looks among all."""

    title = "state"
    parameter_name = "turn"
    default = "support"
    words = [("support", "Waiting for Support"), ("customer", "Waiting for the customer"), ("closed", "Closed")]

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        if request.GET.get("q"):
            self.default = "all"  # type: ignore[misc]
        super().__init__(request, *args)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.chosen() in ("all", "closed"):
            return queryset.exclude(closed_at=None) if self.chosen() == "closed" else queryset
        return queryset.filter(turn=self.chosen(), closed_at=None)


class OfKind(Choice):
    title = "type"
    parameter_name = "kind"
    words = Conversation.Kind.choices


def as_support_says(conversation: Conversation) -> State:
    """Whose turn it is, in Support's words: the customer's page says "you" of the customer."""
    if conversation.closed_at:
        return State("closed", "Closed", "off", "circle-x")
    if conversation.turn == Turn.CUSTOMER:
        return State("customer", "Waiting for the customer", "info", "mail")
    if conversation.turn == Turn.SUPPORT:
        return State("support", "Waiting for Support", "warn", "clock")
    return State("", Turn.NOBODY.label, "off", "circle-dashed")


@admin.register(Conversation)
class ConversationAdmin(Shelf):
    list_display = ("subject", "waits", "whose", "type", "stands")
    list_filter = (WhoseTurn, OfKind, OfAccount)
    list_select_related = ("account", "opened_by")
    search_fields = ("number",)
    search_help_text = "A number, or the beginning of an account's name"
    change_form_template = "admin/notices/conversation/change_form.html"
    add_form_template = "admin/change_form.html"
    form = NewConversation

    # ---- The queue ---------------------------------------------------------------------------------------------------

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Waiting for somebody: the longest first. Otherwise the newest."""
        waiting = request.GET.get("turn", "support") in ("support", "customer") and not request.GET.get("q")
        return ("turn_since", "pk") if waiting else ("-pk",)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.replace("\0", "").strip()
        if not term:
            return queryset, False
        numbers = [term.upper(), f"T-{term}", f"FO-{term}"]
        return queryset.filter(Q(number__in=numbers) | Q(account__name__istartswith=term)), False

    @admin.display(description="Number, subject")
    def subject(self, conversation: Conversation) -> SafeString:
        return format_html("<span>{}<small><bdi>{}</bdi></small></span>", conversation.number, conversation.title)

    @admin.display(description="Waiting for")
    def waits(self, conversation: Conversation) -> str:
        if conversation.closed_at or conversation.turn != Turn.SUPPORT:
            return "—"
        waited = clock.now() - conversation.turn_since
        tone = "txt-bad" if waited >= RED else "txt-warn" if waited >= ORANGE else ""
        over = "over 4 h" if waited >= RED else "over 1 h" if waited >= ORANGE else ""
        return format_html('<b class="num {}">{}</b><small class="{}">{}</small>', tone, duration(waited), tone, over)

    @admin.display(description="Account, opened by")
    def whose(self, conversation: Conversation) -> SafeString:
        by = conversation.opened_by.name if conversation.opened_by else ""
        return format_html("{}<small><bdi>{}</bdi></small>", conversation.account.name, by)

    @admin.display(description="Type")
    def type(self, conversation: Conversation) -> SafeString:
        return format_html("{}<small>{}</small>", conversation.get_kind_display(), conversation.about)

    @admin.display(description="State")
    def stands(self, conversation: Conversation) -> SafeString:
        return pill(as_support_says(conversation))

    # ---- A new one ---------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """One button: a message is sent, not kept to be changed."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Conversation, form: Any, change: Any) -> None:
        said = form.cleaned_data
        opening = Opening(obj.kind, obj.title, said["text"], obj.about)
        made = open_conversation(staff(request), opening, said["key"], obj.account_id)
        obj.pk, obj.number = made.pk, made.number

    def response_add(self, request: HttpRequest, obj: Conversation, post_url_continue: str | None = None) -> Any:
        self.message_user(request, f"{obj.number} is sent.", messages.SUCCESS)
        return redirect("admin:notices_conversation_change", obj.pk)

    # ---- One conversation --------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The messages, reply and close. Admin's own form, and its transaction, are not used."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Conversation.objects.select_related("account", "opened_by")
        conversation = found.filter(pk=object_id).first() if object_id.isdecimal() else None
        if conversation is None:
            raise Absent("There is no such conversation.")
        if request.method != "POST":
            return self.page(request, conversation)
        if not self.may(request, "change"):
            raise Forbidden("Your staff group doesn't write to customers.")
        return self.act(request, conversation)

    def page(self, request: HttpRequest, conversation: Conversation, refusal: Invalid | None = None) -> HttpResponse:
        request.current_app = self.admin_site.name
        shown = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": conversation.number,
            "word": as_support_says(conversation), "talk": talk(conversation, self.may(request, "change")),
            "refusal": refusal, "said": request.POST,
        }  # fmt: skip
        return TemplateResponse(request, self.change_form_template, shown, status=refusal.status if refusal else 200)

    def act(self, request: HttpRequest, conversation: Conversation) -> HttpResponse:
        actor, sent = staff(request), request.POST
        try:
            if sent.get("do") == "close":
                seen = sent.get("seen", "")
                close(actor, conversation, int(seen) if seen.isdecimal() else 0)
                self.message_user(request, f"{conversation.number} is closed.", messages.SUCCESS)
            else:
                write(actor, conversation, sent.get("text", ""), sent.get("key", ""))
                self.message_user(request, f"Sent to {conversation.account.name}.", messages.SUCCESS)
        except Invalid as refusal:
            return self.page(request, conversation, refusal)
        except Conflict as refusal:
            refusal.facts |= {"href": request.path, "subject": conversation.number}
            return refusal_page(request, refusal)
        back = sent.get("back", "")
        inside = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
        return redirect(back if inside else request.path)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The record is Activity; admin keeps none beside it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        conversation = self.get_object(request, object_id)
        number = conversation.number if conversation else ""
        return redirect(f"{reverse('admin:accounts_activity_changelist')}?q={number}")


def talk(conversation: Conversation, may_write: bool) -> dict[str, Any]:
    """What `admin/notices/conversation/talk.html` shows: the newest messages, oldest first, and a reply."""
    newest = list(Message.objects.filter(conversation=conversation).order_by("-pk")[: FEW + 1])
    return {
        "conversation": conversation, "said": newest[:FEW][::-1], "more": len(newest) > FEW, "key": uuid.uuid4(),
        "seen": newest[0].pk if newest else 0, "may_write": may_write,
    }  # fmt: skip
