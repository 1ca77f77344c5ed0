"""Lost second factors: a Support lead asks for a reset, a second one of staff approves or refuses it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from accounts.actions.resets import approve_factor_reset, ask_factor_reset, refuse_factor_reset, why_not_second
from accounts.actions.second_factor import factor_of
from accounts.admin.shelf import Shelf, staff, with_typed_code
from accounts.forms import typed_person
from accounts.models import FactorReset
from ampdr.errors import Absent, Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor


class Asked(forms.ModelForm):  # type: ignore[type-arg]
    """What the lead writes down."""

    person = typed_person()

    class Meta:
        model = FactorReset
        fields = ("person", "reason")
        labels = {"reason": "The call-back"}
        help_texts = {"reason": "Which number of the list you called, who answered, and how you knew the person"}

    def validate_constraints(self) -> None:
        """The verb says in words what the database would refuse."""


@admin.register(FactorReset)
class FactorResetAdmin(Shelf):
    list_display = ("person", "asked_by", "asked_at", "stands")
    list_select_related = ("person", "asked_by", "approved_by")
    search_fields = ("person__email__startswith", "person__name__istartswith")
    search_help_text = "The beginning of the person's name or e-mail address"
    ordering = ("-pk",)
    form = Asked

    @admin.display(description="State")
    def stands(self, reset: FactorReset) -> str:
        return f"Approved by {reset.approved_by.name}" if reset.approved_by else "Waits for a second member of staff"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def save_model(self, request: HttpRequest, obj: FactorReset, form: Any, change: Any) -> None:
        obj.pk = ask_factor_reset(staff(request), obj.person, obj.reason).pk

    # ---- One reset ---------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who asked and why, and two buttons. Admin's own form is not used."""
        if not self.has_view_permission(request):
            raise Forbidden("Your staff group doesn't see this.")
        found: QuerySet[FactorReset] = self.get_queryset(request).select_related("person", "asked_by", "approved_by")
        reset = found.filter(pk=object_id).first() if object_id.isdecimal() else None
        if reset is None:
            raise Absent("There is no such reset. One that was refused is in the record alone.")
        return self.act(request, reset) if request.method == "POST" else self.page(request, reset)

    def page(self, request: HttpRequest, reset: FactorReset, refusal: Invalid | None = None) -> HttpResponse:
        actor, fields = staff(request), refusal.fields if refusal else {}
        shown = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": str(reset), "reset": reset,
            "may_decide": self.may(request, "change"), "why_not": why_not_second(actor, reset),
            "factor": factor_of(actor), "said": request.POST, "refusal": refusal,
            "wrong_code": " ".join(fields.get("code", ())), "wrong_reason": " ".join(fields.get("reason", ())),
            "accounts": [one.account for one in reset.person.memberships.select_related("account")],
        }  # fmt: skip
        status = refusal.status if refusal else 200
        return TemplateResponse(request, "admin/accounts/factorreset/decide.html", shown, status=status)

    def act(self, request: HttpRequest, reset: FactorReset) -> HttpResponse:
        try:
            said = with_typed_code(request, lambda actor: press(actor, reset, request.POST))
        except Invalid as refusal:
            return self.page(request, reset, refusal)
        except Conflict as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
        else:
            self.message_user(request, said, messages.SUCCESS)
        return redirect("admin:accounts_factorreset_changelist")


def press(actor: Actor, reset: FactorReset, data: Any) -> str:
    """The verb of the button that was pressed, and what to say when it is done."""
    match data.get("decision"):
        case "approve":
            approve_factor_reset(actor, reset)
            return f"{reset.person.name} has no second factor any more, and is signed out everywhere."
        case "refuse":
            refuse_factor_reset(actor, reset, data.get("reason", "").replace("\0", "")[:400])
            return f"Refused. {reset.person.name}'s second factor stays."
    raise Invalid("Press one of the buttons.")
