"""Accounts, people, members, and the list of authorized users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts import actions
from accounts.admin.shelf import OfAccount, Shelf, staff
from accounts.forms import ChangedPerson, Member, NewAccount, NewPerson, typed_account, typed_person
from accounts.models import Account, AuthorizedUser, Invitation, Membership, Person, Role
from ampdr.lifecycle import changes
from ampdr.templatetags.ampdr import icon

if TYPE_CHECKING:
    PeopleAdmin = UserAdmin[Person]
else:
    PeopleAdmin = UserAdmin

# ---- Accounts --------------------------------------------------------------------------------------------------------


@admin.register(Account)
class AccountAdmin(Shelf):
    list_select_related = ("head",)
    form = NewAccount
    search_fields = ("name__istartswith", "slug__startswith", "=number")
    search_help_text = "The beginning of its name or slug, or its number"
    ordering = ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "slug", "number", *(() if obj else ("first_email", "first_name")))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs | ({"form": ModelForm} if obj else {}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        mine = AuthorizedUser.objects.standing().filter(account=OuterRef("pk")).order_by().values("account")
        count = Subquery(mine.annotate(n=Count("pk")).values("n"))
        found: QuerySet[Account] = super().get_queryset(request).annotate(standing=Coalesce(count, 0))
        return found

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: Any) -> None:
        """The account and its first administrator's invitation, or neither."""
        said = form.cleaned_data
        obj.pk = actions.open_account(staff(request), obj, said["first_email"], said["first_name"]).pk

    @admin.display(description="May request failovers")
    def listed(self, account: Any) -> SafeString | str:
        """Of listed people those who are enabled members; fewer than two are marked."""
        if account.standing >= 2:
            return str(account.standing)
        vms = f", {account.head.protected} VMs protected" if account.head.protected else ""
        mark = icon("triangle-alert")
        return format_html('<span class="pill warn">{}{}, fewer than two{}</span>', mark, account.standing, vms)

    @admin.display(description="Leads to")
    def leads_to(self, account: Account) -> SafeString:
        return _links(account, PLACES)

    @admin.display(description="Leads to")
    def leads_further(self, account: Account) -> SafeString:
        """For whoever may also see invitations."""
        return _links(account, {**PLACES, "accounts_invitation": "Invitations"})

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        further = cast(Person, request.user).has_perm("accounts.view_invitation")
        return ("name", "slug", "number", "listed", "leads_further" if further else "leads_to")


PLACES = {
    "accounts_membership": "Members", "accounts_authorizeduser": "Authorized users",
    "inventory_vm": "Virtual machines", "accounts_activity": "Activity",
}  # fmt: skip


def _links(account: Account, places: Mapping[str, str]) -> SafeString:
    """To the lists of what belongs to this account."""
    found = ((reverse(f"admin:{model}_changelist"), account.pk, word) for model, word in places.items())
    return format_html_join(" · ", '<a href="{}?account={}">{}</a>', found)


# ---- People ----------------------------------------------------------------------------------------------------------

for theirs in (Authenticator, EmailAddress, UserSession):
    admin.site.unregister(theirs)  # people look after these themselves, on their profile
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
    add_form_template = "admin/change_form.html"
    form = ChangedPerson
    add_fieldsets = ((None, {"fields": ("email", "name", "time_zone", "usable_password", "password1", "password2")}),)

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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("password_page",) if obj and self.has_change_permission(request) else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ("email", "name", "time_zone", "is_active", "is_staff", "is_superuser", "groups")
        shown = (*fields, *self.get_readonly_fields(request, obj))
        return ((None, {"fields": shown}),) if obj else self.add_fieldsets

    @admin.display(description="Password")
    def password_page(self, person: Person) -> SafeString:
        return format_html('<a href="{}">Give another password</a>', "../password/")

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


class TypedKeys(Shelf):
    """Account and person are typed, by slug and by e-mail address."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        typed = {"account": typed_account, "person": typed_person}
        if db_field.name in typed:
            return typed[db_field.name]()
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(Membership)
class MembershipAdmin(TypedKeys):
    list_display = ("person", "account", "their_roles", "enabled")
    list_filter = (OfAccount,)
    list_select_related = ("person", "account")
    search_fields = ("person__email__startswith", "person__name__istartswith")
    ordering = ("account", "person__name")
    form = Member
    actions = ("remove",)

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

    @admin.action(description="Remove the chosen people from their accounts", permissions=["change"])
    def remove(self, request: HttpRequest, chosen: QuerySet[Membership]) -> None:
        with changes(staff(request)):
            for membership in chosen:
                actions.remove_member(staff(request), membership)
                self.message_user(request, f"{membership.person} is no member of {membership.account} any more.")

    @admin.display(description="Roles")
    def their_roles(self, membership: Membership) -> str:
        return ", ".join(role.name for role in membership.roles.all())


@admin.register(Invitation)
class InvitationAdmin(Shelf):
    """Who was invited. Customers invite their own people; Support invites with a new account."""

    list_display = ("email", "account", "invited_by", "invited_at", "expires_at", "standing")
    list_filter = (OfAccount,)
    list_select_related = ("account", "invited_by")
    search_fields = ("email__startswith",)
    ordering = ("-id",)
    actions = ("send_again", "withdraw")

    def has_invite_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    @admin.action(description="Send the chosen invitations again", permissions=["invite"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[Invitation]) -> None:
        self._each(request, chosen, actions.resend, "is sent again")

    @admin.action(description="Withdraw the chosen invitations", permissions=["invite"])
    def withdraw(self, request: HttpRequest, chosen: QuerySet[Invitation]) -> None:
        self._each(request, chosen, actions.withdraw_invitation, "is withdrawn")

    def _each(self, request: HttpRequest, chosen: QuerySet[Invitation], verb: Any, done: str) -> None:
        """All of the chosen ones or, when one can't be, none."""
        with changes(staff(request)):
            for invitation in chosen:
                verb(staff(request), invitation)
                self.message_user(request, f"The invitation of {invitation.email} {done}.")

    @admin.display(description="State")
    def standing(self, invitation: Invitation) -> str:
        if invitation.accepted_at:
            return "Accepted"
        return "Withdrawn" if invitation.withdrawn_at else "Ran out" if invitation.over else "Open"


@admin.register(AuthorizedUser)
class AuthorizedUserAdmin(TypedKeys):
    """Who may request failovers. The list is Support's; losing the membership suspends a listing."""

    list_display = ("person", "account", "phone", "added_at", "added_by", "confirmed_on", "standing")
    list_filter = (OfAccount,)
    list_select_related = ("person", "account", "added_by")
    search_fields = ("person__email__startswith", "person__name__istartswith")
    ordering = ("account", "person__name")
    fields = ("account", "person", "phone", "confirmed_on")
    actions = ("take_off",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthorizedUser]:
        found: QuerySet[AuthorizedUser] = super().get_queryset(request).annotate_suspended()  # type: ignore[attr-defined]
        return found

    @admin.display(description="State")
    def standing(self, listing: Any) -> str:
        return "Suspended: no enabled member" if listing.suspended else "Authorized"

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
