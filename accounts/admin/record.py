"""The record of every account and of the installation, as Support reads it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.activity import name_of, words
from accounts.admin.shelf import Choice, OfAccount, Shelf
from accounts.models import Activity
from ampdr.templatetags.ampdr import when


class OfKind(Choice):
    title = "kind"
    parameter_name = "kind"
    words = [(kind, kind.replace("_", " ").capitalize()) for kind in words.KINDS]


@admin.register(Activity)
class ActivityAdmin(Shelf):
    list_display = ("moment", "who", "account", "what", "thing", "about", "way", "reason", "more", "address")
    list_filter = (OfKind, OfAccount)
    list_select_related = ("account",)
    search_fields = ("=about",)
    search_help_text = "A number: FO-2231, RO-1042"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """As the indexes have it: one account's record by time, the whole in the order in which it was written."""
        return ("-at", "-id") if request.GET.get("account", "").isdecimal() else ("-id",)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip().upper()
        return (queryset.filter(about=term) if term else queryset), False

    @admin.display(description="When")
    def moment(self, row: Activity) -> str:
        return when(row.at, seconds=True)

    @admin.display(description="VM, person, thing")
    def thing(self, row: Activity) -> str:
        return row.vm_name or words.named(row.facts)

    @admin.display(description="Who")
    def who(self, row: Activity) -> str:
        return name_of(row.actor, row.staff)

    @admin.display(description="What")
    def what(self, row: Activity) -> str:
        return words.done(row.kind, row.event)

    @admin.display(description="From, to")
    def way(self, row: Activity) -> str:
        return " → ".join(filter(None, words.way(row.kind, row.from_state, row.to_state)))

    @admin.display(description="More")
    def more(self, row: Activity) -> str:
        return words.details(row.facts)

    @admin.display(description="Address")
    def address(self, row: Activity) -> str:
        return words.address(row.facts, row.via)
