"""A person's own pages, outside of an account: profile, password, second factor, sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import qrcode
from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.internal.auth import clear_totp_secret, get_totp_secret
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from accounts.actions import authenticators, people
from accounts.actions.devices import device_name
from accounts.actions.proof import proved, remember_proof, with_proof
from accounts.actions.second_factor import NEEDED, has_factor, prove
from accounts.actions.sign_in import acting
from accounts.forms import ZONES
from accounts.models import Membership, Person
from accounts.views.sign_in import new_password, old_password, remember_device
from ampdr import clock
from ampdr.errors import Forbidden, Invalid
from ampdr.lifecycle import FRESH, Actor

pages = require_http_methods(["GET", "HEAD", "POST"])
CODE = {"autocomplete": "one-time-code", "class": "short", "inputmode": "numeric"}


def who(request: HttpRequest) -> tuple[Person, Actor]:
    """The person, and he as an actor in no account, with what this session knows of his second factor."""
    person = cast(Person, request.user)
    return person, proved(request, acting(person))


def onward(request: HttpRequest) -> str:
    """Where the person wanted to go before he was led here; empty if nowhere, or out of the portal."""
    there = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(there, {request.get_host()}, require_https=request.is_secure())
    return there if safe else ""


def refused(form: forms.Form, wrong: Invalid) -> None:
    for field, errors in wrong.fields.items():
        form.add_error(field if field in form.fields else None, errors)


# ---- Profile ---------------------------------------------------------------------------------------------------------


class Profile(forms.Form):
    """Zones by the names of their places; the person's own is among them, whatever it is."""

    time_zone = forms.ChoiceField(
        label="Time zone", help_text="In which you read the times of the portal. Mails and notices say UTC."
    )

    def __init__(self, *args: Any, now: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.ChoiceField, self.fields["time_zone"])
        field.choices = ZONES if now in dict(ZONES) else [(now, now), *ZONES]


@login_required
@pages
def profile(request: HttpRequest) -> HttpResponse:
    person, actor = who(request)
    form = Profile(request.POST or None, now=person.time_zone, initial={"time_zone": person.time_zone})
    if request.method == "POST" and form.is_valid():
        people.choose_time_zone(actor, form.cleaned_data["time_zone"])
        messages.success(request, "Your time zone is saved.")
        return redirect("me")
    joined = Membership.objects.filter(person=person, enabled=True).select_related("account").prefetch_related("roles")
    page = {"form": form, "person": person, "memberships": joined.order_by("account__name"),
            "factor": has_factor(person.pk)}  # fmt: skip
    return render(request, "me/profile.html", page, status=400 if form.errors else 200)


# ---- Password --------------------------------------------------------------------------------------------------------


class NewPassword(forms.Form):
    password = old_password("Your password so far")
    password1 = new_password()
    password2 = old_password("New password again", "new-password")

    def __init__(self, *args: Any, person: Person, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].user = person  # type: ignore[attr-defined]

    def clean_password2(self) -> str:
        if self.cleaned_data["password2"] != self.cleaned_data.get("password1", self.cleaned_data["password2"]):
            raise forms.ValidationError("This isn't what you typed above.")
        return str(self.cleaned_data["password2"])


@login_required
@pages
def password(request: HttpRequest) -> HttpResponse:
    person, actor = who(request)
    form = NewPassword(request.POST or None, person=person)
    if request.method == "POST" and form.is_valid():
        try:
            people.need_password(actor, person, form.cleaned_data["password"])
        except Invalid as wrong:
            refused(form, wrong)
        else:
            return _changed(request, person, actor, form.cleaned_data["password1"])
    return render(request, "me/password.html", {"form": form}, status=400 if request.method == "POST" else 200)


def _changed(request: HttpRequest, person: Person, actor: Actor, new: str) -> HttpResponse:
    """This session goes on under a new key, and this device stays known."""
    before = request.session.session_key or ""
    people.set_password(actor, person, new, "profile", kept_session=before)
    update_session_auth_hash(request, person)
    UserSession.objects.filter(session_key=before).update(session_key=request.session.session_key)
    messages.success(request, "Your new password is set. You are signed out everywhere else.")
    response = redirect("me")
    remember_device(request, response, person)
    return response


