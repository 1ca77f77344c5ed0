"""Support's door to orders and replications: levels, new dates, questions, what failed or nobody knows.

Nothing here edits an order or a line: every button is a verb with a transaction of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin import Choice, OfAccount, Shelf, staff
from ampdr import clock
from ampdr.errors import Absent, Conflict, Forbidden, Invalid, Refusal
from ampdr.lifecycle import Actor
from ampdr.templatetags.ampdr import duration, pill, when
from ampdr.views import refusal_page
from inventory.models import PROTECTIONS
from replication.actions import (
    ask,
    go_on,
    progress,
    progress_of_orders,
    promise,
    retry_replication,
    save_level,
    settle,
)
from replication.forms import Level
from replication.lifecycle import REPLICATION
from replication.models import PROMISE, UNREADY, Order, Replication, ServiceLevel


@admin.register(ServiceLevel)
class LevelAdmin(Shelf):
    """What can be ordered. A level is never deleted: orders name it."""

    form = Level
    list_display = ("name", "target", "smallest", "kept", "offered", "default")
    ordering = ("-is_default", "name")

    @admin.display(description="RPO target")
    def target(self, level: ServiceLevel) -> str:
        return duration(level.rpo_target)

    @admin.display(description="Smallest RPO target")
    def smallest(self, level: ServiceLevel) -> str:
        return duration(level.rpo_minimum)

    @admin.display(description="Points kept")
    def kept(self, level: ServiceLevel) -> str:
        return f"{level.retention_hours} h"

    @admin.display(description="Default", boolean=True)
    def default(self, level: ServiceLevel) -> bool:
        return level.is_default

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def save_model(self, request: HttpRequest, obj: ServiceLevel, form: Any, change: Any) -> None:
        save_level(staff(request), obj)


class NewDate(forms.Form):
    """What a customer is promised anew."""

    when = forms.DateTimeField(
        label="Ready by",
        help_text="In your own time zone",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    words = forms.CharField(label="Why, as the customer reads it", required=False)


@admin.register(Order)
class OrderAdmin(Shelf):
    """Orders that are late come first."""

    list_display = ("number", "account", "vms", "stands", "ready", "ordered")
    list_filter = (OfAccount,)
    list_select_related = ("account", "ordered_by")
    search_fields = ("=number",)
    search_help_text = "Its number: RO-1042"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        unready = Replication.objects.filter(UNREADY).values("order")
        passed = Q(promised_at__lt=clock.now()) | Q(promised_at=None, ordered_at__lt=clock.now() - PROMISE)
        orders: QuerySet[Order] = super().get_queryset(request)
        first = Case(When(passed, pk__in=unready, then=Value(1)), default=Value(0))
        return orders.annotate(late=first).order_by("-late", "-pk")

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """How all shown orders stand, in one statement more."""
        found = super().get_changelist_instance(request)
        orders: list[Any] = list(found.result_list)
        stand = progress_of_orders([order.pk for order in orders])
        for order in orders:
            order.stand = stand.get(order.pk)
        found.result_list = orders
        return found

    @admin.display(description="State")
    def stands(self, order: Any) -> SafeString:
        word = pill(order.stand, as_support_says(order.stand.word)) if order.stand else SafeString("—")
        return format_html("{} {}", word, pill(PROTECTIONS["late"])) if order.late else word

    @admin.display(description="VMs")
    def vms(self, order: Order) -> int:
        return order.vm_count

    @admin.display(description="Ordered")
    def ordered(self, order: Order) -> SafeString:
        by = f"by {order.ordered_by.name}" if order.ordered_by else ""
        return format_html("<span>{}<small><bdi>{}</bdi></small></span>", when(order.ordered_at), by)

    @admin.display(description="Promised for")
    def ready(self, order: Order) -> str:
        return when(order.ready_by)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """How it stands, and a new date. Admin's own form, and its transaction, are not used."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).select_related("account", "ordered_by")
        order = found.filter(pk=object_id).first() if object_id.isdecimal() else None
        if order is None:
            raise Absent("There is no such order.")
        if request.method != "POST":
            return self.page(request, order, NewDate())
        if not self.may(request, "change"):
            raise Forbidden("Your staff group doesn't promise dates.")
        return self.act(request, order)

    def page(self, request: HttpRequest, order: Any, form: NewDate) -> HttpResponse:
        request.current_app = self.admin_site.name
        stand = progress(Replication.objects.filter(order=order))
        shown = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": order.number, "order": order,
            "stand": stand, "word": as_support_says(stand.word), "late": PROTECTIONS["late"], "form": form,
            "may_promise": self.may(request, "change") and stand.unready,
        }  # fmt: skip
        template, status = "admin/replication/order/change_form.html", 400 if form.is_bound else 200
        return TemplateResponse(request, template, shown, status=status)

    def act(self, request: HttpRequest, order: Order) -> HttpResponse:
        form = NewDate(request.POST)
        if not form.is_valid():
            return self.page(request, order, form)
        try:
            promise(staff(request), order, form.cleaned_data["when"], form.cleaned_data["words"])
        except Invalid as refusal:
            explain(form, refusal)
            return self.page(request, order, form)
        except Conflict as refusal:
            refusal.facts |= {"href": request.path, "subject": order.number}
            return refusal_page(request, refusal)
        self.message_user(request, f"{order.account.name} is told the new date of {order.number}.", messages.SUCCESS)
        return redirect(request.path)


def as_support_says(word: str) -> str:
    """The customer's page says "you" of the customer."""
    return "Waits for the customer" if word == "Needs you" else word


