"""Support's door to sites, virtual machines, SSL/VPN and outages."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, URLField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin import Choice, OfAccount, Shelf, staff
from accounts.models import Account
from ampdr import clock
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from ampdr.lifecycle import State
from ampdr.templatetags.ampdr import duration, pill, when
from ampdr.views import refusal_page
from inventory.actions import Counts, affected, close, declare, save_client, save_gateway, save_site, update
from inventory.forms import NewOutage, Over
from inventory.models import GROUPS, VM, Outage, Site, VpnClient, VpnGateway, VpnMember

FEW = 50
OPEN, OVER = State("open", "Open", "bad", "octagon-alert"), State("over", "Over", "ok", "circle-check")


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
    list_display = ("display_name", "account", "site", "role", "power", "group_word", "failover")
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

    @admin.display(description="Failover")
    def failover(self, vm: VM) -> str:
        return vm.held_by or "—"

    @admin.display(description="Protection")
    def group_word(self, vm: VM) -> str:
        return GROUPS[vm.group].word if vm.group in GROUPS else "Hidden"


# ---- SSL/VPN ---------------------------------------------------------------------------------------------------------


class Kept(Shelf):
    """What whoever's group may adds and changes; what a row is of stays as it is: members and profiles hang on it."""

    identity: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.identity if obj else ()


@admin.register(VpnGateway)
class VpnGatewayAdmin(Kept):
    list_display = ("name", "host", "port")
    list_select_related = ("site",)
    ordering = ("site__code", "recovery")
    fields = ("site", "recovery", "host", "port")
    identity = ("site", "recovery")

    def save_model(self, request: HttpRequest, obj: VpnGateway, form: Any, change: Any) -> None:
        save_gateway(staff(request), obj)


@admin.register(VpnClient)
class VpnClientAdmin(Kept):
    list_display = ("__str__", "gateway", "generation", "version", "download_url")
    list_select_related = ("gateway__site",)
    ordering = ("gateway__site__code", "gateway__recovery", "system", "generation")
    fields = ("gateway", "system", "generation", "name", "version", "download_url")
    identity = ("gateway", "system", "generation")
    formfield_overrides = {URLField: {"assume_scheme": "https"}}

    def save_model(self, request: HttpRequest, obj: VpnClient, form: Any, change: Any) -> None:
        save_client(staff(request), obj)


@admin.register(VpnMember)
class VpnMemberAdmin(Shelf):
    """To look at: customers let their own people in and out."""

    list_display = ("person", "account", "gateway", "last_used_at")
    list_filter = (OfAccount,)
    list_select_related = ("membership__person", "membership__account", "gateway__site")
    ordering = ("-pk",)

    @admin.display(description="Person")
    def person(self, member: VpnMember) -> str:
        return member.membership.person.name

    @admin.display(description="Account")
    def account(self, member: VpnMember) -> str:
        return member.membership.account.name


# ---- Outages ---------------------------------------------------------------------------------------------------------


