"""Every address, in one place. What isn't an account's stands first: those first words can't be an account's."""

from allauth.account import views as allauth
from django.contrib import admin
from django.urls import include, path
from django.views.decorators.http import require_POST
from django.views.generic import RedirectView

from accounts.views import home, me, revoke, sign_in, tokens
from accounts.views.invitation import invitation
from ampdr import views
from failover.views import outage
from failover.views.ticket import short_address

admin.site.site_title = admin.site.site_header = "AMPDR Support"
admin.site.index_title = "Support"

handler400 = "ampdr.views.bad_request"
handler403 = "ampdr.views.forbidden"
handler404 = "ampdr.views.not_found"
handler500 = "ampdr.views.failed"

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("sign-in/", sign_in.Login.as_view(), name="account_login"),
    path("sign-in/code/", sign_in.Code.as_view(), name="mfa_authenticate"),
    path("sign-in/forgotten/", sign_in.Forgotten.as_view(), name="account_reset_password"),
    path("sign-in/forgotten/asked/", allauth.password_reset_done, name="account_reset_password_done"),
    path(
        "sign-in/new-password/<str:uidb36>/<str:key>/",
        sign_in.NewPassword.as_view(),
        name="account_reset_password_from_key",
    ),
    path(
        "sign-in/new-password/set/", allauth.password_reset_from_key_done, name="account_reset_password_from_key_done"
    ),
    path("sign-out/", require_POST(allauth.logout), name="account_logout"),
    path("theme/", views.theme, name="theme"),
    path("me/", me.profile, name="me"),
    path("me/password/", me.password, name="me-password"),
    path("me/second-factor/", me.second_factor, name="me-factor"),
    path("me/second-factor/new-app/", me.new_app, name="me-factor-app"),
    path("me/second-factor/recovery-codes/", me.recovery_codes, name="me-factor-codes"),
    path("me/second-factor/remove/", me.remove_factor, name="me-factor-remove"),
    path("me/sessions/", me.sessions, name="me-sessions"),
    path("me/tokens/", tokens, name="tokens"),
    path("me/tokens/<str:prefix>/revoke/", revoke, name="token-revoke"),
    path("admin/login/", views.admin_door),
    path("admin/logout/", require_POST(allauth.logout)),
    path("admin/password_change/", RedirectView.as_view(pattern_name="me-password")),
    path("admin/", admin.site.urls),
    path("api/", include("ampdr.api")),
    path("", home, name="home"),
    path("invitation/<str:token>/", invitation, name="invitation"),
    path("failovers/<str:number>/", short_address, name="failover-short"),
    path("outages/<str:number>/", outage.short_address, name="outage-short"),
    path("<slug:account>/", include("accounts.urls")),
    path("<slug:account>/", include("notices.urls")),
    path("<slug:account>/", include("replication.urls")),
    path("<slug:account>/", include("failover.urls")),
]