def explain(form: forms.Form, refusal: Invalid) -> None:
    for name, words in refusal.fields.items():
        for said in words:
            form.add_error(name if name in form.fields else None, said)


class InState(Choice):
    title = "state"
    parameter_name = "state"
    words = REPLICATION.choices()


class WaitsFor(Choice):
    title = "waiting on"
    parameter_name = "waiting_on"
    words = [("customer", "The customer"), ("support", "Support")]


class Ask(forms.Form):
    """A question about the chosen lines."""

    text = forms.CharField(label="Question", required=False, strip=False, widget=forms.Textarea(attrs={"rows": 4}))
    answers = forms.CharField(
        label="Answers to choose from", required=False, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One a line, eight at most. Without any, the customer writes.",
    )  # fmt: skip
    key = forms.CharField(widget=forms.HiddenInput, initial=uuid.uuid4)


class Settle(forms.Form):
    """What Support found out."""

    reason = forms.CharField(label="Reason: what you looked at, and what you saw", required=False)


@admin.register(Replication)
class ReplicationAdmin(Shelf):
    list_display = ("which", "account", "word", "way", "order", "waits", "last_error")
    list_filter = (InState, WaitsFor, OfAccount)
    list_select_related = ("vm__account", "order")
    search_fields = ("=order__number",)
    search_help_text = "The number of its order: RO-1042"
    ordering = ("-id",)
    actions = ("retry", "ask", "set_going", "settle")

    def has_help_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    @admin.action(description="Try the chosen failed ones again", permissions=["help"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Replication]) -> None:
        self.carry_out(request, lambda actor: retry_replication(actor, chosen), "tried again")

    @admin.action(description="Ask the customer about the chosen ones", permissions=["help"])
    def ask(self, request: HttpRequest, chosen: QuerySet[Replication]) -> HttpResponse | None:
        """Once to see the form, and once more with what was typed in it."""
        form = Ask(request.POST) if "do" in request.POST else Ask()
        if not form.is_bound or not form.is_valid():
            return self.form_page(request, chosen, form, "Ask the customer", {"ask": "Ask"})
        said = form.cleaned_data
        answers = tuple(line.strip() for line in said["answers"].splitlines() if line.strip())
        try:
            made = ask(staff(request), chosen, said["text"], said["key"], answers)
        except Invalid as refusal:
            explain(form, refusal)
            return self.form_page(request, chosen, form, "Ask the customer", {"ask": "Ask"})
        except Refusal as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
        else:
            self.message_user(request, f"{made.number} is sent to {made.account.name}.", messages.SUCCESS)
        return None

    @admin.action(description="Set the chosen ones going again", permissions=["help"])
    def set_going(self, request: HttpRequest, chosen: QuerySet[Replication]) -> None:
        self.carry_out(request, lambda actor: go_on(actor, chosen), "set going again")

    @admin.action(description="Settle the unknown outcome of the chosen ones", permissions=["help"])
    def settle(self, request: HttpRequest, chosen: QuerySet[Replication]) -> HttpResponse | None:
        form = Settle(request.POST) if "do" in request.POST else Settle()
        buttons = {"done": "It was done", "not_done": "It was not done: ask the provider anew"}
        did = request.POST.get("do", "")
        if did not in buttons or not form.is_valid():
            return self.form_page(request, chosen, form, "Settle an unknown outcome", buttons)
        reason = form.cleaned_data["reason"]
        if not reason.strip():
            form.add_error("reason", "Say what you saw: it stands in the record.")
            return self.form_page(request, chosen, form, "Settle an unknown outcome", buttons)
        self.carry_out(request, lambda actor: settle(actor, chosen, did == "done", reason), "settled")
        return None

    def carry_out(self, request: HttpRequest, verb: Callable[[Actor], int], done: str) -> None:
        """All of them in one transaction, or none, with the words that say which one doesn't fit."""
        said, level = "None of them is in this list any more: nothing was done.", messages.ERROR
        try:
            if n := verb(staff(request)):
                said, level = f"{n} replication{' is' if n == 1 else 's are'} {done}.", messages.SUCCESS
        except Refusal as refusal:
            said = refusal.message
        self.message_user(request, said, level)

    def form_page(
        self, request: HttpRequest, chosen: QuerySet[Replication], form: forms.Form, title: str, buttons: dict[str, str]
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        lines = chosen.select_related("vm__account", "order")
        shown = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": title, "form": form, "lines": lines,
            "action": request.POST["action"], "field": ACTION_CHECKBOX_NAME, "buttons": buttons,
        }  # fmt: skip
        template, status = "admin/replication/replication/form.html", 400 if form.is_bound else 200
        return TemplateResponse(request, template, shown, status=status)

    @admin.display(description="VM")
    def which(self, replication: Replication) -> str:
        return replication.vm.name

    @admin.display(description="Account")
    def account(self, replication: Replication) -> str:
        return replication.vm.account.name

    @admin.display(description="State")
    def word(self, replication: Replication) -> SafeString:
        flag = PROTECTIONS.get(replication.flag)
        return format_html("{} {}", pill(replication.shown_state), pill(flag) if flag else "")

    @admin.display(description="Waiting on")
    def waits(self, replication: Replication) -> str | SafeString:
        who = dict(WaitsFor.words).get(replication.waiting_on, "Automatic")
        if not replication.question:
            return who
        talk = reverse("admin:notices_conversation_changelist")
        return format_html('{} · <a href="{}?q={}">{}</a>', who, talk, replication.question, replication.question)

    @admin.display(description="Route")
    def way(self, replication: Replication) -> str:
        return f"{replication.source} → {replication.target}"
