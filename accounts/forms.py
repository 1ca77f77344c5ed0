"""What Support types in admin about people and members."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Set
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import AdminUserCreationForm

from accounts.actions import LIFETIMES
from accounts.models import Account, MachineToken, Membership, Permission, Person, check_name
from ampdr.errors import Invalid

PLACES = sorted(name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/"))
ZONES = [(name, name.replace("_", " ")) for name in ("UTC", *PLACES)]  # by the names of places


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


def code_field(label: str = "Code from your authenticator app") -> forms.CharField:
    """A second factor, typed at a step that wants it proved just now. Whether one is wanted is the verb's to say."""
    attributes = {"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false", "size": 8}
    return forms.CharField(
        label=label, help_text="Or one of your recovery codes.", required=False,
        max_length=40, widget=forms.TextInput(attrs={"class": "code", **attributes}),
    )  # fmt: skip


class NewAccount(forms.ModelForm):  # type: ignore[type-arg]
    """An account and the one who will administrate it, by an invitation."""

    first_email = forms.EmailField(label="First administrator's e-mail", help_text="Gets the first invitation")
    first_name = forms.CharField(label="First administrator's name", max_length=120, validators=[check_name])

    class Meta:
        model = Account
        fields = ("name", "slug", "number")


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


class NewToken(forms.Form):
    """What a person says of a new API token. The verb says what is right; only ticks of one's own are offered."""

    name = forms.CharField(
        label="What it is for", help_text="Such as: nightly report", max_length=60,
        error_messages={"required": "Say what it is for."},
    )  # fmt: skip
    days = forms.TypedChoiceField(
        label="Ends after", coerce=int, choices=[(days, f"{days} days") for days in LIFETIMES], initial=90
    )
    scopes = forms.MultipleChoiceField(label="What it may do", widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, permissions: Set[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [choice for choice in Permission.choices if choice[0] in permissions]
        self.fields["scopes"].choices = offered  # type: ignore[attr-defined]
        wrong = "Tick at least one, of those that you have yourself in this account."
        self.fields["scopes"].error_messages |= {"required": wrong, "invalid_choice": wrong}

    def refuse(self, wrong: Invalid) -> None:
        for name, errors in wrong.fields.items():
            self.add_error(name, errors)


class NewMachineToken(forms.ModelForm):  # type: ignore[type-arg]
    """What an Operator says of a new machine token."""

    account = typed_account()
    days = forms.TypedChoiceField(
        label="Ends after", coerce=int, choices=[(days, f"{days} days") for days in LIFETIMES], initial=365
    )

    class Meta:
        model = MachineToken
        fields = ("name", "purpose", "site", "account")
        help_texts: ClassVar[dict[str, str]] = {"site": "A site's code, such as DFW01; or else an account"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].required = False

    def clean_site(self) -> str:
        return str(self.cleaned_data["site"]).strip().upper()

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or self.cleaned_data
        if bool(said.get("site")) == bool(said.get("account")) and not {"site", "account"} & set(self.errors):
            self.add_error("site", "Name a site or an account: one of them, not both.")
        return said


class Said(forms.Form):
    """What was typed, as it was typed. What is right is the verb's to say; its refusal is shown beside the fields."""

    def refuse(self, wrong: Invalid) -> None:
        for name, errors in wrong.fields.items():
            self.add_error(name if name in self.fields else None, errors)


class Invited(Said):
    email = forms.CharField(
        label="Email", help_text="Whoever reads mail at this address gets in.",
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    name = forms.CharField(label="Name", help_text="As the invitation greets. May be left empty.", required=False)
    roles = forms.MultipleChoiceField(label="Roles", widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, offered: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["roles"].choices = list(offered)  # type: ignore[attr-defined]
        wrong = "Choose at least one of the roles that you can give."
        self.fields["roles"].error_messages |= {"required": wrong, "invalid_choice": wrong}


class NamedRole(Said):
    """A role's name and its ticks, which the page shows by screen."""

    name = forms.CharField(label="Name")
    permissions = forms.MultipleChoiceField(label="Permissions", choices=Permission.choices, required=False)


class Newcomer(Said):
    """Who accepts an invitation and was never here."""

    name = forms.CharField(label="Your name", widget=forms.TextInput(attrs={"autocomplete": "name"}))
    password = forms.CharField(
        label="Password", help_text="At least 12 characters. Not a common one, nor like your name or email.",
        strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip
    time_zone = forms.ChoiceField(label="Time zone", choices=ZONES, initial="UTC")
