"""Support's door to orders and replications: to look, and to try again what failed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.admin import Choice, OfAccount, Shelf, staff
from ampdr.errors import Refusal
from ampdr.templatetags.ampdr import pill
from replication.actions import retry_replication, save_level
from replication.forms import Level
from replication.lifecycle import REPLICATION
from replication.models import Order, Replication, ServiceLevel


@admin.register(ServiceLevel)
class LevelAdmin(Shelf):
    """What can be ordered. A level is never deleted: orders name it."""

    form = Level
    list_display = ("name", "rpo_target", "rpo_minimum", "retention_hours", "offered", "is_default")
    ordering = ("-is_default", "name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def save_model(self, request: HttpRequest, obj: ServiceLevel, form: Any, change: Any) -> None:
        save_level(staff(request), obj)


@admin.register(Order)
class OrderAdmin(Shelf):
    list_display = ("number", "account", "vm_count", "ordered_by", "ordered_at")
    list_filter = (OfAccount,)
    list_select_related = ("account", "ordered_by")
    search_fields = ("=number",)
    search_help_text = "Its number: RO-1042"
    ordering = ("-id",)


class InState(Choice):
    title = "state"
    parameter_name = "state"
    words = REPLICATION.choices()


@admin.register(Replication)
class ReplicationAdmin(Shelf):
    list_display = ("vm", "account", "word", "way", "order", "waiting_on", "last_error")
    list_filter = (InState, OfAccount)
    list_select_related = ("vm__account", "order")
    search_fields = ("=order__number",)
    search_help_text = "The number of its order: RO-1042"
    ordering = ("-id",)
    actions = ("retry",)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    @admin.action(description="Try the chosen failed ones again", permissions=["retry"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Replication]) -> None:
        for replication in chosen.select_related("vm"):
            try:
                retry_replication(staff(request), replication)
            except Refusal as refusal:
                self.message_user(request, refusal.message, messages.ERROR)
            else:
                self.message_user(request, f"{replication} is tried again.")

    @admin.display(description="Account")
    def account(self, replication: Replication) -> str:
        return replication.vm.account.name

    @admin.display(description="State")
    def word(self, replication: Replication) -> SafeString:
        return pill(replication.shown_state)

    @admin.display(description="Route")
    def way(self, replication: Replication) -> str:
        return f"{replication.source} → {replication.target}"
