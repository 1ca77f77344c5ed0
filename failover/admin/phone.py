"""Filing by phone (product rule 7): a Support lead, on behalf of a listed person who called. Two steps.

First the call: who, which number was called back, and what is asked for. Then what it comes to, as the customer's own
preview says it. Nothing is made before the second one is sent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.actions.second_factor import factor_of
from accounts.admin import Shelf, staff, with_typed_code
from accounts.models import Account
from ampdr import clock
from ampdr.errors import Conflict, Forbidden, Invalid
from ampdr.lifecycle import Actor
from failover.actions import Wish, end_by_phone, file_by_phone, may_request, need_lead, refuse_nothing_to_end
from failover.actions.by_phone import filed_with
from failover.actions.requests import refuse_unfit, route
from failover.admin.call import Called, account_of
from failover.models import Kind, Ticket
from failover.screens.by_phone import Preview, of_end, of_start
from inventory.models import VM

FORM, CHECK = "admin/failover/ticket/phone.html", "admin/failover/ticket/phone_check.html"


class ByPhone(Shelf):
    """Pages beside the queue: the account, the call, what it comes to. Admin's own form adds no ticket."""

    def get_urls(self) -> list[URLPattern]:
        page = path("phone/", self.admin_site.admin_view(self.phone_view), name="failover_ticket_phone")
        return [page, *super().get_urls()]

    def phone_view(self, request: HttpRequest) -> HttpResponse:
        if not self.may(request, "add"):
            raise Forbidden("Filing by phone is for Support leads. Ask one of them.")
        slug = (request.POST or request.GET).get("account", "").replace("\0", "").strip()
        account = account_of(slug)
        if account is None:
            wrong = f"There is no account “{slug}”." if slug else ""
            return self.form_page(request, None, status=400 if request.method == "POST" else 200, wrong=wrong)
        need_lead(staff(request), account.pk)
        form = Called(account, request.POST or None)
        if not form.is_bound or request.POST.get("step") == "change":
            return self.form_page(request, Called(account, initial=request.POST.dict()) if form.is_bound else form)
        key = request.POST.get("key", "").replace("\0", "")
        made = Ticket.objects.filter(number=filed_with(staff(request), account.pk, key)).first()
        return self.filed(request, made) if made else self.looked_at(request, form)

    def looked_at(self, request: HttpRequest, form: Called) -> HttpResponse:
        """What the call comes to. Nothing is filed before that was looked at, and only if it is still that."""
        if not form.is_valid():
            return self.form_page(request, form, status=400)
        try:
            seen = look_at(form)
        except Conflict as refusal:
            form.refuse(refusal)
            return self.form_page(request, form, status=409)
        if request.POST.get("step") != "file":
            return self.form_page(request, form, seen=seen)
        if request.POST.get("digest") != seen.digest:
            words = "This has changed since you looked at it. Nothing was filed: look again."
            return self.form_page(request, form, status=409, seen=seen, wrong=words)
        return self.send(request, form, seen)

    def send(self, request: HttpRequest, form: Called, seen: Preview) -> HttpResponse:
        try:
            ticket = with_typed_code(request, lambda lead: file(lead, form.account, form.cleaned_data))
        except (Invalid, Conflict) as refusal:
            form.refuse(refusal)
            wrong = " ".join(getattr(refusal, "fields", {}).get("code", ()))
            here = {} if form.of_the_call else {"seen": seen}
            return self.form_page(request, form, status=refusal.status, wrong_code=wrong, **here)
        return self.filed(request, ticket)

    def filed(self, request: HttpRequest, ticket: Ticket) -> HttpResponse:
        words = f"{ticket.number} is filed for {ticket.requested_by.name}. Another member of Support approves it."
        self.message_user(request, words, messages.SUCCESS)
        return redirect(reverse("admin:failover_ticket_change", args=[ticket.pk]))

    def form_page(self, request: HttpRequest, form: Called | None, status: int = 200, **told: Any) -> HttpResponse:
        """`seen`: what it comes to, once that is known."""
        request.current_app = self.admin_site.name
        shown = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": "File by phone", "form": form,
            "account": form.account if form else None, "said": request.POST, "factor": factor_of(staff(request)),
            "callers": form.fields["person"].queryset if form else (), **told,  # type: ignore[attr-defined]
        }  # fmt: skip
        return TemplateResponse(request, CHECK if "seen" in told else FORM, shown, status=status)


def look_at(form: Called) -> Preview:
    """What it comes to. Raises Conflict for what can't be requested now, as the request itself would."""
    said = form.cleaned_data
    if said["kind"] == Kind.TERMINATE:
        refuse_nothing_to_end(said["about"])
        return of_end(said["about"])
    vms, wish = VM.objects.filter(pk__in=[vm.pk for vm in said["vms"]]), wish_of(said)
    refuse_unfit(vms, wish)
    route(vms)
    caller = may_request(said["person"]) or Actor(said["person"].person.name, account_id=form.account.pk)
    return of_start(caller, form.account, said["vms"], wish)


def wish_of(said: dict[str, Any]) -> Wish:
    ends_at = clock.now() + timedelta(days=int(said["days"])) if said["kind"] == Kind.TEST else None
    vms = [vm.uuid for vm in said["vms"]]
    return Wish(said["kind"], vms, said["reason"], said["site_code"], said["point_at"], ends_at)


def file(lead: Actor, account: Account, said: dict[str, Any]) -> Ticket:
    called = (said["called_back"], said["key"])
    if said["kind"] == Kind.TERMINATE:
        return end_by_phone(lead, said["person"], said["about"], (said["reason"], said["site_code"]), *called)
    return file_by_phone(lead, said["person"], wish_of(said), *called)
