"""What a Support lead writes down of a call: who called, which number was called back, and what is asked for."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django import forms
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.utils.text import get_text_list

from accounts.models import Account, AuthorizedUser
from ampdr import clock
from ampdr.errors import Refusal
from ampdr.templatetags.ampdr import duration
from failover.actions import TEST_DAYS, TEST_DAYS_AT_MOST, may_request
from failover.actions.by_phone import wrong_number
from failover.forms import OWN, PROVED
from failover.models import Failover, Kind, Ticket
from failover.screens.hints import changed_lately
from failover.screens.proved import proved
from inventory.models import VM, Role
from replication.models import Replication

ASKED = [(kind.value, kind.label) for kind in (Kind.LIVE, Kind.TEST, Kind.TERMINATE)]


POINTS = [("", "Newest at the start"), (PROVED, "Newest proved by a test"), (OWN, "Another moment")]
DAYS = [(n, f"{n} day{'' if n == 1 else 's'}") for n in range(1, TEST_DAYS_AT_MOST + 1)]
PLACES = {"vms": "names", "point_at": "point", "ends_at": "days"}
OF_STEP_TWO = {"site_code", "__all__"}


class Listed(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A person with his number, and since when it is that one, if it is new."""

    changed: Mapping[int, datetime] = MappingProxyType({})

    def label_from_instance(self, listing: Any) -> str:
        at = self.changed.get(listing.pk)
        new = f": this number is new, on the list for {duration(clock.now() - at)}" if at and listing.phone else ""
        return f"{listing.person.name}, {listing.phone or 'no number on the list'}{new}"


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
        help_text="One a line, or with commas.",
    )  # fmt: skip
    everything = forms.BooleanField(label="All of this site that are protected and in no failover", required=False)
    point = forms.ChoiceField(label="Recovery point", choices=POINTS, widget=forms.RadioSelect, required=False)
    moment = forms.DateTimeField(
        label="For another moment: which", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}),
        help_text="Of each VM the last point before it is taken. In your time zone.",
    )  # fmt: skip
    days = forms.TypedChoiceField(
        label="For a test: it ends after", choices=DAYS, coerce=int, empty_value=str(TEST_DAYS), initial=TEST_DAYS,
        required=False,
    )  # fmt: skip
    about = forms.ChoiceField(label="For a termination: of which ticket", required=False)
    reason = forms.CharField(
        label="Why, in the caller's words", max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    site_code = forms.CharField(label="Site code, as the caller says it", max_length=20, required=False)
    key = forms.CharField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account
        person: Any = self.fields["person"]
        person.queryset = callers(account)
        person.changed = changed_lately(person.queryset)
        self.fields["site"].choices = sites_of(account)  # type: ignore[attr-defined]
        self.fields["about"].choices = [("", "—"), *running(account)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or self.cleaned_data
        person = said.get("person")
        if person and (wrong := wrong_number(person, said.get("called_back", ""))):
            self.add_error("called_back", wrong)
        live = said.get("kind") == Kind.LIVE
        if said.get("kind") == Kind.TERMINATE:
            live = self.of_live(said)
        elif said.get("kind") in (Kind.LIVE, Kind.TEST):
            said["vms"] = self.chosen(said)
            said["point_at"] = self.point_of(said)
        if live and not said.get("reason", "").strip():
            self.add_error("reason", "Say why now. The approver reads it, and it goes in the record.")
        return said

    def of_live(self, said: dict[str, Any]) -> bool:
        """Whether a live failover is to be terminated."""
        about = Ticket.objects.filter(account=self.account, number=said.get("about") or "").first()
        said["about"] = about
        if about is None and "about" not in self.errors:
            self.add_error("about", "Choose what is to be terminated.")
        return about is not None and about.kind == Kind.LIVE

    def point_of(self, said: dict[str, Any]) -> datetime | None:
        """The chosen moment; None: the newest at the start."""
        if said.get("point") == PROVED:
            best = proved(said["vms"])
            if best is None and said["vms"]:
                self.add_error("point", "No point that a test has proved is kept of all of them. Take another.")
            return best.at if best else None
        at: datetime | None = said.get("moment") if said.get("point") == OWN else None
        if said.get("point") == OWN and at is None and "moment" not in self.errors:
            self.add_error("moment", "Say which moment, or take the newest point.")
        elif at and at > clock.now():
            self.add_error("moment", "This moment has not come yet. Choose one that lies in the past.")
        return at

    def chosen(self, said: dict[str, Any]) -> list[VM]:
        """The VMs that are named, or all of the site's. What is named wrong is said, by name."""
        mine = VM.objects.filter(account=self.account, role=Role.PRIMARY, site__code=said.get("site", ""))
        mine = mine.select_related("site").order_by("name_key", "pk")
        if said.get("everything"):
            return self.all_free(mine, said["kind"])
        names = {
            name.strip().lower(): name.strip() for name in re.split(r"[,\n]", said.get("names", "")) if name.strip()
        }
        found = list(mine.filter(name_key__in=names))
        there = Counter(vm.name_key for vm in found)
        unknown = [word for name, word in names.items() if not there[name]]
        several = [word for name, word in names.items() if there[name] > 1]
        for many, wrong in (("No VM", unknown), ("More than one VM", several)):
            if wrong:
                words = f"{many} of this name in {said.get('site')}: {get_text_list(wrong[:5], 'and')}"
                self.add_error("names", words)
        if not names:
            self.add_error("names", "Name the VMs, or take all of the site.")
        return found

    def all_free(self, mine: QuerySet[VM], kind: str) -> list[VM]:
        """Beside a running test a live failover may be requested (rule 8)."""
        free = mine.filter(failover_state="") if kind == Kind.LIVE else mine.filter(held_by="")
        found = list(free.filter(Exists(Replication.objects.filter(vm=OuterRef("pk"), state="protected"))))
        if not found:
            self.add_error("everything", "None of this site is protected and free.")
        return found

    @property
    def of_the_call(self) -> bool:
        """Whether something is wrong with what the first step asks."""
        return bool(set(self.errors) - OF_STEP_TWO)

    def refuse(self, refusal: Refusal) -> None:
        """Beside the fields that it names; otherwise above the form."""
        fields: dict[str, list[str]] = getattr(refusal, "fields", {}) or {"": [refusal.message]}
        for name, words in fields.items():
            for one in words if name != "code" else ():
                self.add_error(PLACES.get(name, name) if name in (*self.fields, *PLACES) else None, one)


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
