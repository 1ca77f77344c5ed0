"""What is typed to Support. How long it may be, and of which signs, is the verbs' to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django import forms
from django.core.exceptions import ValidationError

from notices.actions import LONGEST
from notices.models import Conversation

Kind = Conversation.Kind
# No maxlength on the fields: a browser would cut a long paste without a word.
ASKED = [(Kind.OTHER.value, "Something else"), (Kind.LIST.value, "The list of authorized users")]


class Write(forms.Form):
    """One message."""

    use_required_attribute = False
    text = forms.CharField(
        label="Message", required=False, strip=False, help_text=f"Plain text, up to {LONGEST:,} characters.",
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
    )  # fmt: skip

    def refuse(self, fields: Mapping[str, Sequence[str]]) -> None:
        """What the verb found wrong, beside the fields; what has no field here goes above them."""
        for name, errors in fields.items():
            self.add_error(name if name in self.fields else None, [ValidationError(error) for error in errors])


class Open(Write):
    """A new conversation. About an order it is opened from the order's page, which names it."""

    kind = forms.ChoiceField(label="What is it about?", required=False, choices=ASKED)
    title = forms.CharField(label="Subject", required=False, widget=forms.TextInput(attrs={"dir": "auto"}))
    field_order = ("kind", "title", "text")

    def about_order(self) -> Open:
        """Kind and number stand in hidden fields of their own."""
        del self.fields["kind"]
        return self
