"""Signing in and out: allauth's own pages and steps, with our words, limits and record."""

from __future__ import annotations

from typing import Any, cast

from allauth.account import forms as theirs
from allauth.account import views
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.base.forms import BaseAuthenticateForm
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.stages import AuthenticateStage
from django import forms
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.actions.devices import LASTS, device_of, with_device
from accounts.actions.people import ask_reset, make_room, set_password
from accounts.actions.second_factor import prove
from accounts.actions.sign_in import Attempt, Limited, acting, check_password, note_signed_in, note_signed_out
from accounts.models import Person
from ampdr.errors import Invalid

RECOVERY = "recovery_codes"
PASSWORD_RULES = "At least 12 characters; not like your name or e-mail, and none that many people use."
LONGEST = 1000  # characters of a password: more is no password, and would be hashed all the same

# ---- The device, its address -----------------------------------------------------------------------------------------


def address_of(request: HttpRequest) -> str:
    """Who is at the other end of the connection. What a header says of it can be forged."""
    return str(request.META.get("REMOTE_ADDR") or "0.0.0.0")


def device_cookie(request: HttpRequest) -> str:
    return request.COOKIES.get(settings.DEVICE_COOKIE_NAME, "")


def remember_device(request: HttpRequest, response: HttpResponse, person: Person) -> None:
    """From now on this browser is a known device of the person: its wrong passwords are counted apart."""
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME, with_device(device_cookie(request), person), LASTS,
        secure=settings.SECURE, httponly=True, samesite="Lax",
    )  # fmt: skip


# ---- What allauth asks of us -----------------------------------------------------------------------------------------


class SignIn(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth's adapter. It sends no mail and says nothing itself: notices are made from the record."""

    error_messages = DefaultAccountAdapter.error_messages | {"limited": Limited.title}

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Person | None:
        sent = Attempt(
            credentials["email"], credentials["password"], request.POST.get("recovery_code", "").strip()[:100],
            device_cookie(request), address_of(request),
        )  # fmt: skip
        try:
            person = check_password(sent)
        except Limited:
            raise self.validation_error("limited") from None
        request.came_with_code = bool(person and sent.recovery_code)  # type: ignore[attr-defined]
        return person

    def get_login_stages(self) -> list[str]:
        return ["accounts.views.sign_in.SecondStep"]

    def login(self, request: HttpRequest, user: Person) -> None:
        """Written down before it is done; who was disabled between two steps isn't let in."""
        if not user.is_active:
            raise ImmediateHttpResponse(redirect("account_login"))
        records = get_authentication_records(request, user)
        means = [record["type"] if record["method"] == "mfa" else record["method"] for record in records]
        make_room(user)
        note_signed_in(user, address_of(request), device_of(device_cookie(request), user), means)
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: Person, **facts: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **facts)
        remember_device(request, response, user)
        return response

    def logout(self, request: HttpRequest) -> None:
        note_signed_out(cast(Person, request.user), address_of(request), request.session.session_key)
        super().logout(request)

    def set_password(self, user: Person, password: str) -> None:
        """After a link that was mailed: allauth has checked the link."""
        set_password(acting(user), user, password, "reset link")

    def is_safe_url(self, url: str | None) -> bool:
        """Only addresses of this very portal are led to."""
        host = {context.request.get_host()}
        return url_has_allowed_host_and_scheme(url, host, require_https=context.request.is_secure())

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request)

    def is_ajax(self, request: HttpRequest) -> bool:
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """The pages say it themselves."""

    def send_mail(self, *args: Any, **kwargs: Any) -> None:
        """Mail is made from the record, by the notices' worker."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """The verb has written it down."""


class SecondStep(AuthenticateStage):  # type: ignore[misc]
    """After the password: the code, where the person has a factor. Who brought a recovery code has done it already."""

    def handle(self) -> tuple[HttpResponse | None, bool]:
        if getattr(self.request, "came_with_code", False):
            record_authentication(self.request, self.login.user, "mfa", type=RECOVERY)
            return None, True
        answer: tuple[HttpResponse | None, bool] = super().handle()
        return answer


# ---- The pages -------------------------------------------------------------------------------------------------------


class Answers:
    """A form that was refused comes back with 400, as everywhere in the portal."""

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        response.status_code = 400
        return response


class Login(Answers, views.LoginView):  # type: ignore[misc]
    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        if form.has_error(NON_FIELD_ERRORS, "limited"):
            response.status_code = Limited.status
        return response

    def get_context_data(self, **facts: Any) -> dict[str, Any]:
        page: dict[str, Any] = super().get_context_data(**facts)
        form, sent = page["form"], self.request.POST.get("recovery_code", "").strip()
        limited = form.is_bound and form.has_error(NON_FIELD_ERRORS, "limited")
        return page | {"limited": limited, "with_code": limited or bool(sent), "code_sent": bool(sent)}


class CodeForm(BaseAuthenticateForm):  # type: ignore[misc]
    """The code of the second step. Tries are counted per person, and apart for a known device."""

    code = forms.CharField(
        label="Code", max_length=100, help_text="Phone not at hand? A recovery code does it too.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "class": "short", "autofocus": True,
                                      "inputmode": "numeric"}),
    )  # fmt: skip

    def clean_code(self) -> str:
        request = context.request
        device = device_of(device_cookie(request), self.user)
        try:
            self.proof = prove(acting(self.user), self.cleaned_data["code"], f"sign-in:{device}")
        except Invalid as wrong:
            raise ValidationError(wrong.fields["code"]) from wrong
        return str(self.cleaned_data["code"])

    def save(self) -> None:
        record_authentication(context.request, self.user, "mfa", type=self.proof.proved_by)


class Code(AuthenticateView):  # type: ignore[misc]
    form_class = CodeForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A form without a code is a form with an empty one; allauth would take it for a security key's."""
        if request.method == "POST" and "code" not in request.POST:
            request.POST = QueryDict("code=")
        answer: HttpResponse = super().dispatch(request, *args, **kwargs)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)
        response.status_code = 400
        return response


class ForgottenForm(forms.Form):
    email = forms.EmailField(
        label="Email", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})
    )

    def save(self, request: HttpRequest) -> None:
        ask_reset(self.cleaned_data["email"])


class Forgotten(Answers, views.PasswordResetView):  # type: ignore[misc]
    """The answer is the same for anybody."""

    form_class = ForgottenForm


def old_password(label: str, autocomplete: str = "current-password") -> forms.CharField:
    """A password that is compared with another."""
    return forms.CharField(
        label=label, max_length=LONGEST, strip=False, widget=forms.PasswordInput({"autocomplete": autocomplete})
    )


def new_password() -> theirs.SetPasswordField:
    """A password that is held against the rules, and against the person's name and e-mail."""
    widget = forms.PasswordInput({"autocomplete": "new-password"})
    field = theirs.SetPasswordField(label="New password", max_length=LONGEST, help_text=PASSWORD_RULES)
    field.widget = widget
    return field


class NewPasswordForm(theirs.ResetPasswordKeyForm):  # type: ignore[misc]
    password1 = new_password()
    password2 = old_password("New password again", "new-password")


class NewPassword(Answers, views.PasswordResetFromKeyView):  # type: ignore[misc]
    """Whoever holds the link sets a new password. It is good once: the token dies with the password before."""

    form_class = NewPasswordForm

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        remember_device(self.request, response, self.reset_user)
        return response