# ---- Second factor ---------------------------------------------------------------------------------------------------


class SetUp(forms.Form):
    """The first code of a new app. Who signed in a while ago types his password too."""

    code = forms.CharField(label="Code of the app", max_length=100, widget=forms.TextInput(CODE))
    password = old_password("Your password")

    def __init__(self, *args: Any, password: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not password:
            del self.fields["password"]


class Proof(forms.Form):
    code = forms.CharField(label="Code", max_length=100, widget=forms.TextInput(CODE))


class Switch(forms.Form):
    """Two codes: of the app so far, unless it was proved a moment ago, and of the new one."""

    proof = forms.CharField(label="Code of the app so far", max_length=100, widget=forms.TextInput(CODE),
                            help_text="Or a recovery code.")  # fmt: skip
    code = forms.CharField(label="Code of the new app", max_length=100, widget=forms.TextInput(CODE))

    def __init__(self, *args: Any, fresh: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if fresh:
            del self.fields["proof"]


@login_required
@pages
def second_factor(request: HttpRequest) -> HttpResponse:
    """How it stands. Who has none sets one up here; whoever is led here (Support, on the way to admin) goes on then."""
    person, actor = who(request)
    if not has_factor(person.pk):
        return _set_up(request, person, actor)
    if request.method == "POST":
        return _proved(request, actor)
    return _standing(request, actor)


def _set_up(request: HttpRequest, person: Person, actor: Actor) -> HttpResponse:
    secret = get_totp_secret()
    form = SetUp(request.POST or None, password=not _typed_password(request))
    if request.method == "POST" and form.is_valid():
        try:
            if "password" in form.fields:
                people.need_password(actor, person, form.cleaned_data["password"])
            codes = authenticators.add_app(actor, secret, form.cleaned_data["code"])
        except Invalid as wrong:
            refused(form, wrong)
        else:
            return _kept(request, codes)
    page = {"form": form, "next": onward(request), **_drawn(person, secret)}
    return render(request, "me/set_up.html", page, status=400 if request.method == "POST" else 200)


def _kept(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """The app has just shown a right code: this session has proved the factor."""
    remember_proof(request, _now(request, "totp"))
    clear_totp_secret(request)
    return _codes(request, codes, first=True)


def _now(request: HttpRequest, means: str) -> Actor:
    person = cast(Person, request.user)
    return Actor(person.name, person.pk, proved_at=clock.now(), proved_by=means)


def _typed_password(request: HttpRequest) -> bool:
    """Whether this session began with the password within the last five minutes."""
    records = get_authentication_records(request, request.user)
    typed = [record["at"] for record in records if record["method"] == "password"]
    return bool(typed) and clock.now().timestamp() - typed[-1] < FRESH.total_seconds()


def _proved(request: HttpRequest, actor: Actor) -> HttpResponse:
    form = Proof(request.POST)
    if form.is_valid():
        try:
            remember_proof(request, prove(actor, form.cleaned_data["code"]))
        except Invalid as wrong:
            refused(form, wrong)
        else:
            return redirect(onward(request) or "me-factor")
    return _standing(request, actor, form, 400)


def _standing(request: HttpRequest, actor: Actor, form: forms.Form | None = None, status: int = 200) -> HttpResponse:
    """What there is and what can be done; `form` is what was refused a moment ago."""
    app = authenticators.of(actor).filter(type=authenticators.APP).first()
    page = {
        "me": actor, "app": app, "left": authenticators.codes_left(actor), "next": onward(request),
        "form": form or Proof(), "asked": not actor.fresh,
    }  # fmt: skip
    return render(request, "me/second_factor.html", page, status=status)


@login_required
@require_POST
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """New ones, shown on this one answer and nowhere else: no redirect, no session, nothing to store."""
    return _stepping_up(request, authenticators.make_recovery_codes, lambda codes: _codes(request, codes))


@login_required
@require_POST
def remove_factor(request: HttpRequest) -> HttpResponse:
    def done(_: None) -> HttpResponse:
        messages.success(request, "Your second factor is removed.")
        return redirect("me-factor")

    return _stepping_up(request, authenticators.remove_factor, done)


def _stepping_up(
    request: HttpRequest, verb: Callable[[Actor], Any], done: Callable[[Any], HttpResponse]
) -> HttpResponse:
    """Does what wants a fresh proof; the code stands beside the button, and what is wrong with it beside the code."""
    actor, form = who(request)[1], Proof(request.POST)
    form.is_valid()
    try:
        return done(with_proof(request, actor, request.POST.get("code", ""), verb))
    except Invalid as wrong:
        refused(form, wrong)
    except Forbidden as refusal:
        if refusal.code != NEEDED or not has_factor(actor.person_id):
            raise
    return _standing(request, actor, form, 400)


@login_required
@pages
def new_app(request: HttpRequest) -> HttpResponse:
    """The same factor in another app, or on another telephone."""
    person, actor = who(request)
    if not has_factor(person.pk):
        return redirect("me-factor")
    secret, form = get_totp_secret(), Switch(request.POST or None, fresh=actor.fresh)
    if request.method == "POST" and form.is_valid():
        try:
            _switch(request, actor, secret, form.cleaned_data)
        except Invalid as wrong:
            refused(form, wrong)
        else:
            messages.success(request, "The new app is your second factor now. The one so far is void.")
            return redirect("me-factor")
    page = {"form": form, **_drawn(person, secret)}
    return render(request, "me/new_app.html", page, status=400 if request.method == "POST" else 200)


def _switch(request: HttpRequest, actor: Actor, secret: str, said: dict[str, Any]) -> None:
    if "proof" in said:
        try:
            actor = prove(actor, said["proof"])
        except Invalid as wrong:
            raise Invalid(wrong.message, fields={"proof": wrong.fields["code"]}) from wrong
        remember_proof(request, actor)
    authenticators.switch_app(actor, secret, said["code"])
    clear_totp_secret(request)


def _codes(request: HttpRequest, codes: Sequence[str], *, first: bool = False) -> HttpResponse:
    groups = [" ".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]
    return render(request, "me/codes.html", {"codes": groups, "first": first, "next": onward(request)})


def _drawn(person: Person, secret: str) -> dict[str, Any]:
    """What an app scans: the dark squares as one path; and the key to type, in groups of four."""
    code = qrcode.QRCode(border=4, error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(get_adapter().build_totp_url(person, secret))
    dark = code.get_matrix()
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(dark) for x, cell in enumerate(row) if cell)
    key = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    return {"path": path, "side": len(dark), "key": key}


# ---- Sessions --------------------------------------------------------------------------------------------------------


@login_required
@pages
def sessions(request: HttpRequest) -> HttpResponse:
    """Where the person is signed in. One is ended by its number, or all others at once."""
    _, actor = who(request)
    here = request.session.session_key or ""
    if request.method == "POST":
        return _ended(request, actor, here)
    found = people.sessions_of(actor).order_by("-created_at")
    rows = [{"session": one, "device": device_name(one.user_agent), "here": one.session_key == here} for one in found]
    rows.sort(key=lambda row: not row["here"])
    return render(request, "me/sessions.html", {"rows": rows, "others": sum(not row["here"] for row in rows)})


def _ended(request: HttpRequest, actor: Actor, here: str) -> HttpResponse:
    number = request.POST.get("session", "")
    if number:
        people.end_session(actor, int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else 0)
        messages.success(request, "That session has ended.")
    elif "others" in request.POST:
        ended = people.end_other_sessions(actor, here)
        messages.success(request, f"{ended} other session{'s' * (ended != 1)} ended.")
    else:
        raise Invalid("Name the session to end.")
    return redirect("me-sessions")
