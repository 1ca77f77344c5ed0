"""The fields of a request: what and from when (step 1, a query string), why and where to (step 2, sent)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_datetime

from accounts.actions.second_factor import Factor
from accounts.forms import code_field
from ampdr import clock
from failover.actions import TEST_DAYS, TEST_DAYS_AT_MOST
from failover.models import Kind, TestResult, Ticket

LONGEST_REASON = 2000
OWN = "own"  # the recovery point that is chosen by typing a moment
PROVED = "proved"  # the newest one that a test has proved: which that is, is looked up when it is asked for


class What(forms.Form):
    """Step 1: kind, recovery point and a test's end. What the query string leaves out is the default."""

    kind = forms.ChoiceField(choices=[(Kind.TEST, Kind.TEST.label), (Kind.LIVE, Kind.LIVE.label)])
    point = forms.CharField(required=False)
    moment = forms.DateTimeField(required=False)
    days = forms.TypedChoiceField(coerce=int, choices=[(n, n) for n in range(1, TEST_DAYS_AT_MOST + 1)])

    DEFAULTS: ClassVar[dict[str, str]] = {"kind": Kind.TEST.value, "days": str(TEST_DAYS), "point": "", "moment": ""}

    @classmethod
    def read(cls, query: Any, entered: dict[str, str] | None = None) -> What:
        """`entered`: what stands there where the query names nothing."""
        form = cls({name: query.get(name) or default for name, default in (cls.DEFAULTS | (entered or {})).items()})
        form.fields["kind"].error_messages["invalid_choice"] = "Choose a test or a live failover."
        form.fields["days"].error_messages["invalid_choice"] = f"A test ends within {TEST_DAYS_AT_MOST} days."
        form.fields["moment"].error_messages["invalid"] = "Write a day and a time, such as 2026-11-22 02:30."
        return form

    @property
    def asked_kind(self) -> str:
        return Kind.LIVE.value if self["kind"].value() == Kind.LIVE else Kind.TEST.value

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        if found.get("point") == OWN and not found.get("moment") and "moment" not in self.errors:
            self.add_error("moment", "Say which moment, or take the newest point.")
        return found

    def clean_point(self) -> str:
        point: str = self.cleaned_data["point"]
        if point not in ("", OWN, PROVED):
            moment(point)
        return point

    def point_at(self) -> datetime | None:
        """The chosen moment of a valid form; None: the newest point at the start, or one to be looked up."""
        point = self.cleaned_data["point"]
        if point == PROVED:
            return None
        chosen: datetime | None = self.cleaned_data["moment"] if point == OWN else moment(point)
        return chosen

    def ends_at(self) -> datetime | None:
        if self.cleaned_data["kind"] == Kind.LIVE:
            return None
        return clock.now() + timedelta(days=self.cleaned_data["days"])


def moment(text: str) -> datetime | None:
    """A time with its zone as the forms send it along, or None for none. Raises ValidationError."""
    if not text:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValidationError("This is not a time that was offered here. Choose another.")
    return found


class Refusable(forms.Form):
    """What a verb may refuse after the form itself found nothing wrong."""

    def refuse(self, fields: dict[str, list[str]]) -> None:
        """What the verb found wrong, beside the fields; what has no field here goes above them."""
        for name, errors in fields.items():
            self.add_error(name if name in self.fields else None, [ValidationError(error) for error in errors])


class Send(Refusable):
    """Step 2. Whether a reason and a code are wanted, and which code, is the verb's to say."""

    use_required_attribute = False
    reason = forms.CharField(
        label="Why now?", help_text="Support reads this. It goes in the record.", required=False,
        max_length=LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip
    site_code = forms.CharField(
        required=False, max_length=40,
        widget=forms.TextInput(
            attrs={
                "class": "code", "autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false",
                "size": 8,
            }
        ),
    )  # fmt: skip
    code = code_field()

    def dress(self, live: bool, label: str, factor: str) -> Send:
        """As this request needs it: a test takes no site's code, and welcomes a reason without wanting one.

        `factor` is of `Factor`: only where a code is to be typed there is a field for it.
        """
        if live:
            self._label("site_code", label)
        else:
            self.fields.pop("site_code", None)
            self._label("reason", "Note for Support (optional)")
        if not live or factor != Factor.CODE:
            self.fields.pop("code", None)
        return self

    def _label(self, name: str, label: str) -> None:
        """On the field, and on what was made of it already, when the form was checked."""
        self.fields[name].label = self[name].label = label


class Result(Refusable):
    """How a test went, in the customer's words. Whether notes are wanted is the verb's to say."""

    use_required_attribute = False
    result = forms.ChoiceField(
        label="Result", choices=TestResult, error_messages={"required": "Choose one of the three."}
    )
    notes = forms.CharField(
        label="What was checked", required=False, max_length=LONGEST_REASON,
        help_text="It stands in the report of this test.", widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip

    @classmethod
    def of(cls, ticket: Ticket) -> Result:
        return cls(initial={"result": ticket.result, "notes": ticket.result_notes})


class Extend(Refusable):
    """A later end date of a test, in whole days after the present one, or the latest that there can be."""

    use_required_attribute = False
    ends_at = forms.ChoiceField(label="New end date", error_messages={"required": "Choose a new end date."})
    reason = forms.CharField(
        label="Note for Support (optional)", required=False, max_length=LONGEST_REASON,
        help_text="Support reads this. It goes in the record.", widget=forms.Textarea(attrs={"rows": 3}),
    )  # fmt: skip

    @property
    def choices(self) -> list[tuple[str, str]]:
        """The end dates that there can be: value and words."""
        field: Any = self.fields["ends_at"]
        return list(field.choices)

    @choices.setter
    def choices(self, offered: list[tuple[str, str]]) -> None:
        field: Any = self.fields["ends_at"]
        field.choices = offered
