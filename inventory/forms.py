"""What Support types of an outage. How long it may be, and what may follow what, is the verbs' to say."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.utils import timezone

from ampdr import clock
from inventory.actions.outages import LONGEST, faults_of
from inventory.models import Outage, Site


class Moment(forms.DateTimeField):
    """A moment to the minute, in the zone of who types it; now, unless told."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def __init__(self, **facts: Any) -> None:
        super().__init__(initial=lambda: clock.now().replace(second=0, microsecond=0), **facts)

    def get_bound_field(self, form: Any, field_name: str) -> Any:
        self.help_text = f"In your own time zone, {timezone.get_current_timezone_name()}."
        return super().get_bound_field(form, field_name)


class SiteField(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, site: Any) -> str:
        return f"{site.city} ({site.code})"


class NewOutage(forms.ModelForm):  # type: ignore[type-arg]
    """What is declared."""

    site = SiteField(Site.objects.all())
    text = forms.CharField(
        label="What is known", required=False, strip=False, widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        help_text=f"Plain text, up to {LONGEST:,} characters. Every account that the outage is about reads it.",
    )  # fmt: skip
    started_at = Moment(label="Since")
    key = forms.CharField(widget=forms.HiddenInput, initial=uuid.uuid4)

    class Meta:
        model = Outage
        fields = ("site", "title", "started_at")
        help_texts = {"title": "A few words, such as: Hall A has no power"}

    def validate_constraints(self) -> None:
        """The verb says in words what the database would refuse, and a second click declares nothing."""

    def clean(self) -> dict[str, Any]:
        """In the verb's own words, beside the fields."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        for name, words in faults_of(said.get("title", ""), said.get("text", ""), said.get("started_at")).items():
            if name not in self.errors:
                self.add_error(name, words)
        return said


class Over(forms.Form):
    """When it was over."""

    over_at = Moment(label="Over since", error_messages={"required": "Say since when it is over."})
