"""Support's door: accounts, people, members, the list of authorized users, and the record of it all.

Whatever changes here goes through a verb, which writes Activity; admin's own log is not kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import actions
from accounts.activity import name_of
from accounts.forms import ChangedPerson, Member, NewPerson
from accounts.models import Account, Activity, AuthorizedUser, Membership, Person, Role
from ampdr.lifecycle import LIFECYCLES, Actor, changes

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    PeopleAdmin = UserAdmin[Person]
else:
    ModelAdmin = admin.ModelAdmin
    PeopleAdmin = UserAdmin

FEW = 50


def staff(request: HttpRequest) -> Actor:
    """Who of Support acts here. Admin lets nobody else in; the verbs check it again."""
    return actions.support(cast(Person, request.user))


# ---- What every list of admin has: pages without counting, cheap filters, verbs instead of saving --------------------


class Uncounted(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Pages of a list that nobody counts: beyond the `shown` one it knows only whether there is a next."""

    shown = 1

    @cached_property
    def count(self) -> int:
        start = (self.shown - 1) * self.per_page
        rows = cast("QuerySet[Any]", self.object_list)
        return start + len(rows.values_list("pk", flat=True)[start : start + self.per_page + 1])


class Shelf(ModelAdmin):
    """A list to look at. What a subclass lets people change is a verb: nothing is saved or deleted past one."""

    paginator = Uncounted
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = FEW
    list_max_show_all = 0
    sortable_by = ()
    actions: Any = None
    actions_selection_counter = False

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Paginator[Any]:
        pages = super().get_paginator(request, *args, **kwargs)
        page = request.GET.get("p") or request.GET.get("page") or ""
        pages.shown = max(1, int(page)) if page.isdecimal() else 1  # type: ignore[attr-defined]
        return pages

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def may(self, request: HttpRequest, what: str) -> bool:
        """Whether the person's group gives him `what` of this model."""
        return cast(Person, request.user).has_perm(f"{self.opts.app_label}.{what}_{self.opts.model_name}")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "view")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Everything, where no verb changes anything: such a form has no field at all."""
        if self.has_add_permission(request) or self.has_change_permission(request, obj):
            return ()
        return tuple(field.name for field in self.opts.fields)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Admin's own, without its transaction: a verb has one of its own, and it is the outermost."""
        answer: HttpResponse = self._changeform_view(request, *_four(*args, **kwargs))  # type: ignore[attr-defined]
        return answer

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        raise NotImplementedError("Name the verb.")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """The verb has written these too."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None


def _four(
    object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
) -> tuple[str | None, str, dict[str, Any] | None]:
    return object_id, form_url, extra_context


class Choice(admin.SimpleListFilter):
    """A filter with a fixed list of words and a default; its last word is always All."""

    default: ClassVar[str] = "all"
    words: ClassVar[list[tuple[str, str]]] = []

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*self.words, ("all", "All")]

    def chosen(self) -> str:
        return self.value() or self.default

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, word in self.lookup_choices:
            query = changelist.get_query_string({str(self.parameter_name): value}, ["p"])
            yield {"selected": self.chosen() == str(value), "query_string": query, "display": word}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.chosen() == "all" else queryset.filter(**{str(self.parameter_name): self.chosen()})


class OfAccount(Choice):
    """One account: the first fifty by name are offered; lists of accounts link to the others."""

    title = "account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = list(Account.objects.order_by("name")[:FEW])
        chosen = request.GET.get("account", "")
        if chosen.isdecimal() and int(chosen) not in {account.pk for account in found}:
            found += Account.objects.filter(pk=chosen)
        return [("all", "All"), *((str(account.pk), account.name) for account in found)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        road: str = queryset.model.TENANT_PATH
        return queryset.filter(**{road: self.chosen()}) if self.chosen().isdecimal() else queryset


# ---- Accounts --------------------------------------------------------------------------------------------------------


@admin.register(Account)
class AccountAdmin(Shelf):
    list_display = ("name", "slug", "number", "leads_to")
    search_fields = ("name__istartswith", "slug__startswith", "=number")
    search_help_text = "The beginning of its name or slug, or its number"
    ordering = ("name",)
    fields = ("name", "slug", "number")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: Any) -> None:
        obj.pk = actions.create_account(staff(request), obj.slug, obj.name, obj.number).pk

    @admin.display(description="Leads to")
    def leads_to(self, account: Account) -> SafeString:
        return format_html(
            '<a href="{}?account={}">Members</a> · <a href="{}?account={}">Authorized users</a> · '
            '<a href="{}?account={}">Virtual machines</a> · <a href="{}?account={}">Activity</a>',
            reverse("admin:accounts_membership_changelist"), account.pk,
            reverse("admin:accounts_authorizeduser_changelist"), account.pk,
            reverse("admin:inventory_vm_changelist"), account.pk,
            reverse("admin:accounts_activity_changelist"), account.pk,
        )  # fmt: skip


# ---- People ----------------------------------------------------------------------------------------------------------

admin.site.unregister(Group)  # who is in the group is said on the person; what it may do, in accounts.actions


@admin.register(Person)
class PersonAdmin(Shelf, PeopleAdmin):
    """Support sees people and makes new ones; only a superuser changes one, or gives him another password."""

    list_display = ("name", "email", "is_active", "is_staff", "last_login")
    list_filter = ()
    search_fields = ("email__startswith", "name__istartswith")
    search_help_text = "The beginning of the name or of the e-mail address"
    ordering = ("email",)
    filter_horizontal = ()
    add_form = NewPerson
    form = ChangedPerson
    add_fieldsets = ((None, {"fields": ("email", "name", "time_zone", "usable_password", "password1", "password2")}),)
    fieldsets = ((None, {"fields": ("email", "name", "time_zone", "is_active", "is_staff", "is_superuser", "groups")}),)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Without the demand of Django's own that who adds people may also change them: the new one gets no rights."""
        return self.changeform_view(request, None, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Person, form: Any, change: Any) -> None:
        said = dict(form.cleaned_data)
        if change:
            actions.change_person(staff(request), obj, list(said.pop("groups")), **said)
            return
        password = said["password1"] if said["set_usable_password"] else None
        obj.pk = actions.create_person(staff(request), said["email"], said["name"], password, said["time_zone"]).pk

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """The new password and its line in the record are one transaction."""
        with changes(staff(request)):
            return super().user_change_password(request, id, form_url)

    def log_change(self, request: HttpRequest, obj: Person, message: Any) -> Any:
        if request.resolver_match and request.resolver_match.url_name == "auth_user_password_change":
            actions.note_new_password(staff(request), obj)


