"""Support's door to sites and virtual machines."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import Choice, OfAccount, Shelf, staff
from inventory.actions import save_site
from inventory.models import GROUPS, VM, Site


@admin.register(Site)
class SiteAdmin(Shelf):
    list_display = ("code", "city", "failover_site", "provider")
    list_select_related = ("failover_site",)
    fields = ("code", "city", "failover_site", "provider")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("code",) if obj else ()  # tickets and replications name a site by its code

    def save_model(self, request: HttpRequest, obj: Site, form: Any, change: Any) -> None:
        save_site(staff(request), obj)


class Shown(Choice):
    title = "rows"
    parameter_name = "shown"
    default = "yes"
    words = [("yes", "As customers see them"), ("no", "Originals behind a live stand-in")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.chosen() == "all" else queryset.filter(shown=self.chosen() == "yes")


class InGroup(Choice):
    title = "protection"
    parameter_name = "group"
    words = [(name, state.word) for name, state in GROUPS.items()]


@admin.register(VM)
class VMAdmin(Shelf):
    list_display = ("display_name", "account", "site", "role", "power", "group_word", "held_by")
    list_filter = (Shown, InGroup, OfAccount)
    list_select_related = ("account", "site")
    search_fields = ("name",)
    search_help_text = "The beginning of its name"
    ordering = ("account", "rank", "name_key", "family", "role")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip().lower()
        return (queryset.filter(name_key__startswith=term) if term else queryset), False

    @admin.display(description="Name")
    def display_name(self, vm: VM) -> str:
        return vm.display_name

    @admin.display(description="Protection")
    def group_word(self, vm: VM) -> str:
        return GROUPS[vm.group].word if vm.group in GROUPS else "Hidden"