class StillOpen(Choice):
    title = "state"
    parameter_name = "state"
    words = [("open", "Open"), ("over", "Over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.chosen() == "all" else queryset.filter(over_at__isnull=self.chosen() == "open")


@admin.register(Outage)
class OutageAdmin(Shelf):
    """Declared by a form, then a page with two more. Every button is a verb: nothing here edits an outage."""

    list_display = ("outage", "where", "since", "lasted", "stands")
    list_filter = (StillOpen,)
    list_select_related = ("site",)
    ordering = ("-pk",)
    form = NewOutage
    fields = ("site", "title", "started_at", "text", "key")
    add_form_template = "admin/inventory/outage/add_form.html"
    change_form_template = "admin/inventory/outage/change_form.html"

    @admin.display(description="Number, title")
    def outage(self, outage: Outage) -> SafeString:
        return format_html("<span>{}<small><bdi>{}</bdi></small></span>", outage.number, outage.title)

    @admin.display(description="Site")
    def where(self, outage: Outage) -> str:
        return f"{outage.site.city} ({outage.site.code})"

    @admin.display(description="Since")
    def since(self, outage: Outage) -> str:
        return when(outage.started_at)

    @admin.display(description="Lasts")
    def lasted(self, outage: Outage) -> str:
        return duration((outage.over_at or clock.now()) - outage.started_at)

    @admin.display(description="State")
    def stands(self, outage: Outage) -> SafeString:
        return pill(OVER if outage.over_at else OPEN)

    # ---- A new one ---------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context |= {"title": "Declare an outage", "show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Outage, form: Any, change: Any) -> None:
        said = form.cleaned_data
        try:
            made = declare(staff(request), obj.site, obj.title, said["text"], obj.started_at, said["key"])
        except Conflict as refusal:
            there = Outage.objects.get(number=refusal.facts["number"])
            refusal.facts |= {"href": page_of(there), "subject": there.number}
            raise
        obj.pk, obj.number = made.pk, made.number

    def response_add(self, request: HttpRequest, obj: Outage, post_url_continue: str | None = None) -> Any:
        self.message_user(request, f"{obj.number} is declared.", messages.SUCCESS)
        return redirect(page_of(obj))

    # ---- One outage --------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What was said and to whom, and two forms. Admin's own form, and its transaction, are not used."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Outage.objects.select_related("site", "declared_by")
        outage = found.filter(pk=object_id).first() if object_id.isdecimal() else None
        if outage is None:
            raise Absent("There is no such outage.")
        if request.method != "POST":
            return self.page(request, outage)
        if not self.may(request, "change"):
            raise Forbidden("Your staff group doesn't write about outages.")
        return self.act(request, outage)

    def page(self, request: HttpRequest, outage: Outage, refusal: Invalid | None = None) -> HttpResponse:
        request.current_app = self.admin_site.name
        over_at, about = Over()["over_at"], numbers_of(outage)
        shown = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": outage.number, "outage": outage,
            "word": OVER if outage.over_at else OPEN, "refusal": refusal, "said": request.POST, "key": uuid.uuid4(),
            "updates": outage.updates.select_related("by").order_by("-pk"), "about": about,
            "shown": about[:FEW], "more": len(about) - FEW if len(about) > FEW else 0,
            "may_change": self.may(request, "change"), "pressed": request.POST.get("do", ""),
            "over_at": request.POST.get("over_at", f"{over_at.value():%Y-%m-%dT%H:%M}"), "zone": over_at.help_text,
        }  # fmt: skip
        return TemplateResponse(request, self.change_form_template, shown, status=refusal.status if refusal else 200)

    def act(self, request: HttpRequest, outage: Outage) -> HttpResponse:
        try:
            self.message_user(request, self.press(request, outage), messages.SUCCESS)
        except Invalid as refusal:
            return self.page(request, outage, refusal)
        except Conflict as refusal:
            refusal.facts |= {"href": request.path, "subject": outage.number}
            return refusal_page(request, refusal)
        return redirect(request.path)

    def press(self, request: HttpRequest, outage: Outage) -> str:
        """The verb of the button that was pressed, and what to say when it is done."""
        sent = request.POST
        match sent.get("do"):
            case "update":
                update(staff(request), outage, sent.get("text", ""), sent.get("key", ""))
                return f"{outage.number}: everybody concerned is told."
            case "close":
                form = Over(sent)
                if not form.is_valid():
                    raise Invalid(
                        "Please correct what is marked.", fields={name: [*words] for name, words in form.errors.items()}
                    )
                close(staff(request), outage, sent.get("text", ""), form.cleaned_data["over_at"], sent.get("key", ""))
                return f"{outage.number} is over."
        raise Invalid("Press one of the buttons.")

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The record is Activity; admin keeps none beside it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        outage = self.get_object(request, object_id)
        return redirect(f"{reverse('admin:accounts_activity_changelist')}?q={outage.number if outage else ''}")


def page_of(outage: Outage) -> str:
    return reverse("admin:inventory_outage_change", args=[outage.pk])


def numbers_of(outage: Outage) -> list[tuple[Account, Counts]]:
    """Accounts with their numbers, the most affected first: as they are now, and as they were told when it is over."""
    told = {one.account_id: Counts(*(getattr(one, name) for name in Counts._fields)) for one in outage.told.all()}
    found = told if outage.over_at else dict.fromkeys(told, Counts()) | affected(outage.site)
    accounts = Account.objects.in_bulk(found)
    ordered = sorted(found, key=lambda pk: (-found[pk].affected, accounts[pk].name))
    return [(accounts[pk], found[pk]) for pk in ordered]
