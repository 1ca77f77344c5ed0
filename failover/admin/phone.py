"""The form of a Support lead who files by phone, on behalf of a listed person who called (product rule 7)."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import get_text_list

from accounts.actions.second_factor import factor_of
from accounts.admin import Shelf, staff, with_typed_code
from accounts.models import Account, AuthorizedUser
from ampdr.errors import Conflict, Invalid, Refusal
from ampdr.lifecycle import Actor
from failover.actions import Wish, end_by_phone, file_by_phone, may_request, need_lead
from failover.actions.by_phone import wrong_number
from failover.models import Failover, Kind, Ticket
from inventory.models import VM, Role
from replication.models import Replication

FORM = "admin/failover/ticket/phone.html"
ASKED = [(kind.value, kind.label) for kind in (Kind.LIVE, Kind.TEST, Kind.TERMINATE)]


class Listed(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, listing: Any) -> str:
        return f"{listing.person.name}, {listing.phone or 'no number on the list'}"


class Called(forms.Form):
    """What the lead writes down. Who may have called, of which sites and which tickets, is the account's."""

    person = Listed(AuthorizedUser.objects.none(), label="Who called", widget=forms.RadioSelect, empty_label=None)
    called_back = forms.CharField(
        label="Called back at", max_length=40, required=False,
        help_text="Hang up, call the number on the list, then write down which one you called.",
    )  # fmt: skip
    kind = forms.ChoiceField(label="What is asked for", choices=ASKED, widget=forms.RadioSelect)
    site = forms.ChoiceField(label="VMs of which site", required=False)
    names = forms.CharField(
        label="Names of the VMs", required=False, widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="One a line, or with commas. The newest recovery point of each is taken.",
    )  # fmt: skip
    everything = forms.BooleanField(label="All protected VMs of this site", required=False)
    about = forms.ChoiceField(label="For a termination: of which ticket", required=False)
    site_code = forms.CharField(
        label="Site code, as the caller says it", max_length=20, required=False,
        help_text="Live failover: where to. Termination of one: where it goes back to.",
    )  # fmt: skip
    reason = forms.CharField(
        label="Why, in the caller's words", max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    key = forms.CharField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account
        self.fields["person"].queryset = callers(account)  # type: ignore[attr-defined]
        self.fields["site"].choices = sites_of(account)  # type: ignore[attr-defined]
        self.fields["about"].choices = [("", "—"), *running(account)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or self.cleaned_data
        person = said.get("person")
        if person and (wrong := wrong_number(person, said.get("called_back", ""))):
            self.add_error("called_back", wrong)
        if said.get("kind") == Kind.TERMINATE and not said.get("about"):
            self.add_error("about", "Choose what is to be terminated.")
        elif said.get("kind") in (Kind.LIVE, Kind.TEST):
            said["vms"] = self.chosen(said)
        return said

    def chosen(self, said: dict[str, Any]) -> list[uuid.UUID]:
        """The VMs that are named, or all of the site's. What is named wrong is said, by name."""
        mine = VM.objects.filter(account=self.account, role=Role.PRIMARY, site__code=said.get("site", ""))
        if said.get("everything"):
            protected = Replication.objects.filter(vm__in=mine, state="protected")
            return list(protected.values_list("vm__uuid", flat=True))
        names = {
            name.strip().lower(): name.strip() for name in re.split(r"[,\n]", said.get("names", "")) if name.strip()
        }
        found = list(mine.filter(name_key__in=names).values_list("name_key", "uuid"))
        there = Counter(name for name, _ in found)
        unknown = [word for name, word in names.items() if not there[name]]
        several = [word for name, word in names.items() if there[name] > 1]
        for many, wrong in (("No VM", unknown), ("More than one VM", several)):
            if wrong:
                words = f"{many} of this name in {said.get('site')}: {get_text_list(wrong[:5], 'and')}"
                self.add_error("names", words)
        if not names:
            self.add_error("names", "Name the VMs, or take all of the site.")
        return [key for _, key in found]

    def refuse(self, refusal: Refusal) -> None:
        """Beside the fields that it names; otherwise above the form."""
        fields: dict[str, list[str]] = getattr(refusal, "fields", {}) or {"": [refusal.message]}
        for name, words in fields.items():
            for one in words if name != "code" else ():
                self.add_error({"vms": "names"}.get(name, name) if name in (*self.fields, "vms") else None, one)


def account_of(words: str) -> Account | None:
    """By its slug, or by its name where only one has that."""
    named = Account.objects.filter(name__iexact=words)[:2]
    return Account.objects.filter(slug=words).first() or (named[0] if len(named) == 1 else None)


def callers(account: Account) -> Any:
    """Listed members who may read replication: only they may request. Few, so each is asked as a request asks."""
    listed = AuthorizedUser.objects.filter(account=account).standing().select_related("person", "account")
    may = [one.pk for one in listed if may_request(one)]
    return listed.filter(pk__in=may).order_by("person__name")


def sites_of(account: Account) -> list[tuple[str, str]]:
    protected = Replication.objects.filter(vm__account=account, state="protected").order_by("source")
    counts = protected.values_list("source").annotate(n=Count("pk"))
    return [(source, f"{source}, {n:,} protected VM{'' if n == 1 else 's'}") for source, n in counts]


def running(account: Account) -> list[tuple[str, str]]:
    """Live and test tickets of which something runs."""
    lines = Failover.objects.filter(ticket__account=account, state__in=("running", "termination_failed"))
    found = Ticket.objects.filter(pk__in=lines.values("ticket")).order_by("rank", "pk")
    return [(ticket.number, f"{ticket.number}, {ticket.get_kind_display().lower()}") for ticket in found]


def file(lead: Actor, account: Account, said: dict[str, Any]) -> Ticket:
    called = (said["called_back"], said["key"])
    if said["kind"] == Kind.TERMINATE:
        ticket = Ticket.objects.get(account=account, number=said["about"])
        return end_by_phone(lead, said["person"], ticket, (said["reason"], said["site_code"]), *called)
    wish = Wish(said["kind"], said["vms"], said["reason"], said["site_code"])
    return file_by_phone(lead, said["person"], wish, *called)


class ByPhone(Shelf):
    """A page beside the queue: first the account, then the call. Admin's own form adds no ticket."""

    def get_urls(self) -> list[URLPattern]:
        page = path("phone/", self.admin_site.admin_view(self.phone_view), name="failover_ticket_phone")
        return [page, *super().get_urls()]

    def phone_view(self, request: HttpRequest) -> HttpResponse:
        if not self.may(request, "add"):
            raise PermissionDenied
        slug = (request.POST or request.GET).get("account", "").replace("\0", "").strip()
        account = account_of(slug)
        if account is None:
            wrong = f"There is no account “{slug}”." if slug else ""
            return self.form_page(request, None, status=400 if request.method == "POST" else 200, wrong=wrong)
        need_lead(staff(request), account.pk)
        form = Called(account, request.POST or None)
        return self.send(request, account, form) if form.is_bound else self.form_page(request, form)

    def send(self, request: HttpRequest, account: Account, form: Called) -> HttpResponse:
        if not form.is_valid():
            return self.form_page(request, form, status=400)
        try:
            ticket = with_typed_code(request, lambda lead: file(lead, account, form.cleaned_data))
        except (Invalid, Conflict) as refusal:
            form.refuse(refusal)
            wrong_code = " ".join(getattr(refusal, "fields", {}).get("code", ()))
            return self.form_page(request, form, status=refusal.status, wrong_code=wrong_code)
        words = f"{ticket.number} is filed for {ticket.requested_by.name}. Another member of Support approves it."
        self.message_user(request, words, messages.SUCCESS)
        return redirect(reverse("admin:failover_ticket_change", args=[ticket.pk]))

    def form_page(self, request: HttpRequest, form: Called | None, status: int = 200, **words: str) -> HttpResponse:
        request.current_app = self.admin_site.name
        shown = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": "File by phone", "form": form,
            "account": form.account if form else None, "said": request.POST, "factor": factor_of(staff(request)),
            "callers": form.fields["person"].queryset if form else (), **words,  # type: ignore[attr-defined]
        }  # fmt: skip
        return TemplateResponse(request, FORM, shown, status=status)
