"""Machine tokens: made and revoked by Operators, shown once, never changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts import actions
from accounts.admin.shelf import Shelf, staff
from accounts.forms import NewMachineToken
from accounts.models import MachineToken
from ampdr import clock
from ampdr.templatetags.ampdr import when


@admin.register(MachineToken)
class MachineTokenAdmin(Shelf):
    list_display = ("name", "purpose", "place", "prefix", "made_by", "made", "used", "stands")
    list_select_related = ("account", "made_by")
    search_fields = ("name__istartswith", "=prefix", "=site")
    search_help_text = "The beginning of its name, its prefix, or a site's code"
    ordering = ("-pk",)
    form = NewMachineToken
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Its hash is nobody's business."""
        return tuple(name for name in super().get_readonly_fields(request, obj) if name != "digest") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_readonly_fields(request, obj) if obj else ("name", "purpose", "site", "account", "days")

    def save_model(self, request: HttpRequest, obj: MachineToken, form: Any, change: Any) -> None:
        said = form.cleaned_data
        place = {"site": said["site"], "account": said["account"]}
        token, secret = actions.issue_machine_token(
            staff(request), said["name"], said["purpose"], days=said["days"], **place
        )
        obj.pk, obj.prefix = token.pk, token.prefix
        request.made = {"token": token, "secret": secret}  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: MachineToken, post_url_continue: Any = None) -> HttpResponse:
        """The secret stands on this one answer: no message, no session, nothing to store."""
        context = {**self.admin_site.each_context(request), "title": "Made", "opts": self.opts}
        return TemplateResponse(request, "admin/accounts/machinetoken/made.html", context | request.made)  # type: ignore[attr-defined]

    @admin.action(description="Revoke the chosen machine tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[MachineToken]) -> None:
        for token in chosen:
            actions.revoke_machine_token(staff(request), token)
            self.message_user(request, f"{token.name} ({token.prefix}…) opens nothing any more.")

    @admin.display(description="For")
    def place(self, token: MachineToken) -> str:
        return token.site or str(token.account)

    @admin.display(description="Made")
    def made(self, token: MachineToken) -> str:
        return when(token.made_at)

    @admin.display(description="Last used")
    def used(self, token: MachineToken) -> str:
        return when(token.last_used_at) if token.last_used_at else "never"

    @admin.display(description="Stands")
    def stands(self, token: MachineToken) -> str:
        if token.revoked_at:
            return "Revoked"
        if token.expires_at and token.expires_at <= clock.now():
            return "Expired"
        return "In force"
