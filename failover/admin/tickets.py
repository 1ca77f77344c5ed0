"""Support's door to failover tickets: the queue, and one page per ticket on which it is decided.

Nothing here edits a ticket or a line. Every button is a verb with a transaction of its own, so no view may open one.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Exists, Min, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.actions.second_factor import Factor, factor_of
from accounts.admin import Choice, OfAccount, staff, with_typed_code
from accounts.forms import code_field
from accounts.models import AuthorizedUser
from ampdr import clock
from ampdr.errors import Absent, Conflict, Forbidden, Invalid, Refusal
from ampdr.templatetags.ampdr import age, duration, icon, pill, route, vm_icon
from ampdr.views import refusal_page
from failover.actions import approve, lines_of, ticket_word, tries_of, version_of
from failover.admin.buttons import needs_support, own_words, press, sets_of
from failover.admin.phone import ByPhone
from failover.lifecycle import TICKET
from failover.models import OF_OTHERS, Failover, Kind, Ticket
from failover.screens.approval import ORANGE, RED, context, seen_tickets
from inventory.models import Outage
from notices.admin import talk
from notices.models import Conversation

TURN = Case(When(kind=Kind.LIVE, then=0), When(kind=Kind.TERMINATE, about__kind=Kind.LIVE, then=1), default=2)
LOOK_AGAIN = ("changed_meanwhile", "illegal_transition", "outcome_unknown")
SQUARES = {Kind.LIVE: "arrow-right-left", Kind.TERMINATE: "log-out", Kind.EXTEND: "clock"}


class InState(Choice):
    """Waiting ones, unless something else is asked for; a search looks among all."""

    title = "state"
    parameter_name = "state"
    default = "waiting"
    words = TICKET.choices()

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        if request.GET.get("q"):
            self.default = "all"  # type: ignore[misc]
        super().__init__(request, *args)


class OfKind(Choice):
    title = "kind"
    parameter_name = "kind"
    words = Kind.choices


class BulkForm(ActionForm):
    reason = forms.CharField(max_length=500, required=False, label="Reason:")
    code = code_field("Code from your app:")


@admin.register(Ticket)
class TicketAdmin(ByPhone):
    list_display = ("ticket", "waits", "whose", "vms", "site", "point_age", "progress")
    list_filter = (InState, OfKind, OfAccount)
    list_select_related = ("account", "requested_by", "filed_by", "about")
    search_fields = ("number",)
    search_help_text = "A ticket's number, or the beginning of an account's name"
    change_form_template = "admin/failover/ticket/change_form.html"
    actions = ("approve_tests",)
    action_form = BulkForm

    # ---- The queue ---------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        listed = AuthorizedUser.objects.standing().filter(account=OuterRef("account"), person=OuterRef("requested_by"))
        lines = Failover.objects.filter(ticket=OuterRef("pk")).order_by().values("ticket")
        oldest = lines.annotate(at=Min("replication__newest_point_at")).values("at")
        point = Case(When(Q(state="waiting") & ~Q(kind__in=OF_OTHERS), then=Coalesce("point_at", Subquery(oldest))))
        tickets: QuerySet[Ticket] = super().get_queryset(request)
        open_ones = Outage.objects.filter(site__code=OuterRef("source"), over_at=None).values("number")
        return tickets.annotate(listed=Exists(listed), point=point, outage=Subquery(open_ones))

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """Waiting: live, terminations of live, all that is about tests, each the oldest first. Otherwise the newest."""
        waiting = request.GET.get("state", "waiting") == "waiting" and not request.GET.get("q")
        return (TURN, "requested_at", "pk") if waiting else ("-pk",)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        number = term.upper() if term.upper().startswith("FO-") else f"FO-{term}"
        return queryset.filter(Q(number=number) | Q(account__name__istartswith=term)), False

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The words of all shown tickets in one statement more."""
        found = super().get_changelist_instance(request)
        tickets: list[Any] = list(found.result_list)
        lines = lines_of([ticket.pk for ticket in tickets if ticket.state == "approved"])
        for ticket in tickets:
            ticket.word = ticket_word(ticket, lines[ticket.pk])
        found.result_list = tickets
        return found

    @admin.display(description="Number, kind")
    def ticket(self, ticket: Ticket) -> SafeString:
        square = SQUARES.get(Kind(ticket.kind))
        shown = format_html('<span class="vm">{}</span>', icon(square)) if square else vm_icon("test")
        about = f" of {ticket.about.kind} {ticket.about.number}" if ticket.about else ""
        kind = f"{ticket.get_kind_display()}{about}"
        return format_html("{}<span>{}<small>{}</small></span>", shown, ticket.number, kind)

    @admin.display(description="VMs")
    def vms(self, ticket: Ticket) -> SafeString:
        return format_html('<span class="num">{}</span>', f"{ticket.vm_count:,}")

    @admin.display(description="Route, outage")
    def site(self, ticket: Any) -> SafeString:
        way = (ticket.source, ticket.target)
        shown = route(*way[::-1]) if ticket.kind == Kind.TERMINATE else route(*way)
        down = format_html('<small class="txt-bad">outage {}</small>', ticket.outage) if ticket.outage else ""
        return format_html("{}{}", shown, down)

    @admin.display(description="Recovery point age")
    def point_age(self, ticket: Any) -> str:
        return age(ticket.point)

    @admin.display(description="Waiting for")
    def waits(self, ticket: Ticket) -> str:
        if ticket.state != "waiting":
            return "—"
        waited = clock.now() - ticket.requested_at
        tone = "txt-bad" if waited >= RED else "txt-warn" if waited >= ORANGE else ""
        over = "over 15 min" if waited >= RED else "over 5 min" if waited >= ORANGE else ""
        reminded = f"{ticket.reminders} reminder{'' if ticket.reminders == 1 else 's'}" if ticket.reminders else ""
        small = ", ".join(filter(None, (over, reminded)))
        return format_html('<b class="num {}">{}</b><small class="{}">{}</small>', tone, duration(waited), tone, small)

    @admin.display(description="Account, requested by")
    def whose(self, ticket: Any) -> SafeString:
        tick = format_html('<span class="txt-ok">{}<span class="vh">authorized</span></span>', icon("check", 14))
        gone = format_html('<span class="txt-bad">{} not authorized</span>', icon("ban", 14))
        told = tick if ticket.listed else gone
        phone = format_html("<small>by phone, {}</small>", ticket.filed_by.name) if ticket.filed_by else ""
        return format_html("{}<small>{} {}</small>{}", ticket.account.name, ticket.requested_by.name, told, phone)

    @admin.display(description="State")
    def progress(self, ticket: Any) -> SafeString:
        return pill(ticket.word, "Waiting" if ticket.state == "waiting" else "")

    # ---- Several tests at once ---------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With a field for the code only where one is to be typed."""
        response = super().changelist_view(request, extra_context)
        form = (getattr(response, "context_data", None) or {}).get("action_form")
        if form and factor_of(staff(request)) != Factor.CODE:
            del form.fields["code"]
        return response

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    @admin.action(description="Approve the chosen tests", permissions=["decide"])
    def approve_tests(self, request: HttpRequest, chosen: QuerySet[Ticket]) -> None:
        """Tests only: everything else is approved on its own page, where what it does is seen."""
        reason = own_words(request.POST)
        tickets = list(chosen.order_by("pk"))
        if others := [ticket.number for ticket in tickets if ticket.kind != Kind.TEST]:
            words = f"{', '.join(others)}: only tests are approved together. Open the ticket. Nothing was approved."
            self.message_user(request, words, messages.ERROR)
        elif not reason:
            self.message_user(request, "Say why: the customers read it. Nothing was approved.", messages.ERROR)
        else:
            for ticket in tickets:
                self.approve_one(request, ticket, reason)

    def approve_one(self, request: HttpRequest, ticket: Ticket, reason: str) -> None:
        try:
            with_typed_code(request, lambda actor: approve(actor, ticket, reason, version_of(ticket)))
        except Refusal as refusal:
            words = " ".join(getattr(refusal, "fields", {}).get("code", ())) or refusal.message
            self.message_user(request, f"{ticket.number}: {words}", messages.ERROR)
        else:
            self.message_user(request, f"{ticket.number} is approved.", messages.SUCCESS)

    # ---- One ticket --------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The approval page. Admin's own form, and its transaction, are not used."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        ticket = seen_tickets().filter(pk=object_id).first() if object_id.isdecimal() else None
        if ticket is None:
            raise Absent("There is no such ticket.")
        if request.method != "POST":
            return self.page(request, ticket)
        if not self.has_decide_permission(request):
            raise Forbidden("Your staff group doesn't decide on tickets.")
        return self.act(request, ticket)

    def page(self, request: HttpRequest, ticket: Ticket, refusal: Refusal | None = None) -> HttpResponse:
        request.current_app = self.admin_site.name
        actor = staff(request)
        wrong_code = " ".join(getattr(refusal, "fields", {}).get("code", ()))
        shown = context(actor, ticket)
        shown |= {
            **self.admin_site.each_context(request), "opts": self.opts, "title": ticket.title,
            "version": version_of(ticket), "refusal": refusal,
            "may_decide": self.has_decide_permission(request), "said": request.POST,
            "chosen": request.POST.get("quick", shown["prefilled"]), "factor": factor_of(actor),
            "wrong_code": wrong_code, "wrong_reason": "" if wrong_code else refusal, "sets": sets_of(ticket),
        }  # fmt: skip
        about, may_write = getattr(ticket, "talk", None), request.user.has_perm("notices.change_conversation")
        shown["talk"] = talk(Conversation(pk=about, account=ticket.account), may_write) if about else None
        for line in shown["vms"]:
            line.needs_support, line.seen = needs_support(line), tries_of([line])
        return TemplateResponse(request, self.change_form_template, shown, status=refusal.status if refusal else 200)

    def act(self, request: HttpRequest, ticket: Ticket) -> HttpResponse:
        """Does what the button says. Well-formed or not: the page again; changed meanwhile: 409; else what stands."""
        try:
            said = with_typed_code(request, lambda actor: press(actor, ticket, request.POST))
        except Invalid as refusal:
            return self.page(request, ticket, refusal)
        except Conflict as refusal:
            if refusal.code in LOOK_AGAIN:
                refusal.facts |= {"href": request.path, "subject": ticket.number, "of_support": True}
                return refusal_page(request, refusal)
            self.message_user(request, refusal.message, messages.ERROR)
        else:
            self.message_user(request, said, messages.SUCCESS)
        return redirect(request.path)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The record is Activity; admin keeps none beside it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        ticket = self.get_object(request, object_id)
        return redirect(f"{reverse('admin:accounts_activity_changelist')}?q={ticket.number if ticket else ''}")
