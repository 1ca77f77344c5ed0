"""What Support types in admin about people and members."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import AdminUserCreationForm

from accounts.models import Account, Membership, Person


def typed_account() -> forms.ModelChoiceField[Account]:
    """An account by its slug: a list of all of them would be long, and a search would need a script."""
    return forms.ModelChoiceField(
        Account.objects.all(), to_field_name="slug", widget=forms.TextInput,
        help_text="Its slug, as in the addresses of its pages",
        error_messages={"invalid_choice": "There is no account with this slug."},
    )  # fmt: skip


def typed_person() -> forms.ModelChoiceField[Person]:
    return forms.ModelChoiceField(
        Person.objects.all(), to_field_name="email", widget=forms.EmailInput,
        help_text="The e-mail address with which the person signs in",
        error_messages={"invalid_choice": "Nobody signs in with this address."},
    )  # fmt: skip


class NewPerson(AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = Person
        fields = ("email", "name", "time_zone")

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class ChangedPerson(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Person
        fields = ("email", "name", "time_zone", "is_active", "is_staff", "is_superuser", "groups")

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class Member(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Membership
        fields = ("account", "person", "roles", "enabled")
        widgets: ClassVar[dict[str, Any]] = {"roles": forms.CheckboxSelectMultiple}

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or self.cleaned_data
        account = self.instance.account_id or getattr(said.get("account"), "pk", None)
        if any(role.account_id not in (None, account) for role in said.get("roles", ())):
            self.add_error("roles", "Choose default roles, or roles of this account.")
        return said
