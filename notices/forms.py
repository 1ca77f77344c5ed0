"""What is typed to Support. How long it may be, and of which signs, is the verbs' to say."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.forms import typed_account
from notices.actions import LONGEST, Opening, faults_of
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


class NewConversation(forms.ModelForm):  # type: ignore[type-arg]
    """What Support writes first, to an account."""

    account = typed_account()
    text = Write.base_fields["text"]
    key = forms.CharField(widget=forms.HiddenInput, initial=uuid.uuid4)

    class Meta:
        model = Conversation
        fields = ("account", "kind", "about", "title")
        labels = {"about": "Order", "kind": "About"}
        help_texts = {"about": "Its number, RO-…, where it is about one"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [  # type: ignore[attr-defined]
            (kind.value, kind.label) for kind in (Kind.OTHER, Kind.LIST, Kind.ORDER)
        ]

    def clean(self) -> dict[str, Any]:
        """In the verb's own words, beside the fields."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        opening = Opening(said.get("kind", ""), said.get("title", ""), said.get("text", ""), said.get("about", ""))
        for name, words in faults_of(opening).items():
            if name not in self.errors:
                self.add_error("about" if name == "kind" else name, words)
        return said