@admin.register(Role)
class RoleAdmin(Shelf):
    list_display = ("name", "account", "may_do")
    list_filter = (OfAccount,)
    list_select_related = ("account",)
    ordering = ("account", "name")

    @admin.display(description="Permissions")
    def may_do(self, role: Role) -> str:
        return "Every one" if role.all_permissions else str(len(role.permissions))


@admin.register(Membership)
class MembershipAdmin(Shelf):
    list_display = ("person", "account", "their_roles", "enabled")
    list_filter = (OfAccount,)
    list_select_related = ("person", "account")
    search_fields = ("person__email__startswith", "person__name__istartswith")
    ordering = ("account", "person__name")
    form = Member
    autocomplete_fields = ("account", "person")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).prefetch_related("roles")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("account", "person") if obj else ("enabled",)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        match = request.resolver_match
        shown = match.kwargs.get("object_id", "") if match else ""
        mine = Q(account__memberships=shown) if shown.isdecimal() else Q(account__isnull=False)
        kwargs["queryset"] = Role.objects.filter(Q(account=None) | mine).select_related("account")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: Any) -> None:
        roles = list(form.cleaned_data["roles"])
        if change:
            actions.change_member(staff(request), obj, roles, form.cleaned_data["enabled"])
        else:
            obj.pk = actions.add_member(staff(request), obj.account, obj.person, roles).pk

    @admin.display(description="Roles")
    def their_roles(self, membership: Membership) -> str:
        return ", ".join(role.name for role in membership.roles.all())


@admin.register(AuthorizedUser)
class AuthorizedUserAdmin(Shelf):
    """Who may request failovers. The list is Support's; losing the membership suspends a listing."""

    list_display = ("person", "account", "phone", "added_at", "added_by", "confirmed_on")
    list_filter = (OfAccount,)
    list_select_related = ("person", "account", "added_by")
    search_fields = ("person__email__startswith", "person__name__istartswith")
    ordering = ("account", "person__name")
    fields = ("account", "person", "phone", "confirmed_on")
    autocomplete_fields = ("account", "person")
    actions = ("take_off",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "change")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("account", "person") if obj else ()

    def save_model(self, request: HttpRequest, obj: AuthorizedUser, form: Any, change: Any) -> None:
        if change:
            actions.update_listing(staff(request), obj, obj.phone, obj.confirmed_on)
            return
        confirmed = {"confirmed_on": obj.confirmed_on}
        obj.pk = actions.list_authorized(staff(request), obj.account, obj.person, obj.phone, **confirmed).pk

    @admin.action(description="Take the chosen people off the list", permissions=["change"])
    def take_off(self, request: HttpRequest, chosen: QuerySet[AuthorizedUser]) -> None:
        for listing in chosen.select_related("person", "account"):
            actions.unlist(staff(request), listing)
            self.message_user(request, f"{listing.person.name} can't request failovers for {listing.account} any more.")


# ---- The record ------------------------------------------------------------------------------------------------------


class OfKind(Choice):
    title = "kind"
    parameter_name = "kind"
    words = [
        *((name, name.capitalize()) for name in sorted({*LIFECYCLES, "failover", "replication", "ticket"})),
        ("account", "Account"), ("authorized", "Authorized user"), ("membership", "Membership"), ("person", "Person"),
        ("site", "Site"), ("token", "Token"), ("vm", "Virtual machine"),
    ]  # fmt: skip


@admin.register(Activity)
class ActivityAdmin(Shelf):
    list_display = ("at", "who", "account", "what", "vm_name", "about", "way", "reason")
    list_filter = (OfKind, OfAccount)
    list_select_related = ("account",)
    search_fields = ("=about",)
    search_help_text = "A number: FO-2231, RO-1042"
    ordering = ("-id",)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip().upper()
        return (queryset.filter(about=term) if term else queryset), False

    @admin.display(description="Who")
    def who(self, row: Activity) -> str:
        return name_of(row.actor, row.staff)

    @admin.display(description="What")
    def what(self, row: Activity) -> str:
        return f"{row.kind} {row.event.replace('_', ' ')}"

    @admin.display(description="From, to")
    def way(self, row: Activity) -> str:
        return f"{row.from_state} → {row.to_state}" if row.from_state else row.to_state
